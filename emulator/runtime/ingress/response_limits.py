"""One reply from an instance to the caller, within the cloud's limits.

Every chunk is sent when it arrives. A reply that cannot be finished ends the connection without a proper end,
so
that no caller takes it for complete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDict

from emulator.desired.model import Function
from emulator.runtime.aws import event as lambda_event
from emulator.runtime.aws.sandbox import streams
from emulator.runtime.errors import InstanceError
from emulator.runtime.ingress import headers
from emulator.runtime.limits import LIMITS
from emulator.runtime.types import Headers, Reply


class ConnectionDropped(Exception):
    """The connection ends without a complete reply."""


class ResponseSender:
    """Sends one reply. gate: awaited before each chunk; it blocks during a `blackhole`.

    cut: send the head and a part of the body, then break off (an injected fault): a reply of known length in
    its
    first chunk, a stream in its second, after the first event.
    """

    def __init__(
        self, request: web.BaseRequest, spec: Function, gate: Callable[[], Awaitable[bool]], *, cut: bool
    ) -> None:
        self._request = request
        self._spec = spec
        self._gate = gate
        self._cut = cut
        self.begun = False

    async def send(self, reply: Reply, call_id: str) -> web.StreamResponse:
        """Send the whole reply. Raises InstanceError or ConnectionDropped."""
        limits, cloud = LIMITS[self._spec.cloud], self._spec.cloud
        chunks = reply.chunks()
        said = reply.headers
        length = next((int(value) for name, value in said if name == "content-length"), None)
        if cloud == "aws":
            said = headers.renamed(said)
            said = headers.typed(said) if streams(self._spec) else said
        if cloud == "aws" and not streams(self._spec):
            whole = await _whole(chunks, limits.reply)
            result = lambda_event.returned(reply.status, reply.headers, whole)
            if len(result) > lambda_event.RESULT_BYTES:
                raise InstanceError("response-too-large", f"{len(result)} bytes as JSON")
            chunks, length = _one(whole), len(whole)
            said = (*said, ("content-length", str(length)))
        elif cloud != "aws" and length is not None and length > limits.reply:
            raise InstanceError("response-too-large", f"{length} bytes")
        sent = await self._begin(reply.status, headers.reply(cloud, said, call_id))
        if self._request.method != "HEAD":
            whole_chunks = 1 if length is None else 0
            await self._copy(chunks, sent, limits.streamed, whole_chunks)
        return sent

    async def _begin(self, status: int, said: Headers) -> web.StreamResponse:
        await self._pass()
        sent = web.StreamResponse(status=status, headers=CIMultiDict(said))
        self.begun = True
        try:
            await sent.prepare(self._request)
        except ConnectionError as error:
            raise ConnectionDropped from error
        return sent

    async def _copy(
        self, chunks: AsyncIterator[bytes], sent: web.StreamResponse, most: int, uncut: int
    ) -> None:
        """uncut: number of chunks before a cut."""
        size, gone, number = 0, False, 0
        async for chunk in chunks:
            await self._pass()
            size += len(chunk)
            if size > most:
                raise InstanceError("response-too-large", f"more than {most} bytes")
            if gone:
                continue  # Lambda lets the function finish after its caller has gone
            cut = self._cut and number >= uncut
            try:
                await sent.write(chunk[: (len(chunk) + 1) // 2] if cut else chunk)
            except ConnectionError:
                gone = True
            if cut:
                break
            number += 1
        if self._cut:
            self._close()
            raise ConnectionDropped

    async def _pass(self) -> None:
        """Wait while the cloud swallows everything; what was held back is lost."""
        if await self._gate():
            raise ConnectionDropped

    def _close(self) -> None:
        """End the connection after the written bytes."""
        if self._request.transport is not None:
            self._request.transport.close()


async def _whole(chunks: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise InstanceError("response-too-large", f"more than {most} bytes")
    return bytes(body)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
