"""Send one request to a real server and note when each chunk of the reply came."""

from __future__ import annotations

import time

import httpx

from tests.asgi import Headers, Reply
from tests.trust import NO_CERTIFICATES

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


def send(
    url: str, method: str, target: str, headers: Headers, body: bytes, *, timeout_s: float = 30
) -> Reply:
    """target: path and query as on the wire. A connection that breaks gives a reply that is not complete."""
    chunks: list[tuple[float, bytes]] = []
    began = time.monotonic()
    with (
        httpx.Client(timeout=timeout_s, trust_env=False, verify=NO_CERTIFICATES) as client,
        client.stream(method, url.rstrip("/") + target, headers=list(headers), content=body) as response,
    ):
        complete = True
        try:
            for chunk in response.iter_raw():
                chunks.append((time.monotonic() - began, chunk))
        except httpx.RemoteProtocolError:
            complete = False
        pairs = tuple((k.lower(), v) for k, v in response.headers.items() if k.lower() not in HOP_BY_HOP)
        return Reply(response.status_code, pairs, tuple(chunks), complete)
