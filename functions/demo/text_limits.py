"""Keep the answer without a model to `max_tokens`, `stop` and `response_format` of its request.

A token is `CHARACTERS_PER_TOKEN` characters, as in the estimated usage. The end is told as in OpenAI's API:
`length` after the limit, `stop` otherwise, and the answer never contains a stop text.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from functions.api import End, Step
from functions.demo.parameters import TextOptions
from functions.runner import CHARACTERS_PER_TOKEN

ANSWER: Final = "answer"


@dataclass(slots=True)
class TextLimits:
    """One answer. ended: its finish reason, once it has one."""

    options: TextOptions
    ended: str | None = None
    _held: str = ""
    _given: int = field(default=0)

    def feed(self, text: str) -> str:
        """What may be given now of the text so far; the beginning of a stop text is held."""
        held = self._held + text
        found = [at for stop in self.options.stops if (at := held.find(stop)) >= 0]
        if found:
            self.ended, self._held = "stop", ""
            return self._cut(held[: min(found)])
        keep = max((_overlap(held, stop) for stop in self.options.stops), default=0)
        self._held = held[len(held) - keep :]
        return self._cut(held[: len(held) - keep])

    def finish(self) -> str:
        """The rest at the end of the text."""
        held, self._held = self._held, ""
        return self._cut(held)

    def _cut(self, text: str) -> str:
        if self.options.max_tokens is not None:
            left = self.options.max_tokens * CHARACTERS_PER_TOKEN - self._given
            if len(text) > left:
                text, self.ended = text[:left], "length"
        self._given += len(text)
        return text


async def limited(
    events: AsyncGenerator[str | Step, None], options: TextOptions
) -> AsyncGenerator[str | Step | End, None]:
    """The same events with the text within the limits. After the end of the text nothing more is done."""
    if options == TextOptions():
        async with aclosing(events):
            async for event in events:
                yield event
        return
    limits, texts = TextLimits(options), list[str]()
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Step):
                yield event
            elif options.as_json:
                texts.append(event)
            elif text := limits.feed(event):
                yield text
            if limits.ended:
                break
    if options.as_json:
        text = limits.feed(json.dumps({ANSWER: "".join(texts)}, ensure_ascii=False))
        if text:
            yield text
    if not limits.ended and (text := limits.finish()):
        yield text
    yield End(limits.ended or "stop")


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text may be the beginning of the stop text."""
    return next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)
