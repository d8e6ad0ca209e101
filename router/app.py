"""The router as an ASGI app: its own few paths, the check of API keys, and everything else to an agent.

Rules
- `GET /health` is open and costs nothing; `GET /api/status` and `GET` or `PUT /api/control` need the caller's
  key; `POST /_skyfleet/health` takes snapshots, each from the checker whose key signed it. Every other path
  goes to an agent.
- A request that is signed as for an agent is refused with 421: its sender is a router whose target's port or
  host name is this router's now, or a router that was listed as a target.
- Keys and preflights: `router.access`. Without a key only when SKYFLEET_OPEN=1 and every target is on this
  machine.
- All our own errors are JSON, {"error": {"code", "message", "type", "param"}}, and pages of other origins may
  read them.
- Nothing depends on the lifespan protocol, since not every host speaks it; it only closes connections tidily.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from router.access import MOST_PREFLIGHTS, admit, is_preflight, preflight_fields
from router.config import Place, RouterSettings, build_id, router_settings
from router.core.balance.balancer import Balancer
from router.core.errors import CallerError, SnapshotRejected
from router.core.health import snapshots
from router.core.request.classify import agent_traits
from router.net import server
from router.net.deadlines import Deadlines
from router.net.errors import InvalidRequest
from router.net.fields import first, request_id
from router.net.pool import Pool
from router.proxy.context import Context, Request
from router.proxy.forward import Forwarder
from router.proxy.prober import Prober
from router.proxy.request_queue import RequestQueue
from router.public_url import CHAIN, OF_ADDRESSES, PublicUrls, client_address
from router.status import status
from router.sync.control import MOST_BYTES, ControlDocument
from router.sync.snapshots import MOST_BYTES as MOST_STORED
from router.sync.snapshots import SnapshotStore
from skyfleet import keys, signing
from skyfleet.asgi import (
    BodyTooLarge,
    ClientDisconnected,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    error_json,
    json_bytes,
    lifespan,
    read_body,
    send_json,
)
from skyfleet.cors import READABLE
from skyfleet.objects import Bucket, CloudBucket

if TYPE_CHECKING:
    from router.cors import CorsFields

_OWN: Final = frozenset({"/health", "/api/status", "/api/control", "/_skyfleet/health"})


def create(environ: Mapping[str, str]) -> App:
    """The app for SKYFLEET_APP; SettingsError lists every mistake in the environment."""
    server.quieten_uvicorn()
    settings = router_settings(environ, build_id(__file__))
    bucket = CloudBucket(settings.bucket, most_bytes=MOST_STORED) if settings.bucket else None
    return App(settings, bucket)


class App:
    """One router instance."""

    def __init__(
        self,
        settings: RouterSettings,
        bucket: Bucket | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """clock: unix seconds. ticks: seconds that never go back. entropy: that many random bytes."""
        self._settings, self._clock, self._entropy = settings, clock, entropy
        policy = settings.policy
        balancer = Balancer(settings.targets, settings.strategy, policy, clock, self._uniform, ticks)
        # At the start, since later it would delay all requests that run beside the first.
        tls = ssl.create_default_context() if any(one.origin.tls for one in settings.targets) else None
        pool = Pool(connect_timeout_s=policy.connect_timeout_s, clock=clock, tls=tls)
        agents = agent_traits(settings.agent_kind)
        prober = Prober(pool, balancer, ticks, agents, settings.place.fleet)
        self._context = Context(
            balancer=balancer,
            pool=pool,
            prober=prober,
            deadlines=Deadlines(ticks),
            sign=self._sign,
            ticks=ticks,
            request_queue=RequestQueue(balancer, prober, ticks),
            any_repeatable=any(target.repeatable for target in settings.targets),
            agents=agents,
        )
        self._store = SnapshotStore(bucket, balancer, clock, prober.apply_snapshots, settings.checkers)
        self._control_document = ControlDocument(bucket, balancer, self._store)
        self._cors = _cors(settings.cors_origins)
        self._checks_preflights = settings.api_key_sha256 is not None or self._cors is not None
        self._preflights = 0  # forwarded now
        self._urls = PublicUrls(settings.public_url)
        self._verifier = signing.Verifier(keys.CheckerKeys(settings.roots))
        self._keys = {target.key: settings.roots.keys("agent", target.key) for target in settings.targets}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers: list[Header] = list(scope["headers"])
            fields = dict(headers)  # one lookup shows that a field is absent
            # All that this request needs, in one call of the system; none is kept for the next, since a
            # sandbox may be copied between two, and a nonce must be used once.
            random_hex = self._entropy(32).hex()
            ident = (b"x-request-id" in fields and request_id(headers)) or random_hex[:32].encode()
            client = fields[CHAIN] if CHAIN in fields else b""  # noqa: SIM401 - `get` would be a call
            if not client or client.translate(None, OF_ADDRESSES):
                client = client_address(client, scope)
            host = fields[b"host"] if b"host" in fields else b""  # noqa: SIM401
            forwarded = b'for="%b";%b' % (client, self._urls[host])
            try:
                if scope["path"] in _OWN:
                    await self._own_path(scope, headers, ident, receive, send)
                elif scope["method"] == "OPTIONS" and self._checks_preflights and is_preflight(fields):
                    await self._preflight(scope, headers, ident, forwarded, receive, send)
                else:
                    arrived = self._context.ticks()
                    if signing.SIGNATURE in fields and signing.KEY_ID in fields:
                        raise _misdirected(self._settings.place)
                    drop = admit(headers, self._settings.api_key_sha256)
                    self._store.refresh_soon()
                    body = await read_body(fields.get(b"content-length"), receive)
                    target, query = server.request_target(scope)
                    request = Request(
                        scope["method"],
                        target,
                        scope["path"],
                        query,
                        headers,
                        body,
                        ident,
                        drop,
                        arrived,
                        random_hex[32:],
                        False,
                        forwarded,
                        () if self._cors is None else self._cors[fields.get(b"origin", b"")],
                    )
                    outbox = server.Outbox(ident)
                    await outbox.serve(Forwarder(self._context, request, outbox), receive, send)
            except ClientDisconnected:
                pass
            except (InvalidRequest, BodyTooLarge, CallerError) as error:
                await _refuse(send, ident, _refusal(error))
        else:
            await self._no_http(scope, receive, send)

    async def _no_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send, self.close)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "Use HTTP."})

    async def close(self) -> None:
        """Close every connection and stop everything that runs beside requests."""
        self._context.request_queue.close()
        self._context.prober.close()
        self._context.pool.close()
        self._context.deadlines.close()
        await self._store.close()

    async def _preflight(
        self,
        scope: Scope,
        headers: list[Header],
        ident: bytes,
        forwarded: bytes,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a preflight, or forward it without a key: only so many at once. It has no body."""
        if self._cors is not None:
            answer = self._cors.preflight(dict(headers))
            await read_body(None, receive, 0)
            start: Message = {"type": "http.response.start", "status": 204}
            await send({**start, "headers": [(b"x-request-id", ident), *answer]})
            await send({"type": "http.response.body"})
            return
        if self._preflights >= MOST_PREFLIGHTS:
            raise CallerError(
                503,
                "too-many-preflights",
                f"This router forwards {MOST_PREFLIGHTS} preflights at once. Repeat it in a second.",
                [(b"retry-after", b"1")],
            )
        self._preflights += 1
        try:
            await read_body(None, receive, 0)
            target, query = server.request_target(scope)
            passed = preflight_fields(headers)
            request = Request(
                "OPTIONS",
                target,
                scope["path"],
                query,
                passed,
                b"",
                ident,
                keyless=True,
                forwarded=forwarded,
            )
            outbox = server.Outbox(ident)
            await outbox.serve(Forwarder(self._context, request, outbox), receive, send)
        finally:
            self._preflights -= 1

    async def _own_path(
        self,
        scope: Scope,
        headers: list[Header],
        ident: bytes,
        receive: Receive,
        send: Send,
    ) -> None:
        """One of the router's own paths."""

        async def reply(status: int, value: Mapping[str, object]) -> None:
            await _reply(send, ident, status, json_bytes(value))

        match scope["path"]:
            case "/health":
                _only(scope, "GET", "HEAD")
                await reply(200, self._health())
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

    def _health(self) -> dict[str, object]:
        place = self._settings.place
        return {
            "status": "ok",
            "cloud": place.cloud,
            "region": place.region,
            "build": place.build,
            "fleet": place.fleet,
            "role": "router",
        }

    def _sign(self, target: str, request: Request, nonce: str) -> list[Header]:
        nonce = nonce or self._entropy(16).hex()
        return signing.sign_request(self._keys[target], request, now=self._clock(), nonce=nonce)

    def _uniform(self) -> float:
        # 53 bits are what a float below 1 can hold.
        return (int.from_bytes(self._entropy(7), "big") >> 3) / (1 << 53)


