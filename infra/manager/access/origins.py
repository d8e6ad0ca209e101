"""Which pages may have a browser send a request here: the Host and the origin of a request.

Rules
- DNS rebinding: a page's own host name can be made to resolve to this machine, and then the browser sends
  that name in Host. So only names of this machine, and those the operator has named, are served.
- CSRF: a browser says in Sec-Fetch-Site which site started a request (W3C, Fetch Metadata Request Headers;
  OWASP, Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata headers"). Only `same-origin`, and
  `none` for what the user typed, may change or read. Browsers send it to loopback too, since that is a
  potentially trustworthy origin. Without it the Origin decides; no browser leaves out both in a request that
  changes something.
- A link on another page may open this page: a top-level navigation with GET. Nothing may frame or embed it,
  and no other page may open a stream, of which there are few.
- Ports: `localhost:8000` and `localhost:9000` are one site and two origins, so `same-site` is refused.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

# How the paths of streams of events end.
STREAMS: Final = "/events"
SAFE: Final = frozenset({"GET", "HEAD"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# What proxies add.
FORWARDED: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_OWN: Final = ("same-origin", "none")
# https: a proxy of the operator's in front.
_SCHEMES: Final = ("http", "https")


def host_name(authority: str) -> str | None:
    """The name in a Host field, in lower case, without port and brackets; None if it is not valid."""
    try:
        parsed = urlsplit(f"//{authority}")
        _ = parsed.port  # raises for a port that is no number
    except ValueError:
        return None
    valid = parsed.netloc == authority and not parsed.username and "@" not in authority
    return (parsed.hostname or "").rstrip(".") or None if valid else None


def is_of_this_machine(headers: Mapping[str, str]) -> bool:
    """Whether a request names this machine as its host and no proxy says that it passed it on.

    headers: names in lower case. A proxy that neither keeps Host nor says so cannot be told from a local
    program (RFC 7239; RFC 9110, section 7.6.3).
    """
    return host_name(headers.get("host", "")) in LOOPBACK and not any(name in headers for name in FORWARDED)


def refuse_host(hosts: list[str], allowed: Collection[str]) -> str | None:
    """Why the Host fields of a request are refused; None if they are not. allowed: names besides loopback."""
    name = host_name(hosts[0]) if len(hosts) == 1 else None
    if name is not None and (name in LOOPBACK or name in allowed):
        return None
    shown = ", ".join(hosts) or "none"
    return (
        f"The Host of the request is {shown[:100]!r}, and the manager serves "
        f"{', '.join(sorted({*LOOPBACK, *allowed}))}. `skyfleet manager --allow-host NAME` adds one."
    )


def refuse_origin(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Why a request is refused for the page that started it; None if it is not.

    headers: names in lower case, with `host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None:
        if origin is None or origin.lower() in {
            f"{scheme}://{headers.get('host', '').lower()}" for scheme in _SCHEMES
        }:
            return None
        return f"The request comes from a page of {origin[:100]!r}, another origin than the manager's."
    if site in _OWN:
        return None
    is_navigation = (
        method in SAFE
        and not path.endswith(STREAMS)
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    if is_navigation:
        return None
    return f"The browser says that a page of another origin sent this (Sec-Fetch-Site: {site[:30]})."
