"""What a tool is: a name, a description, a schema of its arguments (as models read it) and a coroutine.

Rule: a tool has no side effect, so calling it twice is calling it once. Clock, waiting and memory come in
with the context.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from functions.api import Message

# Keeps one call of a tool in the milliseconds: while it runs, the instance answers no other request.
MAX_TEXT = 100_000


class ToolFailed(Exception):
    """The tool cannot do what it was asked; the text says why and what it could do, as part of an answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """What tools may know of the world.

    messages: the conversation, oldest first. now: unix seconds. wait: like asyncio.sleep.
    """

    messages: tuple[Message, ...]
    now: Callable[[], float]
    wait: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Observation:
    """What came out: the bare value, for a next step or a model, and the sentence that a person reads."""

    value: str
    sentence: str


Arguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Tool:
    """parameters: JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, object]
    run: Callable[[Arguments, Context], Awaitable[Observation]]


def text_argument(arguments: Arguments, name: str) -> str:
    """A non-empty text among the arguments."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ToolFailed(f"I was given no {name} to work on.")
    if len(value) > MAX_TEXT:
        raise ToolFailed(f"The {name} has {len(value)} characters; I work on {MAX_TEXT} at most.")
    return value


def number_argument(arguments: Arguments, name: str, default: float) -> float:
    """A number among the arguments; models also write numbers as text."""
    value = arguments.get(name, default)
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ToolFailed(f"{name} is {str(value)[:40]!r}, which is no number I can use.")
    return number


def schema(required: tuple[str, ...] = (), **properties: Mapping[str, object]) -> Mapping[str, object]:
    """JSON schema of an object with these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
