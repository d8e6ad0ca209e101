"""Tests of the demo agent's tools: results, refusals, and the cost of hostile input."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api import Message
from functions.demo.tools.arithmetic import MAX_BITS, evaluate, show
from functions.demo.tools.base import Context, ToolFailed
from functions.demo.tools.catalog import TOOLS, Called, call
from functions.demo.tools.clock import zone
from functions.demo.tools.memory import facts, notes

pytestmark = pytest.mark.pure

AT = 1_800_000_000.0  # Friday, 2027-01-15 08:00:00 UTC


def use(tool: str, *said: str, **arguments: object) -> Called:
    """Call a tool at a fixed time; a wait returns at once."""

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    waited: list[float] = []
    context = Context(tuple(Message("user", text) for text in said), lambda: AT, wait)
    return asyncio.run(call(tool, arguments, context))


def value(tool: str, *said: str, **arguments: object) -> str:
    called = use(tool, *said, **arguments)
    assert called.ok, called.observation
    return called.observation.value


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("12*(3+4)", "84"),
        ("0.1 + 0.2", "0.3"),
        ("15% of 80", "12"),
        ("2^10", "1024"),
        ("7 squared", "49"),
        ("the square root of 16", "4"),
        ("1,000 + 2,500", "3500"),
        ("3 x 4", "12"),
        ("5!", "120"),
        ("10/3", "3.33333333333"),
        ("-7 // 2", "-4"),
        ("-1/8", "-0.125"),
        ("1234567.25*3", "3703701.75"),
        ("2**1100/3", "4.52766176350E+330"),
        ("max(1, 2, 3) + min(4, 5)", "7"),
        ("round(3.14159, 2)", "3.14"),
    ],
)
def test_arithmetic_is_exact_with_fractions(expression: str, result: str) -> None:
    """Floats would give results such as 0.30000000000000004."""
    assert value("arithmetic", expression=expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9" * 299,
        "factorial(99999)",
        "2**2**20",
        "(" * 140 + "1" + ")" * 140,
        "1/0",
        "(-8)**0.5",
        "__import__('os').system('true')",
        "().__class__",
        "[1 for x in (1,)]",
        "1 if 1 else 2",
        "lambda: 1",
        "'a'*9",
        "1(2)",
        "sqrt(1, 2)",
        "1e999",
        "10**-1e9",
        "round(1.5, 10**9)",
    ],
)
def test_invalid_or_large_expressions_are_refused_at_once(expression: str) -> None:
    """Only listed names and functions are allowed, and sizes are checked before the computation."""
    began = time.process_time()
    called = use("arithmetic", expression=expression)
    assert time.process_time() - began < 1
    assert not called.ok or len(called.observation.value) < MAX_BITS


@given(st.fractions(max_denominator=10**6))
def test_a_shown_number_is_parsed_as_the_same_number(number: Fraction) -> None:
    """It is equal to the number of shown digits."""
    again = evaluate(f"0+({show(number)})")
    assert abs(again - number) <= abs(number) * Fraction(1, 10**11)


@pytest.mark.parametrize(
    ("place", "what", "result"),
    [
        ("Tokyo", "time", "17:00:00"),
        ("new york", "time", "03:00:00"),
        ("Europe/Berlin", "offset", "UTC+01:00"),
        ("UTC-3:30", "time", "04:30:00"),
        ("india", "offset", "UTC+05:30"),
        ("", "date", "2027-01-15"),
        ("UTC", "weekday", "Friday"),
    ],
)
def test_the_clock_knows_places(place: str, what: str, result: str) -> None:
    """A place is a city, a common country, a zone or an offset."""
    assert value("clock", place=place, what=what) == result


@pytest.mark.parametrize("place", ["Atlantis", "../../etc/passwd", "UTC+99", "x" * 5000, "\x00", "Europe/"])
def test_unknown_places_are_refused(place: str) -> None:
    """A name is never read as a path."""
    with pytest.raises(ToolFailed):
        zone(place)


@pytest.mark.parametrize(
    ("operation", "text", "result"),
    [
        ("count_words", "It's a well-known fact.", "4"),
        ("count_characters", "äö ü", "4"),
        ("count_letters", "a1 b2", "2"),
        ("count_lines", "a\nb", "2"),
        ("count_sentences", "A. B! C?", "3"),
        ("reverse", "abc", "cba"),
        ("upper", "straße", "STRASSE"),
        ("lower", "ABC", "abc"),
        ("title", "one two", "One Two"),
        ("sort", "10, 9, 2", "2, 9, 10"),
        ("sort", "pear Apple fig", "Apple fig pear"),
        ("extract_numbers", "a 1 b -2.5", "1, -2.5"),
        ("extract_emails", "mail a@b.test and c.d@e.test.", "a@b.test, c.d@e.test"),
        ("extract_links", "see https://x.test/y now", "https://x.test/y"),
        ("summarise", "One. Two. Three.", "One."),
    ],
)
def test_text_operations(operation: str, text: str, result: str) -> None:
    """Each operation has one example."""
    assert value("text", operation=operation, text=text) == result


def test_a_long_text_is_refused() -> None:
    """The instance serves no other request while a tool runs."""
    assert not use("text", operation="reverse", text="x" * 100_001).ok


def test_memory_is_read_from_the_users_messages() -> None:
    """The latest statement counts, and messages of other roles are ignored."""
    said = ("My name is Ada. my favorite color is green", "remember that the door is 7!", "my name is Eve")
    messages = (*(Message("user", text) for text in said), Message("assistant", "my name is Bot"))
    assert facts(messages) == {"name": "Eve", "favourite colour": "green"}
    assert notes(messages) == ["the door is 7"]
    assert value("memory", *said, about="name") == "Eve"
    assert value("memory", *said, about="door") == "the door is 7"
    assert "not told me your age" in use("memory", *said, about="age").observation.sentence


def test_a_wait_is_limited() -> None:
    """The reply states the limit."""
    assert use("wait", seconds=0.5).observation.sentence == "I waited 0.5 seconds."
    assert "30 seconds is my limit" in use("wait", seconds="3600").observation.sentence
    assert not use("wait", seconds=-1).ok
    assert not use("wait", seconds="nan").ok
    assert not use("wait", seconds=[1]).ok


@pytest.mark.parametrize("name", [*TOOLS, "nosuch"])
@pytest.mark.parametrize(
    "arguments", [{}, {"text": 7, "operation": None, "seconds": {}, "place": [], "expression": 1}]
)
def test_wrong_arguments_are_observations_not_exceptions(name: str, arguments: dict[str, object]) -> None:
    """The loop continues and returns the mistake to the model."""
    use(name, **arguments)
