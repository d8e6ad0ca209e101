"""Run the user's agent on one request, as a stream of events.

Rules
- The stream ends with exactly one `Finished`, or it raises. An exception of the agent that is not a
  FunctionError becomes AgentFailed, SystemExit too; its stack trace is logged and never sent.
- The agent's generator is always closed, also when the client has disconnected.
- `notify_start` is called before the agent starts, after the request was found valid. The hook of the scope
  may raise to prevent the start.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from functions.api import AgentRequest, Choice, Delta, End, Failed, Head, Step, Usage
from functions.errors import AgentFailed, FunctionError
from functions.loading import Kind, LoadedAgent
from skyfleet.asgi import Scope, json_bytes

LOG: Final = logging.getLogger("skyfleet.agent")
# The usual rule of thumb for English text; used where no model reports its token counts.
CHARACTERS_PER_TOKEN: Final = 4
# An entry of a scope: a hook that is awaited right before the agent starts.
ON_START: Final = "skyfleet.on_start"


class ReplayStored(Exception):
    """Raised by an ON_START hook: the agent must not start, since a stored reply is sent instead."""


async def notify_start(scope: Scope) -> None:
    """Await the ON_START hook of the scope, if there is one."""
    hook: Callable[[], Awaitable[None]] | None = scope.get(ON_START)
    if hook is not None:
        await hook()


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer.

    finish_reason, fields, logprobs: what a model told of the end, of its message besides the content, and of
    its tokens, with OpenAI's names.
    """

    text: str
    finish_reason: str = "stop"
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    logprobs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run.

    body: the whole reply of /invoke as JSON. answers: by their index; several for requests with `n`.
    """

    body: bytes
    answers: Mapping[int, Answer]
    usage: Usage


# The reply of `Failed` is text here, also where the agent returned a mapping.
Output = AsyncGenerator[str | Failed | Step | Head | Delta | Choice | Finished, None]


def run(agent: LoadedAgent, request: AgentRequest) -> Output:
    """The events of the agent, then `Finished`. Raises FunctionError."""
    return _run_generator(agent, request) if agent.kind is Kind.GENERATOR else _run_function(agent, request)


async def _run_function(agent: LoadedAgent, request: AgentRequest) -> Output:
    with _agent_errors(request):
        returned: object = await agent.call(request)
        reply: object = returned.reply if isinstance(returned, Failed) else returned
        match reply:
            case str():
                text, body = reply, json_bytes({"output": reply, "steps": []})
            case Mapping():
                whole = cast("Mapping[str, object]", reply)
                text, body = _text_of(whole), json_bytes(whole)
            case _:
                raise TypeError(
                    f"the agent returned a value of type {type(reply).__name__}; expected text or a mapping"
                )
    yield Failed(text) if isinstance(returned, Failed) else text
    yield Finished(body, {0: Answer(text)}, _estimate(request, [text]))


async def _run_generator(agent: LoadedAgent, request: AgentRequest) -> Output:
    collected = _Collected()
    with _agent_errors(request):
        generator: AsyncGenerator[object, None] = agent.call(request)
        async with aclosing(generator):
            async for event in generator:
                match event:
                    case str() | Step() | Head() | Delta() | Failed(reply=str()):
                        collected.add(event)
                        yield event
                    case Choice(event=str() | Delta()):
                        collected.add_choice(event, request.n)
                        yield event
                    case Choice(event=End()):
                        collected.add_choice(event, request.n)
                    case Usage() | End():
                        collected.note(event)
                    case _:
                        raise TypeError(
                            f"the agent yielded a value of type {type(event).__name__}; expected text, Step, "
                            "Usage, Head, Delta, End, Failed with a text, or Choice with text, Delta or End"
                        )
        finished = collected.finished(request)
    yield finished


class _Collected:
    """What a generator has yielded."""

    def __init__(self) -> None:
        self._answers: dict[int, _Parts] = {0: _Parts()}
        self._steps: list[dict[str, object]] = []
        self._usage: Usage | None = None

    def add(self, event: str | Step | Head | Delta | Failed) -> None:
        match event:
            case str() | Delta():
                self._answers[0].add(event)
            case Failed(reply=text):
                self._answers[0].add(str(text))
            case Step():
                json_bytes(event.to_json())  # a value that is not JSON is an error of the agent
                self._steps.append(event.to_json())
            case Head():
                json_bytes(dict(event.fields))

    def add_choice(self, choice: Choice, n: int) -> None:
        if not 0 <= choice.index < n:
            raise ValueError(f"the agent gave a choice with index {choice.index}; the request has n={n}")
        self._answers.setdefault(choice.index, _Parts()).add(choice.event)

    def note(self, event: Usage | End) -> None:
        if isinstance(event, Usage):
            self._usage = event
        else:
            self._answers[0].add(event)

    def finished(self, request: AgentRequest) -> Finished:
        """The end of the run, with the reply of /invoke, which has the first answer."""
        answers = {index: parts.answer() for index, parts in sorted(self._answers.items())}
        first = answers[0]
        end = {} if first.finish_reason == "stop" else {"finish_reason": first.finish_reason}
        body = json_bytes({"output": first.text, "steps": self._steps, **end, **first.fields})
        usage = self._usage or _estimate(request, [answer.text for answer in answers.values()])
        return Finished(body, answers, usage)


class _Parts:
    """What belongs to one answer."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._fields: dict[str, Any] = {}
        self._logprobs: dict[str, Any] = {}
        self._finish_reason = "stop"

    def add(self, event: str | Delta | End) -> None:
        match event:
            case str():
                self._texts.append(event)
            case Delta():
                self._texts.append(event.text)
                _merge(self._fields, event.fields)
                _merge(self._logprobs, event.logprobs or {})
            case End():
                self._finish_reason = event.finish_reason

    def answer(self) -> Answer:
        fields = {name: value for name, value in self._fields.items() if name not in ("content", "role")}
        return Answer("".join(self._texts), self._finish_reason, fields, self._logprobs or None)


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Append texts and lists to those of the same name, also within objects; other values replace them."""
    for name, value in more.items():
        before = into.get(name)
        if isinstance(value, Mapping):
            inside: dict[str, Any] = {**before} if isinstance(before, dict) else {}
            _merge(inside, cast("Mapping[str, Any]", value))
            into[name] = inside
            continue
        joined = isinstance(value, (str, list)) and type(before) is type(cast("object", value))
        into[name] = cast("Any", before) + value if joined else value


@contextmanager
def _agent_errors(request: AgentRequest) -> Generator[None]:
    try:
        yield
    except FunctionError as error:
        if error.status >= 429:  # below, the request is at fault
            LOG.warning("request %s: %s: %s", request.request_id, error.code, error)
        raise
    except (asyncio.CancelledError, GeneratorExit):  # the client has left
        raise
    except BaseException as error:  # `sys.exit` of a tool too
        LOG.exception("request %s: the agent failed", request.request_id)
        raise AgentFailed(request.request_id) from error


def _text_of(reply: Mapping[str, object]) -> str:
    """The text of a mapping: its "output" if that is text, otherwise the JSON of all of it."""
    output = reply.get("output")
    return output if isinstance(output, str) else json_bytes(reply).decode()


def _estimate(request: AgentRequest, outputs: Sequence[str]) -> Usage:
    """The prompt counts once, as in OpenAI's API; the images in it do not."""
    prompt = sum(len(message.content) for message in request.messages)
    tokens = sum(math.ceil(len(output) / CHARACTERS_PER_TOKEN) for output in outputs)
    return Usage(math.ceil(prompt / CHARACTERS_PER_TOKEN), tokens)
