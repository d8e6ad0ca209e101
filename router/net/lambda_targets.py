"""The target of a request to an agent on AWS Lambda.

The Lambda Web Adapter takes no `"`, `<` or `>` in a query: the library under it makes a URI of the event
(hyperium/http, `Uri`), which has none of them, and the invocation fails with 502 (seen with the adapter's
binary). RFC 3986, section 2, has none of them in a URL either. They are sent encoded, as browsers send them.
"""

from __future__ import annotations

from typing import Final

_ENCODED: Final = ((b'"', b"%22"), (b"<", b"%3C"), (b">", b"%3E"))


def carried(target: bytes) -> bytes:
    """The target as the adapter takes it."""
    path, mark, query = target.partition(b"?")
    for octet, encoded in _ENCODED:
        query = query.replace(octet, encoded)
    return path + mark + query
