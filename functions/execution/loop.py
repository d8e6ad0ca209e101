"""The event loop of the user's code, in a thread of its own.

The server's loop (uvicorn, functions-framework, Azure's worker) stays free whatever the user's code does, so
/health is answered while an agent blocks. Rules:
- One loop for one process, since a process has one agent. It starts with the first call and not at import:
  gunicorn forks after the import, and a thread does not survive a fork.
- `sys.exit()` of a background task ends the process, as it does on the main thread, and so does
  `loop.stop()`: without its loop an instance would answer no request.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

LOG: Final = logging.getLogger("skyfleet.loop")
Result = TypeVar("Result")


class AgentLoop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.thread_id = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop; starts its thread at the first call."""
        return self._loop or self._start()

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on this loop, and wait for it on the calling one."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.get()))

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._run, args=(loop,), name="agent-loop", daemon=True)
                thread.start()
                self.thread_id = thread.ident or 0
                self._loop = loop
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            LOG.critical("the agent stopped its event loop, which ends this instance")
        except BaseException:
            LOG.critical("a background task of the agent ended this instance", exc_info=True)
        sys.stdout.flush()
        os._exit(1)


@functools.cache
def agent_loop() -> AgentLoop:
    """The loop of this process."""
    return AgentLoop()
