"""The agent loop with a model: call the tools that the model requests, until it answers.

Rule: there are at most `MAX_ROUNDS` turns, the last one without tools, and at most `MAX_CALLS` tool calls in
a turn.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, cast

from functions.api import AgentRequest, Event, Message, Step, Usage
from functions.demo.model_errors import ModelFailed, ModelMisused
from functions.demo.openai_client import ChatApi, ToolCall, Turn
from functions.demo.tools.base import Context
from functions.demo.tools.catalog import TOOLS, call
from skyfleet import contract

# Typical questions take two or three turns; eight limit the cost of a model that loops.
MAX_ROUNDS: Final = 8
MAX_CALLS: Final = 8
INSTRUCTIONS: Final = (
    "You are a helpful agent. Use the tools for arithmetic, time, text and waiting. Be brief."
)
# The fields of a request that are forwarded to the model.
PASSED_ON: Final = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop")


@dataclass(frozen=True, slots=True)
class Model:
    """A model behind a chat completions endpoint. name: the endpoint's name of the model."""

    api: ChatApi
    name: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Model:
        """Read MODEL_BASE_URL, MODEL_NAME and MODEL_API_KEY (optional). Raises ModelMisused without a
        name."""
        name = environ.get(contract.MODEL_NAME)
        if not name:
            raise ModelMisused("MODEL_BASE_URL is set and MODEL_NAME is not; name the model to use.")
        return cls(ChatApi(environ[contract.MODEL_BASE_URL], environ.get(contract.MODEL_API_KEY)), name)

    async def answer(self, request: AgentRequest, context: Context) -> AsyncGenerator[Event, None]:
        """Yield the model's text, a step for each tool call, and the usage.

        Raises an error of functions/demo/model_errors.py.
        """
        messages = _messages(request.messages)
        prompt_tokens = completion_tokens = 0
        for round_number in range(1, MAX_ROUNDS + 1):
            body = self._body(request, messages, last=round_number == MAX_ROUNDS)
            turn: Turn | None = None
            turns = self._turn(body, stream=request.stream)
            async with aclosing(turns):
                async for piece in turns:
                    if isinstance(piece, Turn):
                        turn = piece
                    else:
                        yield piece
            if turn is None or (not turn.calls and not turn.text):
                raise ModelFailed("The model answered with nothing.")
            if turn.usage is not None:
                prompt_tokens += turn.usage.prompt_tokens
                completion_tokens += turn.usage.completion_tokens
            if not turn.calls:
                if completion_tokens:
                    yield Usage(prompt_tokens, completion_tokens)
                return
            messages.append(_assistant(turn))
            for wanted in turn.calls[:MAX_CALLS]:
                step = await _act(wanted, context)
                yield step
                messages.append({"role": "tool", "tool_call_id": wanted.id, "content": str(step.output)})
            messages.extend(_refused(wanted) for wanted in turn.calls[MAX_CALLS:])
        raise ModelFailed(f"The model asked for tools {MAX_ROUNDS} times and gave no answer.")

    async def _turn(self, body: dict[str, object], *, stream: bool) -> AsyncGenerator[str | Turn, None]:
        if stream:
            pieces = self.api.streamed({**body, "stream": True, "stream_options": {"include_usage": True}})
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        else:
            turn = await self.api.plain(body)
            if turn.text:
                yield turn.text
            yield turn

    def _body(
        self, request: AgentRequest, messages: list[dict[str, object]], *, last: bool
    ) -> dict[str, object]:
        tools = [
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
            }
            for t in TOOLS.values()
        ]
        chosen = {name: request.body[name] for name in PASSED_ON if name in request.body}
        choice = {"tool_choice": "none"} if last else {}
        return {"model": self.name, "messages": messages, "tools": tools, **choice, **chosen}


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


def _messages(messages: tuple[Message, ...]) -> list[dict[str, object]]:
    given: list[dict[str, object]] = [{"role": "system", "content": INSTRUCTIONS}]
    for message in messages:
        if message.role == "tool":
            # The parsed conversation has no tool calls, and endpoints refuse a tool message without its call.
            given.append({"role": "system", "content": f"A tool of the caller answered: {message.content}"})
        else:
            role = "system" if message.role == "developer" else message.role
            given.append({"role": role, "content": message.content})
    return given


def _assistant(turn: Turn) -> dict[str, object]:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in turn.calls
    ]
    return {"role": "assistant", "content": turn.text or None, "tool_calls": calls}


def _refused(wanted: ToolCall) -> dict[str, object]:
    text = f"Not called: at most {MAX_CALLS} calls in one turn."
    return {"role": "tool", "tool_call_id": wanted.id, "content": text}
