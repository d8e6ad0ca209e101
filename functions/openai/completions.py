"""Format an agent's answer as OpenAI's chat completions.

https://platform.openai.com/docs/api-reference/chat. Pure: ids and times are arguments. Both are derived from
the request, `id` from its id and `created` from its start, so all attempts send equal bytes and another
attempt can continue a broken stream. What a model says of its answer takes their place.

The shapes are those of openai-python: types/chat/chat_completion.py, chat_completion_chunk.py and
types/completion_usage.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from functions.api import Choice, Delta, Failed, Head, Step, Usage
from functions.runner import Answer, Finished

# The model in /v1/models and in every answer. The `model` of a request is ignored.
MODEL: Final = "skyfleet"


@dataclass(frozen=True, slots=True)
class Completion:
    """The formats of one answer.

    created: the start of the request in unix seconds. with_usage: stream_options.include_usage. head: what
    the model says of its answer.
    """

    request_id: str
    created: int
    with_usage: bool = False
    head: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def id(self) -> str:
        # Equal in all attempts of a request, so a client never sees two ids for one answer.
        return f"chatcmpl-{hashlib.sha256(self.request_id.encode()).hexdigest()[:24]}"

    def of(self, head: Head) -> Completion:
        """The same answer, whose model has said this. Its first id and model stay, as in all chunks of a
        stream."""
        kept = {name: self.head[name] for name in ("id", "model", "created") if name in self.head}
        return replace(self, head={**self.head, **head.fields, **kept})

    def whole(self, finished: Finished) -> dict[str, object]:
        """The reply to a request without `stream`."""
        choices = [_choice(index, answer) for index, answer in finished.answers.items()]
        usage = usage_json(finished.usage)
        return {**self._head("chat.completion"), "choices": choices, "usage": usage}

    def first(self, index: int = 0) -> dict[str, object]:
        """The first chunk of an answer in a stream."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def delta(self, part: str | Delta, index: int = 0) -> dict[str, object]:
        """A chunk with a piece of an answer."""
        if isinstance(part, str):
            return self._chunk(index, {"content": part})
        fields = {name: _numbered(value, numbered=True) for name, value in part.fields.items()}
        return self._chunk(index, fields, logprobs=part.logprobs)

    def last(self, finish_reason: str = "stop", index: int = 0) -> dict[str, object]:
        """The chunk with the finish reason of an answer."""
        return self._chunk(index, {}, finish_reason)

    def usage(self, usage: Usage) -> dict[str, object]:
        """The chunk after the last one, for requests with stream_options.include_usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_json(usage)}

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, object],
        finish_reason: str | None = None,
        logprobs: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        # With include_usage all chunks but the last have the field, with null.
        none = {"usage": None} if self.with_usage else {}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **none}

    def _head(self, kind: str) -> dict[str, object]:
        own = {"id": self.id, "object": kind, "created": self.created, "model": MODEL}
        return {**own, **self.head}


@dataclass(slots=True)
class Chunks:
    """The chunks of one stream. Each answer begins with a chunk that has its role, as in OpenAI's API."""

    completion: Completion
    _opened: set[int] = field(default_factory=set[int])

    def of(self, event: str | Failed | Step | Head | Delta | Choice | Finished) -> list[dict[str, object]]:
        """The chunks to send for an event of the agent."""
        match event:
            case Head():
                # Until something is said, a failure can still be a status.
                self.completion = self.completion.of(event)
                return []
            case Choice(index=index, event=str() | Delta() as part):
                return [*self._first(index), self.completion.delta(part, index)]
            case str() | Delta():
                return [*self._first(0), self.completion.delta(event)]
            case Failed(reply=reply):
                return [*self._first(0), self.completion.delta(str(reply))]
            case Finished():
                return self._end(event)
            case _:
                return self._first(0)  # OpenAI's format has no event for a step

    def _end(self, finished: Finished) -> list[dict[str, object]]:
        chunks: list[dict[str, object]] = []
        for index, answer in finished.answers.items():
            chunks += [*self._first(index), self.completion.last(answer.finish_reason, index)]
        return [*chunks, self.completion.usage(finished.usage)] if self.completion.with_usage else chunks

    def _first(self, index: int) -> list[dict[str, object]]:
        if index in self._opened:
            return []
        self._opened.add(index)
        return [self.completion.first(index)]


def _choice(index: int, answer: Answer) -> dict[str, object]:
    fields = {name: _numbered(value, numbered=False) for name, value in answer.fields.items()}
    instead = answer.fields.keys() & {"refusal", "tool_calls", "function_call"}
    content = None if instead and not answer.text else answer.text
    return {
        "index": index,
        "message": {"role": "assistant", "content": content, "refusal": None, **fields},
        "logprobs": answer.logprobs,
        "finish_reason": answer.finish_reason,
    }


def _numbered(value: object, *, numbered: bool) -> object:
    """Tool calls have an index in chunks, and none in whole messages."""
    if not isinstance(value, list):
        return value
    items = cast("list[Any]", value)
    if not all(isinstance(item, Mapping) and ("function" in item or "custom" in item) for item in items):
        return items
    if numbered:
        return [{"index": index, **item} for index, item in enumerate(items)]
    return [{name: part for name, part in item.items() if name != "index"} for item in items]


def usage_json(usage: Usage) -> dict[str, object]:
    """Token counts with OpenAI's names."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        **usage.details,
    }


def model_json() -> dict[str, object]:
    """The entry of the single model. `created` is constant, so all clouds send equal bytes."""
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "skyfleet"}
