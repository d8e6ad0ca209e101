"""The agent loop with a model: call the tools that the model requests, until it answers.

Rules
- There are at most `MAX_ROUNDS` turns, the last without tools, and at most `MAX_CALLS` tool calls in a turn.
- A request with `tools` of its own is one turn with these: the client calls them and sends the results.
- What the model says of its answer is passed on: head, refusal, log probabilities, finish reason. The usage
  is that of all turns.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, cast

from functions.api import AgentRequest, Delta, End, Event, Step, Usage
from functions.demo.history import conversation
from functions.demo.model_errors import ModelFailed, ModelMisused
from functions.demo.openai_client import ChatApi, Output, ToolCall, Turn
from functions.demo.parameters import for_the_model
from functions.demo.tools.base import Context
from functions.demo.tools.catalog import TOOLS, call
from skyfleet import contract

# Typical questions take two or three turns; eight limit the cost of a model that loops.
MAX_ROUNDS: Final = 8
MAX_CALLS: Final = 8
INSTRUCTIONS: Final = (
    "You are a helpful agent. Use the tools for arithmetic, time, text and waiting. Be brief."
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model behind a chat completions endpoint. name: the endpoint's name of the model."""

    api: ChatApi
    name: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Model:
        """Read MODEL_BASE_URL, MODEL_NAME and MODEL_API_KEY (optional).

        Raises ModelMisused without a name, or with a key that cannot be sent.
        """
        name = environ.get(contract.MODEL_NAME)
        if not name:
            raise ModelMisused("MODEL_BASE_URL is set and MODEL_NAME is not; name the model to use.")
        key = environ.get(contract.MODEL_API_KEY, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ModelMisused("MODEL_API_KEY has characters that no header field can carry; set it again.")
        return cls(ChatApi(environ[contract.MODEL_BASE_URL], key or None), name)

    async def answer(self, request: AgentRequest, context: Context) -> AsyncGenerator[Event, None]:
        """Yield the model's text, a step for each tool call, and the usage.

        Raises an error of functions/demo/model_errors.py.
        """
        chosen = for_the_model(request.body)
        theirs = not chosen.keys().isdisjoint({"tools", "functions"})
        messages = conversation(request, () if theirs else (INSTRUCTIONS,))
        total: Usage | None = None
        for round_number in range(1, MAX_ROUNDS + 1):
            body = self._body(messages, chosen, theirs=theirs, last=round_number == MAX_ROUNDS)
            turn: Turn | None = None
            turns = self._turn(body, stream=request.stream)
            async with aclosing(turns):
                async for piece in turns:
                    if isinstance(piece, Turn):
                        turn = piece
                    else:
                        yield piece
            if turn is None or not (turn.calls or turn.spoke or turn.finish_reason):
                raise ModelFailed("The model answered with nothing.")
            total = _sum(total, turn.usage)
            if theirs or not turn.calls:
                if turn.calls:
                    yield Delta({"tool_calls": [call.to_json() for call in turn.calls]})
                if total is not None:
                    yield total
                yield End(turn.finish_reason or "stop")
                return
            messages.append(_assistant(turn))
            for wanted in turn.calls[:MAX_CALLS]:
                step = await _act(wanted, context)
                yield step
                messages.append({"role": "tool", "tool_call_id": wanted.id, "content": str(step.output)})
            messages.extend(_refused(wanted) for wanted in turn.calls[MAX_CALLS:])
        raise ModelFailed(f"The model asked for tools {MAX_ROUNDS} times and gave no answer.")

    def _turn(self, body: dict[str, object], *, stream: bool) -> Output:
        if stream:
            return self.api.streamed({**body, "stream": True, "stream_options": {"include_usage": True}})
        return self.api.plain(body)

    def _body(
        self, messages: list[dict[str, object]], chosen: dict[str, object], *, theirs: bool, last: bool
    ) -> dict[str, object]:
        request: dict[str, object] = {"model": self.name, "messages": messages, **chosen}
        if theirs:
            return request
        if request.pop("tool_choice", "auto") == "none":
            return request
        request["tools"] = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
            }
            for t in TOOLS.values()
        ]
        return {**request, "tool_choice": "none"} if last else request


async def _act(wanted: ToolCall, context: Context) -> Step:
    try:
        parsed: object = json.loads(wanted.arguments or "{}")
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        return Step(wanted.name, wanted.arguments, "The arguments are no JSON object.")
    arguments = cast("dict[str, Any]", parsed)
    called = await call(wanted.name, arguments, context)
    return Step(wanted.name, arguments, called.observation.value)


def _assistant(turn: Turn) -> dict[str, object]:
    calls = [call.to_json() for call in turn.calls]
    return {"role": "assistant", "content": turn.text or None, "tool_calls": calls}


def _sum(total: Usage | None, more: Usage | None) -> Usage | None:
    """The usage of all turns."""
    if total is None or more is None:
        return total or more
    details = {
        name: {
            part: total.details.get(name, {}).get(part, 0) + more.details.get(name, {}).get(part, 0)
            for part in {**total.details.get(name, {}), **more.details.get(name, {})}
        }
        for name in {**total.details, **more.details}
    }
    return Usage(
        total.prompt_tokens + more.prompt_tokens, total.completion_tokens + more.completion_tokens, details
    )


def _refused(wanted: ToolCall) -> dict[str, object]:
    text = f"Not called: at most {MAX_CALLS} calls in one turn."
    return {"role": "tool", "tool_call_id": wanted.id, "content": text}
