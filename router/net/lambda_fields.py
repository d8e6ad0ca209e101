"""Header fields that a Lambda function URL renames, under their own names again.

Lambda's front end keeps some fields for itself and passes the function's own as `x-amzn-remapped-NAME`.
- `content-length` of a streamed reply comes as `x-amzn-remapped-content-length` with a chunked body
  (github.com/cargo-lambda/cargo-lambda/issues/862). It is the announced length, and the body is held to it.
- `www-authenticate` is renamed as well, so that a client of an MCP server never sees the challenge (seen by
  several public projects on function URLs, September 2026). It goes back to its own name.
- Any other renamed field describes the connection behind the front end and is dropped.

A length is not believed
- when it is 0: Lambda's own services add `x-amzn-remapped-content-length: 0` to replies that have a body;
- when the agent may have compressed the body: the front end was seen to decompress it and to drop the coding
  (github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/96). A compressed reply says that it
  varies with `Accept-Encoding` (RFC 9110, section 12.5.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from router.net.fields import Header

PREFIX: Final = b"x-amzn-remapped-"
_RESTORED: Final = frozenset({b"www-authenticate"})
_MOST_DIGITS: Final = 18


def restored(headers: Sequence[Header], *, framed: bool) -> tuple[list[Header], int | None]:
    """The fields as the agent sent them, and the announced length of a body that has only a renamed one.

    framed: the reply has a `content-length` field of its own."""
    plain = [header for header in headers if not header[0].startswith(PREFIX)]
    there = {name for name, _ in plain}
    renamed = [(name[len(PREFIX) :], value) for name, value in headers if name.startswith(PREFIX)]
    plain += [header for header in renamed if header[0] in _RESTORED - there]
    length = None if framed or _may_be_coded(plain) else _length(renamed)
    if length is not None:
        plain.append((b"content-length", b"%d" % length))
    return plain, length


def _length(renamed: Sequence[Header]) -> int | None:
    """The one positive length; several that differ say nothing."""
    said = {value.strip() for name, value in renamed if name == b"content-length"}
    sizes = {int(value) for value in said if value.isdigit() and len(value) <= _MOST_DIGITS} - {0}
    return sizes.pop() if len(sizes) == 1 else None


def _may_be_coded(headers: Sequence[Header]) -> bool:
    return any(
        name == b"content-encoding" or (name == b"vary" and b"accept-encoding" in value.lower())
        for name, value in headers
    )
