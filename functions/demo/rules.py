"""The table of phrases that the demo agent understands without a model, and their tool calls.

Rules
- The first pattern of `RULES` that matches the whole clause is used.
- Pure: a builder makes arguments from the groups of its pattern.
- Quoted texts are masked (`MASK`) before, so a pattern never reads inside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from functions.demo.tools.arithmetic import parse

# A placeholder of the previous result. NUL is removed from requests, so they cannot contain it.
PREVIOUS: Final = "\x00"
# A placeholder of the quoted text with this number.
MASK: Final = re.compile(r"\x01(\d+)\x02")

Built = tuple[str, dict[str, object]]
Build = Callable[[re.Match[str]], Built | None]

REFERENCE: Final = re.compile(
    r"^(?:it|that|this|them|(?:the|that|this) (?:result|answer|text|output|sum|number|value|date|time))$",
    re.IGNORECASE,
)
REFERENCE_INSIDE: Final = re.compile(r"\b(?:it|that|the (?:result|answer|sum|value|number))\b", re.IGNORECASE)
FILLER: Final = re.compile(
    r"^(?:the |this |my )?(?:word|text|string|sentence|phrase|line|list)s?:?\s+(?=\S)", re.IGNORECASE
)
NUMBERS: Final = {
    "a": "1",
    "an": "1",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "ten": "10",
}
NUMBER: Final = r"(\d+(?:\.\d+)?|an?|one|two|three|four|five|ten)"


def _operand(raw: str | None) -> str:
    """The operand of a clause: a quoted text, a given text, or the previous result."""
    text = (raw or "").strip(" :,")
    if not text or REFERENCE.match(text):
        return PREVIOUS
    masked = MASK.search(text)
    return masked[0] if masked else FILLER.sub("", text)


def _text(operation: str, group: int = 1) -> Build:
    return lambda match: ("text", {"operation": operation, "text": _operand(match[group])})


def _count(match: re.Match[str]) -> Built:
    what = {"chars": "characters", "char": "characters"}.get(match[1].lower(), match[1].lower())
    what = what if what.endswith("s") else f"{what}s"
    return "text", {"operation": f"count_{what}", "text": _operand(match[2])}


def _case(match: re.Match[str]) -> Built:
    wanted = match[2].lower()
    operation = (
        "lower" if wanted.startswith(("lower", "small")) else "title" if "title" in wanted else "upper"
    )
    return "text", {"operation": operation, "text": _operand(match[1])}


def _extract(match: re.Match[str]) -> Built:
    what = match[1].lower()
    kind = "numbers" if what.startswith("number") else "emails" if "mail" in what else "links"
    return "text", {"operation": f"extract_{kind}", "text": _operand(match[2])}


def _summary(text: int, number: int) -> Build:
    def build(match: re.Match[str]) -> Built:
        count = NUMBERS.get((match[number] or "1").lower(), match[number] or "1")
        return "text", {"operation": "summarise", "text": _operand(match[text]), "sentences": int(count)}

    return build


def _clock(match: re.Match[str]) -> Built:
    what = match[1].lower()
    kind = {"day": "weekday", "time zone": "offset"}.get(what, what)
    arguments: dict[str, object] = {"what": kind}
    if match[2]:
        arguments["place"] = match[2]
    return "clock", arguments


def _memory(about: str | int) -> Build:
    return lambda match: ("memory", {"about": match[about] if isinstance(about, int) else about})


def _wait(match: re.Match[str]) -> Built:
    number = float(NUMBERS.get(match[1].lower(), match[1]))
    unit = (match[2] or "s").lower()
    scale = 0.001 if unit.startswith(("ms", "milli")) else 60.0 if unit.startswith("m") else 1.0
    return "wait", {"seconds": number * scale}


def _expression(template: str) -> Build:
    """Build arithmetic from the groups of a pattern; `it` in a group refers to the previous result."""

    def build(match: re.Match[str]) -> Built | None:
        expression = template.format(*(_number_or_brackets(part) for part in match.groups()))
        return ("arithmetic", {"expression": expression}) if _is_arithmetic(expression) else None

    return build


def _number_or_brackets(part: str | None) -> str:
    text = (part or "").strip()
    if not text or REFERENCE.match(text):
        return PREVIOUS
    return text if re.fullmatch(r"[\d.,]+%?", text) else f"({text})"


def _arithmetic(match: re.Match[str]) -> Built | None:
    expression = REFERENCE_INSIDE.sub(PREVIOUS, match[1])
    return ("arithmetic", {"expression": expression}) if _is_arithmetic(expression) else None


def _is_arithmetic(expression: str) -> bool:
    # A number in place of the previous result shows the form.
    return parse(expression.replace(PREVIOUS, "1")) is not None


def _rule(pattern: str, build: Build) -> tuple[re.Pattern[str], Build]:
    return re.compile(rf"^(?:{pattern})$", re.IGNORECASE | re.DOTALL), build


RULES: Final[tuple[tuple[re.Pattern[str], Build], ...]] = (
    # politeness and questions about the agent
    _rule(
        r"(?:hello|hi|hey|good (?:morning|day|evening)|thanks|thank you)\b.{0,40}", lambda _: ("greet", {})
    ),
    _rule(r"help|(?:what|which) (?:can you do|tools .*|are your tools)|who are you", lambda _: ("help", {})),
    # waiting
    _rule(rf"(?:wait|sleep|pause)(?: for)?\s+{NUMBER}\s*(ms|milli\w*|s|sec\w*|m|min\w*)?", _wait),
    # memory of the conversation
    _rule(r"(?:what(?:'s| is| are)|do you (?:know|remember)|tell me|who is) my (.{1,60})", _memory(1)),
    _rule(r"who am i|what am i called|do you know me", _memory("name")),
    _rule(r"what (?:do you (?:know|remember)|did i (?:say|tell you))\b.{0,60}", _memory("")),
    _rule(r"my ([a-z][a-z -]{0,39}?) (?:is|are) .+", _memory(1)),
    _rule(r"(?:call me|i am called) .+", _memory("name")),
    _rule(r"remember\b.+", _memory("")),
    # text
    _rule(
        r"(?:count|how many)\s+(?:the\s+|of\s+)*(words?|char(?:acter)?s?|letters?|lines?|sentences?)"
        r"(?:\s+(?:are|is)(?:\s+there)?)?(?:\s+(?:in|of))?\b(.*)",
        _count,
    ),
    _rule(r"(?:reverse|flip|spell backwards)\b(.*)", _text("reverse")),
    _rule(r"(?:what(?:'s| is)\s+)?(.+?)\s+(?:backwards|reversed)", _text("reverse")),
    _rule(r"(?:upper-?\s?case|capitali[sz]e)\b(.*)", _text("upper")),
    _rule(r"(?:lower-?\s?case)\b(.*)", _text("lower")),
    _rule(
        r"(?:convert|turn|put|make|write|change)\s+(.*?)\s*(?:\b(?:in|to|into)\b)?\s*"
        r"((?:upper|lower|title)[ -]?case|capitals|capital letters|small letters)",
        _case,
    ),
    _rule(
        r"sort\b(?:\s+(?:the\s+|these\s+)?(?:words|numbers|names|list)\b)?(?:\s+(?:in|of)\b)?(.*)",
        _text("sort"),
    ),
    _rule(
        r"(?:extract|find|list|get)\s+(?:all\s+)?(?:the\s+)?(numbers?|e-?mail(?: addresse)?s?|links?|urls?)"
        r"(?:\s+(?:in|from|of))?\b(.*)",
        _extract,
    ),
    _rule(
        rf"(?:summari[sz]e|shorten|sum up)\b(.*?)(?:\s*\b(?:in|to)\s+{NUMBER}\s+sentences?)?"
        rf"(\s*\x01\d+\x02)?",
        lambda match: _summary(3 if match[3] else 1, 2)(match),
    ),
    _rule(rf"(?:what (?:is|are) )?the first (?:{NUMBER}\s+)?sentences? (?:of|in)\b(.*)", _summary(2, 1)),
    # time
    _rule(
        r"(?:tell me |give me |show me |what(?:'s| is)? |which )?(?:the |today's )?(?:current |local |utc )?"
        r"(time zone|time|date|weekday|day|offset)(?: is it| is today)?(?: (?:right )?now| today| currently)?"
        r"(?: (?:in|of|for|at) (.+?))?(?: (?:right )?now)?",
        _clock,
    ),
    # arithmetic, with and without the previous result
    _rule(r"add (\S+) to (.+)", _expression("{1}+{0}")),
    _rule(r"add (\S+) and (\S+)", _expression("{0}+{1}")),
    _rule(r"add (\S+)", _expression(f"{PREVIOUS}+{{0}}")),
    _rule(r"subtract (\S+) from (.+)", _expression("{1}-{0}")),
    _rule(r"subtract (\S+)", _expression(f"{PREVIOUS}-{{0}}")),
    _rule(r"multiply(?: (.+?))? by (\S+)", _expression("{0}*{1}")),
    _rule(r"divide(?: (.+?))? by (\S+)", _expression("{0}/{1}")),
    _rule(r"double(?: (.+))?", _expression("{0}*2")),
    _rule(r"halve(?: (.+))?", _expression("{0}/2")),
    _rule(r"square(?: (?!root)(.+))?", _expression("{0}**2")),
    _rule(
        r"(?:(?:compute|calculate|evaluate|solve|work out|tell me|what(?:'s| is| are)?|how much (?:is|are))"
        r"\s+)?(?:the (?:result|value) of\s+)?(.+)",
        _arithmetic,
    ),
)
