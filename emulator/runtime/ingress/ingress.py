"""The public URL of one function: the steps before and after its instance.

The steps are the same in every cloud, in this order: faults, permission, size, a lease, the exchange, the
cloud's
limits on the reply. Differences are data in `limits.py` and `platform_replies.py`, or one of the functions in
`headers.py`. Nothing is buffered, except where the cloud buffers (Lambda takes a request as one event).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from emulator.desired.model import Cloud, Function
from emulator.runtime import faults
from emulator.runtime.active_faults import ActiveFaults
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.errors import InstanceError
from emulator.runtime.ingress import headers, platform_replies, reserved_paths, routing, upgrade
from emulator.runtime.ingress.connections import invite_body, refuse_body
from emulator.runtime.ingress.listener import Listener, reset
from emulator.runtime.ingress.response_limits import ConnectionDropped, ResponseSender
from emulator.runtime.instances.http_client import HOP_BY_HOP
from emulator.runtime.instances.http_instance import HttpInstance
from emulator.runtime.instances.processes import Log
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Call, Headers, Instance


@dataclass(frozen=True, slots=True)
class Backend:
    """What an ingress leads to. spec: the function as it is now; lease: one of its instances."""

    spec: Callable[[], Function]
    lease: Callable[[], AbstractAsyncContextManager[Instance]]
    active_faults: ActiveFaults
    draw: Callable[[], float]
    log: Log


# A front end handles `expect` itself and sets `host`, which a URL as target may replace.
ENDS_HERE = frozenset(("expect", "host"))
# cloud.google.com/run/docs/issues: TRACE and CONNECT do not reach a service.
METHODS_REFUSED: dict[Cloud, frozenset[str]] = {"gcp": frozenset(("CONNECT", "TRACE"))}
# Between a broken connection and the end of its process: gunicorn's master needs a moment to give up.
END_S = 1.0


class Upload:
    """A request body that is streamed and counted."""

    def __init__(self, request: web.BaseRequest, limit: int) -> None:
        self._request = request
        self._limit = limit
        self.begun = False
        self.too_large = (request.content_length or 0) > limit

    async def whole(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises InstanceError beyond the limit."""
        size = 0
        self.begun = True
        invite_body(self._request)
        async for chunk in self._request.content.iter_any():
            size += len(chunk)
            if size > self._limit:
                self.too_large = True
                raise InstanceError("request-too-large")
            yield chunk


