"""Fields as the lines of a head in HTTP/1.1, for what is valid already.

A file of its own, since all agents sign and verify with it, and not all of them read heads.
"""

from __future__ import annotations

from collections.abc import Iterable

from skyfleet.asgi import Header


def lines_of(fields: Iterable[Header]) -> bytes:
    """Valid fields as lines of a head, each with its CRLF."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def fields_of(lines: bytes) -> list[Header]:
    """The fields of such lines."""
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]
