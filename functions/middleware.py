"""Middleware around the agent: signatures, the body limit, idempotency keys, load reports, error responses.

Rules
- Only signed requests reach the agent; /health is open and runs no agent, it only begins a startup. The order
  of the checks: presence of the signature headers, the body limit, the signature, the `Idempotency-Key`.
- Every response has a load report, and the first one of an instance `x-skyfleet-cold`. A response to an
  unsigned request has neither: a router takes a response without a load report for one of the platform's
  front end.
- From SIGTERM on every request is refused with 503 `draining`, so that routers repeat it elsewhere, and
  /health reports the same. What runs goes on. Each such response closes its connection.
- An exception of the agent before its response has started becomes an error response, and so does a response
  that breaks HTTP (`functions.response`). A later one propagates to the server, which closes the connection
  without completing the response.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from functions.errors import (
    CLOSE,
    OUTCOME_DRAINING,
    AgentFailed,
    CallerError,
    FunctionError,
    InstanceDraining,
    TooLarge,
    WrongMethod,
    send_error,
)
from functions.execution.lifespan import HostedLifespan
from functions.instance import InstanceStats
from functions.response import CheckedResponse
from functions.runner import ReplayStored
from functions.settings import Settings
from skyfleet.asgi import (
    SAFE_METHODS,
    ASGIApp,
    BodyTooLarge,
    ClientDisconnected,
    Message,
    Receive,
    Scope,
    Send,
    error_json,
    header,
    header_text,
    json_bytes,
    lifespan,
    read_body,
    send_json,
)
from skyfleet.orca import LOAD_HEADER
from skyfleet.signing import Unauthorized, Verifier, signature_headers

LOG: Final = logging.getLogger("skyfleet.middleware")
HEALTH: Final = "/health"

# Handles a request with an Idempotency-Key: the application, its scope, the whole body, send.
IdempotencyHandler = Callable[[ASGIApp, Scope, bytes, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AgentMiddleware:
    """An ASGI application around the agent's.

    lifespan: of the user's ASGI application; None for an agent function, which has none. idempotency: handles
    requests with an `Idempotency-Key` (functions/idempotency). now: unix seconds.
    monotonic: seconds of a clock that never goes back.
    """

    inner: ASGIApp
    lifespan: HostedLifespan | None
    settings: Settings
    repeatable: bool
    stats: InstanceStats
    verifier: Verifier
    idempotency: IdempotencyHandler
    now: Callable[[], float]
    monotonic: Callable[[], float]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                # Closing before accepting answers 403.
                await send(
                    {"type": "websocket.close", "code": 1008, "reason": "WebSockets end at the router"}
                )
            case _:
                await (self.lifespan or lifespan)(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _Response(send, self.stats, self.monotonic)
        try:
            if self.stats.draining_since is not None and scope["path"] != HEALTH:
                await send_error(send, InstanceDraining())
                return
            if scope["path"] == HEALTH:
                await self._health(scope["method"], response)
                return
            signature_headers(scope["headers"])
            body = await read_body(header(scope, b"content-length"), receive)
            self._check(scope, body)
        except CallerError as error:
            await send_error(response.send, error)
        except BodyTooLarge as error:
            await send_error(response.send, TooLarge(error.limit, error.declared))
        except Unauthorized as error:
            LOG.warning("refused %s %s: %s", scope["method"], scope["path"], error.cause)
            body = error_json(error.code, str(error), error.status)
            await send_json(send, error.status, body, error.fields)
        except ClientDisconnected:
            return
        else:
            await self._authenticated(scope, body, receive, response)

    async def _authenticated(self, scope: Scope, body: bytes, receive: Receive, response: _Response) -> None:
        response.authenticated = True
        self.stats.begin(self.monotonic())
        try:
            if header(scope, b"idempotency-key") is None or scope["method"] in SAFE_METHODS:
                await self._answer(scope, _with_body(body, receive), response.send)
            else:
                await self.idempotency(self._answer, scope, body, response.send)
        finally:
            self.stats.end(self.monotonic())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the agent; send an error response if it raises before its response has started."""
        response = CheckedResponse(receive, send)
        try:
            await self.inner(scope, response.receive, response.send)
            response.check_started()
        except ReplayStored:
            raise
        except ClientDisconnected:
            pass
        except FunctionError as error:
            if response.started:
                raise
            await send_error(send, error)
        except Exception:  # the outermost handler around the user's application
            request_id = header_text(scope, b"x-request-id") or secrets.token_hex(16)
            LOG.exception("request %s: the agent failed", request_id)
            if response.started:
                raise
            await send_error(send, AgentFailed(request_id))

    async def _health(self, method: str, response: _Response) -> None:
        if method not in ("GET", "HEAD"):
            raise WrongMethod(method, HEALTH, ("GET", "HEAD"))
        draining = self.stats.draining_since is not None
        failed = False
        if self.lifespan is not None and not draining:
            failed = self.lifespan.failed
            self.lifespan.begin()
        health = {
            "status": "draining" if draining else "startup-failed" if failed else "ok",
            "cloud": self.settings.cloud,
            "region": self.settings.region,
            "build": self.settings.build,
            "fleet": self.settings.fleet,
            "cold": self.stats.cold,
            "init_ms": self.stats.init_ms,
            "inflight": self.stats.inflight,
            "repeatable": self.repeatable,
        }
        response.authenticated = not draining
        fields = [(b"cache-control", b"no-store"), *((CLOSE, OUTCOME_DRAINING) if draining else ())]
        await send_json(response.send, 503 if failed or draining else 200, json_bytes(health), fields)

    def drain(self) -> None:
        """SIGTERM has come (`functions.runtimes.draining`)."""
        self.stats.drain(self.monotonic())

    def expire(self) -> None:
        """The time for requests is over: the server cancels those that run, and breaks their connections."""

    def _check(self, scope: Scope, body: bytes) -> None:
        path, query = scope["path"], scope["query_string"]
        self.verifier.check(scope["headers"], scope["method"], path, query, body, now=self.now())


class _Response:
    """Adds the load report and `x-skyfleet-cold` to a response.

    authenticated: whether the request is signed, or for /health. Only such a response takes the cold flag,
    since the platforms' own start-up probes are unsigned.
    """

    def __init__(self, send: Send, stats: InstanceStats, monotonic: Callable[[], float]) -> None:
        self._send = send
        self._stats = stats
        self._monotonic = monotonic
        self.authenticated = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = [*message.get("headers", ())]
            headers.append((LOAD_HEADER, self._stats.load_header(self._monotonic())))
            if self.authenticated and self._stats.take_cold_flag():
                headers.append((b"x-skyfleet-cold", b"true"))
            message = {**message, "headers": headers}
        await self._send(message)


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body already read, then the messages after it."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
