"""What `skyfleet invoke` sends and how it shows what comes back.

The rule of this file: pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from infra.cli import json_access
from infra.cli.json_access import JsonObject
from infra.cli.routers.sse import Event


def body_for(path: str, text: str, *, stream: bool) -> JsonObject:
    """The request a path takes: OpenAI's chat completions get messages, everything else gets an input."""
    asked: JsonObject = (
        {"model": "skyfleet", "messages": [{"role": "user", "content": text}]}
        if path.rstrip("/").endswith("/chat/completions")
        else {"input": text}
    )
    return {**asked, "stream": True} if stream else asked


def answer_text(reply: str) -> str:
    """What a person wants of a reply: the agent's output, an error's message, else all of it."""
    parsed = json_access.parse(reply)
    told = json_access.as_object(parsed)
    choice = json_access.first_object(told.get("choices"))
    error = json_access.as_object(told.get("error"))
    for plain in (told.get("output"), json_access.as_object(choice.get("message")).get("content")):
        if isinstance(plain, str):
            return plain
    if error:
        return f"{json_access.string(error.get('code'), 'error')}: {json_access.string(error.get('message'))}"
    return reply if parsed is None else json.dumps(parsed, indent=2)


def event_text(event: Event) -> str:
    """What one streamed event adds to the answer on the screen; empty for steps and ends."""
    parsed = json_access.parse(event.data)
    told = json_access.as_object(parsed)
    if event.name == "delta":
        return (
            parsed
            if isinstance(parsed, str)
            else json_access.string(told.get("text"), json_access.string(told.get("delta")))
        )
    return json_access.string(
        json_access.as_object(json_access.first_object(told.get("choices")).get("delta")).get("content")
    )


def stream_problem(events: list[Event]) -> str:
    """Why a finished stream is not a success: an error event, or no last event at all; empty when it is
    well.
    """
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
    """One line on the target and the router of a reply."""
    target = headers.get("x-skyfleet-target", "no target")
    attempts = headers.get("x-skyfleet-attempts", "?")
    panic = ", panic: every target looks down" if headers.get("x-skyfleet-panic") == "true" else ""
    return f"{status} from {target} through {url} (attempts: {attempts}{panic})"
