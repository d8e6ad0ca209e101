"""Stream the answer of the offline agent word by word, at the pace of a model.

AGENT_PACE_MS sets the milliseconds between two words. A reply that is no stream is not delayed, nor are the
further answers of a request with `n`.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final

from functions.api import Event
from functions.errors import SetupError
from skyfleet import contract

WORD: Final = re.compile(r"\s*\S+|\s+$")


def seconds_per_word(environ: Mapping[str, str]) -> float:
    """AGENT_PACE_MS in seconds; the default if it is missing or empty.

    Raises SetupError if it is no number of the contract's range.
    """
    text = environ.get(contract.AGENT_PACE_MS)
    if not text:
        return contract.DEFAULT_PACE_MS / 1000
    least, most = contract.PACES_MS
    try:
        pace = float(text)
    except ValueError:
        pace = math.nan
    if not least <= pace <= most:
        raise SetupError(
            f"{contract.AGENT_PACE_MS} is {text[:20]!r}; expected milliseconds from {least:g} to {most:g}."
        )
    return pace / 1000


async def paced(
    events: AsyncGenerator[Event, None], pace: float, wait: Callable[[float], Awaitable[None]]
) -> AsyncGenerator[Event, None]:
    """The same events, with each text split into its words. pace: seconds between two words; 0: not split."""
    async with aclosing(events):
        async for event in events:
            if not (pace and isinstance(event, str)):
                yield event
                continue
            for word in WORD.findall(event):
                yield word
                await wait(pace)
