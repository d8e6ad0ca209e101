"""The ASGI application of `/ws`: the handshake, and how a message becomes a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from router.access import KEY_FIELDS, admit
from router.arrival import Arrival
from router.config import RouterSettings
from router.core.errors import CallerError
from router.net.fields import check_request
from router.net.server import request_target
from router.proxy.context import Context
from router.proxy.forward import Forwarder
from router.public_url import CHAIN
from router.websocket import handshake
from router.websocket.answer import Answer
from router.websocket.connection import SocketConnection
from router.websocket.limits import LIMITS, Limits
from router.websocket.messages import Asked
from router.websocket.sessions import Sessions
from skyfleet.asgi import (
    BODY_LIMIT,
    JSON_TYPE,
    BodyTooLarge,
    Header,
    Receive,
    Scope,
    Send,
    error_json,
)
from skyfleet.cors import READABLE
from skyfleet.http1.head import decoded_path

# Of the handshake, for each request whose message does not have them.
_PASSED: Final = frozenset({b"accept-language", b"user-agent"}) | KEY_FIELDS


Arrive = Callable[[list[Header], Mapping[bytes, bytes], str], Arrival]


class Endpoint:
    """All WebSockets of one router. refresh: called with each request. entropy: so many random bytes."""

    def __init__(
        self,
        context: Context,
        settings: RouterSettings,
        arrive: Arrive,
        refresh: Callable[[], object],
        entropy: Callable[[int], bytes],
        limits: Limits = LIMITS,
    ) -> None:
        self._context, self._settings, self._arrive, self._refresh = context, settings, arrive, refresh
        self._limits = limits
        self._sessions = Sessions(limits, entropy, _later)
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        # ASGI wants names in lower case; uvicorn gives WebSocket's as they were sent (0.54).
        headers: list[Header] = [(name.lower(), value) for name, value in scope["headers"]]
        fields = dict(headers)
        client = scope.get("client")
        peer: str = client[0] if client else ""
        await receive()  # websocket.connect
        try:
            passed = self._check(scope, headers, fields)
        except CallerError as error:
            await _deny(scope, send, self._arrive(headers, fields, peer).id, error)
            return
        begin = _Begin(self._context, self._arrive, self._refresh, self._settings, fields, passed, peer)
        self._sockets += 1
        try:
            chosen = handshake.selected(scope["subprotocols"])
            await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
            await SocketConnection(self._sessions, self._limits, begin).run(receive, send)
        except OSError:
            pass  # ASGI servers raise it from send() when the client has left
        finally:
            self._sockets -= 1

    def close(self) -> None:
        """Forget all sessions and what runs for them."""
        self._sessions.close()

    def _check(self, scope: Scope, headers: list[Header], fields: Mapping[bytes, bytes]) -> list[Header]:
        """The handshake's fields for its requests. Raises CallerError."""
        settings = self._settings
        handshake.check_path(request_target(scope)[0].partition(b"?")[0])
        expected = settings.api_key_sha256
        handshake.check_origin(
            fields.get(b"origin", b""),
            fields.get(b"host", b""),
            settings.cors_origins,
            keyless=expected is None,
        )
        drop = admit([*headers, *handshake.key_fields(scope["subprotocols"])], expected)
        if self._sockets >= self._limits.sockets:
            raise CallerError(
                503, "too-many-websockets", "Connect again in a second.", [(b"retry-after", b"1")]
            )
        return [field for field in headers if field[0] in _PASSED - drop]


class _Begin:
    """Begins the requests of one connection. fields: of its handshake. passed: those for each request."""

    def __init__(
        self,
        context: Context,
        arrive: Arrive,
        refresh: Callable[[], object],
        settings: RouterSettings,
        fields: Mapping[bytes, bytes],
        passed: list[Header],
        peer: str,
    ) -> None:
        self._context, self._arrive, self._refresh = context, arrive, refresh
        self._expected, self._passed, self._peer = settings.api_key_sha256, passed, peer
        self._of_url = {name: fields[name] for name in (b"host", CHAIN) if name in fields}

    def __call__(self, asked: Asked, answer: Answer, add: Callable[[Answer], None], /) -> None:
        """Send it. Raises CallerError, InvalidRequest and BodyTooLarge, before anything is sent."""
        if len(asked.body) > BODY_LIMIT:
            raise BodyTooLarge(BODY_LIMIT, len(asked.body))
        own = dict(asked.headers)
        headers = asked.headers + [field for field in self._passed if field[0] not in own]
        arrival = self._arrive(headers, {**own, **self._of_url}, self._peer)
        arrival.drop = self._carried(asked.headers)
        check_request(asked.method, asked.target, headers)
        path, _, query = asked.target.partition(b"?")
        request = arrival.request(
            asked.method, asked.target, decoded_path(path), query, headers, dict(headers), asked.body
        )
        forwarder = Forwarder(self._context, request, answer)
        answer.upstream = forwarder
        add(answer)
        self._refresh()
        forwarder.start()

    def _carried(self, headers: list[Header]) -> frozenset[bytes]:
        """The fields of a message that have the router's key, which no agent gets."""
        if self._expected is None:
            return frozenset()
        try:
            return admit(headers, self._expected)
        except CallerError:
            return frozenset()


def _later(seconds: float, then: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, then)


async def _deny(scope: Scope, send: Send, ident: bytes, error: CallerError) -> None:
    """Refuse a handshake over HTTP, where the server can (ASGI's "Websocket Denial Response")."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    body = error_json(error.code, error.message, error.status)
    told = [JSON_TYPE, (b"x-request-id", ident), *READABLE, *error.fields]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": told})
    await send({"type": "websocket.http.response.body", "body": body})
