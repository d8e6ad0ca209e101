"""Tests of scheduled events that are dispatched in process."""

from __future__ import annotations

import pytest

from functions.runtimes.errors import EventFailed
from functions.runtimes.events import dispatch_event
from tests.asgi import Message, Receive, Send
from tests.functions.support import application


async def test_an_event_is_a_post_request_in_process() -> None:
    """The Azure timer calls the checker like the HTTP schedulers of the other clouds."""
    seen: list[tuple[str, str, bytes]] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append((scope["method"], scope["path"], (await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"rounds":6}'})

    assert await dispatch_event(app, {"source": "azure.timer"}) == b'{"rounds":6}'
    assert seen == [("POST", "/events", b'{"source": "azure.timer"}')]


async def test_a_failed_event_is_a_failed_invocation() -> None:
    """The platform's alarms count failed invocations."""
    with pytest.raises(EventFailed, match="401"):
        await dispatch_event(application(), {})
