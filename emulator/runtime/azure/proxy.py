"""What the host of a function app makes of requests and replies. Pure.

The host is a server of ASP.NET and a proxy (azure-functions-host, `DefaultHttpProxyService`):

- Kestrel decodes the path, but for `%2F` and for octets that are not UTF-8, and then removes its dot segments
  (dotnet/aspnetcore, `PathDecoder`, `UrlDecoder`, `PathNormalizer`). It refuses an encoded NUL with 400.
- YARP encodes what a path may not have, each `%` too (dotnet/yarp, `RequestUtilities.EncodePath`). So an
  encoded slash arrives encoded twice (dotnet/yarp issue 1419).
- .NET's `Uri` encodes what a URL may not have in a query, and a `%` that encodes nothing.
- YARP and .NET's client write repeated fields of a request as one (`HttpTransformer`; `HttpConnection`), and
  pass on no `upgrade-insecure-requests` (`RequestUtilities`).
- YARP answers 502 to fields with octets beyond ASCII, of a request as of a reply (dotnet/yarp issues 1502 and
  2478).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from emulator.runtime.errors import Cause
from emulator.runtime.types import Call, Headers

_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Beside letters, digits and `_.-~`: YARP's valid characters of a path, and RFC 3986's reserved ones.
_PATH = "!$&'()*+,/:;=@"
_QUERY = "!#$%&'()*+,/:;=?@[]"
_SLASH = 0x2F
DROPPED = "upgrade-insecure-requests"
# Between values of one name, where it is no comma.
GLUE = {"cookie": "; ", "user-agent": " "}
# Kestrel's defaults (`KestrelServerLimits`), which the host keeps (azure-functions-host, Program.cs).
MOST_LINE = 8 * 1024
MOST_FIELDS = 100
MOST_BYTES = 32 * 1024


def refused(path: str) -> bool:
    """Whether the host answers 400."""
    return "%00" in path


def too_large(call: Call) -> Cause | None:
    """Why the host refuses this head, or None."""
    if len(f"{call.method} {call.target} HTTP/1.1\r\n") > MOST_LINE:
        return "uri-too-long"
    size = sum(len(name) + len(value) + 4 for name, value in call.headers)  # ": " and CRLF
    return "fields-too-large" if len(call.headers) > MOST_FIELDS or size > MOST_BYTES else None


def forwards(headers: Headers) -> bool:
    """Whether the host passes these fields on."""
    return all(value.isascii() for _, value in headers)


def joined(headers: Headers) -> Headers:
    """The fields of a request as the application gets them."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name != DROPPED:
            found[name] = f"{found[name]}{GLUE.get(name, ', ')}{value}" if name in found else value
    return tuple(found.items())


def passed_on(target: str) -> str:
    """The target, octets as latin-1, as the application gets it."""
    path, mark, query = target.partition("?")
    decoded = _RUN.sub(_decoded, path.encode("latin-1").decode("utf-8", "replace"))
    asked = _LOOSE_PERCENT.sub("%25", query)
    return f"{quote(_resolved(decoded), safe=_PATH)}{mark}{quote(asked.encode('latin-1'), safe=_QUERY)}"


def _decoded(run: re.Match[str]) -> str:
    """The characters of encoded octets; what is none stays encoded."""
    octets = bytes.fromhex(run[0].replace("%", ""))
    found, at = "", 0
    while at < len(octets):
        char, size = "" if octets[at] == _SLASH else _first(octets[at : at + 4]), 1
        if char:
            size = len(char.encode())
        found += char or run[0][3 * at : 3 * at + 3]
        at += size
    return found


def _first(octets: bytes) -> str:
    """The first character of these octets; empty: they are not UTF-8."""
    for size in range(1, len(octets) + 1):
        try:
            return octets[:size].decode()
        except UnicodeDecodeError:
            continue
    return ""


def _resolved(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for number, segment in enumerate(segments, 1):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
        if segment in (".", "..") and number == len(segments):
            kept.append("")
    return f"/{'/'.join(kept)}"
