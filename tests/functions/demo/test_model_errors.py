"""Tests of what the client gets for each kind of answer of a model: a table, through the whole function.

The answers are those of OpenAI's API (https://platform.openai.com/docs/guides/error-codes) and of servers
that imitate it.
"""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from functions.demo import openai_client
from functions.demo.model_errors import Said, of_status, said, within_answer
from functions.errors import DependencyFailed
from tests.asgi import Reply
from tests.functions.fake_model import KEY, Chunks, FakeModel, delta, says
from tests.functions.support import application, free_socket, serving, signed
from tests.router.support import ok, upstream

TLS: Final = Path(__file__).parents[2] / "router" / "net" / "tls"
LONG: Final = "This model's maximum context length is 8192 tokens."


def error(code: object, kind: str = "x_error", message: str = "no", param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


async def asked(url: str, *, stream: bool) -> Reply:
    """The function's answer to one chat request, with the model at this URL."""
    app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny", MODEL_API_KEY=KEY)
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return await signed(app, "POST", "/v1/chat/completions", json.dumps(body).encode())


# Status and body of the model; status, code, type, param for the client; whether no repeat can help.
ANSWERS: Final[tuple[tuple[int, bytes, tuple[int, str, str, str | None], bool], ...]] = (
    (
        400,
        error("context_length_exceeded", "invalid_request_error", LONG, "messages"),
        (400, "context_length_exceeded", "invalid_request_error", "messages"),
        False,
    ),
    (400, error("content_filter", "x", KEY), (400, "content_filter", "x", None), False),
    (400, error(400, "BadRequestError"), (400, "model-refused", "BadRequestError", None), False),
    (413, b"too long", (413, "model-refused", "invalid_request_error", None), False),
    (422, b'{"detail": "tools"}', (422, "model-refused", "invalid_request_error", None), False),
    (400, error("invalid_api_key"), (502, "model-misused", "server_error", None), True),
    (301, b"", (502, "model-misused", "server_error", None), True),
    (
        401,
        error("invalid_api_key", message=f"bad key {KEY}"),
        (502, "model-misused", "server_error", None),
        True,
    ),
    (402, b"", (502, "model-misused", "server_error", None), True),
    (403, b"", (502, "model-misused", "server_error", None), True),
    (404, error("model_not_found"), (502, "model-misused", "server_error", None), True),
    (405, b"", (502, "model-misused", "server_error", None), True),
    (408, b"", (504, "model-silent", "server_error", None), False),
    (429, b"", (429, "rate_limit_exceeded", "rate_limit_error", None), False),
    (429, error("rate_limit_exceeded", "tokens"), (429, "rate_limit_exceeded", "tokens", None), False),
    (
        429,
        error("insufficient_quota", "insufficient_quota"),
        (429, "insufficient_quota", "insufficient_quota", None),
        True,
    ),
    (500, error(None, "server_error"), (502, "model-failed", "server_error", None), False),
    (502, b"<html>", (502, "model-failed", "server_error", None), False),
    (503, b"", (503, "model-busy", "server_error", None), False),
    (504, b"", (504, "model-silent", "server_error", None), False),
    (520, b"", (502, "model-failed", "server_error", None), False),
    (529, error(None, "overloaded_error"), (503, "model-busy", "overloaded_error", None), False),
    (204, b"", (502, "model-failed", "server_error", None), False),
)


# How the body of an answer goes on in place of its end.
ENDINGS: Final = {"silent": b"", "endless": b" " * 65_536}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "body", "expected", "final"), ANSWERS)
async def test_each_status_of_a_model_is_one_of_the_client(
    status: int, body: bytes, expected: tuple[int, str, str, str | None], final: bool, stream: bool
) -> None:
    """One call of the model; the cause is a dependency; Retry-After is passed on; the key is nowhere."""
    fake = FakeModel(*[body] * 3, status=status, fields={"retry-after": "7", "retry-after-ms": "6500"})
    with serving(fake) as url:
        reply = await asked(url, stream=stream)
    told = reply.json["error"]
    assert (reply.status, told["code"], told["type"], told["param"]) == expected
    assert reply.header("x-skyfleet-outcome") == "dependency"
    assert reply.header("x-should-retry") == ("false" if final else None)
    timed = status in (204, 408, 429) or status >= 500
    assert reply.header("retry-after") == ("7" if timed else None)
    assert reply.header("retry-after-ms") == ("6500" if timed else None)
    assert len(fake.asked) == 1
    assert KEY not in reply.body.decode()
    if status == 400 and expected[1] == "context_length_exceeded":
        assert LONG in told["message"]


@pytest.mark.parametrize(
    ("turn", "stream"),
    [
        (b"no json", False),
        ({"choices": []}, False),
        ({"choices": [{"message": "x"}]}, False),
        (b"[" * 100_000, False),
        ({**says("x"), "usage": {"prompt_tokens": "many"}}, False),
        ([b"data: no json\n\n"], True),
        ([{"choices": ["x"]}], True),
        ([], True),
        ([{"id": "x", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}], True),
        ([{"error": {"message": KEY, "code": "server_error"}}], True),
    ],
)
async def test_an_answer_that_is_none_is_a_failure_of_the_model(turn: object, stream: bool) -> None:
    """Before the first event of a stream it is a status."""
    with serving(FakeModel(turn)) as url:
        reply = await asked(url, stream=stream)
    assert (reply.status, reply.json["error"]["type"]) == (502, "server_error")
    assert reply.header("x-skyfleet-outcome") == "dependency"
    assert KEY not in reply.body.decode()


