"""Which header fields the router forwards in both directions, and which bytes they may have.

Rules
- Hop-by-hop fields are never forwarded: those of RFC 9110, section 7.6.1, and the fields that `Connection`
  names.
- The field with the client's API key is not forwarded, and signature fields are never taken from a client.
- No field `x-skyfleet-…` of a client reaches an agent. A name with an underscore counts as its spelling with
  a hyphen, since CGI and WSGI make the same variable of both (RFC 3875, section 4.1.18). For that reason
  nginx drops all names with underscores (`underscores_in_headers`); here the others pass.
- Credentials that a platform's front end added stay on that platform, and so does what it or a client says of
  the client's URL and address.
- A name is a token and a value has no control character, so a line break cannot inject a field or a request.
- A redirect to the URL of an agent leads to its router instead, as nginx does by default (`proxy_redirect`):
  an agent takes signed requests only.
- Names are lower-case bytes, as in ASGI. Repeated fields stay repeated, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from router.net.errors import InvalidRequest
from skyfleet.asgi import Header
from skyfleet.forwarded import FIELD as FORWARDED
from skyfleet.forwarded import parse
from skyfleet.http1.lines import lines_of
from skyfleet.origin import Origin

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
# The router sets these itself; the body is sent at once, so `expect` has no use.
_SET_BY_ROUTER: Final = frozenset(
    {b"host", b"content-length", b"expect", b"x-request-id", b"x-request-start"}
)
_SIGNATURE: Final = frozenset(
    {b"x-skyfleet-key-id", b"x-skyfleet-timestamp", b"x-skyfleet-nonce", b"x-skyfleet-signature", FORWARDED}
)
# What clients and the front end before this router say of the client's URL and address. The agent gets these
# fields from what the router has signed (`functions.client_view`).
_OF_CLIENTS_URL: Final = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
    }
)
_PLATFORM: Final = frozenset(
    {
        b"disguised-host",
        b"x-amz-security-token",
        b"x-amzn-lambda-context",
        b"x-amzn-request-context",
        b"x-functions-clientid",
        b"x-functions-key",
        b"x-ms-invocation-id",
        b"x-original-url",
        b"x-serverless-authorization",
    }
)
# One search over all names of a request: these fields are rare, and a check of each name costs as much.
_RARE_NAMES: Final = re.compile(rb"(?:^|\n)x-(?:amzn-oidc-|arr-|goog-|ms-|skyfleet-)|_")
# The router's own, the identity and tokens that the front ends of Azure, Google and AWS add, and what Azure's
# adds for workers.
_BANNED_PREFIXES: Final = (
    b"x-skyfleet-",
    b"x-amzn-oidc-",
    b"x-arr-",
    b"x-goog-authenticated-user-",
    b"x-goog-iap-",
    b"x-ms-client-principal",
    b"x-ms-token-",
)
# Options for this router (router.core.request.options). Each attempt gets the remaining time of its own.
_OPTIONS: Final = frozenset(
    {
        b"grpc-timeout",
        b"x-skyfleet-heartbeat",
        b"x-skyfleet-redundant",
        b"x-skyfleet-strategy",
        b"x-skyfleet-timeout-ms",
    }
)
_NOT_UPSTREAM: Final = _HOP_BY_HOP | _SET_BY_ROUTER | _SIGNATURE | _OF_CLIENTS_URL | _PLATFORM | _OPTIONS
# `server`: about the agent's server, as in nginx. `alt-svc` and `strict-transport-security` are about the
# agent's host, not the router's. The rest is set by the router.
_NOT_DOWNSTREAM: Final = _HOP_BY_HOP | frozenset(
    {
        b"alt-svc",
        b"server",
        b"strict-transport-security",
        b"x-request-id",
        b"x-skyfleet-target",
        b"x-skyfleet-attempts",
        b"x-skyfleet-hedged",
        b"x-skyfleet-panic",
    }
)
# What must not follow a body (RFC 9110, section 6.5.1): the list of Go's net/http (httpguts,
# `ValidTrailerHeader`), and what browsers take from a head only.
_NOT_TRAILING: Final = _NOT_DOWNSTREAM | frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"location",
        b"max-forwards",
        b"pragma",
        b"range",
        b"set-cookie",
        b"www-authenticate",
    }
)
_TRAILERS: Final = ((b"te", b"trailers"), (b"connection", b"te"))
_TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN: Final = frozenset(_TOKEN_BYTES)
_USUAL_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# A request target is visible ASCII; all else has to be percent-encoded (RFC 9112, section 3.2).
_TARGET: Final = bytes(range(0x21, 0x7F))
# A value may have tabs and no other control character (RFC 9110, section 5.5).
_CONTROLS: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"
_MAX_REQUEST_ID: Final = 128


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first value of a field."""
    for key, value in headers:
        if key == name:
            return value
    return None


def upstream(
    headers: Sequence[Header], drop: frozenset[bytes], known: Mapping[bytes, bytes] | None = None
) -> bytes:
    """The client's fields for an agent, as lines. drop: names of the fields that carried the client's API
    key. known: the fields by name."""
    banned = _not_upstream(drop)
    names = b"\n".join(known or dict(headers))
    own: Sequence[Header] = ()
    if b"connection" in names:
        options = _named([value for name, value in headers if name == b"connection"])
        banned |= options
        if b"te" in options and takes_trailers(headers):
            own = _TRAILERS
    if (b"x-" in names or b"_" in names) and _RARE_NAMES.search(names):
        headers = [header for header in headers if not _is_banned(header[0].replace(b"_", b"-"), banned)]
    passed = b"".join([b"%b: %b\r\n" % header for header in headers if header[0] not in banned])
    return passed + lines_of(own) if own else passed


