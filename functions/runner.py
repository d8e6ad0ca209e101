"""Run the user's agent on one request, as one stream of events, whichever way it is written.

Rule: the stream ends with exactly one `Finished`, or it raises. What the agent raises and is not one of our
own errors becomes AgentFailed; the trace goes to the log, never to the caller. The agent's generator is
always closed, also when the caller has gone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Final, cast

from functions.api import AgentRequest, Failed, Step, Usage
from functions.asgi import json_bytes
from functions.errors import AgentFailed, FunctionError
from functions.loading import Kind, LoadedAgent

LOG: Final = logging.getLogger("skyfleet.agent")
# The usual rule of thumb for English text; used only when no model counted.
CHARACTERS_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run. body: the whole reply of /invoke as JSON; text: the answer alone."""

    body: bytes
    text: str
    usage: Usage


# `Failed` holds text here, whichever way the agent said it.
Output = AsyncGenerator[str | Failed | Step | Finished, None]


def run(agent: LoadedAgent, request: AgentRequest) -> Output:
    """Everything the agent says, and then `Finished`."""
    return _run_generator(agent, request) if agent.kind is Kind.GENERATOR else _run_function(agent, request)


async def _run_function(agent: LoadedAgent, request: AgentRequest) -> Output:
    with _agent_errors(request):
        said: object = await agent.call(request)
        reply: object = said.reply if isinstance(said, Failed) else said
        match reply:
            case str():
                text, body = reply, json_bytes({"output": reply, "steps": []})
            case Mapping():
                whole = cast("Mapping[str, object]", reply)
                text, body = _text_of(whole), json_bytes(whole)
            case _:
                raise TypeError(f"the agent returned a {type(reply).__name__}; expected text or a mapping")
    yield Failed(text) if isinstance(said, Failed) else text
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
                        json_bytes(event.to_json())  # what is no JSON fails here, as the agent's fault
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
    except Exception as error:  # the outermost shell around the user's code
        LOG.exception("request %s: the agent failed", request.request_id)
        raise AgentFailed(request.request_id) from error


def _text_of(reply: Mapping[str, object]) -> str:
    """What a chat client reads of a reply that is a mapping: its "output", else all of it."""
    output = reply.get("output")
    return output if isinstance(output, str) else json_bytes(reply).decode()


def _estimate(request: AgentRequest, output: str) -> Usage:
    prompt = sum(len(message.content) for message in request.messages)
    return Usage(math.ceil(prompt / CHARACTERS_PER_TOKEN), math.ceil(len(output) / CHARACTERS_PER_TOKEN))
