"""What a model's reply says, as a whole or in chunks. Pure: JSON values in, events of the agent out.

Rules
- The shapes are those of openai-python, types/chat/chat_completion.py and chat_completion_chunk.py. Whatever
  has no such shape raises one of `NO_SHAPE`.
- A tool call keeps all its fields, also those that OpenAI's API does not have: Gemini refuses a conversation
  in which `extra_content` of a call is missing (ai.google.dev/gemini-api/docs/thought-signatures).
- A piece of a stream with a name and another id begins another tool call, whatever its index. Gemini's API
  numbers all parallel calls 0 (github.com/NousResearch/hermes-agent issue 62940). An id alone begins none.
- A content that is a list (Mistral's API) is read by its parts: texts are the content, `thinking` is
  `reasoning_content`.
- With `n` a model gives several answers in one reply. One that gives fewer is passed on as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

from functions.api import Choice, Delta, Head, Usage

# What a reader of this module raises for a value of another shape.
NO_SHAPE: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
# What a model says of its whole answer, with the type of each.
_HEAD: Final[Mapping[str, type]] = {
    "id": str,
    "model": str,
    "created": int,
    "system_fingerprint": str,
    "service_tier": str,
}
# Fields of a message that a Turn has; all others are passed on as they are.
_READ: Final = frozenset({"role", "content", "tool_calls"})
# Where a tool call has its name and what it is called with.
_INSIDE: Final = ("function", "custom")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requests. arguments: unparsed JSON. fields: all of it."""

    id: str
    name: str
    arguments: str
    fields: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        return dict(self.fields)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a model at its end.

    spoke: it has said something besides tool calls. finish_reason: None if it gave none. index: of the
    answer that it belongs to."""

    spoke: bool
    text: str
    calls: tuple[ToolCall, ...]
    finish_reason: str | None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a model's reply: a turn for each answer, and the usage of all."""

    turns: tuple[Turn, ...]
    usage: Usage | None


Said = Head | str | Delta | Choice | Reply


@dataclass(slots=True)
class _Parts:
    """The accumulated parts of a streamed turn. calls: each with its index. open: the last of an index."""

    texts: list[str] = field(default_factory=list[str])
    calls: list[tuple[int, dict[str, Any]]] = field(default_factory=list[tuple[int, dict[str, Any]]])
    open: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    finish_reason: str | None = None
    spoke: bool = False

    def call_of(self, index: int, piece: Mapping[str, Any]) -> dict[str, Any]:
        """The tool call that a piece belongs to."""
        call = self.open.get(index)
        if call is None or _begins_another(call, piece):
            call = self.open[index] = {}
            self.calls.append((index, call))
        return call

    def turn(self, index: int) -> Turn:
        calls = tuple(_tool_call(call) for _, call in sorted(self.calls, key=lambda numbered: numbered[0]))
        return Turn(self.spoke, "".join(self.texts), calls, self.finish_reason, index)


@dataclass(slots=True)
class Streamed:
    """What has arrived of a streamed reply. n: the answers that were asked for."""

    n: int
    done: bool = False
    _choices: dict[int, _Parts] = field(default_factory=dict[int, _Parts])
    _usage: Usage | None = None
    _headed: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing of the answers is missing."""
        ended = [parts for parts in self._choices.values() if parts.finish_reason is not None]
        return self.done or len(ended) >= self.n

    def add(self, chunk: Mapping[str, Any]) -> Sequence[Head | str | Delta | Choice]:
        """Add a chunk; returns what it says. Raises one of `NO_SHAPE`."""
        self._usage = _usage(chunk.get("usage")) or self._usage
        pieces: list[Head | str | Delta | Choice] = [] if self._headed else [_head(chunk)]
        self._headed = True
        for index, choice in _indexed(chunk.get("choices") or [], self.n):
            part = _read_choice(choice, self._choices.setdefault(index, _Parts()))
            if part is not None:
                pieces.append(_of_choice(index, part))
        return pieces

    def reply(self) -> Reply:
        """The end of the reply. Raises one of `NO_SHAPE`."""
        # One without any choice: the agent says what is wrong with it.
        choices = self._choices or {0: _Parts()}
        return Reply(tuple(parts.turn(index) for index, parts in sorted(choices.items())), self._usage)


def whole(reply: Mapping[str, Any], n: int) -> list[Said]:
    """What a reply that came at once says. n: the answers that were asked for. Raises one of `NO_SHAPE`."""
    usage = _usage(reply.get("usage"))
    choices = [_whole_choice(index, choice) for index, choice in _indexed(reply["choices"], n)]
    if not choices:
        raise LookupError("choices")
    said: list[Said] = [_head(reply)]
    said += [_of_choice(turn.index, part) for turn, part in choices if part is not None]
    return [*said, Reply(tuple(turn for turn, _ in choices), usage)]


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else, also for numbers that JSON does not have."""
    try:
        parsed: object = json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("no object")
    return cast("dict[str, Any]", parsed)


