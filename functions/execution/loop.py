"""The event loop of the user's code, in a thread of its own.

The server's loop (uvicorn, functions-framework, Azure's worker) stays free whatever the user's code does, so
/health is answered while an agent blocks. Rules:
- One loop for one process, since a process has one agent. It starts with the first call and not at import:
  gunicorn forks after the import, and a thread does not survive a fork.
- `sys.exit()` in a task or a callback and `loop.stop()` end neither the loop nor the process, which serves
  other requests: middleware, task groups and `gather` run parts of a request in tasks of their own. asyncio
  gives the exception to the task that waits, and raises it out of `run_forever` as well, which is then called
  again (CPython, Lib/asyncio/tasks.py, `__step`; Lib/asyncio/events.py, `Handle._run`).
- A loop that fails itself, such as without its selector, ends the process: it would answer no request.
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
            while True:
                _run_until_ended(loop)
        except BaseException:
            LOG.critical("the event loop of the agent failed, which ends this instance", exc_info=True)
        sys.stdout.flush()
        os._exit(1)


def _run_until_ended(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        LOG.error("the agent stopped its event loop, which goes on")
    except (SystemExit, KeyboardInterrupt) as error:
        LOG.exception("a task of the agent raised %s: %s", type(error).__name__, error)


@functools.cache
def agent_loop() -> AgentLoop:
    """The loop of this process."""
    return AgentLoop()
