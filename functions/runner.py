"""Run the user's agent on one request, as a stream of events.

Rules
- The stream ends with exactly one `Finished`, or it raises. An exception of the agent that is not a
  FunctionError becomes AgentFailed; its stack trace is logged and never sent.
- The agent's generator is always closed, also when the client has disconnected.
- `notify_start` is called before the agent starts, after the request was found valid. The hook of the scope
  may raise to prevent the start.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Final, cast

from functions.api import AgentRequest, Failed, Step, Usage
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
class Finished:
    """The end of a run. body: the whole reply of /invoke as JSON. text: the answer alone."""

    body: bytes
    text: str
    usage: Usage


# The reply of `Failed` is text here, also where the agent returned a mapping.
Output = AsyncGenerator[str | Failed | Step | Finished, None]


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
                raise TypeError(f"the agent returned a {type(reply).__name__}; expected text or a mapping")
    yield Failed(text) if isinstance(returned, Failed) else text
    yield Finished(body, text, _estimate(request, text))


async def _run_generator(agent: LoadedAgent, request: AgentRequest) -> Output:
    texts: list[str] = []
    steps: list[dict[str, object]] = []
    usage: Usage | None = None
    with _agent_errors(request):
        generator: AsyncGenerator[object, None] = agent.call(request)
        async with aclosing(generator):
            async for event in generator:
                match event:
                    case str():
                        texts.append(event)
                        yield event
                    case Failed(reply=str() as text):
                        texts.append(text)
                        yield event
                    case Step():
                        json_bytes(event.to_json())  # a value that is not JSON is an error of the agent
                        steps.append(event.to_json())
                        yield event
                    case Usage():
                        usage = event
                    case _:
                        raise TypeError(
                            f"the agent yielded a {type(event).__name__}; "
                            "expected text, Step, Usage or Failed with a text"
                        )
        output = "".join(texts)
        body = json_bytes({"output": output, "steps": steps})
    yield Finished(body, output, usage or _estimate(request, output))


@contextmanager
def _agent_errors(request: AgentRequest) -> Generator[None]:
    try:
        yield
    except FunctionError:
        raise
    except Exception as error:  # the outermost handler around the user's code
        LOG.exception("request %s: the agent failed", request.request_id)
        raise AgentFailed(request.request_id) from error


def _text_of(reply: Mapping[str, object]) -> str:
    """The text of a mapping: its "output" if that is text, otherwise the JSON of all of it."""
    output = reply.get("output")
    return output if isinstance(output, str) else json_bytes(reply).decode()


def _estimate(request: AgentRequest, output: str) -> Usage:
    prompt = sum(len(message.content) for message in request.messages)
    return Usage(math.ceil(prompt / CHARACTERS_PER_TOKEN), math.ceil(len(output) / CHARACTERS_PER_TOKEN))
