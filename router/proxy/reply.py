"""The fields of an agent's reply as the client gets them.

Rules
- A redirect, or a 201, to the agent's own URL leads to the router.
- The router's CORS fields are for a reply that has none of its own.
- A plain reply, which most are, needs none of that, and its fields are passed on as lines
  (`router.net.fields.whole_reply`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.request.failures import retry_advice
from router.net.fields import downstream, relocated
from skyfleet.cors import ALLOW_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.proxy.context import Request
    from skyfleet.asgi import Header
    from skyfleet.http1.head import ResponseHead
    from skyfleet.origin import Origin

_OK: Final = 200
_CREATED: Final = 201


def is_plain(head: ResponseHead, method: str) -> bool:
    """Whether a reply that is here as a whole has status 200, a length and each name once, also when the
    router has added its own fields."""
    names = head.by_name
    return (
        head.status == _OK
        and b"content-length" in names
        and b"server-timing" not in names
        and len(names) == len(head.fields)
        and method != "HEAD"
    )


def reply_headers(
    status: int, fields: list[Header], request: Request, own: Origin, *, streamed: bool
) -> list[Header]:
    """The agent's fields for the client of this request. own: the agent's origin. streamed: an event
    stream."""
    headers = downstream(fields, status, streamed=streamed)
    if 300 <= status < 400 or status == _CREATED:
        headers = relocated(headers, own, request.forwarded)
    if request.cors and not any(name == ALLOW_ORIGIN for name, _ in headers):
        headers += request.cors
    return headers


def advice(
    status: int, headers: Sequence[Header], every: Sequence[int], *, repeatable: bool, keyed: bool
) -> Sequence[Header]:
    """What the client of a forwarded error is told about a repeat. every: the status of each attempt.
    repeatable, keyed: as for `retry_advice`."""
    # Several targets gave the same answer already: one more request would get it too.
    return retry_advice(status, headers, repeatable=repeatable and every.count(status) < 2, keyed=keyed)
