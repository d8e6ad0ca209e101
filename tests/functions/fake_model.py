"""A fake model: an ASGI application with the chat completions endpoint, whose answers a test writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.asgi import Message, Receive, Send

KEY = "sk-very-secret"
Chunks = list[Mapping[str, object] | bytes]


class FakeModel:
    """Answers each turn with the next of `turns`: a reply (plain), a list of chunks (stream) or raw bytes.

    After the last answer it is silent until the client disconnects. fields: of each answer. cut: the
    connection closes before the end of each answer. ending: sent in place of it until the client disconnects;
    b"": nothing more comes.
    """

    def __init__(
        self,
        *turns: object,
        status: int = 200,
        fields: Mapping[str, str] | None = None,
        cut: bool = False,
        ending: bytes | None = None,
    ) -> None:
        self.turns = list(turns)
        self.status, self.cut, self.ending = status, cut, ending
        self.fields = [(name.encode(), value.encode()) for name, value in (fields or {}).items()]
        self.asked: list[dict[str, Any]] = []
        self.authorization: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append({"path": scope["path"], **json.loads(body)})
        headers = dict(scope["headers"])
        self.authorization.append(headers.get(b"authorization", b"").decode())
        turn = self.turns.pop(0) if self.turns else None
        if turn is None:
            await receive()
            return
        await send({"type": "http.response.start", "status": self.status, "headers": self.fields})
        for data in _frames(turn):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if self.cut:
            raise ConnectionResetError
        if self.ending is not None:
            gone = asyncio.ensure_future(receive())
            while self.ending and not gone.done():
                await send({"type": "http.response.body", "body": self.ending, "more_body": True})
                await asyncio.sleep(0)
            await gone
            return
        await send({"type": "http.response.body", "body": b""})


def _frames(turn: object) -> list[bytes]:
    match turn:
        case bytes():
            return [turn]
        case list():
            chunks: Chunks = turn  # pyright: ignore[reportUnknownVariableType]
            return [c if isinstance(c, bytes) else f"data: {json.dumps(c)}\n\n".encode() for c in chunks]
        case _:
            return [json.dumps(turn).encode()]


def says(text: str) -> dict[str, object]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def calls(*wanted: tuple[str, str]) -> dict[str, object]:
    tool_calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(wanted)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": tool_calls}
    return {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def delta(finish: str | None = None, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


DONE = b"data: [DONE]\n\n"
