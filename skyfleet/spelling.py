"""One spelling of a request target, whatever the platforms on its way make of it.

A signature covers this spelling, since an agent may get another one than its router sent:

- Azure: the host of a function app decodes the path, except `%2F`, removes its dot segments and encodes what
  is left, each `%` too. So an encoded slash arrives encoded twice (dotnet/aspnetcore, `PathDecoder`;
  dotnet/yarp, `RequestUtilities.EncodePath` and issue 1419). What a URL may not have in its query is encoded
  (.NET's `Uri`). The platform in front of the host decodes `%2F` (Azure/azure-functions-host, issue 3998).
- AWS: the Lambda Web Adapter makes a URL of each event, as browsers do. Dot segments are removed, encoded
  ones too, a `\\` in the path becomes a `/`, and some characters are encoded (url.spec.whatwg.org, "path
  state" and "query state"; seen with the adapter's binary).
- Google: encoded characters that need no encoding arrive decoded.

Rules
- A path is decoded until nothing is left to decode, so it does not matter how often it was encoded.
- A query is decoded once, except what separates its parts: `a=%26b` and `a=&b` are two requests, and no
  platform makes one of the other. A `%` that encodes nothing counts as encoded.
- A `\\` in a path is a `/`, and dot segments are removed (RFC 3986, section 5.2.4).
- Nothing is routed by this spelling. An agent gets the target as its platform has it.
"""

from __future__ import annotations

import re
from typing import Final

_ENCODED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_HEX: Final = frozenset(b"0123456789ABCDEFabcdef")
_PERCENT: Final = 0x25
_ENCODED_OR_NOT: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
# Of application/x-www-form-urlencoded, the fragment, and the encoding itself.
_SEPARATORS: Final = frozenset(b"#%&+;=")


def plain_path(path: str) -> str:
    """The spelling of a path, decoded once or not."""
    if "%" in path:
        path = _decoded(path.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
    path = path.replace("\\", "/")
    return _without_dot_segments(path) if "/." in path else path


def plain_query(query: bytes) -> bytes:
    """The spelling of a query."""
    return _ENCODED_OR_NOT.sub(_plain_octet, query) if b"%" in query else query


def _plain_octet(found: re.Match[bytes]) -> bytes:
    octet = int(found[1], 16) if found[1] else _PERCENT
    return b"%%%02X" % octet if octet in _SEPARATORS else bytes((octet,))


def _decoded(text: bytes) -> bytes:
    """The text without any percent-encoding."""
    once = _ENCODED.sub(lambda found: bytes((int(found[1], 16),)), text)
    if b"%" not in once:
        return once
    found = bytearray()
    for octet in once:
        found.append(octet)
        while len(found) > 2 and found[-3] == _PERCENT and _HEX.issuperset(found[-2:]):
            found[-3:] = bytes.fromhex(found[-2:].decode())
    return bytes(found)


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return f"/{'/'.join(kept)}"
