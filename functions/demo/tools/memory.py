"""Facts from earlier messages of the conversation: names, favourites, notes.

An agent function keeps no state between requests; its memory is the list of messages in each request. A
conversation therefore has the same answers on any cloud.
"""

from __future__ import annotations

import re
from typing import Final

from functions.api import Message
from functions.demo.tools.base import Arguments, Context, Observation, Tool, schema

# "My name is Ada", "my favourite colour is green": a name and a value.
FACT: Final = re.compile(r"\bmy ([a-z][a-z -]{0,39}?) (?:is|are) (?!what\b)([^.!?;\n]{1,200})", re.IGNORECASE)
CALLED: Final = re.compile(r"\b(?:i am called|call me) ([^.!?;,\n]{1,80})", re.IGNORECASE)
NOTE: Final = re.compile(r"\b(?:please )?remember (?:that |this: ?)?([^.!?;\n]{1,300})", re.IGNORECASE)
QUESTION: Final = re.compile(r"^\s*(?:what|who|do you|can you|could you|where|when|how)\b", re.IGNORECASE)
TAIL: Final = re.compile(
    r",?\s+(?:and|then)\s+(?:what|how|compute|then|tell|please|remember|my)\b.*$", re.IGNORECASE
)


# The limits bound the time to milliseconds; older messages and the rest of longer texts are ignored.
MAX_MESSAGES: Final = 200
MAX_READ: Final = 10_000


def facts(messages: tuple[Message, ...]) -> dict[str, str]:
    """The user's statements by name; the latest value counts."""
    known: dict[str, str] = {}
    for statement in _statements(messages):
        for match in FACT.finditer(statement):
            known[_key(match[1])] = _cut(match[2])
        for match in CALLED.finditer(statement):
            known["name"] = _cut(match[1])
    return known


def notes(messages: tuple[Message, ...]) -> list[str]:
    """The notes that the user asked to remember, oldest first, without duplicates."""
    found = [_cut(match[1]) for statement in _statements(messages) for match in NOTE.finditer(statement)]
    return list(dict.fromkeys(found))


def _statements(messages: tuple[Message, ...]) -> list[str]:
    said = [m.content[:MAX_READ] for m in messages[-MAX_MESSAGES:] if m.role == "user"]
    sentences = [s for text in said for s in re.split(r"(?<=[.!?;])\s+|\n+", text)]
    return [sentence for sentence in sentences if not QUESTION.match(sentence)]


def _cut(value: str) -> str:
    return TAIL.sub("", value).strip(" \"'")


def _key(thing: str) -> str:
    return " ".join(thing.lower().split()).replace("color", "colour").replace("favorite", "favourite")


async def _run(arguments: Arguments, context: Context) -> Observation:
    about = _key(str(arguments.get("about") or ""))
    known, kept = facts(context.messages), notes(context.messages)
    if about:
        if about in known:
            return Observation(known[about], f"Your {about} is {known[about]}.")
        related = [note for note in kept if about in note.lower()]
        if related:
            return Observation(related[-1], f"You asked me to remember: {related[-1]}.")
        return Observation("", f"You have not told me your {about} in this conversation.")
    lines = [f"your {thing} is {value}" for thing, value in known.items()] + kept
    if not lines:
        return Observation("", "You have told me nothing to remember in this conversation.")
    return Observation("; ".join(lines), f"I know from this conversation: {'; '.join(lines)}.")


MEMORY: Final = Tool(
    name="memory",
    description="What the caller said of themselves, or asked to remember, earlier in this conversation.",
    parameters=schema(about={"type": "string", "description": "e.g. name; everything when left out"}),
    run=_run,
)
