"""Tests of the scope that an ASGI application gets."""

from __future__ import annotations

import time

import pytest

from functions.client_view import client_view
from router.proxy.context import Request
from skyfleet.asgi import Scope
from skyfleet.signing import sign_request
from tests.asgi import App, Message, call
from tests.functions.support import KEYS, application

TOLD = b'for="2001:db8::7";host="a.example:8443";proto=https;prefix="/team"'


def scope_of(*headers: tuple[bytes, bytes], **more: object) -> Scope:
    """As a server or a runtime gives it."""
    return {
        "type": "http",
        "scheme": "http",
        "path": "/x",
        "raw_path": b"/x",
        "root_path": "",
        "client": ("10.0.0.1", 5),
        "server": ("agent.internal", 80),
        "headers": [(b"host", b"agent.internal"), *headers],
        **more,
    }


@pytest.mark.pure
def test_what_the_router_told_replaces_what_a_front_end_said() -> None:
    """Scheme, server, client, path and fields are as if the client had reached the application itself."""
    front = ((b"x-forwarded-for", b"9.9.9.9"), (b"forwarded", b"for=9.9.9.9"), (b"x-forwarded-ssl", b"off"))
    seen = client_view(scope_of((b"x-own", b"1"), *front, (b"x-skyfleet-forwarded", TOLD)))
    assert (seen["scheme"], seen["server"]) == ("https", ("a.example", 8443))
    assert seen["client"] == ("2001:db8::7", 0)
    assert (seen["root_path"], seen["path"], seen["raw_path"]) == ("/team", "/team/x", b"/team/x")
    assert seen["headers"] == [
        (b"host", b"a.example:8443"),
        (b"x-own", b"1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"a.example:8443"),
        (b"x-forwarded-port", b"8443"),
        (b"x-forwarded-for", b"2001:db8::7"),
        (b"x-forwarded-prefix", b"/team"),
        (b"forwarded", b'for="[2001:db8::7]";host="a.example:8443";proto=https'),
    ]


@pytest.mark.pure
def test_an_unknown_client_is_unknown() -> None:
    """And a server that gives no raw path gets none."""
    told = b'for="";host="a.example";proto=https;prefix="/p"'
    seen = client_view(scope_of((b"x-skyfleet-forwarded", told), raw_path=None))
    assert (seen["client"], seen["raw_path"]) == (None, None)
    assert seen["headers"][-1] == (b"forwarded", b'for=unknown;host="a.example";proto=https')


@pytest.mark.pure
def test_a_request_that_tells_nothing_is_left_as_it_is() -> None:
    """Such as one that a person signed; what a runtime left in the scope is removed all the same."""
    plain = scope_of((b"x-forwarded-for", b"9.9.9.9"))
    assert client_view(plain) == plain
    assert client_view({**plain, "router": 1, "app": 2, "path_params": {"path": "x"}}) == plain
    unreadable = scope_of((b"x-skyfleet-forwarded", b"for"))
    assert client_view(unreadable) == unreadable


async def test_the_field_counts_only_if_the_signature_covers_it() -> None:
    """A request that got the field, or another value of it, after the router is refused."""
    app = application("tests.fastapi_agent:app")
    request = Request("GET", b"/item", "/item", b"", [], {}, b"", b"r1", forwarded=TOLD)
    signed = sign_request(KEYS, request, now=time.time(), nonce="ab" * 16)
    forged = [(name, value.replace(b"a.example", b"evil.example")) for name, value in signed]
    refused = await call(app, "GET", "/item", headers=forged)
    assert refused.status == 401
    reply = await call(app, "GET", "/item", headers=signed)
    assert (reply.status, reply.header("location")) == (307, "https://a.example:8443/team/item/")
    await end(app)


async def end(app: App) -> None:
    """Send the host's lifespan events; the application stops after the last one."""
    events = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> Message:
        return {"type": next(events)}

    async def send(message: Message) -> None:
        assert message["type"].endswith(".complete")

    await app({"type": "lifespan"}, receive, send)
