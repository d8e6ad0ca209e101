"""Write an answer word by word at the pace of a model, so that a stream offline is a stream worth testing.

AGENT_PACE_MS: milliseconds between words, only when the caller asked for a stream.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final

from functions.api import Step
from functions.errors import SetupError

# 50 words a second: a quick model.
DEFAULT_PACE_MS: Final = "20"
MAX_PACE_MS: Final = 1000.0
WORD: Final = re.compile(r"\s*\S+|\s+$")


def seconds_per_word(environ: Mapping[str, str]) -> float:
    """AGENT_PACE_MS in seconds."""
    text = environ.get("AGENT_PACE_MS") or DEFAULT_PACE_MS
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0 <= pace <= MAX_PACE_MS:
        raise SetupError(f"AGENT_PACE_MS is {text[:20]!r}; expected milliseconds from 0 to {MAX_PACE_MS:g}.")
    return pace / 1000


async def paced(
    events: AsyncGenerator[str | Step, None], pace: float, wait: Callable[[float], Awaitable[None]]
) -> AsyncGenerator[str | Step, None]:
    """The same events; with a pace, texts go word by word. pace: seconds between words."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Step) or not pace:
                yield event
                continue
            for word in WORD.findall(event):
                yield word
                await wait(pace)
