"""Operations on a text: count, reverse, change case, sort, extract, shorten."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from functions.demo.tools.base import (
    Arguments,
    Context,
    Observation,
    Tool,
    ToolFailed,
    number_argument,
    schema,
    text_argument,
)

Operation = Callable[[str, int], tuple[str, str]]

SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
LINK: Final = re.compile(r"https?://[^\s<>\"']+")
WORD: Final = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
# The longest summary.
MAX_SENTENCES: Final = 20


def _count(what: str, count: Callable[[str], int]) -> Operation:
    def counted(text: str, _: int) -> tuple[str, str]:
        number = count(text)
        return str(number), f"It has {number} {what if number != 1 else what.removesuffix('s')}."

    return counted


def _change(said: str, change: Callable[[str], str]) -> Operation:
    def changed(text: str, _: int) -> tuple[str, str]:
        value = change(text)
        return value, f"{said}: {value}"

    return changed


def _extract(what: str, pattern: re.Pattern[str]) -> Operation:
    def extracted(text: str, _: int) -> tuple[str, str]:
        found = pattern.findall(text)
        value = ", ".join(found)
        return value, f"{what}: {value}" if found else f"I found no {what.lower()} in it."

    return extracted


def _summarise(text: str, sentences: int) -> tuple[str, str]:
    parts = SENTENCE_END.split(" ".join(text.split()))
    value = " ".join(parts[: max(1, min(sentences, MAX_SENTENCES))])
    return value, f"In short: {value}"


def _sort(text: str) -> str:
    if "," in text:
        return ", ".join(_sorted([part.strip() for part in text.split(",")]))
    return " ".join(_sorted(text.split()))


def _sorted(parts: list[str]) -> list[str]:
    if all(NUMBER.fullmatch(part) for part in parts):
        return sorted(parts, key=float)
    return sorted(parts, key=str.casefold)


OPERATIONS: Final[dict[str, Operation]] = {
    "count_words": _count("words", lambda text: len(WORD.findall(text))),
    "count_characters": _count("characters", len),
    "count_letters": _count("letters", lambda text: sum(map(str.isalpha, text))),
    "count_lines": _count("lines", lambda text: len(text.splitlines())),
    "count_sentences": _count("sentences", lambda text: len(SENTENCE_END.split(text.strip()))),
    "reverse": _change("Reversed", lambda text: text[::-1]),
    "upper": _change("In capitals", str.upper),
    "lower": _change("In small letters", str.lower),
    "title": _change("As a title", str.title),
    "sort": _change("Sorted", _sort),
    "extract_numbers": _extract("Numbers", NUMBER),
    "extract_emails": _extract("Addresses", EMAIL),
    "extract_links": _extract("Links", LINK),
    "summarise": _summarise,
}


async def _run(arguments: Arguments, context: Context) -> Observation:
    name = str(arguments.get("operation"))
    operation = OPERATIONS.get(name)
    if operation is None:
        raise ToolFailed(f"I cannot do {name[:40]!r} with text; I can {', '.join(OPERATIONS)}.")
    text = text_argument(arguments, "text")
    value, sentence = operation(text, int(number_argument(arguments, "sentences", 1)))
    return Observation(value, sentence)


TEXT: Final = Tool(
    name="text",
    description="Count, reverse, change case, sort, extract from or summarise a piece of text.",
    parameters=schema(
        ("operation", "text"),
        operation={"type": "string", "enum": list(OPERATIONS)},
        text={"type": "string"},
        sentences={
            "type": "integer",
            "description": "how many first sentences summarise keeps; 1 when left out",
        },
    ),
    run=_run,
)
