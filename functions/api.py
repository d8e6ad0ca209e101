"""What a user's agent is given and what it may give back.

Two kinds of agent run everywhere, named by the package ("module:attribute"):

- a function of one request, `async def agent(request: AgentRequest) -> str | Mapping[str, object]`, or an
  async generator yielding `Event`s (text as it is written, steps as they are done) for streams;
- any ASGI application.

Rule of this file: plain values, no behaviour of the server. An agent needs no other import of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

REPEATABLE_MARK = "__skyfleet_repeatable__"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is system, developer, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request to an agent.

    messages: the conversation so far, oldest first, never empty.
    input: the text of the last message by the user.
    body: the whole JSON body, for what else the caller sent.
    request_id: of the router when it sent one; the same in every attempt of one request.
    stream: the caller reads the answer while it is written.
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
    """Something the agent did on the way: its plan, or a call of a tool with what came out.

    `input` and `output` are anything JSON can say.
    """

    name: str
    input: object
    output: object

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "input": self.input, "output": self.output}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a model really counted; without one, usage is estimated from the length of the texts."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer that the agent itself counts as failed: `return Failed("sold out")`, or yielded as the
    first event of a generator.

    The client gets `reply` with status 200 and the header `x-skyfleet-outcome: error`. The router counts that
    as a failure of the target and may try another one. ASGI applications set that header themselves.
    """

    reply: str | Mapping[str, object]


# A `str` is a piece of the answer.
Event = str | Step | Usage | Failed

Agent = TypeVar("Agent")


def repeatable(agent: Agent) -> Agent:
    """Declare an agent (function or ASGI application) free of side effects.

    The router may then send the same request to another cloud after the first one may already have run it.
    """
    try:
        setattr(agent, REPEATABLE_MARK, True)
    except AttributeError:
        raise TypeError(
            f"repeatable() cannot mark a {type(agent).__name__}: it takes no attributes. "
            "Wrap it in an `async def app(scope, receive, send)` and mark that."
        ) from None
    return agent


def is_repeatable(agent: object) -> bool:
    """Whether the agent was declared free of side effects."""
    return getattr(agent, REPEATABLE_MARK, False) is True
