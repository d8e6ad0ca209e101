"""Several answers to one request without a model, for `n`.

Nothing is sampled, so a further answer has the results of the first one and says which of them it is. Tools
are called once. Each answer is kept to the limits of the request by itself, as in OpenAI's API.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from functions.api import Choice, End, Step
from functions.demo.parameters import TextOptions
from functions.demo.text_limits import limited


async def choices(
    events: AsyncGenerator[str | Step, None], n: int, options: TextOptions
) -> AsyncGenerator[str | Step | End | Choice, None]:
    """The answer of these events, then n - 1 further ones."""
    said: list[str] = []
    async with aclosing(limited(_noted(events, said), options)) as first:
        async for event in first:
            yield event
    for index in range(1, n):
        texts = [f"Answer {index + 1} of {n}: ", *said]
        async with aclosing(limited(_spoken(texts), options)) as further:
            async for event in further:
                if not isinstance(event, Step):
                    yield Choice(index, event)


async def _noted(
    events: AsyncGenerator[str | Step, None], said: list[str]
) -> AsyncGenerator[str | Step, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, str):
                said.append(event)
            yield event


async def _spoken(texts: Sequence[str]) -> AsyncGenerator[str | Step, None]:
    for text in texts:
        yield text
