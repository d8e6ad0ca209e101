"""What httpbin says of a request, without what a router or a platform adds to it."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Final, cast

import brotlicffi

from tests.differential import compare
from tests.differential.client import Got

ADDED: Final = frozenset(name.decode() for name in compare.OF_REQUEST)
# Written by the agent's server, and left out by routers.
OF_SERVER: Final = frozenset({b"date", b"server"})
HOST: Final = b"example.net"


def plain(got: Got, authority: bytes, added: frozenset[str] = frozenset()) -> Got:
    """A reply without what its body says of added fields. The body is one JSON value, or one on each line.

    authority: that the request was sent to. added: names of fields, beside those of a router."""
    got = replace(
        got,
        fields=tuple(
            (name, value.replace(authority, HOST)) for name, value in got.fields if name not in OF_SERVER
        ),
        body=decoded(got).replace(authority, HOST),
    )
    values = parsed([got.body]) or parsed(got.body.splitlines())
    for value in values:
        value.pop("origin", None)
        told = cast("dict[str, str]", value.get("headers", {}))
        value["headers"] = {name: text for name, text in told.items() if name.lower() not in ADDED | added}
    if not values and HOST not in got.body:
        return got
    fields = tuple(field for field in got.fields if field[0] != b"content-length")
    return replace(got, fields=fields, body=json.dumps(values).encode() if values else got.body)


def decoded(got: Got) -> bytes:
    """A body without its coding."""
    coding = dict(got.fields).get(b"content-encoding")
    if coding is None or not got.body:
        return got.body
    if coding == b"br":
        return bytes(brotlicffi.decompress(got.body))  # pyright: ignore[reportUnknownMemberType]
    return zlib.decompress(got.body, 47)


def parsed(texts: list[bytes]) -> list[dict[str, object]]:
    """These texts as JSON objects; none if one of them is something else."""
    try:
        values: list[object] = [json.loads(text) for text in texts]
    except ValueError:
        return []
    found = [cast("dict[str, object]", value) for value in values if isinstance(value, dict)]
    return found if len(found) == len(texts) else []
