"""The request of `skyfleet invoke`, and the text of its reply.

The rule of this file: pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.routers.sse import Event


def body_for(path: str, text: str, *, stream: bool) -> JsonObject:
    """The body for a path: messages for OpenAI's chat completions, else an input."""
    body: JsonObject = (
        {"model": "skyfleet", "messages": [{"role": "user", "content": text}]}
        if path.rstrip("/").endswith("/chat/completions")
        else {"input": text}
    )
    return {**body, "stream": True} if stream else body


def answer_text(reply: str) -> str:
    """The agent's output, or the message of an error, else the whole reply."""
    parsed = json_access.parse(reply)
    fields = json_access.as_object(parsed)
    choice = json_access.first_object(fields.get("choices"))
    error = json_access.as_object(fields.get("error"))
    for plain in (fields.get("output"), json_access.as_object(choice.get("message")).get("content")):
        if isinstance(plain, str):
            return plain
    if error:
        return f"{json_access.string(error.get('code'), 'error')}: {json_access.string(error.get('message'))}"
    return reply if parsed is None else json.dumps(parsed, indent=2)


def event_text(event: Event) -> str:
    """The text that an event adds to the answer; empty for steps and ends."""
    parsed = json_access.parse(event.data)
    fields = json_access.as_object(parsed)
    if event.name == "delta":
        return (
            parsed
            if isinstance(parsed, str)
            else json_access.string(fields.get("text"), json_access.string(fields.get("delta")))
        )
    return json_access.string(
        json_access.as_object(json_access.first_object(fields.get("choices")).get("delta")).get("content")
    )


def stream_problem(events: list[Event]) -> str:
    """Why a finished stream is a failure: an error event, or no last event; empty for a success."""
    if not events:
        return "the stream had no event"
    last = events[-1]
    found = json_access.as_object(json_access.as_object(json_access.parse(last.data)).get("error"))
    if last.name == "error" or found:
        return json_access.string(found.get("message"), last.data)
    if last.name == "done" or last.data.strip() == "[DONE]":
        return ""
    return "the stream was cut before its last event"


def reply_line(url: str, status: int, headers: Mapping[str, str]) -> str:
    """One line with status, target, router and attempts of a reply."""
    target = headers.get("x-skyfleet-target", "no target")
    attempts = headers.get("x-skyfleet-attempts", "?")
    panic = ", panic: no target serves" if headers.get("x-skyfleet-panic") == "true" else ""
    return f"{status} from {target} through {url} (attempts: {attempts}{panic})"
