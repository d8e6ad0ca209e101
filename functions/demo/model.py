"""The agent loop with a model: call the tools that the model requests, until it answers.

Rules
- There are at most `MAX_ROUNDS` turns, the last without tools, and at most `MAX_CALLS` tool calls in a turn.
- A request with `tools` of its own is one turn with these: the client calls them and sends the results.
- What the model says of its answer is passed on: head, refusal, log probabilities, finish reason. The usage
  is that of all turns.
- With `n` the first turn asks the model for n answers. One that calls tools goes on in turns of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from functions.api import AgentRequest, Choice, Delta, End, Event, Head, Step, Usage
from functions.demo.history import conversation
from functions.demo.model_errors import ModelFailed, ModelMisused
from functions.demo.model_replies import Reply, ToolCall, Turn, json_object
from functions.demo.openai_client import ChatApi, Output
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

_TOOLS: Final = [
    {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
    for tool in TOOLS.values()
]


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
        chosen = for_the_model(request.body, request.n)
        theirs = not chosen.keys().isdisjoint({"tools", "functions"})
        messages = conversation(request, () if theirs else (INSTRUCTIONS,))
        loop = _Loop(self, chosen, theirs, request.stream, context)
        reply: Reply | None = None
        async with aclosing(loop.ask(messages, n=request.n)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Reply):
                    reply = piece
                else:
                    yield piece
        total = reply.usage if reply else None
        for turn in reply.turns if reply else ():
            async with aclosing(loop.rest(turn, messages)) as events:
                async for event in events:
                    if isinstance(event, Usage):
                        total = _sum(total, event)
                    elif turn.index and isinstance(event, str | Delta | End):
                        yield Choice(turn.index, event)
                    else:
                        yield event
        if total is not None:
            yield total


@dataclass(frozen=True, slots=True)
class _Loop:
    """The turns of one request.

    chosen: the parameters to pass on. theirs: the tools are the client's, which calls them.
    """

    model: Model
    chosen: Mapping[str, object]
    theirs: bool
    stream: bool
    context: Context

    def ask(self, messages: Sequence[Mapping[str, object]], *, n: int = 1, last: bool = False) -> Output:
        """One turn."""
        body: dict[str, object] = {"model": self.model.name, "messages": [*messages], **self.chosen}
        if n > 1:
            body["n"] = n
        if not self.theirs and body.pop("tool_choice", "auto") != "none":
            body |= {"tools": _TOOLS, **({"tool_choice": "none"} if last else {})}
        if self.stream:
            streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
            return self.model.api.streamed(streamed)
        return self.model.api.plain(body)

    async def rest(
        self, turn: Turn, before: Sequence[Mapping[str, object]]
    ) -> AsyncGenerator[Head | str | Delta | Step | Usage | End, None]:
        """What follows the first turn of an answer. before: the messages of that turn."""
        messages = [*before]
        for round_number in range(2, MAX_ROUNDS + 2):
            if not (turn.calls or turn.spoke or turn.finish_reason):
                raise ModelFailed("The model answered with nothing.")
            if self.theirs or not turn.calls:
                if turn.calls:
                    yield Delta({"tool_calls": [call.to_json() for call in turn.calls]})
                yield End(turn.finish_reason or "stop")
                return
            if round_number > MAX_ROUNDS:
                break
            messages.append(_assistant(turn))
            for wanted in turn.calls[:MAX_CALLS]:
                step = await _act(wanted, self.context)
                yield step
                messages.append({"role": "tool", "tool_call_id": wanted.id, "content": str(step.output)})
            messages.extend(_refused(wanted) for wanted in turn.calls[MAX_CALLS:])
            async with aclosing(self.ask(messages, last=round_number == MAX_ROUNDS)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Reply):
                        turn = piece.turns[0]
                        if piece.usage is not None:
                            yield piece.usage
                    elif not isinstance(piece, Choice):
                        yield piece
        raise ModelFailed(f"The model asked for tools {MAX_ROUNDS} times and gave no answer.")


async def _act(wanted: ToolCall, context: Context) -> Step:
    try:
        arguments = json_object((wanted.arguments or "{}").encode())
    except ValueError:
        return Step(wanted.name, wanted.arguments, "The arguments are no JSON object.")
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
