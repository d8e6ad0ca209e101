"""The key in an `Idempotency-Key` field: `"abc"` and `abc` are the same key.

The field is a structured field whose value is a String, in quotes and with `\\` before `"` and `\\`
(draft-ietf-httpapi-idempotency-key-header-07, section 2.1; RFC 9651, section 3.3.3). Clients of APIs that are
older than the draft send the key without quotes, as Stripe's do. So both forms are read, and the key is what
they contain: a client that changes its form repeats no work. A value that begins with a quote and
is no String is refused, since it could be meant in two ways. Routers and agents read it here, so they agree.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_KEY: Final = 255
_STRING: Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED: Final = re.compile(rb'\\(["\\])')


class InvalidKey(Exception):
    """The field has no valid key; `str()` says what it has instead."""


def parse_key(value: bytes) -> bytes:
    """The key in this value of the field. Raises InvalidKey."""
    text = value.strip(b" \t")
    quoted = text.startswith(b'"')
    if quoted:
        found = _STRING.fullmatch(text)
        if found is None:
            raise InvalidKey('no String that ends with a quote, with \\ only before " and \\')
        text = _ESCAPED.sub(rb"\1", found[1])
    if not 0 < len(text) <= LONGEST_KEY:
        raise InvalidKey(f"{len(text)} characters long")
    if not quoted and not all(0x21 <= byte <= 0x7E for byte in text):
        raise InvalidKey("not all visible ASCII")
    return text
