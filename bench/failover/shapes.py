"""What is said between the client, the routers and the targets: OpenAI's chat completions, made checkable.

Rule: pure. The request's id travels in the message, since not every router hands on unknown header fields,
and the whole reply is known beforehand, so that a reply that lacks a piece is noticed.
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
# Half of the replies begin before this; one in a hundred takes twice as long.
MEDIAN_S: Final = 0.050
_SIGMA: Final = 0.3
# Between two events of a stream.
GAP_S: Final = 0.005


def service_s(seed: int, ident: str) -> float:
    """How long the work of a request takes on a healthy target: lognormal, the same on every target."""
    return random.Random(f"{seed} {ident}").lognormvariate(math.log(MEDIAN_S), _SIGMA)


def request_body(ident: str, *, stream: bool, repeatable: bool) -> dict[str, Any]:
    """The body of a request. `disable_fallbacks` is how LiteLLM is told not to repeat; others ignore it."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": _SAYS + ident}],
        "stream": stream,
    }
    return body if repeatable else {**body, "disable_fallbacks": True}


def request_headers(ident: str, *, repeatable: bool) -> dict[str, str]:
    """The header fields of a request; the retry field is LiteLLM's own, others ignore it."""
    if repeatable:
        return {"idempotency-key": ident}
    return {"x-litellm-num-retries": "0"}


def ident_of(body: object) -> str:
    """The id in a request's body; empty when the request is none of the load, such as a health check."""
    if not isinstance(body, dict):
        return ""
    messages = cast("dict[str, Any]", body).get("messages")
    try:
        content = cast("list[dict[str, object]]", messages)[-1]["content"]
    except (TypeError, KeyError, IndexError):
        return ""
    return content.removeprefix(_SAYS) if isinstance(content, str) and content.startswith(_SAYS) else ""


def pieces(ident: str) -> tuple[str, ...]:
    """The words of the reply; a stream has one in each event."""
    return tuple(f"{ident}:{number} " for number in range(PIECES))


def reply(ident: str) -> dict[str, Any]:
    """The whole reply."""
    message = {"role": "assistant", "content": "".join(pieces(ident))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2, "completion_tokens": PIECES, "total_tokens": 2 + PIECES}
    return {**_envelope(ident, "chat.completion"), "choices": [choice], "usage": usage}


def events(ident: str) -> tuple[bytes, ...]:
    """The reply as a stream: one event for each piece, one that says why it stopped, and the final one."""
    envelope = _envelope(ident, "chat.completion.chunk")
    said = [{"index": 0, "delta": {"role": "assistant", "content": text}} for text in pieces(ident)]
    choices: list[dict[str, Any]] = [*said, {"index": 0, "delta": {}, "finish_reason": "stop"}]
    chunks = [json.dumps({**envelope, "choices": [choice]}) for choice in choices]
    return tuple(f"data: {text}\n\n".encode() for text in (*chunks, "[DONE]"))


def fault_of_reply(ident: str, body: bytes) -> str:
    """Why a plain reply is not whole and good; empty when it is."""
    try:
        said = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, TypeError, KeyError, IndexError):
        return "not a chat completion"
    return "" if said == "".join(pieces(ident)) else "another request's reply"


def fault_of_stream(ident: str, body: bytes) -> str:
    """Why a stream is not whole and good; empty when it is."""
    said: list[str] = []
    stopped = done = False
    for line in body.splitlines():
        data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            done = True
        elif data:
            text, finish = _delta(data)
            if text is None:
                return "an error event"
            said.append(text)
            stopped = stopped or finish
    if not (done and stopped):
        return "no final event"
    return "" if "".join(said) == "".join(pieces(ident)) else "pieces are missing or doubled"


def _delta(data: bytes) -> tuple[str | None, bool]:
    """The text of one event and whether it is the last one with a choice; None for an error."""
    try:
        event: Mapping[str, Any] = json.loads(data)
        choices: Iterable[Mapping[str, Any]] = event["choices"]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        return text, any(choice.get("finish_reason") == "stop" for choice in choices)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, False


def _envelope(ident: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{ident}", "object": kind, "created": 1_700_000_000, "model": MODEL}
