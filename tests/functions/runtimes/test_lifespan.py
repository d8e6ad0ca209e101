"""Tests of the host's side of the lifespan protocol."""

from __future__ import annotations

import pytest

from functions.runtimes.lifespan import running
from tests.asgi import Message, Receive, Send
from tests.functions.support import application

SEEN: list[str] = []


async def noting(scope: Message, receive: Receive, send: Send) -> None:
    """An application that notes the events of its lifespan."""
    for _ in range(2):
        kind = (await receive())["type"]
        SEEN.append(kind)
        await send({"type": f"{kind}.complete"})


async def test_startup_comes_before_the_block_and_shutdown_after_it() -> None:
    """On Google, the block is the life of the framework's own application."""
    SEEN.clear()
    async with running(application(f"{__name__}:noting")):
        assert SEEN == ["lifespan.startup"]
    assert SEEN == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_that_raises_at_startup_is_an_error_of_the_host() -> None:
    """Ours answer each event; another would end the process with its error in the log."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        async with running(app):
            pass