def _cors(origins: Sequence[str]) -> CorsFields | None:
    if not origins:
        return None
    from router.cors import CorsFields  # most routers have no origins, and it is a part of a cold start

    return CorsFields(origins)


def _only(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        raise CallerError(
            405,
            "method-not-allowed",
            f"{scope['path']} is the router's own and takes {' or '.join(methods)}; use one of them.",
            [(b"allow", ", ".join(methods).encode())],  # RFC 9110, section 15.5.6
        )


def _misdirected(place: Place) -> CallerError:
    return CallerError(
        421,
        "misdirected",
        f"This is the router {place.key} of fleet {place.fleet!r}, and the request is signed for an agent. "
        "Another function had this address before; deploy the sender's fleet again (`pulumi up`).",
    )


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SnapshotRejected("The snapshot is not JSON; send the document that a checker makes.") from None


async def _reply(send: Send, ident: bytes, status: int, body: bytes, fields: Sequence[Header] = ()) -> None:
    await send_json(send, status, body, [(b"x-request-id", ident), *fields])


def _refusal(error: InvalidRequest | BodyTooLarge | CallerError) -> CallerError:
    if isinstance(error, InvalidRequest):
        return CallerError(400, "bad-request", str(error))
    if isinstance(error, BodyTooLarge):
        return CallerError(413, "body-too-large", f"{error} Send less, or a link to it.")
    return error


async def _refuse(send: Send, ident: bytes, error: CallerError) -> None:
    body = error_json(error.code, error.message, error.status)
    await _reply(send, ident, error.status, body, (*READABLE, *error.fields))
