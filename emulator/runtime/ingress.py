"""The public URL of one function: what happens to a request before and after its instance.

The rule of this file: the same steps in every cloud, in this order: faults, permission, size, a lease, the
exchange, the clouds' limits on the way back. What differs is data in `limits.py` and `replies.py`, or one
of the three small functions in `headers.py`. Nothing is buffered, except where the cloud does (Lambda takes
a request as one event).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from emulator.desired.state import Cloud, Function
from emulator.runtime import faults, headers, replies, reserved
from emulator.runtime import hosts as routing
from emulator.runtime.active_faults import Board
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.connections import invite_body, refuse_body
from emulator.runtime.errors import Trouble
from emulator.runtime.http_client import HOP_BY_HOP
from emulator.runtime.limits import LIMITS
from emulator.runtime.listening import Listener, reset
from emulator.runtime.processes import Log
from emulator.runtime.response_limits import Dropped, Relay
from emulator.runtime.types import Call, Headers, Instance


@dataclass(frozen=True, slots=True)
class Behind:
    """What a door leads to. spec: the function as it is now; lease: one of its instances."""

    spec: Callable[[], Function]
    lease: Callable[[], AbstractAsyncContextManager[Instance]]
    board: Board
    draw: Callable[[], float]
    log: Log


# A front end answers `expect` itself; `host` is told anew, for a URL as target names it too.
ENDS_HERE = frozenset(("expect", "host"))
# cloud.google.com/run/docs/issues: TRACE and CONNECT do not reach a service.
METHODS_REFUSED: dict[Cloud, frozenset[str]] = {"gcp": frozenset(("CONNECT", "TRACE"))}
# Between a connection that broke and the end of its process: gunicorn's master needs a moment to give up.
END_S = 1.0


class Upload:
    """A request body on its way through, counted."""

    def __init__(self, request: web.BaseRequest, limit: int) -> None:
        self._request = request
        self._limit = limit
        self.begun = False
        self.too_large = (request.content_length or 0) > limit

    async def whole(self) -> bytes:
        """All of it."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """As it arrives. Raises Trouble beyond the limit."""
        size = 0
        self.begun = True
        invite_body(self._request)
        async for chunk in self._request.content.iter_any():
            size += len(chunk)
            if size > self._limit:
                self.too_large = True
                raise Trouble("request-too-large")
            yield chunk


class Door:
    """One function's listener."""

    def __init__(self, port: int, behind: Behind) -> None:
        self._behind = behind
        self._inflight: dict[int, web.BaseRequest] = {}
        spec = behind.spec()
        # Lambda finishes what it began when the caller has gone; the others see the connection close.
        self.listener = Listener(port, f"function {spec.key}", self._handle, cancels=spec.cloud != "aws")
        self.served = 0

    def cut(self) -> None:
        """Reset the connections whose requests are in flight."""
        for request in list(self._inflight.values()):
            reset(request.transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._inflight[id(request)] = request
        self.served += 1
        try:
            return await self._through(request)
        except Dropped:
            reset(request.transport)
            return web.Response(status=502)
        finally:
            del self._inflight[id(request)]

    async def _through(self, request: web.BaseRequest) -> web.StreamResponse:
        spec, board = self._behind.spec(), self._behind.board
        request_id = str(uuid.uuid4())
        aimed = routing.aim(request.headers.get("Host", ""), target_of(request))
        probe = request.method == "GET" and aimed is not None and aimed[1].partition("?")[0] == "/health"
        verdict = faults.decide(board.of(spec), self._behind.draw, probe=probe)
        if verdict.swallowed:
            await board.healed(spec)
            raise Dropped
        if verdict.delay_s > 0:
            await asyncio.sleep(verdict.delay_s)
        upload = Upload(request, LIMITS[spec.cloud].request)
        try:
            if verdict.answer is not None:
                raise Trouble(verdict.answer, "by an injected fault")
            aim = _arrive(request.method, aimed, spec)
            if spec.closed is not None:
                raise Trouble("forbidden", spec.closed)
            if upload.too_large:
                raise Trouble("request-too-large")
            call = await self._call(request, aim, upload, spec, request_id)
            return await self._exchange(request, call, spec, cut=verdict.cut)
        except Trouble as trouble:
            found = Trouble("request-too-large") if upload.too_large else trouble
            answer = self._answer(spec, request_id, found)
            if not upload.begun:
                refuse_body(request, answer)
            return answer

    async def _call(
        self, request: web.BaseRequest, aim: tuple[str, str], upload: Upload, spec: Function, call_id: str
    ) -> Call:
        body: bytes | AsyncIterator[bytes] = b""
        if request.body_exists:
            body = await upload.whole() if spec.cloud == "aws" else upload.chunks()
        host, target = aim
        passed = tuple(pair for pair in fields_of(request) if pair[0] not in HOP_BY_HOP | ENDS_HERE)
        peer = request.remote or "127.0.0.1"
        added = headers.request(spec, (("host", host), *passed), peer, call_id)
        call = Call(call_id, request.method, target, added, body, peer, host)
        if spec.cloud == "aws" and lambda_event.is_too_large(call):
            raise Trouble("request-too-large")
        return call

    async def _exchange(
        self, request: web.BaseRequest, call: Call, spec: Function, *, cut: bool
    ) -> web.StreamResponse:
        relay = Relay(request, spec, lambda: self._behind.board.healed(spec), cut=cut)
        async with self._behind.lease() as instance:
            try:
                async with (
                    asyncio.timeout(spec.timeout_s),
                    asyncio.timeout(LIMITS[spec.cloud].answer_s) as head,
                    instance.exchange(call) as reply,
                ):
                    head.reschedule(None)
                    return await relay.send(reply, call.id)
            except TimeoutError:
                if spec.cloud == "aws":
                    instance.kill()
                self._behind.log.say(f"{call.id} task timed out after {spec.timeout_s:.2f} seconds")
                if relay.begun:
                    raise Dropped from None
                raise Trouble("timeout") from None
            except Trouble as trouble:
                if trouble.cause in ("crashed", "failed"):
                    await _see_off(instance, spec)
                if not relay.begun:
                    raise
                # That it crashed would be a guess: an application may have left its reply without an end.
                self._behind.log.say(f"{call.id} {trouble.detail or trouble}")
                raise Dropped from trouble

    def _answer(self, spec: Function, call_id: str, trouble: Trouble) -> web.Response:
        """The platform's own answer; the reason goes to the function's log, as in the cloud."""
        if trouble.cause not in ("no-route", "unauthorized"):
            self._behind.log.say(f"{call_id} {trouble}")
        status, own, body = replies.answer(spec.cloud, trouble.cause)
        added = headers.platform(spec.cloud, call_id)
        return web.Response(status=status, headers=CIMultiDict([*own.items(), *added]), body=body)


def target_of(request: web.BaseRequest) -> str:
    """The request target as sent, octets as latin-1."""
    return request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1")


def fields_of(request: web.BaseRequest) -> Headers:
    """The header fields as sent, names in lower case, octets as latin-1."""
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.raw_headers
    )


def _arrive(method: str, aimed: tuple[str, str] | None, spec: Function) -> tuple[str, str]:
    """Host and path for the function. Raises Trouble for what the cloud does not pass to it."""
    if method in METHODS_REFUSED.get(spec.cloud, ()):
        raise Trouble("bad-method", method)
    if aimed is None:
        raise Trouble("bad-request", "the request target is neither a path nor a URL")
    target = routing.route(spec, *aimed)
    if target is None:
        raise Trouble("no-host", f"no function of this name: {aimed[0]!r}")
    if (cause := reserved.reserved(spec.cloud, target)) is not None:
        raise Trouble(cause, "a path that the cloud keeps for itself")
    return aimed[0], reserved.passed_on(spec.cloud, target)


async def _see_off(instance: Instance, spec: Function) -> None:
    """After a broken exchange: an instance that is about to end must not take the next request.

    Lambda starts a new environment after every crash; the others go on with an instance that still runs.
    """
    if not await instance.ended_within(END_S) and spec.cloud == "aws":
        instance.kill()
