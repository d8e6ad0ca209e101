"""Who made a reply: the agent, or what stands in front of it.

Rules
- Every reply of an agent carries its load (`MARK`). Its guard leaves the field out when it turns a request
  away at the signature, and no vendor's front door knows it.
- So a 401, 403 or 404 without the field was said before the agent: the keys differ, the function is gone, a
  permission was removed. The agent surely did not run, and the reply is nobody's answer to the caller.
- A request that a vendor's runtime keeps for itself, or that a front door may rewrite on the way (then the
  signature does not fit), proves nothing against the target: no caller may put a cloud out with odd paths.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from router.headers import Header, first

MARK: Final = b"endpoint-load-metrics"
_DENIALS: Final = frozenset({401, 403, 404})
# What all three runtimes hand to the agent.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# functions-framework keeps the first two, the host of Azure Functions the last two.
_KEPT: Final = (b"/robots.txt", b"/favicon.ico", b"/admin", b"/runtime/")
_REWRITTEN: Final = (b"%", b"//", b"/.", b"\\")


def turned_away(status: int, headers: Iterable[Header]) -> bool:
    """Whether this reply was made before the agent, which therefore did not run."""
    return status in _DENIALS and first(headers, MARK) is None


def too_large(status: int, headers: Iterable[Header]) -> bool:
    """Whether the cloud's own limit refused the body; Lambda's is the lowest for what is no text."""
    return status == 413 and first(headers, MARK) is None


def is_no_verdict(status: int, headers: Iterable[Header]) -> bool:
    """Whether a refusal says nothing of the target's health: throttled, or not said by its agent."""
    return status == 429 or (400 <= status < 500 and first(headers, MARK) is None)


def is_ordinary(method: str, target: bytes) -> bool:
    """Whether being turned away is the target's fault. target: the request target as sent."""
    path = target.split(b"?", 1)[0]
    if method not in _METHODS or path.lower().startswith(_KEPT):
        return False
    return not any(part in path for part in _REWRITTEN)
