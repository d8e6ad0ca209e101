"""A coroutine function. It waits without blocking; a mapping is the whole reply."""

from __future__ import annotations

import asyncio

from functions.api import AgentRequest, repeatable


@repeatable
async def agent(request: AgentRequest) -> dict[str, object]:
    """Answer after a wait."""
    await asyncio.sleep(0.05)
    return {"output": request.input.upper(), "messages": len(request.messages)}
