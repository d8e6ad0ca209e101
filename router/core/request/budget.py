"""What extra attempts may cost: a share of the requests for hedges, an amount of money for all extra
attempts.

Rules
- Two token buckets. Each request earns `hedge_share` of a hedge, up to `hedge_burst`; each second earns its
  part of `extra_usd_per_hour`, up to one hour's worth. Both start full.
- A retry, a hedge and a redundant send are charged the price of their target; a hedge is charged to the share
  as well. An attempt that cannot be charged in full is not sent.
- Nothing is written per request: what was earned since the last charge is computed at the next one.
- A clock that goes back earns nothing; a bucket never holds less than nothing.
"""

from __future__ import annotations

from enum import StrEnum

from router.core.policy import Policy
from skyfleet.values import frozen


class AttemptReason(StrEnum):
    """Why a request is sent once more."""

    RETRY = "retry"
    HEDGE = "hedge"
    DUPLICATE = "duplicate"


@frozen
class Budget:
    """What was left after the last charge.

    hedges: how many. requests: how many requests there had been. usd: how much money. at: when, in seconds of
    any clock.
    """

    hedges: float
    requests: int
    usd: float
    at: float


def full(now: float, policy: Policy) -> Budget:
    """The budget of a new router instance."""
    return Budget(policy.hedge_burst, 0, policy.extra_usd_per_hour, now)


def refilled(budget: Budget, requests: int, now: float, policy: Policy) -> Budget:
    """Add what was earned since. requests: how many there have been in all."""
    earned = max(0, requests - budget.requests) * policy.hedge_share
    per_s = policy.extra_usd_per_hour / 3600
    return Budget(
        min(policy.hedge_burst, budget.hedges + earned),
        requests,
        min(policy.extra_usd_per_hour, budget.usd + max(0.0, now - budget.at) * per_s),
        now,
    )


def patience(budget: Budget, requests: int, policy: Policy) -> float:
    """How many times the learned delay a hedge waits: once with a full bucket, three times with an empty one.

    One request in twenty is slower than the delay, which is more than the share pays for. So mere noise must
    not use up what the first moments of a fault need."""
    if budget.hedges >= policy.hedge_burst:
        return 1.0
    earned = max(0, requests - budget.requests) * policy.hedge_share
    left = min(policy.hedge_burst, budget.hedges + earned) / policy.hedge_burst
    return 3.0 - 2.0 * left


def pay(
    budget: Budget, reason: AttemptReason, usd: float, requests: int, now: float, policy: Policy
) -> tuple[Budget, bool]:
    """Charge one more attempt at the price of `usd`, if there is enough; otherwise only add what was
    earned."""
    have = refilled(budget, requests, now, policy)
    hedges = 1.0 if reason is AttemptReason.HEDGE else 0.0
    if have.hedges < hedges or have.usd < usd:
        return have, False
    return Budget(have.hedges - hedges, requests, have.usd - usd, now), True
