"""The requests that a cloud's front end passes to a function: those for its host names. Pure.

The front ends of all three clouds serve many customers at one address and route by `Host`, so a proxy that
passes
its caller's Host does not reach the function. Sources: AWS, aws/aws-cdk #20090 (a function URL rejects
another
Host); Azure, patrickob.com/2019/02/27 (App Service's front end routes by matching Host); Google,
firebase/firebase-tools #3012 and #3025, encoredev/encore PR #799. A function also answers at its loopback
port:
not every client resolves `.localhost`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from emulator.desired.model import Function

LOOPBACK = frozenset(("127.0.0.1", "localhost"))


def aim(host: str, target: str) -> tuple[str, str] | None:
    """Host and path of a request, or None for a target that has neither.

    A target may be a whole URL, whose host then counts (RFC 9112, section 3.2.2).
    """
    if target.startswith("/"):
        return host, target
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return None
    end = min((place for place in map(rest.find, "/?") if place >= 0), default=len(rest))
    path = rest[end:]
    return (rest[:end], path if path.startswith("/") else f"/{path}") if end else None


def route(spec: Function, host: str, target: str) -> str | None:
    """The request target for the function, or None when `host` (and the path) are not the function's."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if name in LOOPBACK:
        return target if port == spec.port else None
    for address in spec.addresses:
        if name == address.host:
            return _below(address.path, target)
    return None


def _below(prefix: str, target: str) -> str | None:
    if not prefix:
        return target
    path, mark, query = target.partition("?")
    if path != prefix and not path.startswith(f"{prefix}/"):
        return None
    return f"{path.removeprefix(prefix) or '/'}{mark}{query}"
