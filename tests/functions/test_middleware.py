"""Tests of the middleware around each agent: limits, signatures, cold starts, ends of replies."""

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
    """/health and the header report the cold start once; refused requests do not count."""
    app = application(f"{HERE}:echo")
    refused = await call(app, "GET", "/")
    assert (refused.status, refused.header("x-skyfleet-cold")) == (401, None)
    health = await call(app, "GET", "/health")
    assert (health.json["cold"], health.header("x-skyfleet-cold")) == (True, "true")
    warm = await signed(app, "POST", "/invoke", ASK)
    assert (warm.status, warm.header("x-skyfleet-cold")) == (200, None)
    assert not (await call(app, "GET", "/health")).json["cold"]


async def test_health_reports_place_build_and_load() -> None:
    """It needs no signature and allows only GET and HEAD."""
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
    """A declared length is checked first, otherwise the limit stops the reading of the body."""
    size = str(BODY_LIMIT + 1).encode()
    headers = signature("POST", "/invoke", b"", ASK) + ([(b"content-length", size)] if declared else [])
    caller = Caller([b"x" * (1024 * 1024)] * 20)
    await application(f"{HERE}:echo")(scope("POST", "/invoke", b"", headers), caller.receive, caller.send)
    assert code(caller.reply()) == (413, "too-large")
    assert len(caller.pieces) == (20 if declared else 13)


async def test_a_request_without_signature_headers_is_refused_before_its_body_is_read() -> None:
    """A missing, repeated or malformed header is refused without the cost of a large body."""
    right = signature("POST", "/invoke", b"", ASK)
    for wrong in ([], right[1:], [*right, right[0]], [*right[1:], (right[0][0], b"\xff")]):
        caller = Caller([b"x" * (1024 * 1024)] * 6)
        await application(f"{HERE}:echo")(scope("POST", "/invoke", b"", wrong), caller.receive, caller.send)
        assert code(caller.reply()) == (401, "unauthorized")
        assert len(caller.pieces) == 6


async def test_a_body_at_the_limit_is_read() -> None:
    """The limit is inclusive."""
    body = ASK + b" " * (BODY_LIMIT - len(ASK))
    assert (await signed(application(f"{HERE}:echo"), "POST", "/invoke", body)).status == 200


async def test_a_body_in_chunks_is_one_body() -> None:
    """The signature covers all chunks."""
    headers = signature("POST", "/invoke", b"", ASK)
    app = application(f"{HERE}:echo")
    reply = await call(app, "POST", "/invoke", headers=headers, body=[ASK[:3], b"", ASK[3:]])
    assert reply.json["output"] == "you said hi"


async def test_all_refusals_are_equal_and_the_log_has_the_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The reply gives an attacker no information about the cause."""
    app = application(f"{HERE}:echo")
    headers = signature("POST", "/invoke", b"", ASK)
    first = await call(app, "POST", "/invoke", headers=headers, body=ASK)
    replayed = await call(app, "POST", "/invoke", headers=headers, body=ASK)
    changed = await call(app, "POST", "/invoke", headers=headers, body=ASK + b" ")
    unsigned = await call(app, "POST", "/nosuch", body=b"no json")
    assert first.status == 200
    assert replayed.body == changed.body == unsigned.body
    assert code(unsigned) == (401, "unauthorized")
    # The router recognises by this that the reply is not the agent's.
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
        # They would end the agent's loop, the process, and the other requests in it.
        ("exits", 500, "agent-failed"),
        ("exits_in_a_thread", 500, "agent-failed"),
        ("exits_in_a_stream", 500, "agent-failed"),
        ("raises_a_base", 500, "agent-failed"),
        ("no_json", 500, "agent-failed"),
        ("wrong_type", 500, "agent-failed"),
        ("model_down", 502, "model-failed"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_agent_that_fails_before_its_first_event_gets_an_error_status(
    caplog: pytest.LogCaptureFixture, path: str, agent: str, status: int, said: str, stream: bool
) -> None:
    """No stream begins, so a router can try another cloud. The stack trace is only in the log."""
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    app = application(f"{HERE}:{agent}")
    reply = await signed(app, "POST", path, body, headers={"x-request-id": "r-42"})
    assert code(reply) == (status, said)
    assert agents.SECRET not in reply.body.decode()
    if said == "agent-failed":
        assert "r-42" in reply.json["error"]["message"]
        assert "r-42" in caplog.text
        assert "Traceback" in caplog.text


async def test_a_stream_that_breaks_ends_in_an_error_event(caplog: pytest.LogCaptureFixture) -> None:
    """A stream of /invoke ends with `error` and no `done`, one of chat with an error object and no [DONE]."""
    caplog.set_level(logging.CRITICAL, "skyfleet.agent")
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


@pytest.mark.parametrize(("agent", "stream"), [("hangs", True), ("hangs", False), ("hangs_silently", False)])
async def test_a_client_that_disconnects_stops_the_agent(agent: str, stream: bool) -> None:
    """The agent's `finally` runs, and the request is no longer active."""
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


