"""An ASGI application sees its URL and its client as the client does, and the same scope in every cloud.

Rules
- The router's field `x-skyfleet-forwarded` counts, and only in a request whose signature covers it. All other
  fields that tell of a client were added by the front end in front of this function, which sees a router, or
  by a client. They are replaced.
- Scheme, server, client, `host` and the path before the agent's (`root_path`) are set as by a server that the
  client had reached itself. So redirects, links, OAuth metadata and documents come out right. `forwarded` and
  `x-forwarded-*` are set too, for applications that read them.
- The scope has the keys of ASGI only. Two of the runtimes call their handler within a Starlette application,
  which leaves its router, its routes' parameters and its application in the scope. With these `url_for` of
  the agent looks into the runtime's router and fails.
  https://asgi.readthedocs.io/en/latest/specs/www.html (`root_path` is a part of `path`)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from skyfleet.asgi import Header, Scope, header
from skyfleet.forwarded import FIELD, Forwarded, parse

_KEYS: Final = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path"),
    *("headers", "client", "server", "state", "extensions"),
)
_REPLACED: Final = frozenset({b"host", b"forwarded", b"x-real-ip", FIELD})


def client_view(scope: Scope) -> Scope:
    """The scope for an application. It must be that of a verified request: the signature covers the field."""
    seen: Scope = {key: scope[key] for key in _KEYS if key in scope}
    value = header(scope, FIELD)
    forwarded = None if value is None else parse(value)
    if forwarded is not None:
        url = forwarded.url
        seen["scheme"] = "https" if url.origin.tls else "http"
        seen["server"] = (url.origin.host, url.origin.port)
        seen["client"] = forwarded.client
        seen["headers"] = _headers(scope["headers"], forwarded)
        if url.prefix:
            seen |= _below(url.prefix, scope)
    return seen


def _below(prefix: str, scope: Scope) -> Scope:
    """A path that the client sent to a front end, which removed the prefix."""
    raw = scope.get("raw_path")
    return {
        "root_path": prefix,
        "path": prefix + scope["path"],
        "raw_path": None if raw is None else prefix.encode() + raw,
    }


def _headers(given: Iterable[Header], forwarded: Forwarded) -> list[Header]:
    kept = [
        (name, value)
        for name, value in given
        if name not in _REPLACED and not name.startswith(b"x-forwarded-")
    ]
    return [(b"host", forwarded.url.origin.authority.encode()), *kept, *_fields(forwarded)]


def _fields(forwarded: Forwarded) -> list[Header]:
    """`x-forwarded-*` and RFC 7239's `forwarded`."""
    url = forwarded.url
    proto, host = b"https" if url.origin.tls else b"http", url.origin.authority.encode()
    fields: list[Header] = [
        (b"x-forwarded-proto", proto),
        (b"x-forwarded-host", host),
        (b"x-forwarded-port", b"%d" % url.origin.port),
    ]
    node = b"unknown"
    if forwarded.client is not None:
        address = forwarded.client[0].encode()
        node = b'"[%b]"' % address if b":" in address else address
        fields.append((b"x-forwarded-for", address))
    if url.prefix:
        fields.append((b"x-forwarded-prefix", url.prefix.encode()))
    return [*fields, (b"forwarded", b'for=%b;host="%b";proto=%b' % (node, host, proto))]
