"""What a driver asks of the balancer for `RequestMachine`: a target, a charge, and the hedge delay."""

from __future__ import annotations

import math

from router.core.balance.balancer import Balancer
from router.core.balance.strategies import LEARNING, Strategy
from router.core.request.budget import AttemptReason, patience, pay
from router.core.targets import Choice
from router.proxy.prober import Prober


def pick(
    balancer: Balancer,
    prober: Prober,
    excluded: tuple[str, ...],
    strategy: Strategy | None = None,
    key: bytes = b"",
) -> Choice | None:
    """A target that is not excluded; None: there is none. strategy: of this request; None: the instance's.
    key: the affinity key of the request. Targets with a pending probe are avoided, slow ones by first
    attempts."""
    if not prober.running and not balancer.late:
        return balancer.choose(excluded, strategy, (), key)
    avoid = prober.pending()
    if not excluded:
        avoid += balancer.slow_now()
    return balancer.choose(excluded, strategy, avoid, key)


def charge(balancer: Balancer, choice: Choice, reason: AttemptReason) -> bool:
    """Charge the budgets with one more attempt; whether they allow it."""
    usd = balancer.targets[choice.key].price / 1e6
    balancer.budget, paid = pay(
        balancer.budget, reason, usd, balancer.requests, balancer.ticks(), balancer.policy
    )
    return paid


def hedge_after_s(balancer: Balancer, strategy: Strategy) -> float:
    """How long a lone attempt of this strategy may take before it is hedged; infinite: never."""
    hedge = balancer.policy.hedge
    if hedge == "off" or (hedge == "auto" and strategy not in LEARNING):
        return math.inf
    delay = balancer.hedge_delay_s()
    if delay is None:
        return balancer.policy.probe_after_s
    return delay * patience(balancer.budget, balancer.requests, balancer.policy)
