"""URLs of this machine: names below `localhost`, and the plain form of such a URL.

RFC 6761, section 6.3: a name that ends in `.localhost` is always the loopback address. Browsers and curl
resolve it themselves, getaddrinfo only on some systems. So the program calls and prints 127.0.0.1 instead.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from skyfleet.origin import is_local_name

LOOPBACK = "127.0.0.1"


def is_loopback(url: str) -> bool:
    """Whether `url` points at this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return is_local_name(host.rstrip("."))


def plain(url: str) -> str:
    """`url` with 127.0.0.1 for a name below `localhost`; any other text as it is."""
    if "localhost" not in url.lower() or "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    if host is None or not is_local_name(host.rstrip(".")):
        return url
    return urlunsplit(parts._replace(netloc=LOOPBACK if port is None else f"{LOOPBACK}:{port}"))


def plain_all(value: object) -> object:
    """A JSON value with every URL in its plain form."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {key: plain_all(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [plain_all(item) for item in cast("list[object]", value)]
    return value
