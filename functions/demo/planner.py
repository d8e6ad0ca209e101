"""Plan a request in plain English: an ordered list of tool calls with arguments.

Rules
- Pure: the plan depends on the text alone. Tools compute, the planner does not.
- Only the table in rules.py gives clauses a meaning.
- A clause without a matching rule stays in the plan as not understood, so the answer can name it.

Quoted texts are masked first, so rules do not read inside them. The request is split into clauses ("... then
...", new sentences, "and" before a verb). A clause may refer to the previous result ("reverse it", "add 5");
`PREVIOUS` marks its place in the arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from functions.demo.rules import MASK, PREVIOUS, RULES

# The input of a text tool with its instruction. A longer one is refused, since truncation changes results.
MAX_REQUEST: Final = 101_000
MAX_CLAUSES: Final = 20
# An instruction without its quoted texts. The limit bounds the time of each pattern.
MAX_CLAUSE: Final = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. The previous result replaces PREVIOUS in its arguments."""

    tool: str
    arguments: dict[str, object]
    clause: str

    @property
    def needs_previous(self) -> bool:
        return any(isinstance(value, str) and PREVIOUS in value for value in self.arguments.values())


@dataclass(frozen=True, slots=True)
class Greet:
    """A greeting without a request."""

    clause: str


@dataclass(frozen=True, slots=True)
class Help:
    """A question about the agent's abilities."""

    clause: str


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """No rule fits this clause."""

    clause: str


Intent = Call | Greet | Help | NotUnderstood

QUOTED: Final = re.compile(r"\"([^\"]*)\"|\u201c([^\u201c\u201d]*)\u201d|`([^`]*)`|(?<!\w)'([^']*)'(?!\w)")
VERBS: Final = (
    "add|calculate|call|capitali[sz]e|compute|convert|count|divide|double|evaluate|extract|find|flip|halve|how|"
    "lowercase|make|multiply|pause|remember|reverse|shorten|sleep|sort|square|subtract|summari[sz]e|tell|then|"
    "turn|uppercase|wait|what|who"
)
SPLIT: Final = re.compile(
    rf",?\s+(?:and\s+)?then\s+|\s*;\s*|\n+|(?<=[.!?])\s+|,?\s+and\s+(?:also\s+)?(?=(?:{VERBS})\b)|"
    rf",\s+(?=(?:{VERBS})\s+\S)",
    re.IGNORECASE,
)
POLITE: Final = re.compile(
    r"^(?:(?:please|kindly|now|also|finally|first|next|then|and|so|ok|okay|well|"
    r"(?:could|can|would|will) you(?: please)?|i want you to|i'd like you to)[,:]?\s+)+",
    re.IGNORECASE,
)
TEXT_HEAD: Final = re.compile(
    r"\b(?:count|how many|reverse|flip|uppercase|lowercase|capitali[sz]e|sort|extract|find|summari[sz]e|"
    r"shorten)\b",
    re.IGNORECASE,
)
# Long runs of blanks would slow the patterns down.
BLANKS: Final = re.compile(r"[^\S\n]{2,}")
COLON: Final = re.compile(r"^([^:]{1,120}):\s+(\S.*)$", re.DOTALL)


def plan(request: str) -> tuple[Intent, ...]:
    """The intents of a request, in order."""
    if len(request) > MAX_REQUEST:
        return (
            NotUnderstood(f"{request[:60]}... ({len(request)} characters; I read {MAX_REQUEST} at most)"),
        )
    text = request.replace(PREVIOUS, " ")
    quotes: list[str] = []

    def mask(match: re.Match[str]) -> str:
        quotes.append(next(group for group in match.groups() if group is not None))
        return f"\x01{len(quotes) - 1}\x02"

    head, literal = _literal_tail(QUOTED.sub(mask, text.replace("\x01", " ")))
    clauses = [
        clause
        for clause in (part.strip() for part in SPLIT.split(BLANKS.sub(" ", head)))
        if clause.strip(" .!?,;:")
    ]
    if literal and clauses:
        quotes.append(_unmask(literal, quotes, quoted=True))
        clauses[-1] += f" \x01{len(quotes) - 1}\x02"
    intents = [_intent(clause, quotes) for clause in clauses[:MAX_CLAUSES]]
    if len(clauses) > MAX_CLAUSES:
        intents.append(NotUnderstood(f"... ({len(clauses)} instructions; I do {MAX_CLAUSES} at most)"))
    return tuple(intents)


def _literal_tail(text: str) -> tuple[str, str]:
    """Split "summarise: A. B." after the colon, so the text is not read as instructions."""
    match = COLON.match(text)
    if match is not None and TEXT_HEAD.search(match[1]):
        return match[1], match[2]
    return text, ""


def _intent(masked: str, quotes: list[str]) -> Intent:
    shown = _unmask(masked, quotes, quoted=True)
    if len(masked) > MAX_CLAUSE:
        return NotUnderstood(shown)
    clause = POLITE.sub("", masked.strip()).strip(" .!?,;")
    clause = re.sub(r",?\s+please$", "", clause, flags=re.IGNORECASE)
    for pattern, build in RULES:
        match = pattern.match(clause)
        if match is not None and (built := build(match)) is not None:
            tool, arguments = built
            return _finish(tool, arguments, shown, quotes)
    return NotUnderstood(shown)


def _finish(tool: str, arguments: dict[str, object], clause: str, quotes: list[str]) -> Intent:
    if tool == "greet":
        return Greet(clause)
    if tool == "help":
        return Help(clause)
    unmasked = {
        name: _unmask(value, quotes) if isinstance(value, str) else value for name, value in arguments.items()
    }
    return Call(tool, unmasked, clause)


def _unmask(text: str, quotes: list[str], *, quoted: bool = False) -> str:
    mark = '"' if quoted else ""
    return MASK.sub(lambda match: f"{mark}{quotes[int(match[1])]}{mark}", text)
