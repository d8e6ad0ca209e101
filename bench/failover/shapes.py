"""Requests and replies of the bench: OpenAI's chat completions with content that can be verified.

Rule: pure. The id of a request is in its message, since some routers drop unknown header fields. The id
determines the whole reply, so an incomplete reply is found.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

MODEL: Final = "agent"
PATH: Final = "/v1/chat/completions"
PIECES: Final = 6
_SAYS: Final = "request "
# Median and sigma of the service time; p99 is twice the median.
MEDIAN_S: Final = 0.050
_SIGMA: Final = 0.3
# The share of requests that are poison, and that of the client with the bug; another client sends the rest.
POISONED: Final = 0.25
BUGGY: Final = 0.25
BUGGY_CLIENT: Final = "client-0"
OTHER_CLIENT: Final = "client-1"
# Time between two events of a stream.
GAP_S: Final = 0.005


def service_s(seed: int, request_id: str) -> float:
    """The service time (s) of a request on a healthy target: lognormal, equal on every target."""
    return random.Random(f"{seed} {request_id}").lognormvariate(math.log(MEDIAN_S), _SIGMA)


def request_body(request_id: str, *, stream: bool, repeatable: bool) -> dict[str, Any]:
    """The body of a request. `disable_fallbacks` keeps LiteLLM from repeating it; others ignore it."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": _SAYS + request_id}],
        "stream": stream,
    }
    return body if repeatable else {**body, "disable_fallbacks": True}


def request_headers(request_id: str, *, repeatable: bool) -> dict[str, str]:
    """The header fields of a request; the retry field is LiteLLM's own, others ignore it."""
    client = {"x-api-key": client_of(request_id)}
    if repeatable:
        return {**client, "idempotency-key": request_id}
    return {**client, "x-litellm-num-retries": "0"}


def client_of(request_id: str) -> str:
    """The key of the client that sends this request."""
    return BUGGY_CLIENT if random.Random(f"client {request_id}").random() < BUGGY else OTHER_CLIENT


def fails_everywhere(action: str, request_id: str) -> bool:
    """Whether this request fails at each target with that fault; a target knows the client by the id, since
    some routers do not pass on its key."""
    if action == "tenant":
        return client_of(request_id) == BUGGY_CLIENT
    return action == "poison" and random.Random(f"poison {request_id}").random() < POISONED


def request_id_of(body: object) -> str:
    """The id in a request's body; empty for requests that are not of the load, such as health checks."""
    if not isinstance(body, dict):
        return ""
    messages = cast("dict[str, Any]", body).get("messages")
    try:
        content = cast("list[dict[str, object]]", messages)[-1]["content"]
    except (TypeError, KeyError, IndexError):
        return ""
    return content.removeprefix(_SAYS) if isinstance(content, str) and content.startswith(_SAYS) else ""


def pieces(request_id: str) -> tuple[str, ...]:
    """The parts of the reply's text; a stream has one in each event."""
    return tuple(f"{request_id}:{number} " for number in range(PIECES))


def reply(request_id: str) -> dict[str, Any]:
    """The complete JSON reply."""
    message = {"role": "assistant", "content": "".join(pieces(request_id))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": PIECES, "total_tokens": 2 + PIECES}
    return {**_envelope(request_id, "chat.completion"), "choices": [choice], "usage": usage}


def events(request_id: str) -> tuple[bytes, ...]:
    """The reply as a stream: an event for each piece, one with the finish reason, and `[DONE]`."""
    envelope = _envelope(request_id, "chat.completion.chunk")
    texts = [{"index": 0, "delta": {"role": "assistant", "content": text}} for text in pieces(request_id)]
    choices: list[dict[str, Any]] = [*texts, {"index": 0, "delta": {}, "finish_reason": "stop"}]
    chunks = [json.dumps({**envelope, "choices": [choice]}) for choice in choices]
    return tuple(f"data: {text}\n\n".encode() for text in (*chunks, "[DONE]"))


def fault_of_reply(request_id: str, body: bytes) -> str:
    """Why a JSON reply is not complete and good; empty when it is."""
    try:
        text = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, TypeError, KeyError, IndexError):
        return "not a chat completion"
    return "" if text == "".join(pieces(request_id)) else "another request's reply"


def fault_of_stream(request_id: str, body: bytes) -> str:
    """Why a stream is not complete and good; empty when it is."""
    texts: list[str] = []
    stopped = done = False
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            done = True
        elif data:
            text, finish = _delta(data)
            if text is None:
                return "an error event"
            texts.append(text)
            stopped = stopped or finish
    if not (done and stopped):
        return "no final event"
    return "" if "".join(texts) == "".join(pieces(request_id)) else "pieces are missing or doubled"


def _delta(data: bytes) -> tuple[str | None, bool]:
    """The text of one event, None for an error, and whether the event has the finish reason."""
    try:
        event: Mapping[str, Any] = json.loads(data)
        choices: Iterable[Mapping[str, Any]] = event["choices"]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        return text, any(choice.get("finish_reason") == "stop" for choice in choices)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, False


def _envelope(request_id: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": 1_700_000_000, "model": MODEL}
