"""The shapes of OpenAI's chat completions API, from what an agent says.

https://platform.openai.com/docs/api-reference/chat. Pure: ids and times come in. Both follow from
the request: `id` from its id, `created` from when it began, so another attempt of it can go on where
one broke off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from functions.api import Usage

# What /v1/models lists and every answer names; the caller's own choice of model is not looked at.
MODEL: Final = "skyfleet-agent"


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer in the making. created: unix seconds, when the request began."""

    request_id: str
    created: int

    @property
    def id(self) -> str:
        # The same in every attempt of one request, so that a client never sees two ids for one answer.
        return f"chatcmpl-{hashlib.sha256(self.request_id.encode()).hexdigest()[:24]}"

    def whole(self, text: str, usage: Usage) -> dict[str, object]:
        """The reply when no stream was asked for."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_json(usage)}

    def first(self) -> dict[str, object]:
        """The chunk that opens a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def delta(self, text: str) -> dict[str, object]:
        """A piece of the answer."""
        return self._chunk({"content": text})

    def last(self) -> dict[str, object]:
        """The chunk that says the answer is complete."""
        return self._chunk({}, "stop")

    def usage(self, usage: Usage) -> dict[str, object]:
        """The chunk after the last one, for callers that set stream_options.include_usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _chunk(self, delta: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL}


def usage_json(usage: Usage) -> dict[str, int]:
    """Token counts as OpenAI names them."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def model_json() -> dict[str, object]:
    """The one model there is. `created` is constant: equal bytes in all clouds."""
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "skyfleet"}
