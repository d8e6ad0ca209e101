"""HTTP between the sky and one instance on loopback: readiness, and one exchange that streams both ways."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from infra.local.hosts.children import Child
from infra.local.hosts.errors import Trouble
from infra.local.hosts.messages import Call, Headers, Reply

# RFC 9110 section 7.6.1: these describe one connection and stop at each hop.
HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
# What aiohttp would add by itself; the caller's headers pass as they are.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# gunicorn closes an idle connection after 2 s, uvicorn after 5 s: be first, or requests meet a closed one.
KEEPALIVE_S = 1.5
HEADER_BYTES = 65536
POLL_S = 0.01  # the Lambda Web Adapter's own readiness period


def client() -> aiohttp.ClientSession:
    """The sky's client to its instances: no cookies, no redirects, no decoding, no limits of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        skip_auto_headers=NOT_ADDED,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )


def free_port() -> int:
    """A loopback port nobody listens on at this moment, for an instance that starts right away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class HttpReply:
    """A reply of an instance."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in response.raw_headers
            if name.decode("latin-1").lower() not in HOP_BY_HOP
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Trouble(
                "crashed", f"the reply broke off before its end ({type(error).__name__})"
            ) from error


@asynccontextmanager
async def exchange(
    session: aiohttp.ClientSession, base: str, call: Call, added: Headers = ()
) -> AsyncGenerator[Reply]:
    """Send `call` with `added` headers to the instance at `base`."""
    names = {name for name, _ in added} | HOP_BY_HOP
    headers = CIMultiDict([*((name, value) for name, value in call.headers if name not in names), *added])
    if isinstance(call.body, bytes) and call.body:
        headers["content-length"] = str(len(call.body))
    try:
        response = await session.request(
            call.method,
            URL(base + call.target, encoded=True),
            headers=headers,
            data=io.BytesIO(call.body) if isinstance(call.body, bytes) and call.body else call.body or None,
            allow_redirects=False,
        )
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise Trouble("crashed", f"no reply: {error!r}") from error
    finished = False
    try:
        yield HttpReply(response)
        finished = response.content.at_eof()
    finally:
        if finished:
            response.release()
        else:
            response.close()


async def accepts(port: int) -> bool:
    """Whether something listens on `port` (Cloud Run's default startup probe)."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(session: aiohttp.ClientSession, base: str, path: str) -> bool:
    """Whether GET `path` gives a status from 100 to 499 (the Lambda Web Adapter's readiness check)."""
    try:
        async with session.get(base + path, timeout=aiohttp.ClientTimeout(total=1)) as response:
            return response.status < 500
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        return False


async def outcome_text(reply: Reply, most: int = 2000) -> str:
    """The start of a reply's body, for a log or a status page; reads to its end."""
    kept = bytearray()
    async for chunk in reply.chunks():
        if len(kept) < most:
            kept += chunk[: most - len(kept)]
    return kept.decode(errors="replace")


def death(child: Child, what: str, said: str) -> Trouble:
    """The trouble of an instance that did not come up; `said`: what it wrote."""
    code = child.process.returncode
    ended = f"it exited with status {code}" if code is not None else what
    return Trouble("unstarted", f"{ended}; its output: {said or '(none)'}")
