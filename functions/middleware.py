"""The door of every agent function, around our endpoints or the user's own ASGI application.

Only signed requests get in; /health is open and costs nothing. In order: whether it is signed at all, the
limit of the body, the signature, whether an `Idempotency-Key` is known, the application. Every reply says how
busy the instance is, the first one that it was cold. A refusal of the signature says neither: by that a
router knows that no agent has spoken.

Truthful ends: an application that fails before its reply has begun is answered with an error; one that fails
later raises on into the server, which cuts the connection instead of closing it as a success.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from functions.asgi import (
    JSON_TYPE,
    AnswersElsewhere,
    ASGIApp,
    ASGIMessage,
    ClientGone,
    Receive,
    Scope,
    Send,
    error_json,
    header,
    json_bytes,
    read_body,
    send_error,
    send_reply,
)
from functions.errors import AgentFailed, CallerError, FunctionError, WrongMethod
from functions.instance import Vitals
from functions.settings import Settings
from skyfleet.signing import Unauthorized, Verifier, signature_headers

LOG: Final = logging.getLogger("skyfleet.guard")
HEALTH: Final = "/health"
# The standard's safe methods (RFC 9110, section 9.2.1) change nothing: a key on them has no meaning.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# Answers a request with a key: the application, its scope, the whole body, where the reply goes.
Keyed = Callable[[ASGIApp, Scope, bytes, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application around another.

    keyed: for requests with an `Idempotency-Key` (functions/idempotency). now: unix seconds; steady: seconds
    of a clock that never jumps.
    """

    inner: ASGIApp
    settings: Settings
    repeatable: bool
    vitals: Vitals
    verifier: Verifier
    keyed: Keyed
    now: Callable[[], float]
    steady: Callable[[], float]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                # Agents speak HTTP; WebSockets end at the router. Closing before accepting answers 403.
                await send(
                    {"type": "websocket.close", "code": 1008, "reason": "WebSockets end at the router"}
                )
            case _:
                await self.inner(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = _Reply(send, self.vitals, self.steady)
        try:
            if scope["path"] == HEALTH:
                await self._health(scope["method"], reply)
                return
            signature_headers(scope["headers"])
            body = await read_body(scope, receive)
            self._check(scope, body)
        except CallerError as error:
            await send_error(reply.send, error)
        except Unauthorized as error:
            LOG.warning("refused %s %s: %s", scope["method"], scope["path"], error.cause)
            await send_reply(send, error.status, error_json(error.code, str(error)))
        except ClientGone:
            return
        else:
            await self._accepted(scope, body, receive, reply)

    async def _accepted(self, scope: Scope, body: bytes, receive: Receive, reply: _Reply) -> None:
        reply.accepted = True
        self.vitals.begin(self.steady())
        try:
            if header(scope, b"idempotency-key") is None or scope["method"] in SAFE_METHODS:
                await self._answer(scope, _replay(body, receive), reply.send)
            else:
                await self.keyed(self._answer, scope, body, reply.send)
        finally:
            self.vitals.end(self.steady())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's reply, or an error in its place; an error after its start goes on."""
        started = False

        async def noting(message: ASGIMessage) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.inner(scope, receive, noting)
        except AnswersElsewhere:
            raise
        except ClientGone:
            pass
        except FunctionError as error:
            if started:
                raise
            await send_error(send, error)
        except Exception:  # the outermost shell around the user's application
            request_id = header(scope, b"x-request-id") or secrets.token_hex(16)
            LOG.exception("request %s: the agent failed", request_id)
            if started:
                raise
            await send_error(send, AgentFailed(request_id))

    async def _health(self, method: str, reply: _Reply) -> None:
        if method not in ("GET", "HEAD"):
            raise WrongMethod(method, HEALTH, ("GET", "HEAD"))
        health = {
            "status": "ok",
            "cloud": self.settings.cloud,
            "region": self.settings.region,
            "build": self.settings.build,
            "fleet": self.settings.fleet,
            "cold": self.vitals.cold,
            "init_ms": self.vitals.init_ms,
            "inflight": self.vitals.inflight,
            "repeatable": self.repeatable,
        }
        reply.accepted = True
        await send_reply(reply.send, 200, json_bytes(health), (JSON_TYPE, (b"cache-control", b"no-store")))

    def _check(self, scope: Scope, body: bytes) -> None:
        path, query = scope["path"], scope["query_string"]
        self.verifier.check(scope["headers"], scope["method"], path, query, body, now=self.now())


class _Reply:
    """Adds our headers to a reply.

    accepted: the caller was let in. Only then is the instance warm afterwards: the platforms' own start-up
    probes are unsigned and must not use up the one reply that says cold.
    """

    def __init__(self, send: Send, vitals: Vitals, steady: Callable[[], float]) -> None:
        self._send = send
        self._vitals = vitals
        self._steady = steady
        self.accepted = False

    async def send(self, message: ASGIMessage) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = [*message.get("headers", ())]
            headers.append((b"endpoint-load-metrics", self._vitals.load_header(self._steady())))
            if self.accepted and self._vitals.first_reply():
                headers.append((b"x-skyfleet-cold", b"true"))
            message = {**message, "headers": headers}
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body already read, then whatever comes after it."""
    given = False

    async def replayed() -> ASGIMessage:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