@pytest.mark.parametrize(
    ("rest", "code", "kind"),
    [
        ([], "model-failed", "server_error"),
        ([{"error": {"message": KEY, "code": "server_error", "type": "oops"}}], "server_error", "oops"),
        ([{"error": {"message": KEY, "code": 429}}], "rate_limit_exceeded", "rate_limit_error"),
    ],
)
async def test_a_stream_that_the_model_breaks_ends_in_an_error_that_names_it(
    rest: Chunks, code: str, kind: str
) -> None:
    """The error has type and code, and says that no cloud is to blame; there is no [DONE]."""
    with serving(FakeModel([delta(content="half"), *rest])) as url:
        reply = await asked(url, stream=True)
    assert reply.status == 200
    last: dict[str, Any] = json.loads(reply.body.split(b"data: ")[-1])
    assert (last["error"]["code"], last["error"]["type"]) == (code, kind)
    assert (last["error"]["param"], last["error"]["outcome"]) == (None, "dependency")
    assert b"[DONE]" not in reply.body
    assert KEY not in reply.body.decode()


async def test_a_connection_that_breaks_within_an_answer_is_the_models_failure() -> None:
    """The model has begun to work, so another cloud would pay for it again."""
    with serving(FakeModel(b'{"choices":', cut=True)) as url:
        reply = await asked(url, stream=False)
    assert (reply.status, reply.json["error"]["code"]) == (502, "model-failed")
    assert reply.header("x-skyfleet-outcome") == "dependency"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 429, 503])
@pytest.mark.parametrize("broken", ["coding", "cut", "silent", "endless"])
async def test_a_status_counts_whatever_becomes_of_its_body(
    broken: str, status: int, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head has said what the answer is, and when to repeat. The body only has the words."""
    fields = {"retry-after": "7"}
    if broken == "coding":
        fields |= {"content-encoding": "gzip"}
    if broken == "silent":
        monkeypatch.setattr(openai_client, "ERROR_BODY_S", 0.01)
    fake = FakeModel(b"{", status=status, fields=fields, cut=broken == "cut", ending=ENDINGS.get(broken))
    with serving(fake) as url:
        reply = await asked(url, stream=stream)
    expected = {400: (400, "model-refused"), 401: (502, "model-misused"), 503: (503, "model-busy")}
    assert (reply.status, reply.json["error"]["code"]) == expected.get(status, (429, "rate_limit_exceeded"))
    assert reply.header("retry-after") == ("7" if status >= 429 else None)
    assert reply.header("x-skyfleet-outcome") == "dependency"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_an_end_is_the_models_failure(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fill the memory of the instance, whose end would look like the cloud's."""
    monkeypatch.setattr(openai_client, "LARGEST_DOCUMENT", 1 << 20)
    with serving(FakeModel(b"{", ending=ENDINGS["endless"])) as url:
        reply = await asked(url, stream=stream)
    assert (reply.status, reply.json["error"]["code"]) == (502, "model-failed")
    assert "more than 1 MiB" in reply.json["error"]["message"]
    assert reply.header("x-skyfleet-outcome") == "dependency"


async def test_the_reason_why_a_model_is_not_reached_is_told() -> None:
    """An operator reads whether it is a name, a certificate or a port; another cloud may have another."""
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_tls.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with upstream(ok, tls=serving_tls) as untrusted:
        reply = await asked(untrusted.url.replace("http:", "https:"), stream=False)
    assert (reply.status, reply.json["error"]["code"]) == (503, "model-unreachable")
    assert "its certificate is not accepted (self-signed certificate)" in reply.json["error"]["message"]
    with free_socket() as closed:
        refused = await asked(f"http://127.0.0.1:{closed.getsockname()[1]}", stream=False)
    assert "it refuses connections" in refused.json["error"]["message"]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name is not found"),
        (OSError("All connection attempts failed"), "ConnectError"),
        (None, "ConnectError"),
    ],
)
def test_the_reason_is_that_of_the_first_known_cause(cause: Exception | None, told: str) -> None:
    """One that is not known is told by its type."""
    error = httpx.ConnectError("no")
    error.__cause__ = httpx.ReadError("between")
    error.__cause__.__context__ = cause
    assert openai_client.why_unreachable(error) == told
    assert openai_client.why_unreachable(httpx.ConnectTimeout("no")) == "no connection in time"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_this_cloud_cannot_reach_may_be_reached_from_another(stream: bool) -> None:
    """The router takes a 503 without a cause as not executed, and tries another cloud."""
    with free_socket() as closed:
        reply = await asked(f"http://127.0.0.1:{closed.getsockname()[1]}", stream=stream)
    assert (reply.status, reply.json["error"]["code"]) == (503, "model-unreachable")
    assert reply.header("x-skyfleet-outcome") is None