async def test_a_request_that_the_server_cancels_stops_the_agent() -> None:
    """A host cancels requests at its time limit."""
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
async def test_a_failed_answer_has_status_200_and_an_outcome_header(
    agent: str, stream: bool, path: str
) -> None:
    """The header tells the router that the agent reports a failure."""
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    reply = await signed(application(f"{HERE}:{agent}"), "POST", path, body)
    assert (reply.status, reply.header("x-skyfleet-outcome")) == (200, "error")
    assert b"sold out" in reply.body
    fine = await signed(application(f"{HERE}:streams"), "POST", path, body)
    assert (fine.status, fine.header("x-skyfleet-outcome")) == (200, None)


async def test_an_asgi_application_gets_the_request_unchanged() -> None:
    """It is behind the same middleware, and its status and headers are kept."""
    reply = await signed(_mounted(), "PUT", "/any/path", b"body")
    assert (reply.status, reply.header("x-own"), reply.body) == (201, "yes", b"PUT /any/path body.")
    assert reply.header("endpoint-load-metrics") is not None
    assert (await call(_mounted(), "PUT", "/any/path", body=b"body")).status == 401
    assert (await call(_mounted(), "GET", "/health")).json["repeatable"]


async def test_an_asgi_application_that_fails_gets_a_500_or_a_truncated_reply(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After the first byte the error is raised to the server, which truncates the reply."""
    assert code(await signed(_mounted(), "GET", "/raises")) == (500, "agent-failed")
    with pytest.raises(RuntimeError, match=agents.SECRET):
        await signed(_mounted(), "GET", "/breaks-off")
    assert "Traceback" in caplog.text


async def test_lifespan_events_are_answered() -> None:
    """The function works with servers that send them and with others."""
    events: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await application(f"{HERE}:echo")({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_failed_startup_is_an_answer_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """No request reaches the application. /health says so too, and its own request begins the startup."""
    app = application(f"{HERE}:no_startup")
    assert (await call(app, "GET", "/health")).json["status"] == "ok"
    reply = await signed(app, "POST", "/x", b"body")
    assert (reply.status, reply.json["error"]["code"]) == (503, "startup-failed")
    assert reply.header("endpoint-load-metrics") is not None
    health = await call(app, "GET", "/health")
    assert (health.status, health.json["status"]) == (503, "startup-failed")
    assert "no database" in caplog.text
    assert b"no database" not in reply.body + health.body


async def test_a_websocket_is_refused() -> None:
    """WebSockets are not supported."""
    caller = Caller([])
    await application(f"{HERE}:echo")({"type": "websocket", "path": "/ws"}, caller.receive, caller.send)
    assert caller.messages[0]["type"] == "websocket.close"


async def test_from_sigterm_on_requests_are_refused_and_health_is_unready() -> None:
    """In a way that a router repeats elsewhere without blaming the target; the agent does not run."""
    app = application(f"{HERE}:echo")
    assert (await call(app, "GET", "/health")).json["status"] == "ok"
    app.drain()
    app.drain()
    health = await call(app, "GET", "/health")
    assert (health.status, health.json["status"]) == (503, "draining")
    refused = await signed(app, "POST", "/invoke", ASK)
    assert code(refused) == (503, "draining")
    assert refused.header("retry-after") == "1"
    for reply in (health, refused):
        assert reply.header("connection") == "close"
        assert reply.header("x-skyfleet-outcome") == "draining"
    app.expire()


async def test_what_runs_at_sigterm_goes_on() -> None:
    """Its response is whole, and only then the instance ends."""
    agents.RELEASE.clear()
    app = application(f"{HERE}:blocks")
    running = asyncio.create_task(signed(app, "POST", "/invoke", ASK))
    while not app.stats.inflight:
        await asyncio.sleep(0.001)
    app.drain()
    agents.RELEASE.set()
    assert (await running).status == 200
