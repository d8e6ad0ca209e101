"""Which header fields cross the router, in both directions, and what may never be inside them.

Rules
- Hop-by-hop fields stop here both ways: those of RFC 9110 section 7.6.1 and whatever `Connection` names.
- What proves the caller to us (the API key) or us to an agent (signature fields) never comes from outside.
- Platform credentials that a vendor's front door added stay with that vendor.
- A name is a token, a value has no control character: a line break cannot smuggle a second field or request.
- Names are lower-case bytes here, as ASGI has them; repeated fields stay repeated, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from router.core.errors import CallerError

Header = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The connection to the target has its own; the body is sent whole, so nothing is expected first.
_OURS_TO_SET: Final = frozenset({b"host", b"content-length", b"expect", b"x-request-id", b"x-request-start"})
_SIGNATURE: Final = frozenset(
    {b"x-skyfleet-key-id", b"x-skyfleet-timestamp", b"x-skyfleet-nonce", b"x-skyfleet-signature"}
)
_PLATFORM: Final = frozenset(
    {
        b"x-amz-security-token",
        b"x-functions-clientid",
        b"x-functions-key",
        b"x-ms-invocation-id",
        b"x-original-url",
        b"x-serverless-authorization",
    }
)
# One search for all of them, over a request's names: they are rare, and one by one each name costs as much.
_PLATFORM_NAMED: Final = re.compile(rb"(?:^|\n)x-(?:amzn-oidc-|arr-|goog-|ms-)")
# Who signed in at Azure's, Google's or AWS's front door, with tokens; and what Azure's tells its own workers.
_PLATFORM_PREFIXES: Final = (
    b"x-amzn-oidc-",
    b"x-arr-",
    b"x-goog-authenticated-user-",
    b"x-goog-iap-",
    b"x-ms-client-principal",
    b"x-ms-token-",
)
# What the caller asks of this router (router.core.request.options); the time that is left is told anew for
# each attempt.
_WISHES: Final = frozenset(
    {b"grpc-timeout", b"x-skyfleet-redundant", b"x-skyfleet-strategy", b"x-skyfleet-timeout-ms"}
)
_NOT_UPSTREAM: Final = _HOP_BY_HOP | _OURS_TO_SET | _SIGNATURE | _PLATFORM | _WISHES
# `date` and `server`: the server in front of us stamps its own. `alt-svc` and `strict-transport-security`
# speak of the agent's host, not of ours. The rest are this router's words.
_NOT_DOWNSTREAM: Final = _HOP_BY_HOP | frozenset(
    {
        b"alt-svc",
        b"date",
        b"server",
        b"strict-transport-security",
        b"x-request-id",
        b"x-skyfleet-target",
        b"x-skyfleet-attempts",
        b"x-skyfleet-hedged",
        b"x-skyfleet-panic",
    }
)
_TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN: Final = frozenset(_TOKEN_BYTES)
_USUAL_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# A target is visible ASCII; anything else has to be percent-encoded (RFC 9112, section 3.2).
_TARGET: Final = bytes(range(0x21, 0x7F))
# Tabs are allowed in values, all other control characters are not (RFC 9110, section 5.5).
_CONTROLS: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"
_LONGEST_REQUEST_ID: Final = 128


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first value of a field."""
    for key, value in headers:
        if key == name:
            return value
    return None


def upstream(headers: Sequence[Header], drop: frozenset[bytes]) -> list[Header]:
    """The caller's fields that go to an agent. drop: fields that carried the caller's API key."""
    banned = _not_upstream(drop)
    names = b"\n".join([name for name, _ in headers])
    if b"connection" in names and (named := _named_by_connection(headers)):
        banned |= named
    passed = [header for header in headers if header[0] not in banned]
    if _PLATFORM_NAMED.search(names):
        return [header for header in passed if not header[0].startswith(_PLATFORM_PREFIXES)]
    return passed


@lru_cache(maxsize=8)
def _not_upstream(drop: frozenset[bytes]) -> frozenset[bytes]:
    """There are two fields that may carry a key, so four of these sets."""
    return _NOT_UPSTREAM | drop


def downstream(headers: Sequence[Header], status: int = 200, *, streamed: bool = False) -> list[Header]:
    """The agent's fields that go to the caller.

    status: with 204 and 304 a length would be one of a body that never comes. streamed: an event stream, in
    which a length would leave no room for the error event of a cut one."""
    named = _named_by_connection(headers)
    banned = _NOT_DOWNSTREAM | named if named else _NOT_DOWNSTREAM
    if streamed or status in (204, 304):
        banned |= {b"content-length"}
    return [header for header in headers if header[0] not in banned]


def check_request(method: str, target: bytes, headers: Sequence[Header]) -> None:
    """CallerError 400 for what must not be written to a connection."""
    if method not in _USUAL_METHODS and not (
        method and _TOKEN.issuperset(method.encode("utf-8", "surrogateescape"))
    ):
        raise CallerError(400, "bad-request", f"The method {method[:20]!r} is not a token; use e.g. POST.")
    if target[:1] != b"/" or target.translate(None, _TARGET):
        raise CallerError(400, "bad-request", "The path has characters that must be percent-encoded.")
    # All of them in one look: one by one costs ten times as much, and nearly always nothing is wrong.
    names, values = [name for name, _ in headers], b"".join([value for _, value in headers])
    sound = values.translate(None, _CONTROLS) == values and not b"".join(names).translate(None, _TOKEN_BYTES)
    if sound and b"" not in names:
        return
    for name, value in headers:
        if not name or name.translate(None, _TOKEN_BYTES) or value.translate(None, _CONTROLS) != value:
            raise CallerError(
                400,
                "bad-request",
                f"The header field {name[:40]!r} has characters that are not allowed in it.",
            )


def request_id(headers: Iterable[Header]) -> bytes | None:
    """The caller's own id for the request, if it is fit to be copied."""
    value = first(headers, b"x-request-id")
    if value and len(value) <= _LONGEST_REQUEST_ID and _TOKEN.issuperset(value):
        return value
    return None


def request_head(method: str, target: bytes, authority: str, headers: Iterable[Header], length: int) -> bytes:
    """The head of a request as HTTP/1.1 bytes; the fields have been checked. length: of the body."""
    fields = b"".join([b"%b: %b\r\n" % header for header in headers])
    start = (method.encode(), target, authority.encode(), fields)
    if length or method in ("POST", "PUT", "PATCH"):
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n" % (*start, length)
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % start


def _named_by_connection(headers: Iterable[Header]) -> frozenset[bytes]:
    named: frozenset[bytes] = frozenset()
    for name, value in headers:
        if name == b"connection" and value != b"keep-alive":
            named |= {part.strip().lower() for part in value.split(b",")}
    return named
