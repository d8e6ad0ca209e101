"""The door: limits, signatures, cold and warm, truthful ends, around functions and ASGI applications."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from functions.middleware import AgentMiddleware
from skyfleet.asgi import BODY_LIMIT
from tests.asgi import Caller, Message, Reply, call, scope
from tests.functions import agents
from tests.functions.support import application, signature, signed

HERE = "tests.functions.agents"
ASK = b'{"input": "hi"}'


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]


async def test_only_the_first_reply_of_an_instance_is_cold() -> None:
    """Cold is said once, in /health as in the header; refused strangers do not use it up."""
    app = application(f"{HERE}:echo")
    refused = await call(app, "GET", "/")
    assert (refused.status, refused.header("x-skyfleet-cold")) == (401, None)
    health = await call(app, "GET", "/health")
    assert (health.json["cold"], health.header("x-skyfleet-cold")) == (True, "true")
    warm = await signed(app, "POST", "/invoke", ASK)
    assert (warm.status, warm.header("x-skyfleet-cold")) == (200, None)
    assert not (await call(app, "GET", "/health")).json["cold"]


async def test_health_says_who_answers_and_how_it_is() -> None:
    """Open, complete, and only for reading."""
    environ = {"SKYFLEET_CLOUD": "aws", "SKYFLEET_REGION": "eu-west-1", "SKYFLEET_FLEET": "0a1b2c3d"}
    app = application(f"{HERE}:mapping", **environ)
    health = (await call(app, "GET", "/health")).json
    assert health.pop("init_ms") > 0
    assert health == {
        "status": "ok",
        "cloud": "aws",
        "region": "eu-west-1",
        "build": "dev",
        "fleet": "0a1b2c3d",
        "cold": True,
        "inflight": 0,
        "repeatable": True,
    }
    refused = await call(app, "POST", "/health")
    assert (refused.status, refused.header("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused_before_its_signature_is_computed(declared: bool) -> None:
    """By its declared length at once, else as soon as too much has come; the rest is not read."""
    size = str(BODY_LIMIT + 1).encode()
    headers = signature("POST", "/invoke", b"", ASK) + ([(b"content-length", size)] if declared else [])
    caller = Caller([b"x" * (1024 * 1024)] * 20)
    await application(f"{HERE}:echo")(scope("POST", "/invoke", b"", headers), caller.receive, caller.send)
    assert code(caller.reply()) == (413, "too-large")
    assert len(caller.pieces) == (20 if declared else 13)


def test_who_is_not_signed_at_all_is_refused_before_a_body_is_read() -> None:
    """A stranger's megabytes cost nothing: a missing, doubled or garbled signature shows in the head."""

    async def run(headers: list[tuple[bytes, bytes]]) -> None:
        caller = Caller([b"x" * (1024 * 1024)] * 6)
        await application(f"{HERE}:echo")(scope("POST", "/invoke", b"", headers), caller.receive, caller.send)
        assert code(caller.reply()) == (401, "unauthorized")
        assert len(caller.pieces) == 6

    right = signature("POST", "/invoke", b"", ASK)
    for wrong in ([], right[1:], [*right, right[0]], [*right[1:], (right[0][0], b"\xff")]):
        asyncio.run(run(wrong))


async def test_a_body_at_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    body = ASK + b" " * (BODY_LIMIT - len(ASK))
    assert (await signed(application(f"{HERE}:echo"), "POST", "/invoke", body)).status == 200


async def test_a_body_in_chunks_is_one_body() -> None:
    """The signature covers the whole."""
    headers = signature("POST", "/invoke", b"", ASK)
    app = application(f"{HERE}:echo")
    reply = await call(app, "POST", "/invoke", headers=headers, body=[ASK[:3], b"", ASK[3:]])
    assert reply.json["output"] == "you said hi"


async def test_every_refusal_reads_the_same_and_the_log_knows_why(caplog: pytest.LogCaptureFixture) -> None:
    """An attacker learns nothing from a 401; who runs the function does."""
    app = application(f"{HERE}:echo")
    headers = signature("POST", "/invoke", b"", ASK)
    first = await call(app, "POST", "/invoke", headers=headers, body=ASK)
    replayed = await call(app, "POST", "/invoke", headers=headers, body=ASK)
    changed = await call(app, "POST", "/invoke", headers=headers, body=ASK + b" ")
    unsigned = await call(app, "POST", "/nosuch", body=b"no json")
    assert first.status == 200
    assert replayed.body == changed.body == unsigned.body
    assert code(unsigned) == (401, "unauthorized")
    # By this a router tells the door from the agent behind it.
    assert unsigned.header("endpoint-load-metrics") is None
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [
        "replayed",
        "wrong-signature",
        "missing-header",
    ]


