"""Claims about the end of a connection, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from router.websocket.answer import Answer
from router.websocket.connection import SocketConnection
from router.websocket.limits import LIMITS, Limits
from router.websocket.messages import Asked
from router.websocket.sessions import Sessions
from skyfleet import contract
from skyfleet.asgi import Message
from tests.router.websocket.test_sessions import JSON, Timers


async def test_a_connection_ends_before_its_platform_ends_it() -> None:
    """New requests are refused; what runs is finished first; then it closes with 1012."""
    received: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    begun: list[Answer] = []

    def begin(_: Asked, answer: Answer, add: Callable[[Answer], None], /) -> None:
        begun.append(answer)
        add(answer)

    def ask(ident: str) -> None:
        text = json.dumps({"type": "request", "id": ident, "path": "/invoke"})
        received.put_nowait({"type": "websocket.receive", "text": text})

    limits = Limits(connection_s=0.05)
    sessions = Sessions(limits, bytes, Timers().later)
    ask("a")
    running = asyncio.create_task(SocketConnection(sessions, limits, begin).run(received.get, sent.put))
    assert json.loads((await sent.get())["text"])["type"] == "session"
    await asyncio.sleep(0.1)  # it is over by then, however long this takes
    ask("b")
    refused = json.loads((await sent.get())["text"])
    assert (refused["id"], refused["error"]["code"]) == ("b", "draining")
    assert sent.empty()
    (answer,) = begun
    answer.head(200, JSON)
    answer.end()
    assert [json.loads((await sent.get())["text"])["type"] for _ in range(2)] == ["response", "complete"]
    assert await sent.get() == {"type": "websocket.close", "code": 1012, "reason": "Connect again."}
    received.put_nowait({"type": "websocket.disconnect", "code": 1012})
    await running


def test_the_longest_request_fits_behind_the_last_message() -> None:
    """So Google never ends a connection with an answer under way."""
    assert LIMITS.connection_s + contract.MAX_DEADLINE_S < contract.WEBSOCKET_S
