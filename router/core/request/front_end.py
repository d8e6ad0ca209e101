"""Who made a reply: the agent, or what stands in front of it.

Rules
- Every reply of an agent carries its load (`MARK`). Its guard leaves the field out when it turns a request
  away at the signature, and no vendor's front door knows it.
- So a 401, 403, 404 or 421 without the field was said before the agent: the keys differ, the function is
  gone, a permission was removed, a router answers at that address. The agent surely did not run, and the
  reply is no answer to the caller.
- The same goes for a redirect (to a login page, say) and, apart from that it may have run, for a 2xx: a
  platform's "your app is up" page is no answer either. But only once an agent of this fleet has shown the
  field to this router: where something on the way removes it everywhere, a missing field says nothing.
- So does an error of the platform: a 503 for a function that is not running, a 502 for one that died (it may
  have run). A 503 that asks for patience is a limit and not an end; it is left as it is.
- A request that a vendor's runtime keeps for itself, or that a front door may rewrite on the way (then the
  signature does not fit), proves nothing against the target: no caller may put a cloud out with odd paths.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from skyfleet.sse import LastEvent

MARK: Final = b"endpoint-load-metrics"
_BROKEN: Final = frozenset({500, 502, 504})
_DENIALS: Final = frozenset({401, 403, 404, 421})
# What all three runtimes hand to the agent.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# functions-framework keeps the first two, the host of Azure Functions the last two.
_KEPT: Final = (b"/robots.txt", b"/favicon.ico", b"/admin", b"/runtime/")
_REWRITTEN: Final = (b"%", b"//", b"/.", b"\\")


class Voice(StrEnum):
    """Who spoke.

    AGENT: or nothing speaks against it. DOOR: something before the agent, which surely did not run. LIMIT:
    the cloud's own limit for bodies; Lambda's is the lowest for what is no text. STRANGER: something else,
    and the agent may have run.
    """

    AGENT = "agent"
    DOOR = "door"
    LIMIT = "limit"
    STRANGER = "stranger"


class Door:
    """What this router knows of its fleet's agents. marked: one of them has shown the field. ends: a stream
    of /invoke has ended with the event that ends them."""

    __slots__ = ("ends", "marked")

    def __init__(self) -> None:
        self.ends = self.marked = False


def voice(status: int, *, strict: bool, later: bool = False) -> Voice:
    """Who made a reply without the field. strict: agents of this fleet do send it. later: with a
    Retry-After."""
    if status in _DENIALS:
        return Voice.DOOR
    if status == 413:
        return Voice.LIMIT
    if strict and 300 <= status < 400:
        return Voice.DOOR
    if strict and status == 503 and not later:
        return Voice.DOOR
    if strict and (status < 300 or status in _BROKEN):
        return Voice.STRANGER
    return Voice.AGENT


def is_ordinary(method: str, target: bytes) -> bool:
    """Whether being turned away is the target's fault. target: the request target as sent."""
    path = target.split(b"?", 1)[0]
    if method not in _METHODS or path.lower().startswith(_KEPT):
        return False
    return not any(part in path for part in _REWRITTEN)


def stream_fault(last: LastEvent, path: str, door: Door) -> str:
    """What is wrong with a stream that came to an end; empty: nothing. path: of the request.

    Chat completions end with [DONE] (OpenAI's API). Agents that are functions end /invoke with `done`; for
    others that is no rule, so it counts once this fleet has shown it."""
    if last.is_error():
        return "its stream ended in an error"
    if path.endswith("/chat/completions"):
        return "" if last.is_done() else "its stream ended without [DONE]"
    if path == "/invoke":
        if last.is_of(b"done"):
            door.ends = True
        elif door.ends:
            return "its stream ended without its last event"
    return ""
