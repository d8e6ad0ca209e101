"""A model behind an OpenAI-compatible endpoint, in this process, whose answer follows from the request alone.

What the last text of the conversation begins with decides:

- `status N KEY`: status N with `Retry-After: 1` at the first time with this key, then an answer.
- `refuse`: 400 of a request that is too long. `break off`: a stream without its end. `silent`: no answer.
- `weather A, B`: a call for each place. After their results, an answer from them.
- Anything else is repeated. Images and the response format are told in the answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from tests.asgi import Message, Receive, Send
from tests.functions.fake_model import DONE

WAIT_S: Final = 1
TOO_LONG: Final = {
    "message": "This model reads at most 8 tokens.",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
Body = Mapping[str, Any]


class ScriptedModel:
    """The application. bodies: the requests, oldest first."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self._seen: set[str] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        data, more = b"", True
        while more:
            message = await receive()
            data, more = data + message.get("body", b""), message.get("more_body", False)
        body: Body = json.loads(data)
        self.bodies.append(body)
        text = _text(body)
        if text == "silent":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif text == "refuse":
            await _reply(send, 400, {"error": TOO_LONG})
        elif text.startswith("status ") and text not in self._seen:
            self._seen.add(text)
            await _reply(send, int(text.split()[1]), {"error": {"message": "later"}}, retry=True)
        elif body.get("stream"):
            await _stream(send, body, broken=text == "break off")
        else:
            await _reply(send, 200, whole(body))


def whole(body: Body) -> dict[str, object]:
    """The reply to a request that is no stream."""
    choices: list[object] = []
    for index in range(body.get("n", 1)):
        message, reason = _message(body, index)
        choices.append({"index": index, "message": message, "finish_reason": reason})
    head = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 1, "model": "scripted"}
    return {**head, "choices": choices, "usage": USAGE}


def _message(body: Body, index: int) -> tuple[dict[str, object], str]:
    """One answer and its finish reason."""
    text = _text(body)
    if text.startswith("weather ") and body["messages"][-1]["role"] == "user":
        places = text.removeprefix("weather ").split(", ")
        wanted = places if body.get("parallel_tool_calls", True) else places[:1]
        calls = [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": "weather", "arguments": json.dumps({"place": place})},
            }
            for number, place in enumerate(wanted)
        ]
        return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    text = _answer(body) if index == 0 else f"{_answer(body)} ({index})"
    return {"role": "assistant", "content": text}, "stop"


def _answer(body: Body) -> str:
    called: dict[str, str] = {}
    results: list[str] = []
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            called[call["id"]] = json.loads(call["function"]["arguments"])["place"]
        if message["role"] == "tool":
            results.append(f"{called[message['tool_call_id']]}: {message['content']}")
    if results:
        return "; ".join(results)
    content = body["messages"][-1]["content"]
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        return json.dumps([part["image_url"] for part in parts if part["type"] == "image_url"])
    wanted: Body = body.get("response_format") or {}
    kind = wanted.get("type", "text")
    return str(content) if kind == "text" else json.dumps({"kind": kind, "degrees": 21})


def _text(body: Body) -> str:
    content: object = body["messages"][-1]["content"]
    return content if isinstance(content, str) else ""


async def _reply(send: Send, status: int, body: Mapping[str, object], *, retry: bool = False) -> None:
    headers = [(b"content-type", b"application/json")]
    if retry:
        headers.append((b"retry-after", b"%d" % WAIT_S))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _stream(send: Send, body: Body, *, broken: bool) -> None:
    """The answers in small pieces, in turn; a broken one lacks its end."""
    head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def chunk(choices: list[object], usage: object = None) -> None:
        data = json.dumps({**head, "choices": choices, "usage": usage})
        await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})

    answers = [_message(body, index) for index in range(body.get("n", 1))]
    pieces = [_deltas(message) for message, _ in answers]
    for number in range(max(len(each) for each in pieces)):
        for index, each in enumerate(pieces):
            if number < len(each):
                await chunk([{"index": index, "delta": each[number], "finish_reason": None}])
    if broken:
        await send({"type": "http.response.body", "body": b""})
        return
    for index, (_, reason) in enumerate(answers):
        await chunk([{"index": index, "delta": {}, "finish_reason": reason}])
    await chunk([], USAGE)
    await send({"type": "http.response.body", "body": DONE})


def _deltas(message: Mapping[str, Any]) -> list[dict[str, object]]:
    """The pieces of a message: its role, then each word or each half of a call's arguments."""
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}]
    for word in (message["content"] or "").split():
        deltas.append({"content": f"{word} "})
    for index, call in enumerate(message.get("tool_calls") or ()):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        deltas.append({"tool_calls": [{"index": index, **call, "function": {"name": name, "arguments": ""}}]})
        for part in (arguments[:5], arguments[5:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    return deltas
