"""Name the line that blocks the agent's event loop.

While a request is active, the server's loop asks the agent's loop for an answer, and looks at the stack of
that thread if none comes. Rules
- No timer runs without an active request, so a frozen or idle instance does nothing.
- Two checks in a row must fail. After a frozen sandbox continues, its timers are due at once, and the first
  check may precede the answer.
- One line in the log for each place in the code.
- A loop that waits for events is not blocked: platforms may take the CPU from a whole instance.
- Code that blocks in C and holds the interpreter's lock stops both loops; it is named when it returns, if at
  all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, NamedTuple

from functions.execution import loop
from functions.execution.loop import AgentLoop

LOG: Final = logging.getLogger("skyfleet.loop")
# An event loop that serves several requests should turn within milliseconds; half a second is no accident. A
# single `time.sleep(1)` is found: the first check asks, the second and third find no answer.
CHECK_S: Final = 0.25
FAILED_CHECKS: Final = 2
STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - pathlib costs an import

IDLE: Final = ["select", "_run_once"]


class Place(NamedTuple):
    """One entry of a stack."""

    file: str
    line: int
    function: str


def blocking_place(stack: Iterable[Place], files: tuple[str, ...]) -> Place | None:
    """The place to name, of a stack from its innermost entry outwards; None for an empty one.

    files: beginnings of the paths of the user's own files. Their innermost line comes first, then that of a
    library, then any.
    """
    places = list(stack)
    own = (place for place in places if place.file.startswith(files))
    library = (place for place in places if not place.file.startswith((STANDARD_LIBRARY, "<")))
    return next(own, None) or next(library, None) or next(iter(places), None)


def is_idle(stack: Sequence[Place]) -> bool:
    """Whether the loop of this stack waits for events: it was not late by its own work, but had no CPU.

    asyncio's loop waits in `select` below `_run_once`; a loop in C shows no frame above the one that runs it.
    """
    return not stack or stack[0].file == loop.__file__ or [at.function for at in stack[:2]] == IDLE


def stack_of(frame: FrameType | None) -> Iterable[Place]:
    """The entries of a running stack, from the innermost outwards."""
    while frame is not None:
        yield Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back


@dataclass(slots=True)
class BlockedWatch:
    """Checks of the agent's loop, called on the server's. files: beginnings of paths of the user's files."""

    loop: AgentLoop
    files: tuple[str, ...]
    _active: int = 0
    _failed: int = 0
    _asked: bool = False
    _timer: asyncio.TimerHandle | None = None
    _named: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    @property
    def is_running(self) -> bool:
        """Whether a check is scheduled."""
        return self._timer is not None and not self._timer.cancelled()

    @property
    def has_failed(self) -> bool:
        """Whether the last check found no answer."""
        return self._failed > 0

    def begin(self) -> None:
        """A request begins."""
        self._active += 1
        if self._active == 1:
            self._failed, self._asked = 0, False
            self._later()

    def end(self) -> None:
        """A request has ended."""
        self._active -= 1
        if self._active == 0 and self._timer is not None:
            self._timer.cancel()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def _check(self) -> None:
        if self._asked:
            self._failed += 1
            if self._failed == FAILED_CHECKS:
                self._name()
        else:
            self._asked = True
            self.loop.get().call_soon_threadsafe(self._turned)
        self._later()

    def _turned(self) -> None:
        """Called by the agent's loop."""
        self._failed, self._asked = 0, False

    def _name(self) -> None:
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage] - documented despite its name
        stack = list(stack_of(frames.get(self.loop.thread_id)))
        place = blocking_place(stack, self.files)
        if place is None or not self._asked or is_idle(stack) or (place.file, place.line) in self._named:
            return
        self._named.add((place.file, place.line))
        inner = stack[0]
        within = "" if inner == place else f", within {inner.function} ({inner.file}:{inner.line})"
        LOG.warning(
            "%s:%d: %s blocks the event loop of the agent for %g s already%s. Other requests wait. "
            "Write `def` instead of `async def`, or call what blocks by `await asyncio.to_thread(...)`.",
            *place,
            CHECK_S * FAILED_CHECKS,
            within,
        )
