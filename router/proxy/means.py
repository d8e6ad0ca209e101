"""What a plan asks of the outside: whom to send to, whether it can be paid for, and when to hedge."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial

from router.core.balance.balancer import Board
from router.core.balance.strategies import LEARNING, Strategy
from router.core.request.budget import Extra, patience, pay
from router.core.request.machine import IDEMPOTENT, Choice, Means, Terms
from router.core.request.options import Wishes
from router.proxy.prober import Asker


def means(board: Board, asker: Asker, strategy: Strategy | None = None, name: bytes = b"") -> Means:
    """What a plan asks of this board. strategy: None means the board's own. name: of the request, if it has
    one."""
    return Means(partial(_choose, board, asker, strategy, name), partial(afford, board))


def _choose(
    board: Board, asker: Asker, strategy: Strategy | None, name: bytes, tried: Collection[str]
) -> Choice | None:
    if not asker.running and not board.late:
        return board.choose(tried, strategy, (), name)
    avoid = asker.doubtful()
    if not tried:
        avoid += board.late_now()
    return board.choose(tried, strategy, avoid, name)


def afford(board: Board, choice: Choice, extra: Extra) -> bool:
    """Pay for one more attempt there, if the budget has as much."""
    usd = board.targets[choice.key].price / 1e6
    board.budget, paid = pay(board.budget, extra, usd, board.requests, board.ticks(), board.policy)
    return paid


def terms(board: Board, method: str, wished: Wishes, started: float, limit: float) -> Terms:
    """What is settled when a request begins. started, limit: in ticks."""
    policy, idempotent = board.policy, method in IDEMPOTENT
    deadline = started + policy.deadline_s
    return Terms(
        policy,
        board.most_attempts,
        deadline if deadline < limit else limit,
        idempotent or wished.key is not None,
        wished.copies,
        hedge_after_s(board, wished.strategy or board.strategy),
        not idempotent and policy.hedge != "on",
    )


def hedge_after_s(board: Board, strategy: Strategy) -> float:
    """How long a lone attempt of this strategy may take before it is hedged; infinite: never."""
    hedge = board.policy.hedge
    if hedge == "off" or (hedge == "auto" and strategy not in LEARNING):
        return math.inf
    delay = board.hedge_delay_s()
    if delay is None:
        return board.policy.probe_after_s
    return delay * patience(board.budget, board.requests, board.policy)