def _is_banned(name: bytes, banned: frozenset[bytes]) -> bool:
    return name in banned or name.startswith(_BANNED_PREFIXES)


@lru_cache(maxsize=8)
def _not_upstream(drop: frozenset[bytes]) -> frozenset[bytes]:
    """Two fields may carry a key, so there are four of these sets."""
    return _NOT_UPSTREAM | drop


def downstream(headers: Sequence[Header], status: int = 200, *, streamed: bool = False) -> list[Header]:
    """The agent's fields for the client.

    status: 204 has no length (RFC 9110, section 8.6); that of 304, or of a reply to HEAD, is that of the
    content which is not sent. streamed: an event stream has none, since an error event may be added to it."""
    options = [value for name, value in headers if name == b"connection" and value != b"keep-alive"]
    banned = _NOT_DOWNSTREAM | _named(options) if options else _NOT_DOWNSTREAM
    if streamed or status == 204:
        banned |= {b"content-length"}
    return [header for header in headers if header[0] not in banned]


def whole_reply(fields: Mapping[bytes, bytes]) -> bytes:
    """As `downstream`, in lines, of a reply that has each name once, a status of 200 and a length."""
    banned, options = _NOT_DOWNSTREAM, fields.get(b"connection", b"keep-alive")
    if options != b"keep-alive":
        banned |= _named([options])
    return b"".join([b"%b: %b\r\n" % field for field in fields.items() if field[0] not in banned])


def takes_trailers(headers: Iterable[Header]) -> bool:
    """Whether a client reads fields behind a body (RFC 9110, section 10.1.4)."""
    return any(name == b"te" and b"trailers" in value.lower() for name, value in headers)


def trailing(trailers: Sequence[Header]) -> list[Header]:
    """The agent's fields behind its body, for the client."""
    return [header for header in trailers if header[0] not in _NOT_TRAILING]


def relocated(headers: Sequence[Header], own: Origin, forwarded: bytes) -> list[Header]:
    """The fields of a redirect, or of a 201, for the client: a `location` at the agent's own URL leads to the
    router. own: the agent's origin. forwarded: what the agent was told of the client's URL."""
    if (told := parse(forwarded)) is None:
        return list(headers)
    return [
        (name, _relocated(value, own, told.url.text) if name == b"location" else value)
        for name, value in headers
    ]


def _relocated(value: bytes, own: Origin, url: str) -> bytes:
    """A `location` with `url` in place of the agent's origin."""
    lower, authority = value.lower(), own.authority
    # A default port may be written (RFC 3986, section 6.2.3).
    hosts = (
        (authority,)
        if authority.endswith(f":{own.port}")
        else (authority, f"{authority}:443", f"{authority}:80")
    )
    # An agent behind TLS may take its scheme for http, or leave it out (RFC 3986, section 4.2).
    for start in (f"{scheme}//{host}".encode() for scheme in ("https:", "http:", "") for host in hosts):
        if lower.startswith(start) and lower[len(start) : len(start) + 1] in (b"", b"/", b"?", b"#"):
            return url.encode() + value[len(start) :]
    return value


def check_request(method: str, target: bytes, headers: Sequence[Header]) -> None:
    """InvalidRequest for a request whose bytes must not be written to a connection."""
    if method not in _USUAL_METHODS and not (
        method and _TOKEN.issuperset(method.encode("utf-8", "surrogateescape"))
    ):
        raise InvalidRequest(f"The method {method[:20]!r} is not a token; use e.g. POST.")
    if target[:1] != b"/" or target.translate(None, _TARGET):
        raise InvalidRequest("The path has characters that must be percent-encoded.")
    # One check for all fields: one by one costs ten times as much, and requests are nearly always valid.
    names, values = [name for name, _ in headers], b"".join([value for _, value in headers])
    valid = values.translate(None, _CONTROLS) == values and not b"".join(names).translate(None, _TOKEN_BYTES)
    if valid and b"" not in names:
        return
    for name, value in headers:
        if not name or name.translate(None, _TOKEN_BYTES) or value.translate(None, _CONTROLS) != value:
            raise InvalidRequest(f"The header field {name[:40]!r} has characters that are not allowed in it.")


def request_id(headers: Iterable[Header]) -> bytes | None:
    """The client's own id of the request, if it is a short token."""
    value = first(headers, b"x-request-id")
    if value and len(value) <= _MAX_REQUEST_ID and _TOKEN.issuperset(value):
        return value
    return None


def request_head(method: str, target: bytes, origin: Origin, fields: bytes, length: int) -> bytes:
    """The head of a request in HTTP/1.1. fields: as lines. length: bytes of the body."""
    start = (method.encode(), target, _host(origin), fields)
    if length or method in ("POST", "PUT", "PATCH"):
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n" % (*start, length)
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % start


@lru_cache(maxsize=512)
def _host(origin: Origin) -> bytes:
    """The value of `host`. There are at most 300 targets."""
    return origin.authority.encode()


def _named(options: Iterable[bytes]) -> frozenset[bytes]:
    """The fields that these values of `Connection` name."""
    return frozenset(part.strip().lower() for value in options for part in value.split(b","))