def _of_choice(index: int, part: str | Delta) -> str | Delta | Choice:
    """A piece of the answer with this index; the first answer's is itself."""
    return Choice(index, part) if index else part


def _indexed(choices: Sequence[dict[str, Any]], n: int) -> list[tuple[int, dict[str, Any]]]:
    """The choices with their indexes; more than n are left out, as is the index of a single one."""
    if n == 1:
        return [(0, choice) for choice in choices[:1]]
    # Some servers send no index.
    given = [choice.get("index") for choice in choices]
    indexes = [at if index is None else int(index) for at, index in enumerate(given)]
    if len(set(indexes)) < len(indexes):  # and some the same for all
        indexes = list(range(len(indexes)))
    return [(index, choice) for index, choice in zip(indexes, choices, strict=True) if 0 <= index < n]


def _whole_choice(index: int, choice: Mapping[str, Any]) -> tuple[Turn, str | Delta | None]:
    message: dict[str, Any] = choice["message"]
    calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
    part = _part(message, choice)
    return Turn(part is not None, _content(message)[0], calls, _reason(choice), index), part


def _read_choice(choice: dict[str, Any], parts: _Parts) -> str | Delta | None:
    parts.finish_reason = _reason(choice) or parts.finish_reason
    delta: dict[str, Any] = choice.get("delta") or {}
    for position, piece in enumerate(delta.get("tool_calls") or ()):
        index = piece.get("index")
        _add_piece(parts.call_of(position if index is None else int(index), piece), piece)
    parts.texts.append(_content(delta)[0])
    part = _part(delta, choice)
    parts.spoke = parts.spoke or part is not None
    return part


def _begins_another(call: Mapping[str, Any], piece: Mapping[str, Any]) -> bool:
    inside: dict[str, Any] = piece.get("function") or piece.get("custom") or {}
    named = inside.get("name") and piece.get("id") and call.get("id")
    return bool(named) and piece["id"] != call["id"]


def _add_piece(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Append the texts of a piece to those of its call; of ids and types the first one stays."""
    for name, value in piece.items():
        if name in _INSIDE and value:
            inside: dict[str, Any] = call.setdefault(name, {})
            for part, more in value.items():
                if more is not None:
                    inside[part] = inside[part] + more if part in inside else more
        elif name in ("id", "type"):
            call[name] = call.get(name) or value
        elif name != "index" and value is not None:
            call[name] = value


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    """A complete call. One without `type` is of a function."""
    kind = "function" if "function" in call else "custom"
    inside: dict[str, Any] = call[kind]
    told = "arguments" if kind == "function" else "input"
    given = inside.get(told) or ("{}" if kind == "function" else "")
    # Some servers send an object in place of its JSON.
    arguments = given if isinstance(given, str) else json.dumps(given)
    name, number = inside.get("name") or "", call.get("id") or ""
    own = {"id": number, "type": call.get("type") or kind, kind: {**inside, "name": name, told: arguments}}
    more = {field: value for field, value in call.items() if field != "index" and field not in own}
    return ToolCall(str(number), str(name), arguments, {**own, **more})


def _part(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str | Delta | None:
    """What a message or a delta says besides tool calls; text alone is a text."""
    (text, thoughts), logprobs = _content(message), choice.get("logprobs")
    fields = {name: value for name, value in message.items() if name not in _READ and value}
    if thoughts:
        fields.setdefault("reasoning_content", thoughts)
    if not fields and not logprobs:
        return text or None
    content = {"content": text} if text else {}
    return Delta(
        {**content, **fields}, cast("Mapping[str, Any]", logprobs) if isinstance(logprobs, dict) else None
    )


def _content(message: Mapping[str, Any]) -> tuple[str, str]:
    """The text of a content, and what it has of thoughts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        return _joined(parts, "text"), "".join(_joined(part.get("thinking") or [], "text") for part in parts)
    return (content if isinstance(content, str) else ""), ""


def _joined(parts: Sequence[Mapping[str, Any]], name: str) -> str:
    return "".join(part.get(name) or "" for part in parts)


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else None


def _head(reply: Mapping[str, Any]) -> Head:
    return Head({name: reply[name] for name, kind in _HEAD.items() if isinstance(reply.get(name), kind)})


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    counts = cast("dict[str, Any]", value)
    details: dict[str, dict[str, int]] = {}
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if isinstance(given := counts.get(name), dict):
            parts = cast("dict[str, object]", given)
            details[name] = {part: n for part, n in parts.items() if isinstance(n, int)}
    return Usage(int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0), details)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)
