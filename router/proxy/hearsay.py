"""Taking in what checkers say; what only one of them says to a target's harm is looked into first.

Rules
- Who is called down by one lone fresh checker, and not by this router's own traffic, is asked for its free
  /health before that is believed. An answer is as good as a good reply: the checker's word is noted only, and
  a target that was out for such a word alone serves again, easing in. So one checker that lies, or whose own
  network is broken, decides nothing, however little traffic there is and whoever else is gone.
- Whatever does not answer in `ask_timeout_s` is believed to be down, until it answers one of the next looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.core.balance.balancer import Balancer
from router.core.health.snapshots import Snapshot
from router.proxy.prober import Prober


async def hear(balancer: Balancer, prober: Prober, documents: Iterable[Snapshot]) -> None:
    """Fold documents in, after questions to those that they accuse alone."""
    documents = tuple(documents)
    unconfirmed_down = balancer.unconfirmed_down(documents)
    if unconfirmed_down:
        answers = await asyncio.gather(*(_answers(balancer, prober, key) for key in unconfirmed_down))
        for key, alive in zip(unconfirmed_down, answers, strict=True):
            if alive:
                balancer.confirm_up(key)
    balancer.fold(documents)


async def _answers(balancer: Balancer, prober: Prober, key: str) -> bool:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def heard(alive: bool) -> None:
        # After a freeze the answer and the end of our patience come in the same turn of the loop.
        if not answer.done():
            answer.set_result(alive)

    _, leave = prober.ask(balancer.targets[key], heard)
    try:
        async with asyncio.timeout(balancer.policy.ask_timeout_s):
            return await answer
    except TimeoutError:
        return False
    finally:
        leave()
