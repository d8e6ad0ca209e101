"""Format an agent's answer as OpenAI's chat completions.

https://platform.openai.com/docs/api-reference/chat. Pure: ids and times are arguments. Both are derived from
the request, `id` from its id and `created` from its start, so all attempts send equal bytes and another
attempt can continue a broken stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from functions.api import Usage

# The model in /v1/models and in every answer. The `model` of a request is ignored.
MODEL: Final = "skyfleet-agent"


@dataclass(frozen=True, slots=True)
class Completion:
    """The formats of one answer. created: the start of the request in unix seconds."""

    request_id: str
    created: int

    @property
    def id(self) -> str:
        # Equal in all attempts of a request, so a client never sees two ids for one answer.
        return f"chatcmpl-{hashlib.sha256(self.request_id.encode()).hexdigest()[:24]}"

    def whole(self, text: str, usage: Usage) -> dict[str, object]:
        """The reply to a request without `stream`."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_json(usage)}

    def first(self) -> dict[str, object]:
        """The first chunk of a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def delta(self, text: str) -> dict[str, object]:
        """A chunk with a piece of the answer."""
        return self._chunk({"content": text})

    def last(self) -> dict[str, object]:
        """The chunk with the finish reason `stop`."""
        return self._chunk({}, "stop")

    def usage(self, usage: Usage) -> dict[str, object]:
        """The chunk after the last one, for requests with stream_options.include_usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _chunk(self, delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}


def usage_json(usage: Usage) -> dict[str, int]:
    """Token counts with OpenAI's names."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def model_json() -> dict[str, object]:
    """The entry of the single model. `created` is constant, so all clouds send equal bytes."""
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "skyfleet"}
