"""The URL and the address of the client, as a router tells them to an agent.

Between the two is a platform's front end, which sets `x-forwarded-*` and `forwarded` as it sees the router.
So a router sends a field of its own, which its signature covers:

    x-skyfleet-forwarded: for="192.0.2.7";host="agents.example.com";proto=https;prefix="/team"

These are the parameters of RFC 7239, always quoted but for `proto`, and `prefix`: the path before the paths
of the agent, of which most routers have none. A value has no `"`, so it needs no escapes.
"""

from __future__ import annotations

import re
from typing import Final

from skyfleet.origin import Origin
from skyfleet.values import frozen

FIELD: Final = b"x-skyfleet-forwarded"
_VALUE: Final = re.compile(
    r'for="(?P<client>[^"]*)";host="(?P<host>[^"]+)";proto=(?P<proto>https?)(?:;prefix="(?P<prefix>[^"]*)")?'
)
# A host name or an address, with or without a port (RFC 3986, section 3.2.2, without percent-encoding).
_AUTHORITY: Final = re.compile(r"(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?")
_URL: Final = re.compile(r"(?P<proto>https?)://(?P<authority>[^/?#\s]+)(?P<prefix>(?:/[\w.~-]+)*)/?")
_ADDRESS: Final = re.compile(
    r"(?P<v4>[0-9.]{7,15})(?::(?P<port4>\d{1,5}))?|\[(?P<v6>[0-9a-fA-F:.]{2,45})\](?::(?P<port6>\d{1,5}))?"
    r"|(?P<bare>[0-9a-fA-F:.]{2,45})"
)


@frozen
class PublicUrl:
    """Where clients reach an agent. prefix: the path before the agent's own, "" or as in "/team"."""

    origin: Origin
    prefix: str = ""

    @property
    def text(self) -> str:
        """The URL without a slash at its end."""
        return f"{'https' if self.origin.tls else 'http'}://{self.origin.authority}{self.prefix}"

    @property
    def parameters(self) -> bytes:
        """The part of the field's value that is the same for all clients."""
        proto = "https" if self.origin.tls else "http"
        prefix = f';prefix="{self.prefix}"' if self.prefix else ""
        return f'host="{self.origin.authority}";proto={proto}{prefix}'.encode()


@frozen
class Forwarded:
    """A value of the field. client: address and port, 0 where it is unknown; None: no address."""

    url: PublicUrl
    client: tuple[str, int] | None


def parse(value: bytes) -> Forwarded | None:
    """Read a value of the field; None if it is none."""
    found = _VALUE.fullmatch(value.decode("latin-1"))
    origin = parse_authority(found["host"], tls=found["proto"] == "https") if found else None
    if found is None or origin is None:
        return None
    return Forwarded(PublicUrl(origin, found["prefix"] or ""), parse_address(found["client"]))


def parse_authority(text: str, *, tls: bool) -> Origin | None:
    """The origin that a Host field names; None if it names none."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None or (found["port"] and not 0 < int(found["port"]) < 65_536):
        return None
    port = int(found["port"]) if found["port"] else (443 if tls else 80)
    return Origin(tls, found["host"].strip("[]"), port)


def parse_address(text: str) -> tuple[str, int] | None:
    """Address and port of an element of `x-forwarded-for`: on Azure it has a port."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    return found["v4"] or found["v6"] or found["bare"], int(found["port4"] or found["port6"] or 0)


def parse_public_url(text: object) -> PublicUrl | None:
    """A URL without query and user, as in a config; None if it is none."""
    found = _URL.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    origin = parse_authority(found["authority"], tls=found["proto"] == "https") if found else None
    return None if found is None or origin is None else PublicUrl(origin, found["prefix"])