@pytest.mark.parametrize("path", ["/invoke", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("agent", "status", "said"),
    [
        ("raises", 500, "agent-failed"),
        ("no_json", 500, "agent-failed"),
        ("wrong_type", 500, "agent-failed"),
        ("model_down", 502, "model-failed"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_agent_that_fails_before_it_said_anything_gets_a_status(
    caplog: pytest.LogCaptureFixture, path: str, agent: str, status: int, said: str, stream: bool
) -> None:
    """No stream is opened, so that a router may still try another cloud; the trace is in the log only."""
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    app = application(f"{HERE}:{agent}")
    reply = asyncio.run(signed(app, "POST", path, body, headers={"x-request-id": "r-42"}))
    assert code(reply) == (status, said)
    assert agents.SECRET not in reply.body.decode()
    if said == "agent-failed":
        assert "r-42" in reply.json["error"]["message"]
        assert "r-42" in caplog.text
        assert "Traceback" in caplog.text


def test_a_stream_that_breaks_ends_in_an_error_event() -> None:
    """Exactly one end: `error` and no `done`; for chat an error object and no [DONE]."""

    async def run() -> None:
        app = application(f"{HERE}:breaks_off")
        reply = await signed(app, "POST", "/invoke", b'{"input": "x", "stream": true}')
        events = [line for line in reply.body.decode().split("\n") if line.startswith("event: ")]
        assert events == ["event: delta", "event: error"]
        assert reply.complete
        body = b'{"messages": [{"role": "user", "content": "x"}], "stream": true}'
        chat = (await signed(app, "POST", "/v1/chat/completions", body)).body.decode()
        assert '"half an "' in chat
        assert json.loads(chat.strip().split("data: ")[-1])["error"]["code"] == "agent-failed"
        assert "[DONE]" not in chat

    logging.getLogger("skyfleet.agent").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("skyfleet.agent").setLevel(logging.NOTSET)


@pytest.mark.parametrize(("agent", "stream"), [("hangs", True), ("hangs", False), ("hangs_silently", False)])
async def test_when_the_caller_goes_the_agent_is_stopped(agent: str, stream: bool) -> None:
    """Its `finally` runs, and the instance counts no request in work any more."""
    app = application(f"{HERE}:{agent}")
    text = f"{agent}-{stream}"
    body = json.dumps({"input": text, "stream": stream}).encode()
    caller = Caller([body])
    request = scope("POST", "/invoke", b"", signature("POST", "/invoke", b"", body))
    task = asyncio.create_task(app(request, caller.receive, caller.send))
    while app.stats.inflight == 0 or (stream and len(caller.messages) < 2):
        await asyncio.sleep(0)
    assert (await call(app, "GET", "/health")).json["inflight"] == 1
    caller.hang_up.set()
    await task
    assert text in agents.CLOSED
    assert app.stats.inflight == 0
    assert not caller.reply().complete


async def test_when_the_server_cancels_the_request_the_agent_is_stopped() -> None:
    """The same at the time limit of a host."""
    app = application(f"{HERE}:hangs")
    body = b'{"input": "cancelled", "stream": true}'
    caller = Caller([body])
    request = scope("POST", "/invoke", b"", signature("POST", "/invoke", b"", body))
    task = asyncio.create_task(app(request, caller.receive, caller.send))
    while len(caller.messages) < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "cancelled" in agents.CLOSED


def _mounted() -> AgentMiddleware:
    return application(f"{HERE}:asgi_object")


@pytest.mark.parametrize("agent", ["unhappy", "unhappy_stream"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/invoke", "/v1/chat/completions"])
def test_an_agent_may_call_its_own_answer_failed(agent: str, stream: bool, path: str) -> None:
    """`Failed` is an answer with status 200 like any other, and a header by which the router knows."""
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    reply = asyncio.run(signed(application(f"{HERE}:{agent}"), "POST", path, body))
    assert (reply.status, reply.header("x-skyfleet-outcome")) == (200, "error")
    assert b"no seat left" in reply.body
    fine = asyncio.run(signed(application(f"{HERE}:streams"), "POST", path, body))
    assert (fine.status, fine.header("x-skyfleet-outcome")) == (200, None)


def test_an_asgi_application_gets_the_request_as_it_is() -> None:
    """Behind the same door, with its own status and headers."""
    reply = asyncio.run(signed(_mounted(), "PUT", "/any/path", b"body"))
    assert (reply.status, reply.header("x-own"), reply.body) == (201, "yes", b"PUT /any/path body.")
    assert reply.header("endpoint-load-metrics") is not None
    assert asyncio.run(call(_mounted(), "PUT", "/any/path", body=b"body")).status == 401
    assert asyncio.run(call(_mounted(), "GET", "/health")).json["repeatable"]


def test_an_asgi_application_that_fails_early_is_answered_and_late_is_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A reply that has begun is never closed as a success: the error goes on to the server."""
    assert code(asyncio.run(signed(_mounted(), "GET", "/raises"))) == (500, "agent-failed")
    with pytest.raises(RuntimeError, match=agents.SECRET):
        asyncio.run(signed(_mounted(), "GET", "/breaks-off"))
    assert "Traceback" in caplog.text


def test_lifespan_is_answered_and_not_needed() -> None:
    """Servers that send it get their answers; an ASGI application of the user gets its own events."""

    async def run() -> list[str]:
        events: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[str] = []

        async def receive() -> Message:
            return events.pop(0)

        async def send(message: Message) -> None:
            sent.append(message["type"])

        await application(f"{HERE}:echo")({"type": "lifespan"}, receive, send)
        return sent

    assert asyncio.run(run()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_websocket_is_turned_away() -> None:
    """WebSockets end at the router; an agent never sees one."""

    async def run() -> Message:
        caller = Caller([])
        await application(f"{HERE}:echo")({"type": "websocket", "path": "/ws"}, caller.receive, caller.send)
        return caller.messages[0]

    assert asyncio.run(run())["type"] == "websocket.close"
