"""The router of the soak: the application that is deployed, and beside it a counter of asyncio tasks.

Rule: `SOAK_TASKS` names a file, which always holds the number of tasks at its last change, as one line. The
counter is a timer of the event loop and no task. All else of the process is as on AWS.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from router import app
from skyfleet.asgi import Receive, Scope, Send

FILE: Final = "SOAK_TASKS"
_EVERY_S: Final = 1.0


class Counted(app.App):
    """The router's application, which begins to count at the first lifespan event."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            _count(Path(os.environ[FILE]))
        await super().__call__(scope, receive, send)


def _count(file: Path) -> None:
    loop = asyncio.get_running_loop()
    # A write that another process never sees half done.
    part = file.with_suffix(".part")
    part.write_text(f"{len(asyncio.all_tasks(loop))}\n")
    part.replace(file)
    loop.call_later(_EVERY_S, _count, file)


def create(environ: Mapping[str, str]) -> app.App:
    """The application for SKYFLEET_APP."""
    app.App = Counted
    return app.create(environ)
