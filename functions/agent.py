"""The agent. This is the file to edit: `async def agent(request)` runs in every cloud.

Return text or a mapping, or yield text in pieces and a `Step` for each action; see functions/api.py. Import
what you need, list it in functions/requirements.in, and run `make lock`.

The agent here works without a model: rules plan, tools act (functions/demo). With MODEL_BASE_URL and
MODEL_NAME set (and MODEL_API_KEY where one is needed) any OpenAI-compatible model plans instead, with the
same tools.

It is declared `@repeatable`: none of its tools changes anything, so the router may repeat a request in
another cloud even if the first attempt may have run. That holds with a model, too; each repeat is paid, at
most as often as the router has attempts. Without the decorator such a request fails.

`@supports` says that it reads images and gives `n` answers. Without it such requests are refused with words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from functions.api import CHOICES, IMAGES, AgentRequest, Event, repeatable, supports
from functions.demo.choices import choices
from functions.demo.loop import answer
from functions.demo.pacing import paced, seconds_per_word
from functions.demo.parameters import without_a_model
from functions.demo.tools.base import Context
from skyfleet import contract


@repeatable
@supports(IMAGES, CHOICES)
async def agent(request: AgentRequest) -> AsyncGenerator[Event, None]:
    """Plan, call tools, and answer from their results."""
    context = Context(messages=request.messages, now=time.time, wait=asyncio.sleep)
    if contract.MODEL_BASE_URL in request.environ:
        from functions.demo.model import (
            Model,  # it imports an HTTP client, which a cold start without a model does not need
        )

        events = Model.from_env(request.environ).answer(request, context)
    else:
        options = without_a_model(request.body, request.n)
        pace = seconds_per_word(request.environ) if request.stream else 0.0
        events = paced(choices(answer(request, context), request.n, options), pace, asyncio.sleep)
    async with aclosing(events):
        async for event in events:
            yield event
