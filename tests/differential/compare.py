"""The differences that a router may make, and nothing else: `docs/reference/http.md` lists the same fields.

Rules
- What an agent saw through the router equals what it saw directly, and so does what the client got, once the
  fields of this file are left out on both sides.
- Values, order and repetition of all other fields are compared, names in lower case.
- A framing may change where the length of a body becomes known or unknown on the way; its bytes may not.
- A router speaks HTTP/1.1 to the agent, whatever its client speaks (RFC 9112, section 2.3). It sends the path
  of a target that is a whole URL (section 3.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tests.differential.client import Got
from tests.differential.model import Header
from tests.differential.recorder import Seen

# RFC 9110, section 7.6.1: of one connection.
HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
# To the agent: written by the router. `host` is the target's; the client's is in `x-skyfleet-forwarded`.
OF_REQUEST: Final = HOP_BY_HOP | {
    b"content-length",
    b"expect",
    b"host",
    b"x-request-id",
    b"x-request-start",
    b"x-skyfleet-forwarded",
    b"x-skyfleet-key-id",
    b"x-skyfleet-nonce",
    b"x-skyfleet-signature",
    b"x-skyfleet-timestamp",
}
# To the client: written by the router.
OF_REPLY: Final = HOP_BY_HOP | {
    b"server-timing",
    b"x-request-id",
    b"x-should-retry",
    b"x-skyfleet-attempts",
    b"x-skyfleet-target",
}
# A length that a client did not announce is announced to the agent once the body is known; a body without a
# length is chunked on a connection that is kept.
REFRAMED_REQUEST: Final = frozenset({("chunked", "length"), ("none", "length")})
REFRAMED_REPLY: Final = frozenset({("close", "chunked"), ("chunked", "close")})


def requests(direct: Seen, through: Seen) -> Iterator[str]:
    """What differs in a request, as the agent saw it."""
    yield from _unequal("method", direct.method, through.method)
    yield from _unequal("target", _origin_form(direct.target), through.target)
    yield from _unequal("version", b"HTTP/1.1", through.version)
    yield from _unequal("body", direct.body, through.body)
    yield from _unequal("problem", direct.problem, through.problem)
    if direct.framing != through.framing and (direct.framing, through.framing) not in REFRAMED_REQUEST:
        yield from _unequal("framing", direct.framing, through.framing)
    yield from _unequal("fields", _left(direct.fields, OF_REQUEST), _left(through.fields, OF_REQUEST))


def replies(direct: Got, through: Got) -> Iterator[str]:
    """What differs in a reply, as the client got it."""
    ignored = OF_REPLY
    if direct.framing != through.framing:
        if (direct.framing, through.framing) not in REFRAMED_REPLY:
            yield from _unequal("framing", direct.framing, through.framing)
        ignored |= {b"content-length"}
    if not any(name == b"date" for name, _ in direct.fields):
        ignored |= {b"date"}  # RFC 9110, section 6.6.1: added where it is missing
    yield from _unequal("status", direct.status, through.status)
    yield from _unequal("reason", direct.reason, through.reason)
    yield from _unequal("body", direct.body, through.body)
    yield from _unequal("trailers", direct.trailers, through.trailers)
    yield from _unequal("interim", direct.interim, through.interim)
    yield from _unequal("fields", _left(direct.fields, ignored), _left(through.fields, ignored))
    if through.in_step is False:
        yield "the next request on the connection does not get its own reply"


def _origin_form(target: bytes) -> bytes:
    scheme, mark, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if mark and scheme in (b"http", b"https") else target


def _left(fields: Iterable[Header], ignored: frozenset[bytes]) -> list[Header]:
    return [field for field in fields if field[0] not in ignored]


def _unequal(what: str, direct: object, through: object) -> Iterator[str]:
    if direct != through:
        yield f"{what}: {_short(direct)} directly, {_short(through)} through the router"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"
