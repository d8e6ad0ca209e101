"""The parts of a tool: a name, a description, a JSON schema of its arguments, and a coroutine.

Rule: a tool has no side effects, so calls can be repeated. Clock, waits and memory come from the context.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from functions.api import Message

# The limit keeps a call in the range of milliseconds, in which the instance serves no other request.
MAX_TEXT: Final = 100_000


class ToolFailed(Exception):
    """The tool refuses its arguments. The text has the reason and is a part of the answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """The inputs of tools besides their arguments.

    messages: the conversation, oldest first. now: unix seconds. wait: like asyncio.sleep.
    """

    messages: tuple[Message, ...]
    now: Callable[[], float]
    wait: Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of a tool: the value for the next step or a model, and a sentence for the answer."""

    value: str
    sentence: str


Arguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. parameters: the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, object]
    run: Callable[[Arguments, Context], Awaitable[Observation]]


def text_argument(arguments: Arguments, name: str) -> str:
    """A non-empty text argument. Raises ToolFailed."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ToolFailed(f"I was given no {name} to work on.")
    if len(value) > MAX_TEXT:
        raise ToolFailed(f"The {name} has {len(value)} characters; I work on {MAX_TEXT} at most.")
    return value


def number_argument(arguments: Arguments, name: str, default: float) -> float:
    """A number argument, which models also write as text. Raises ToolFailed."""
    value = arguments.get(name, default)
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ToolFailed(f"{name} is {str(value)[:40]!r}, which is no number I can use.")
    return number


def schema(required: tuple[str, ...] = (), **properties: Mapping[str, object]) -> Mapping[str, object]:
    """The JSON schema of an object with these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
