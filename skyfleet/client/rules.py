"""What a client may send again to another router, and what a reply says of its router. Pure.

Rules
- A request that was not sent may go to the next router: no connection was made.
- A request of which a byte was sent may have run. It is repeated only if its method is idempotent
  (RFC 9110, section 9.2.2) or it has an `Idempotency-Key`, and if its body is still there.
- Each reply of a router has `x-request-id`. An error without it is from the platform: the router is lost.
  With 403, 404, 429 and 503 a platform did not run the function (the same rule as
  `router.core.request.classify`), so the request goes on. After others it may have run.
- A 503 of a router with `x-should-retry: true` says that a repeat is harmless, as `draining` does. It goes to
  the next router. All other replies are the caller's.
- A read timeout is the caller's own: it is raised, and the router is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from skyfleet.idempotency_key import InvalidKey, parse_key

# As `router.core.request.limits` has it: what all routers repeat too.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
# Of a platform: no permission, no function, no capacity.
_NOT_RUN: Final = frozenset({403, 404, 429, 503})


class Failure(Enum):
    """What became of an attempt without a reply. OWN: the caller's mistake or its own pool's limit."""

    NOT_SENT = "not-sent"
    BROKEN = "broken"
    TIMED_OUT = "timed-out"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Verdict:
    """lost: the router failed. go_on: the request may go to the next one."""

    lost: bool
    go_on: bool


# By the names that httpx and httpx2 have in common.
_FAILURES: Final = {
    "ConnectError": Failure.NOT_SENT,
    "ConnectTimeout": Failure.NOT_SENT,
    "ReadError": Failure.BROKEN,
    "WriteError": Failure.BROKEN,
    "CloseError": Failure.BROKEN,
    "RemoteProtocolError": Failure.BROKEN,
    "WriteTimeout": Failure.BROKEN,
    "ReadTimeout": Failure.TIMED_OUT,
}


def is_repeatable(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a second execution does no harm. headers: names in any case are found."""
    if method.upper() in IDEMPOTENT:
        return True
    try:
        return bool(parse_key(headers.get("idempotency-key", "").encode("latin-1", "replace")))
    except InvalidKey:
        return False


def failure_of(error: Exception) -> Failure:
    """The kind of an error of httpx or httpx2."""
    return _FAILURES.get(type(error).__name__, Failure.OWN)


def after_failure(failure: Failure, *, repeatable: bool) -> Verdict:
    """After an attempt without a reply."""
    go_on = failure is Failure.NOT_SENT or (failure is Failure.BROKEN and repeatable)
    return Verdict(lost=failure is not Failure.OWN, go_on=go_on)


def after_reply(status: int, headers: Mapping[str, str], *, repeatable: bool) -> Verdict:
    """After the head of a reply."""
    if "x-request-id" not in headers and status >= 400:
        return Verdict(lost=True, go_on=repeatable or status in _NOT_RUN)
    harmless = status == 503 and headers.get("x-should-retry", "").strip().lower() == "true"
    return Verdict(lost=False, go_on=harmless)
