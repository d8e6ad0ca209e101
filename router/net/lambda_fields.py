"""Restores header fields that an AWS Lambda function URL renames.

Lambda's front end reserves some fields and passes those of the function as `x-amzn-remapped-NAME`.
- `content-length` of a streamed response arrives as `x-amzn-remapped-content-length` with a chunked body
  (github.com/cargo-lambda/cargo-lambda/issues/862). It is the announced length, and the body is checked
  against it.
- `www-authenticate` is renamed too, which hides the challenge from clients of an MCP server (reported by
  several public projects on function URLs, September 2026). It gets its own name back.
- Every other renamed field describes the connection behind the front end and is dropped.

A length is ignored
- when it is 0: Lambda's own services add `x-amzn-remapped-content-length: 0` to responses that have a body;
- when the agent may have compressed the body: the front end was seen to decompress it and to drop the coding
  (github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/96). A compressed response says that it
  varies with `Accept-Encoding` (RFC 9110, section 12.5.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from skyfleet.asgi import Header

REMAPPED_PREFIX: Final = b"x-amzn-remapped-"
_RESTORED: Final = frozenset({b"www-authenticate"})
_MAX_DIGITS: Final = 18


def restore_fields(headers: Sequence[Header], *, framed: bool) -> tuple[list[Header], int | None]:
    """The fields as the agent sent them, and the announced length of a body that has only a renamed one.

    framed: the response has a `content-length` field of its own."""
    plain = [header for header in headers if not header[0].startswith(REMAPPED_PREFIX)]
    present = {name for name, _ in plain}
    renamed = [
        (name[len(REMAPPED_PREFIX) :], value) for name, value in headers if name.startswith(REMAPPED_PREFIX)
    ]
    plain += [header for header in renamed if header[0] in _RESTORED - present]
    length = None if framed or _may_be_coded(plain) else _length(renamed)
    if length is not None:
        plain.append((b"content-length", b"%d" % length))
    return plain, length


def _length(renamed: Sequence[Header]) -> int | None:
    """The one positive length; None when several differ."""
    values = {value.strip() for name, value in renamed if name == b"content-length"}
    sizes = {int(value) for value in values if value.isdigit() and len(value) <= _MAX_DIGITS} - {0}
    return sizes.pop() if len(sizes) == 1 else None


def _may_be_coded(headers: Sequence[Header]) -> bool:
    return any(
        name == b"content-encoding" or (name == b"vary" and b"accept-encoding" in value.lower())
        for name, value in headers
    )
