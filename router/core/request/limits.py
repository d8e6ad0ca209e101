"""What is settled when a request begins: how often, until when, and whether it may be repeated."""

from __future__ import annotations

import math
from typing import Final

from router.core.policy import Policy
from router.core.request.options import RequestOptions
from skyfleet.asgi import SAFE_METHODS
from skyfleet.values import frozen

# RFC 9110, section 9.2.2.
IDEMPOTENT: Final = SAFE_METHODS | {"PUT", "DELETE"}


@frozen
class RequestLimits:
    """What is settled when a request begins. Times are seconds of one monotonic clock.

    budget: at most so many attempts that may have executed. started, deadline: absolute; the deadline is for
    the beginning of a reply. client_deadline: absolute, for its end; infinite: the client set none.
    repeatable: the request says that a repeat is harmless. parallel: attempts at once. hedge_after_s: when a
    lone attempt is hedged; infinite: never. retries_only: repeatable by an Idempotency-Key, which allows no
    hedge. affinity_key: requests with the same one meet at one target; empty: none. heartbeat_s: after so
    long a silent event stream gets a comment; infinite: never.
    """

    policy: Policy
    budget: int
    started: float
    deadline: float
    repeatable: bool
    parallel: int = 1
    hedge_after_s: float = math.inf
    retries_only: bool = False
    client_deadline: float = math.inf
    affinity_key: bytes = b""
    heartbeat_s: float = math.inf


def is_repeatable(method: str, options: RequestOptions) -> bool:
    """Whether the request itself says that a repeat does no harm."""
    return options.key is not None or options.harmless or method in IDEMPOTENT


def request_limits(
    method: str, options: RequestOptions, policy: Policy, budget: int, started: float, hedge_after_s: float
) -> RequestLimits:
    """The limits of one request. started: when it arrived, on the machine's clock. hedge_after_s: infinite
    for a request that is not to be hedged."""
    idempotent, timeout_s = options.harmless or method in IDEMPOTENT, options.timeout_s
    client_deadline = math.inf if timeout_s is None else started + timeout_s
    deadline = started + policy.deadline_s
    return RequestLimits(
        policy,
        budget,
        started,
        deadline if deadline < client_deadline else client_deadline,
        idempotent or options.key is not None,
        options.parallel,
        hedge_after_s,
        not idempotent and policy.hedge != "on",
        client_deadline,
        b"" if options.key is None or method in SAFE_METHODS else options.key,
        (options.heartbeat and policy.heartbeat_s) or math.inf,
    )
