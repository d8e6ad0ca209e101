"""Tests of how replies with a document or a challenge leave the runtime."""

from __future__ import annotations

import json

import pytest

from functions.protocols.replies import MOST_HELD, Replies
from skyfleet.asgi import Header, Receive, Scope, Send
from skyfleet.forwarded import FIELD
from tests.asgi import Reply, call

CARD = "/.well-known/agent-card.json"
TOLD: Header = (FIELD, b'for="192.0.2.7";host="agents.example.com";proto=https')
HOST: Header = (b"host", b"abc.lambda-url.us-east-1.on.aws")
JSON: Header = (b"content-type", b"application/json")
BODY = b'{"url":"http://localhost:9999/a2a"}'


class Agent:
    """An ASGI application with one reply in pieces; it notes the fields of its request."""

    def __init__(self, headers: list[Header], *pieces: bytes, status: int = 200) -> None:
        self.headers, self.pieces, self.status = headers, pieces, status
        self.asked: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked = dict(scope["headers"])
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for number, piece in enumerate(self.pieces):
            more = number < len(self.pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})


async def asked(agent: Agent, *fields: Header, method: str = "GET", path: str = CARD) -> Reply:
    return await call(Replies(agent, stateless=False), method, path, headers=[HOST, *fields])


@pytest.mark.parametrize("pieces", [(BODY,), (BODY[:7], BODY[7:], b"")])
async def test_a_card_leaves_with_the_clients_url_and_its_new_length(pieces: tuple[bytes, ...]) -> None:
    """However the agent sends it. An entity tag would stand for what the agent sent."""
    agent = Agent([JSON, (b"Content-Length", b"35"), (b"etag", b'W/"1"'), (b"x-mine", b"1")], *pieces)
    reply = await asked(agent, TOLD, (b"accept-encoding", b"gzip"))
    assert json.loads(reply.body) == {"url": "https://agents.example.com/a2a"}
    assert reply.headers == (
        ("content-type", "application/json"),
        ("x-mine", "1"),
        ("content-length", str(len(reply.body))),
    )
    assert b"accept-encoding" not in agent.asked


async def test_the_functions_own_url_is_no_url_for_clients() -> None:
    """It takes signed requests only."""
    agent = Agent([JSON], b'{"url":"https://abc.lambda-url.us-east-1.on.aws/"}')
    assert json.loads((await asked(agent, TOLD)).body) == {"url": "https://agents.example.com/"}


@pytest.mark.parametrize(
    ("agent", "fields", "method", "path"),
    [
        (Agent([JSON], BODY), (), "GET", CARD),  # no router tells what clients use
        (Agent([JSON], BODY), (TOLD,), "GET", "/card.json"),
        (Agent([JSON], BODY), (TOLD,), "POST", CARD),
        (Agent([JSON], BODY, status=404), (TOLD,), "GET", CARD),
        (Agent([(b"content-type", b"text/html")], BODY), (TOLD,), "GET", CARD),
        (Agent([JSON, (b"content-encoding", b"br")], BODY), (TOLD,), "GET", CARD),
        (Agent([JSON], BODY[:5]), (TOLD,), "GET", CARD),
        (Agent([JSON], BODY[:-1] + b" " * MOST_HELD, b"}"), (TOLD,), "GET", CARD),
    ],
)
async def test_every_other_reply_passes_as_it_is(
    agent: Agent, fields: tuple[Header, ...], method: str, path: str
) -> None:
    """To the byte, with the agent's fields."""
    reply = await asked(agent, *fields, method=method, path=path)
    assert (reply.status, reply.body) == (agent.status, b"".join(agent.pieces))
    assert reply.headers == tuple((name.decode(), value.decode()) for name, value in agent.headers)
    assert reply.complete


async def test_a_challenge_leads_to_metadata_that_a_client_can_reach() -> None:
    """Of a 401, whatever its path; with the URL from the router, otherwise as it is."""
    value = b'Bearer resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource/mcp"'
    agent = Agent([(b"www-authenticate", value)], b"", status=401)
    reply = await asked(agent, TOLD, method="POST", path="/mcp")
    there = "https://agents.example.com/.well-known/oauth-protected-resource/mcp"
    assert reply.header("www-authenticate") == f'Bearer resource_metadata="{there}"'
    untold = await asked(agent, method="POST", path="/mcp")
    assert untold.header("www-authenticate") == value.decode()


async def test_an_error_of_the_agent_stays_its_error() -> None:
    """Only the one that follows from a refusal ends here."""

    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        await call(Replies(broken, stateless=False), "GET", CARD)
