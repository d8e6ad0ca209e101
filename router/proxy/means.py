"""What a plan asks of the outside: whom to send to, whether it can be paid for, and when to hedge."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial

from router.core.balance.balancer import Balancer
from router.core.balance.strategies import LEARNING, Strategy
from router.core.request.budget import Extra, patience, pay
from router.core.request.machine import IDEMPOTENT, Choice, Means, Terms
from router.core.request.options import Wishes
from router.proxy.prober import Prober


def means(balancer: Balancer, prober: Prober, strategy: Strategy | None = None, name: bytes = b"") -> Means:
    """What a plan asks of this board. strategy: None means the board's own. name: of the request, if it has
    one."""
    return Means(partial(_choose, balancer, prober, strategy, name), partial(afford, balancer))


def _choose(
    balancer: Balancer, prober: Prober, strategy: Strategy | None, name: bytes, tried: Collection[str]
) -> Choice | None:
    if not prober.running and not balancer.late:
        return balancer.choose(tried, strategy, (), name)
    avoid = prober.pending()
    if not tried:
        avoid += balancer.slow_now()
    return balancer.choose(tried, strategy, avoid, name)


def afford(balancer: Balancer, choice: Choice, extra: Extra) -> bool:
    """Pay for one more attempt there, if the budget has as much."""
    usd = balancer.targets[choice.key].price / 1e6
    balancer.budget, paid = pay(
        balancer.budget, extra, usd, balancer.requests, balancer.ticks(), balancer.policy
    )
    return paid


def terms(balancer: Balancer, method: str, wished: Wishes, started: float, limit: float) -> Terms:
    """What is settled when a request begins. started, limit: in ticks."""
    policy, idempotent = balancer.policy, method in IDEMPOTENT
    deadline = started + policy.deadline_s
    return Terms(
        policy,
        balancer.most_attempts,
        deadline if deadline < limit else limit,
        idempotent or wished.key is not None,
        wished.copies,
        hedge_after_s(balancer, wished.strategy or balancer.strategy),
        not idempotent and policy.hedge != "on",
    )


def hedge_after_s(balancer: Balancer, strategy: Strategy) -> float:
    """How long a lone attempt of this strategy may take before it is hedged; infinite: never."""
    hedge = balancer.policy.hedge
    if hedge == "off" or (hedge == "auto" and strategy not in LEARNING):
        return math.inf
    delay = balancer.hedge_delay_s()
    if delay is None:
        return balancer.policy.probe_after_s
    return delay * patience(balancer.budget, balancer.requests, balancer.policy)
