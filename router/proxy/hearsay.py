"""Taking in what vantages say; what only one of them says to a target's harm is looked into first.

Rules
- Who is called down by one lone fresh vantage, and not by this router's own traffic, is asked for its free
  /health before that is believed. An answer is as good as a good reply: the vantage's word is noted only, and
  a target that was out for such a word alone serves again, easing in. So one vantage that lies, or whose own
  network is broken, decides nothing, however little traffic there is and whoever else is gone.
- Whatever does not answer in `ask_timeout_s` is believed to be down, until it answers one of the next looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.core.balance.balancer import Board
from router.core.health.snapshots import Document
from router.proxy.prober import Asker


async def hear(board: Board, asker: Asker, documents: Iterable[Document]) -> None:
    """Fold documents in, after questions to those that they accuse alone."""
    documents = tuple(documents)
    accused = board.accused(documents)
    if accused:
        answers = await asyncio.gather(*(_answers(board, asker, key) for key in accused))
        for key, alive in zip(accused, answers, strict=True):
            if alive:
                board.vouch(key)
    board.fold(documents)


async def _answers(board: Board, asker: Asker, key: str) -> bool:
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def heard(alive: bool) -> None:
        # After a freeze the answer and the end of our patience come in the same turn of the loop.
        if not answer.done():
            answer.set_result(alive)

    _, leave = asker.ask(board.targets[key], heard)
    try:
        async with asyncio.timeout(board.policy.ask_timeout_s):
            return await answer
    except TimeoutError:
        return False
    finally:
        leave()
