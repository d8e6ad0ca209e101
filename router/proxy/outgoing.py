"""The bytes of one attempt: the caller's request as a target gets it."""

from __future__ import annotations

from router.core.request.options import TIMEOUT
from router.core.targets import Target
from router.net.fields import request_head, upstream
from router.proxy.context import Request, Sign


def attempt_bytes(
    request: Request, target: Target, arrived: float, left_s: float | None, sign: Sign, nonce: str = ""
) -> bytes:
    """Head and body. arrived: when the request began, in unix seconds, the same in all its attempts. left_s:
    until the caller's own deadline; None: it set none. nonce: of its signature; empty: a new one."""
    headers = upstream(request.headers, request.drop)
    headers.append((b"x-request-id", request.id))
    headers.append((b"x-request-start", b"t=%.3f" % arrived))
    if left_s is not None:
        headers.append((TIMEOUT, b"%d" % max(1, round(left_s * 1000))))
    headers += sign(target.key, request, nonce)
    authority = target.origin.authority
    return request_head(request.method, request.target, authority, headers, len(request.body)) + request.body