class Ingress:
    """One function's listener."""

    def __init__(self, port: int, backend: Backend) -> None:
        self._backend = backend
        self._inflight: dict[int, web.BaseRequest] = {}
        spec = backend.spec()
        # Lambda finishes an invocation when the caller has gone; the others see the connection close.
        self.listener = Listener(port, f"function {spec.key}", self._handle, cancels=spec.cloud != "aws")
        self.served = 0

    def cut(self) -> None:
        """Reset the connections of active requests."""
        for request in list(self._inflight.values()):
            reset(request.transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._inflight[id(request)] = request
        self.served += 1
        try:
            return await self._through(request)
        except ConnectionDropped:
            reset(request.transport)
            return web.Response(status=502)
        finally:
            del self._inflight[id(request)]

    async def _through(self, request: web.BaseRequest) -> web.StreamResponse:
        spec, active_faults = self._backend.spec(), self._backend.active_faults
        request_id = str(uuid.uuid4())
        aimed = routing.aim(request.headers.get("Host", ""), target_of(request))
        probe = request.method == "GET" and aimed is not None and aimed[1].partition("?")[0] == "/health"
        verdict = faults.decide(active_faults.of(spec), self._backend.draw, probe=probe)
        if verdict.swallowed:
            await active_faults.healed(spec)
            raise ConnectionDropped
        if verdict.delay_s > 0:
            await asyncio.sleep(verdict.delay_s)
        upload = Upload(request, LIMITS[spec.cloud].request)
        try:
            if verdict.answer is not None:
                raise InstanceError(verdict.answer, "by an injected fault")
            aim = _arrive(request.method, aimed, spec)
            if spec.closed is not None:
                raise InstanceError("forbidden", spec.closed)
            if upload.too_large:
                raise InstanceError("request-too-large")
            call = await self._call(request, aim, upload, spec, request_id)
            if spec.cloud in upgrade.CARRIED and upgrade.wanted(request):
                return await self._carry(request, call, spec)
            return await self._exchange(request, call, spec, cut=verdict.cut)
        except InstanceError as failure:
            found = InstanceError("request-too-large") if upload.too_large else failure
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
            raise InstanceError("request-too-large")
        return call

    async def _carry(self, request: web.BaseRequest, call: Call, spec: Function) -> web.StreamResponse:
        """A WebSocket, which ends with the request's time limit."""
        async with self._backend.lease() as instance:
            if not isinstance(instance, HttpInstance):
                raise InstanceError("failed", "an instance without an HTTP server")
            try:
                async with asyncio.timeout(spec.timeout_s):
                    return await upgrade.relay(request, call, instance.base, spec.cloud, self._healed(spec))
            except TimeoutError:
                self._backend.log.say(f"{call.id} connection closed after {spec.timeout_s:.2f} seconds")
                raise ConnectionDropped from None
            except InstanceError:
                await _see_off(instance, spec)
                raise

    def _healed(self, spec: Function) -> Callable[[], Awaitable[bool]]:
        return lambda: self._backend.active_faults.healed(spec)

    async def _exchange(
        self, request: web.BaseRequest, call: Call, spec: Function, *, cut: bool
    ) -> web.StreamResponse:
        sender = ResponseSender(request, spec, self._healed(spec), cut=cut)
        async with self._backend.lease() as instance:
            try:
                async with (
                    asyncio.timeout(spec.timeout_s),
                    asyncio.timeout(LIMITS[spec.cloud].answer_s) as head,
                    instance.exchange(call) as reply,
                ):
                    head.reschedule(None)
                    return await sender.send(reply, call.id)
            except TimeoutError:
                if spec.cloud == "aws":
                    instance.kill()
                self._backend.log.say(f"{call.id} task timed out after {spec.timeout_s:.2f} seconds")
                if sender.begun:
                    raise ConnectionDropped from None
                raise InstanceError("timeout") from None
            except InstanceError as failure:
                if failure.cause in ("crashed", "failed"):
                    await _see_off(instance, spec)
                if not sender.begun:
                    raise
                # The cause is unknown: an application may have left its reply without an end.
                self._backend.log.say(f"{call.id} {failure.detail or failure}")
                raise ConnectionDropped from failure

    def _answer(self, spec: Function, call_id: str, failure: InstanceError) -> web.Response:
        """The platform's own reply; the reason goes to the function's log, as in the cloud."""
        if failure.cause not in ("no-route", "unauthorized"):
            self._backend.log.say(f"{call_id} {failure}")
        status, own, body = platform_replies.answer(spec.cloud, failure.cause)
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
    """Host and path for the function. Raises InstanceError for what the cloud does not pass on."""
    if method in METHODS_REFUSED.get(spec.cloud, ()):
        raise InstanceError("bad-method", method)
    if aimed is None:
        raise InstanceError("bad-request", "the request target is neither a path nor a URL")
    target = routing.route(spec, *aimed)
    if target is None:
        raise InstanceError("no-host", f"no function of this name: {aimed[0]!r}")
    if (cause := reserved_paths.reserved(spec.cloud, target)) is not None:
        raise InstanceError(cause, "a path that the cloud keeps for itself")
    return aimed[0], reserved_paths.passed_on(spec.cloud, target)


async def _see_off(instance: Instance, spec: Function) -> None:
    """After a broken exchange: an instance that is about to end must not take the next request.

    Lambda starts a new environment after every crash; the others keep an instance that still runs.
    """
    if not await instance.ended_within(END_S) and spec.cloud == "aws":
        instance.kill()
