"""The router's own paths: health, status, minutes, control document, snapshots, and the list of routers.

Rules
- They are matched as they were sent, so that a rule in front of this router reads the same.
- A WebSocket handshake never comes here. What comes for `/ws` is plain HTTP, which is refused.
- `/health` is for all; a checker's snapshot has its signature; the other paths need the API key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from router.access import admit
from router.config import RouterSettings
from router.core.errors import CallerError, SnapshotRejected
from router.core.health import snapshots
from router.net.fields import first
from router.proxy.context import Context
from router.status import status
from router.sync.control import MOST_BYTES, ControlDocument
from router.sync.minutes import MinuteStore
from router.sync.snapshots import MOST_BYTES as MOST_STORED
from router.sync.snapshots import SnapshotStore
from skyfleet import keys, signing
from skyfleet.asgi import Header, Receive, Scope, Send, json_bytes, read_body, send_json
from skyfleet.objects import Bucket

if TYPE_CHECKING:
    from router.well_known import WellKnown

OWN_PATHS: Final = frozenset(
    {
        b"/health",
        b"/api/status",
        b"/api/control",
        b"/api/minutes",
        b"/_skyfleet/health",
        b"/.well-known/skyfleet.json",
        b"/ws",
    }
)
# Whose platform carries WebSockets to a function (docs/websocket.md has the sources).
_CARRIES_WEBSOCKETS: Final = "gcp"


class OwnPaths:
    """The ASGI application of these paths. clock: unix seconds."""

    def __init__(
        self,
        settings: RouterSettings,
        context: Context,
        store: SnapshotStore,
        bucket: Bucket | None,
        minutes: MinuteStore,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._context, self._store, self._clock = settings, context, store, clock
        self._minutes = minutes
        self.draining = False  # this instance ends
        self._control_document = ControlDocument(bucket, context.balancer, store)
        self._verifier = signing.Verifier(keys.CheckerKeys(settings.roots))
        self._well_known: WellKnown | None = None

    async def __call__(
        self, scope: Scope, headers: list[Header], ident: bytes, receive: Receive, send: Send
    ) -> None:
        """Answer a request to one of them. Raises CallerError, BodyTooLarge and ClientDisconnected."""

        async def reply(status: int, value: Mapping[str, object]) -> None:
            await send_json(send, status, json_bytes(value), self._fields(ident))

        match scope["path"]:
            case "/health":
                _only(scope, "GET", "HEAD")
                await reply(503 if self.draining else 200, self._health())
            case "/api/status":
                admit(headers, self._settings.api_key_sha256)
                _only(scope, "GET", "HEAD")
                self._store.refresh_soon()
                await reply(
                    200,
                    status(
                        self._context.balancer, self._settings.place, self._store, self._settings.checkers
                    ),
                )
            case "/api/control":
                admit(headers, self._settings.api_key_sha256)
                _only(scope, "GET", "HEAD", "PUT")
                await reply(200, await self._control(scope, headers, receive))
            case "/api/minutes":
                admit(headers, self._settings.api_key_sha256)
                _only(scope, "GET", "HEAD")
                await reply(200, await self._minutes.read())
            case "/.well-known/skyfleet.json":
                _only(scope, "GET", "HEAD")
                await self._routers(dict(headers), ident, send)
            case "/ws":
                _only(scope, "GET")
                raise _no_handshake(self._settings.place.cloud)
            case _:
                _only(scope, "POST")
                await reply(200, await self._snapshot(scope, headers, receive))

    async def _snapshot(self, scope: Scope, headers: list[Header], receive: Receive) -> dict[str, object]:
        body = await read_body(first(headers, b"content-length"), receive, MOST_STORED)
        try:
            path, query = scope["path"], scope["query_string"]
            signed_by = self._verifier.check(headers, scope["method"], path, query, body, now=self._clock())
        except signing.Unauthorized as error:
            raise CallerError(error.status, error.code, error.message, error.fields) from None
        balancer, checker = self._context.balancer, keys.place_of(signed_by)
        try:
            snapshot = snapshots.parse(_decoded(body), balancer.targets, self._clock(), self._store.checkers)
            if snapshot.checker != checker:
                raise SnapshotRejected(
                    f"It speaks for {snapshot.checker}, but the key of {checker} signed it; a checker speaks "
                    "for itself only."
                )
        except SnapshotRejected as rejected:
            self._store.rejected.note(checker, rejected.message)
            raise
        await self._context.prober.apply_snapshots([snapshot])
        self._store.rejected.forget(checker)
        return {"accepted": True, "stored": await self._store.save(snapshot)}

    async def _control(self, scope: Scope, headers: list[Header], receive: Receive) -> Mapping[str, object]:
        if scope["method"] != "PUT":
            self._store.refresh_soon()
            return await self._control_document.read()
        length = first(headers, b"content-length")
        return await self._control_document.update(await read_body(length, receive, MOST_BYTES))

    async def _routers(self, fields: Mapping[bytes, bytes], ident: bytes, send: Send) -> None:
        if self._well_known is None:
            from router.well_known import WellKnown  # few instances are asked, and it is no part of a start

            balancer = self._context.balancer
            self._well_known = WellKnown(self._settings, balancer, self._store, self._clock)
        await self._well_known(fields, self._fields(ident), send)

    def _fields(self, ident: bytes) -> list[Header]:
        """Of each reply."""
        return [(b"x-request-id", ident), *([(b"connection", b"close")] if self.draining else [])]

    def _health(self) -> dict[str, object]:
        place = self._settings.place
        return {
            "status": "draining" if self.draining else "ok",
            "cloud": place.cloud,
            "region": place.region,
            "build": place.build,
            "fleet": place.fleet,
            "role": "router",
        }


def _no_handshake(cloud: str) -> CallerError:
    """A platform that carries no WebSocket passes the handshake on as plain HTTP."""
    if cloud == _CARRIES_WEBSOCKETS:
        reason = "This path takes WebSocket handshakes only. Connect with a WebSocket client, or use HTTP."
        return CallerError(400, "websocket-expected", reason)
    reason = (
        f"This router runs on {cloud}, which carries no WebSocket to a function. Use the router of "
        f"{_CARRIES_WEBSOCKETS} (the stack's output routerUrls), or HTTP with an event stream."
    )
    return CallerError(501, "no-websocket", reason, [(b"x-should-retry", b"false")])


def _only(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        raise CallerError(
            405,
            "method-not-allowed",
            f"{scope['path']} is the router's own and takes {' or '.join(methods)}; use one of them.",
            [(b"allow", ", ".join(methods).encode())],  # RFC 9110, section 15.5.6
        )


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SnapshotRejected("The snapshot is not JSON; send the document that a checker makes.") from None
