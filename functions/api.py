"""The types of an agent's request and reply.

An agent is named by the package as "module:attribute" and has one of two kinds:

- a function of one request, `async def agent(request: AgentRequest) -> str | Mapping[str, object]`, or an
  async generator of `Event`s (pieces of text, and steps) for streams;
- any ASGI application.

Rule: plain values without behaviour of the server. An agent needs no other module of the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

REPEATABLE_MARK = "__skyfleet_repeatable__"
STATELESS_MARK = "__skyfleet_stateless__"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is system, developer, user, assistant, tool or function."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request to an agent.

    messages: the conversation, oldest first, not empty.
    input: the text of the last message by the user.
    body: the whole JSON body.
    request_id: from the router if it sent one; the same in all attempts of a request.
    stream: whether the client asked for a stream.
    environ: the function's environment without the signing keys.
    """

    messages: tuple[Message, ...]
    input: str
    body: Mapping[str, Any]
    request_id: str
    stream: bool = False
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the agent: its plan, or a call of a tool with its result.

    input, output: any JSON values.
    """

    name: str
    input: object
    output: object

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "input": self.input, "output": self.output}


@dataclass(frozen=True, slots=True)
class Usage:
    """The token counts of a model. Without them usage is estimated from the length of the texts.

    details: such as {"completion_tokens_details": {"reasoning_tokens": 64}}, with OpenAI's names.
    """

    prompt_tokens: int
    completion_tokens: int
    details: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])


@dataclass(frozen=True, slots=True)
class Head:
    """What a model says of its whole answer: `id`, `model`, `created`, `system_fingerprint`, `service_tier`.

    Chat completions carry the fields in place of their own, if it comes before all other events.
    """

    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delta:
    """A part of a model's message with more than text, with the names of OpenAI's chat completions.

    fields: of the message, such as `content`, `refusal` or `tool_calls`. logprobs: of this part.
    """

    fields: Mapping[str, Any]
    logprobs: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        content = self.fields.get("content")
        return content if isinstance(content, str) else ""


@dataclass(frozen=True, slots=True)
class End:
    """Why a model ended its answer: `stop`, `length`, `content_filter` or `tool_calls`."""

    finish_reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer that the agent declares as failed: `return Failed("sold out")`, or a generator's first event.

    The client gets `reply` with status 200 and the header `x-skyfleet-outcome: error`. The router counts it
    as a failure of the target and may try another one. ASGI applications set the header themselves.
    """

    reply: str | Mapping[str, object]


# A `str` is a piece of the answer's text.
Event = str | Step | Usage | Failed | Head | Delta | End

Agent = TypeVar("Agent")


def repeatable(agent: Agent) -> Agent:
    """Declare an agent (function or ASGI application) free of side effects.

    The router may then retry a request on another cloud even if the first attempt may have run.
    """
    return _marked(agent, REPEATABLE_MARK, "repeatable")


def is_repeatable(agent: object) -> bool:
    """Whether the agent was declared free of side effects."""
    return getattr(agent, REPEATABLE_MARK, False) is True


def stateless(agent: Agent) -> Agent:
    """Declare that any instance in any cloud can serve any request of a session of this ASGI application.

    An MCP server's session ids then reach clients: they hold sealed state, or name what a store has that all
    clouds share. Without the declaration such a session is refused (functions/protocols/sessions.py).
    """
    return _marked(agent, STATELESS_MARK, "stateless")


def is_stateless(agent: object) -> bool:
    """Whether the agent's session ids are declared valid in every instance."""
    return getattr(agent, STATELESS_MARK, False) is True


def _marked(agent: Agent, mark: str, by: str) -> Agent:
    try:
        setattr(agent, mark, True)
    except AttributeError:
        raise TypeError(
            f"{by}() cannot mark a {type(agent).__name__}: it takes no attributes. "
            "Wrap it in an `async def app(scope, receive, send)` and mark that."
        ) from None
    return agent
