"""A generator: any OpenAI client streams from it at `/v1/chat/completions`, and `/invoke` streams events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from functions.api import AgentRequest, Event, Step, repeatable


@repeatable
async def agent(request: AgentRequest) -> AsyncGenerator[Event, None]:
    """Stream the words of the question in reverse order."""
    words = request.input.split()
    yield Step("split", {"text": request.input}, len(words))
    for number, word in enumerate(reversed(words)):
        await asyncio.sleep(0.01)
        yield f" {word}" if number else word
