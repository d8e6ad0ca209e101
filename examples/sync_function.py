"""A plain function. It may block: it runs in a thread, beside the other requests of its instance."""

from __future__ import annotations

import logging
import time

from functions.api import AgentRequest, repeatable

# Without this only warnings are in the function's log (`skyfleet logs`).
logging.basicConfig(level=logging.INFO)
LOG = logging.getLogger(__name__)


@repeatable
def agent(request: AgentRequest) -> str:
    """Answer after work that blocks."""
    LOG.info("asked: %s", request.input)
    time.sleep(0.05)
    return f"You said: {request.input}"