async def test_a_wrong_deployment_is_named() -> None:
    """This covers an invalid URL, a missing name, and a key that no header can carry. No repeat helps."""
    for environ, words in (
        ({"MODEL_BASE_URL": "api.test/v1", "MODEL_NAME": "tiny"}, "no address"),
        ({"MODEL_BASE_URL": "http://127.0.0.1:99999/v1", "MODEL_NAME": "tiny"}, "no address"),
        ({"MODEL_BASE_URL": f"http://{'a' * 70}.test/v1", "MODEL_NAME": "tiny"}, "no address"),
        ({"MODEL_BASE_URL": "http://api.test/v1"}, "MODEL_NAME"),
        ({"MODEL_BASE_URL": "http://api.test", "MODEL_NAME": "t", "MODEL_API_KEY": "a\nb"}, "MODEL_API_KEY"),
        ({"MODEL_BASE_URL": "http://api.test", "MODEL_NAME": "t", "MODEL_API_KEY": "ä"}, "MODEL_API_KEY"),
    ):
        reply = await signed(application(**environ), "POST", "/invoke", b'{"input": "x"}')
        assert (reply.status, reply.json["error"]["code"]) == (502, "model-misused")
        assert words in reply.json["error"]["message"]
        assert reply.header("x-should-retry") == "false"


async def test_a_failure_is_in_the_functions_log(caplog: pytest.LogCaptureFixture) -> None:
    """For the operator, under the request id. A refused request is the client's matter."""
    for status, logged in ((401, True), (429, True), (500, True), (400, False)):
        caplog.clear()
        with serving(FakeModel(b"", status=status)) as url:
            await asked(url, stream=False)
        assert (f"status {status}" in caplog.text) is logged


async def test_the_line_break_after_a_key_is_not_sent() -> None:
    """Secrets are often stored with one."""
    with serving(fake := FakeModel(says("fine"))) as url:
        app = application(MODEL_BASE_URL=url, MODEL_NAME="tiny", MODEL_API_KEY=f"{KEY}\n")
        assert (await signed(app, "POST", "/invoke", b'{"input": "x"}')).status == 200
    assert fake.authorization == [f"Bearer {KEY}"]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, Said()),
        ("no", Said()),
        ([], Said()),
        ({"error": "busy"}, Said("busy")),
        ({"error": ["x"]}, Said()),
        ({"message": "m", "type": "T", "code": 400}, Said("m", "T", status=400)),
        ({"detail": "d"}, Said("d")),
        ({"error": {"message": 1, "code": "a b", "param": "messages[0]"}}, Said(param="messages[0]")),
        (
            [{"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}],
            Said("m", code="API_KEY_INVALID"),
        ),
    ],
)
def test_errors_of_other_servers_are_read(body: object, expected: Said) -> None:
    """A code that is a number is a status; a text with spaces is no code."""
    assert said(body) == expected


@pytest.mark.pure
def test_only_a_retry_after_that_clients_can_read_is_passed_on() -> None:
    """Whole seconds or a date; milliseconds may have a fraction."""
    for value in ("später", "7" * 65, "", "-1", "soon", "1e3", "Infinity", "Fri, 99 Foo 1999", "\u0667"):
        assert of_status("h", 429, {"retry-after": value}, Said(), None).fields == []
    y2k = "Fri, 31 Dec 1999 23:59:59 GMT"
    for name, value, passed in (
        ("retry-after", "120", "120"),
        ("retry-after", "0", "0"),
        ("retry-after", "1.5", "2"),
        ("retry-after", y2k, y2k),
        ("retry-after", "Friday, 31-Dec-99 23:59:59 GMT", y2k),
        ("retry-after", "Fri Dec 31 23:59:59 1999", y2k),
        ("retry-after", "Sat, 01 Jan 2000 00:59:59 +0100", y2k),
        ("retry-after-ms", "12.5", "12.5"),
    ):
        found = of_status("h", 429, {name: value}, Said(), None).fields
        assert found == [(name.encode(), passed.encode())]


@pytest.mark.pure
def test_an_agent_may_raise_what_its_dependency_said() -> None:
    """Status, code and Retry-After are its own."""
    failed = DependencyFailed(
        "no stock service", status=503, code="no-stock", retry_after_s=7, may_repeat=True
    )
    assert (failed.status, failed.code) == (503, "no-stock")
    assert failed.headers == [
        (b"x-skyfleet-outcome", b"dependency"),
        (b"retry-after", b"7"),
        (b"x-should-retry", b"true"),
    ]
    for seconds, told in ((1.5, b"2"), (0.2, b"1"), (0, b"0"), (-3, b"0")):
        assert (b"retry-after", told) in DependencyFailed("x", retry_after_s=seconds).headers
    for status in (200, 302, 600):
        with pytest.raises(ValueError, match=f"is {status}, expected 400 to 599"):
            DependencyFailed("x", status=status)
    assert within_answer("h", Said(status=503), None).code == "model-busy"
