"""The router as an ASGI app: its own few paths, the check of API keys, and everything else to an agent.

Rules
- `GET /health` is open and costs nothing; `GET /api/status`, `GET /api/minutes` and `GET` or `PUT
  /api/control` need the client's key; `POST /_skyfleet/health` takes snapshots, each from the checker whose
  key signed it. Every other path goes to an agent.
- A request that is signed as for an agent is refused with 421: its sender is a router whose target's port or
  host name is this router's now, or a router that was listed as a target.
- Keys and preflights: `router.access`. Without a key only when SKYFLEET_OPEN=1 and every target is on this
  machine.
- All our own errors are JSON, {"error": {"code", "message", "type", "param"}}, and pages of other origins may
  read them.
- From SIGTERM on (`drain`) every request is refused with 503 `draining` and /health says the same, so that
  clients repeat it at another instance or router. What still runs when the host's time is over (`expire`)
  ends with an error that says so.
- Nothing depends on the lifespan protocol, since not every host speaks it; it only closes connections tidily.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from router.access import MOST_PREFLIGHTS, admit, is_preflight, preflight_fields
from router.arrival import Arrival, refusal_of, refused
from router.config import Place, RouterSettings, build_id, router_settings
from router.core.balance.balancer import Balancer
from router.core.errors import CallerError
from router.core.request.classify import agent_traits
from router.net import server
from router.net.deadlines import Deadlines
from router.net.errors import InvalidRequest
from router.net.fields import check_request, request_id
from router.net.pool import Pool
from router.own_paths import OWN_PATHS, OwnPaths
from router.proxy.context import Context, Request
from router.proxy.forward import Forwarder
from router.proxy.held import UNCOUNTED, HeldBodies
from router.proxy.prober import Prober
from router.proxy.request_queue import RequestQueue
from router.public_url import CHAIN, OF_ADDRESSES, PublicUrls, client_address
from router.sync.minutes import MinuteStore
from router.sync.snapshots import MOST_BYTES as MOST_STORED
from router.sync.snapshots import SnapshotStore
from skyfleet import signing
from skyfleet.asgi import (
    BODY_LIMIT,
    BodyTooLarge,
    ClientDisconnected,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    error_json,
    lifespan,
    read_body,
    send_json,
)
from skyfleet.cors import READABLE
from skyfleet.http1.direct import Begin, ClientResponse
from skyfleet.http1.head import REFUSED_METHODS
from skyfleet.objects import Bucket, CloudBucket

if TYPE_CHECKING:
    from router.cors import CorsFields
    from router.websocket.endpoint import Endpoint
    from skyfleet.http1.head import RequestHead


_ENDS: Final = (
    "This instance of the router ends and takes no request. The request was not sent; repeat it, here or at "
    "another router."
)
_CLOSE: Final = ((b"connection", b"close"), (b"retry-after", b"1"), (b"x-should-retry", b"true"))


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
        self._minutes = counts = MinuteStore(bucket, balancer, clock)
        self._store = SnapshotStore(
            bucket, balancer, clock, prober.apply_snapshots, settings.checkers, counts.add
        )
        self._own_paths = OwnPaths(settings, self._context, self._store, bucket, counts, clock)
        self._cors = _cors(settings.cors_origins)
        self._checks_preflights = settings.api_key_sha256 is not None or self._cors is not None
        self._preflights = 0  # forwarded now
        self._draining = False
        self._websockets: Endpoint | None = None
        self.bodies = HeldBodies()
        self._urls = PublicUrls(settings.public_url)
        self._signers = {
            target.key: signing.Signer(settings.roots.keys("agent", target.key))
            for target in settings.targets
        }

    # Called by a server that takes the router directly.

    def accept(self, head: RequestHead, peer: str, response: ClientResponse) -> Begin | None:
        """Take a request to forward, whose head is here; None for all others. Raises Refusal."""
        fields, headers = head.by_name, head.fields
        path = head.target.partition(b"?")[0]
        if path in OWN_PATHS or (
            head.method == "OPTIONS" and self._checks_preflights and is_preflight(fields)
        ):
            return None
        arrival = self._arrive(headers, fields, peer)
        try:
            arrival.drop = self._admit(headers, fields)
            if head.length > BODY_LIMIT:
                raise BodyTooLarge(BODY_LIMIT, head.length)
            if head.length > UNCOUNTED:
                arrival.grow(self.bodies, head.length)
        except (BodyTooLarge, CallerError) as error:
            raise refused(error, arrival.id) from None
        arrival.expect(self.bodies, self._context, head, response)
        return arrival

    def _arrive(self, headers: list[Header], fields: Mapping[bytes, bytes], peer: str) -> Arrival:
        """What this router knows of a request before it is admitted. fields: the last one of each name."""
        # All that this request needs, in one call of the system; none is kept for the next, since a
        # sandbox may be copied between two, and a nonce must be used once.
        random_hex = self._entropy(32).hex()
        ident = (b"x-request-id" in fields and request_id(headers)) or random_hex[:32].encode()
        client = fields[CHAIN] if CHAIN in fields else b""  # noqa: SIM401 - `get` would be a call
        if not client or client.translate(None, OF_ADDRESSES):
            client = client_address(client, peer)
        host = fields[b"host"] if b"host" in fields else b""  # noqa: SIM401
        forwarded = b'for="%b";%b' % (client, self._urls[host])
        cors = () if self._cors is None else self._cors[fields.get(b"origin", b"")]
        return Arrival(ident, random_hex[32:], forwarded, cors, self._context.ticks())

    def _admit(self, headers: list[Header], fields: Mapping[bytes, bytes]) -> frozenset[bytes]:
        """The names of the fields with the API key. Raises CallerError."""
        if self._draining:
            raise CallerError(503, "draining", _ENDS, _CLOSE)
        if signing.SIGNATURE in fields and signing.KEY_ID in fields:
            raise _misdirected(self._settings.place)
        drop = admit(headers, self._settings.api_key_sha256, fields)
        self._store.refresh_soon()
        return drop

    # Called by a server of ASGI applications.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._no_http(scope, receive, send)
            return
        headers: list[Header] = list(scope["headers"])
        fields = dict(headers)  # one lookup shows that a field is absent
        client = scope.get("client")
        arrival = self._arrive(headers, fields, client[0] if client else "")
        target, query = server.request_target(scope)
        try:
            if target.partition(b"?")[0] in OWN_PATHS:
                await self._own_paths(scope, headers, arrival.id, receive, send)
            elif scope["method"] == "OPTIONS" and self._checks_preflights and is_preflight(fields):
                await self._preflight(scope, headers, arrival, receive, send)
            else:
                arrival.drop = self._admit(headers, fields)
                if scope["method"] in REFUSED_METHODS:
                    raise CallerError(501, "not-implemented", f"{scope['method']} is not served here.")
                check_request(scope["method"], target, headers)
                outbox, grow = server.Outbox(), partial(arrival.grow, self.bodies)
                body = await read_body(fields.get(b"content-length"), receive, grow=grow)
                if len(body) > UNCOUNTED:
                    grow(len(body))
                request = arrival.request(
                    scope["method"], target, scope["path"], query, headers, fields, body
                )
                forwarder = Forwarder(self._context, request, outbox)
                del body, request  # the forwarder lets the body go
                await outbox.serve(forwarder, receive, send)
        except ClientDisconnected:
            pass
        except (InvalidRequest, BodyTooLarge, CallerError) as error:
            await _refuse(send, arrival.id, refusal_of(error))
        finally:
            arrival.gone()

    async def _no_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send, self.close)
            return
        if self._websockets is None:
            from router.websocket.endpoint import Endpoint  # most instances never meet a handshake

            refresh, settings = self._store.refresh_soon, self._settings
            self._websockets = Endpoint(self._context, settings, self._arrive, refresh, self._entropy)
        await self._websockets(scope, receive, send)

    def drain(self) -> None:
        """This instance ends: refuse what is new."""
        self._draining = self._own_paths.draining = True

    def expire(self) -> None:
        """The time for requests is over: end those that run."""
        for one in self._context.deadlines.active():
            if isinstance(one, Forwarder):
                one.expire()

    async def close(self) -> None:
        """Close every connection and stop everything that runs beside requests."""
        if self._websockets is not None:
            self._websockets.close()
        self._context.request_queue.close()
        self._context.prober.close()
        self._context.pool.close()
        self._context.deadlines.close()
        await self._store.close()
        await self._minutes.add(last=True)

    async def _preflight(
        self, scope: Scope, headers: list[Header], arrival: Arrival, receive: Receive, send: Send
    ) -> None:
        """Answer a preflight, or forward it without a key: only so many at once. It has no body."""
        if self._cors is not None:
            answer = self._cors.preflight(dict(headers))
            await read_body(None, receive, 0)
            start: Message = {"type": "http.response.start", "status": 204}
            await send({**start, "headers": [(b"x-request-id", arrival.id), *answer]})
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
            arrival.keyless = True
            passed = preflight_fields(headers)
            check_request("OPTIONS", target, passed)
            request = arrival.request("OPTIONS", target, scope["path"], query, passed, dict(passed), b"")
            outbox = server.Outbox()
            await outbox.serve(Forwarder(self._context, request, outbox), receive, send)
        finally:
            self._preflights -= 1

    def _sign(self, target: str, request: Request, nonce: str) -> bytes:
        nonce = nonce or self._entropy(16).hex()
        return self._signers[target].lines(request, now=self._clock(), nonce=nonce)

    def _uniform(self) -> float:
        # 53 bits are what a float below 1 can hold.
        return (int.from_bytes(self._entropy(7), "big") >> 3) / (1 << 53)


def _cors(origins: Sequence[str]) -> CorsFields | None:
    if not origins:
        return None
    from router.cors import CorsFields  # most routers have no origins, and it is a part of a cold start

    return CorsFields(origins)


def _misdirected(place: Place) -> CallerError:
    return CallerError(
        421,
        "misdirected",
        f"This is the router {place.key} of fleet {place.fleet!r}, and the request is signed for an agent. "
        "Another function had this address before; deploy the sender's fleet again (`pulumi up`).",
    )


async def _reply(send: Send, ident: bytes, status: int, body: bytes, fields: Sequence[Header] = ()) -> None:
    await send_json(send, status, body, [(b"x-request-id", ident), *fields])


async def _refuse(send: Send, ident: bytes, error: CallerError) -> None:
    body = error_json(error.code, error.message, error.status)
    await _reply(send, ident, error.status, body, (*READABLE, *error.fields))
