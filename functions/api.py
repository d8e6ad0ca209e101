"""The types of an agent's request and reply.

An agent is named by the package as "module:attribute" and has one of two kinds:

- a function of one request, `async def agent(request: AgentRequest) -> str | Mapping[str, object]`, or an
  async generator of `Event`s (pieces of text, and steps) for streams;
- any ASGI application.

Rule: plain values without behaviour of the server. An agent needs no other module of the project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

REPEATABLE_MARK: Final = "__skyfleet_repeatable__"
STATELESS_MARK: Final = "__skyfleet_stateless__"
SUPPORTS_MARK: Final = "__skyfleet_supports__"
# What an agent may declare with `supports`.
IMAGES: Final = "images"
CHOICES: Final = "choices"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message. url: https, or a data URL in base64. detail: auto, low, high or original."""

    url: str = field(repr=False)
    detail: str = "auto"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is system, developer, user, assistant, tool or function.

    content: its text. images: those of a user's message; only agents that support images get any.
    """

    role: str
    content: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request to an agent.

    messages: the conversation, oldest first, not empty.
    input: the text of the last message by the user.
    body: the whole JSON body.
    request_id: from the router if it sent one; the same in all attempts of a request.
    stream: whether the client asked for a stream.
    environ: the function's environment without the signing keys.
    n: how many answers the client asks for; 1 unless the agent supports choices.
    """

    messages: tuple[Message, ...]
    input: str
    body: Mapping[str, Any]
    request_id: str
    stream: bool = False
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    n: int = 1


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
class Choice:
    """A part of a further answer, for requests with `n`. All other events are of the first one.

    index: from 0 to n - 1; 0 is the first answer.
    """

    index: int
    event: str | Delta | End


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer that the agent declares as failed: `return Failed("sold out")`, or a generator's first event.

    The client gets `reply` with status 200 and the header `x-skyfleet-outcome: error`. The router counts it
    as a failure of the target and may try another one. ASGI applications set the header themselves.
    """

    reply: str | Mapping[str, object]


# A `str` is a piece of the answer's text.
Event = str | Step | Usage | Failed | Head | Delta | End | Choice

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


def supports(*features: str) -> Callable[[Agent], Agent]:
    """Decorate an agent function that reads images (`IMAGES`) or gives `n` answers (`CHOICES`).

    Requests that need what the agent does not declare are refused, since it would ignore a part of them.
    Raises ValueError for other features.
    """
    unknown = set(features) - {IMAGES, CHOICES}
    if unknown:
        raise ValueError(f"there is no feature {sorted(unknown)}; there is {IMAGES!r} and {CHOICES!r}")
    return lambda agent: _marked(agent, SUPPORTS_MARK, "supports", frozenset(features))


def supported(agent: object) -> frozenset[str]:
    """What the agent was declared to support."""
    found: object = getattr(agent, SUPPORTS_MARK, None)
    return cast("frozenset[str]", found) if isinstance(found, frozenset) else frozenset()


def _marked(agent: Agent, mark: str, by: str, value: object = True) -> Agent:
    try:
        setattr(agent, mark, value)
    except AttributeError:
        raise TypeError(
            f"{by}() cannot mark a value of type {type(agent).__name__}: it takes no attributes. "
            "Wrap it in an `async def app(scope, receive, send)` and mark that."
        ) from None
    return agent
