"""From plain English to calls of tools, and the loop that answers from what came out."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api import Step
from functions.demo.loop import answer
from functions.demo.pacing import paced, seconds_per_word
from functions.demo.planner import Call, NotUnderstood, plan
from functions.demo.rules import PREVIOUS
from functions.demo.tools.base import Context
from tests.functions.support import request

pytestmark = pytest.mark.pure

AT = 1_800_000_000.0


async def _wait(_: float) -> None:
    return


def ask(text: str, *earlier: str) -> tuple[str, list[str]]:
    """The answer, and the tools that were called."""

    async def run() -> tuple[str, list[str]]:
        asked = request(text, *earlier)
        events = [e async for e in answer(asked, Context(asked.messages, lambda: AT, _wait))]
        texts = "".join(e for e in events if isinstance(e, str))
        return texts, [e.name for e in events if isinstance(e, Step)]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("what is 12 * (3 + 4)?", "12 * (3 + 4) = 84."),
        ("compute 12*(3+4) then reverse the result", "12*(3+4) = 84.\nReversed: 48"),
        ("add 2 and 3, then double it", "2+3 = 5.\n5*2 = 10."),
        ("subtract 10 from 3 and then square it", "3-10 = -7.\n(-7)**2 = 49."),
        ("What is 10 / 4? Then add 5 to it.", "10 / 4 = 2.5.\n2.5+5 = 7.5."),
        ("reverse abc", "Reversed: cba"),
        ('please reverse "then wait 5 seconds"', "Reversed: sdnoces 5 tiaw neht"),
        ("count the words in: One two. Then three; four", "It has 5 words."),
        ("how many letters are in “a b c”?", "It has 3 letters."),
        ("summarise in 2 sentences: A b. C d. E f.", "In short: A b. C d."),
        ("convert hello to uppercase", "In capitals: HELLO"),
        ("what time is it in Tokyo?", "In Asia/Tokyo it is 17:00:00 on 2027-01-15 (UTC+09:00)."),
        ("what's the date", "In UTC it is Friday, 2027-01-15."),
        ("wait 200 ms then what is 2+2", "I waited 0.2 seconds.\n2+2 = 4."),
        (
            "1/0 then reverse it",
            "1/0 divides by zero, so it has no result.\nI have no result before it for: reverse it.",
        ),
        ("uppercase it", "I have no result before it for: uppercase it."),
    ],
)
def test_requests_are_answered_by_tools(text: str, said: str) -> None:
    """One line of the answer for each thing asked, in order."""
    assert ask(text)[0] == said


def test_a_conversation_is_remembered_from_its_messages() -> None:
    """Earlier messages are the only memory there is."""
    assert ask("what is my name?", "my name is Ada")[0] == "Your name is Ada."
    assert "not told me" in ask("what is my name?")[0]


@pytest.mark.parametrize("text", ["tell me a joke", "what is the capital of France?", "", "???", "asdf qwer"])
def test_what_is_not_understood_is_said_and_helped(text: str) -> None:
    """No invented answer: it says what it can do instead."""
    said, tools = ask(text)
    assert tools == ["plan"]
    assert "I can calculate" in said


def test_half_understood_requests_get_half_an_answer() -> None:
    """The part that is clear is done."""
    said, tools = ask("what is 2+2 then make me a sandwich")
    assert tools == ["plan", "arithmetic"]
    assert said.startswith('2+2 = 4.\nI did not understand "make me a sandwich".')


def test_the_first_event_is_the_plan() -> None:
    """A stream shows life before any tool has run."""

    async def first() -> object:
        asked = request("wait 5 seconds")
        events = answer(asked, Context(asked.messages, lambda: AT, _wait))
        event = await anext(events)
        await events.aclose()
        return event

    event = asyncio.run(first())
    assert isinstance(event, Step)
    assert (event.name, event.output) == ("plan", [{"do": "wait", "for": "wait 5 seconds"}])


def test_a_clause_that_points_back_waits_for_the_result() -> None:
    """`PREVIOUS` stands where the result goes in, and only there."""
    one, two = plan("compute 2+3 then multiply it by 4")
    assert isinstance(one, Call)
    assert isinstance(two, Call)
    assert not one.needs_previous
    assert two.arguments == {"expression": f"{PREVIOUS}*4"}


@given(st.text(max_size=300))
def test_any_text_gets_a_plan(text: str) -> None:
    """No request breaks the planner, and no caller can write PREVIOUS."""
    for intent in plan(text):
        if isinstance(intent, Call):
            assert all("\x01" not in str(value) for value in intent.arguments.values())


@pytest.mark.parametrize(
    "text",
    [
        " " * 100_000,
        "“" * 100_000,
        "'a" * 50_000,
        "a;" * 50_000,
        "reverse " + " x" * 50_000,
        "(" * 100_000,
        "9" * 100_000,
    ],
    ids=["blanks", "quotes", "apostrophes", "clauses", "words", "brackets", "digits"],
)
def test_hostile_requests_cost_little(text: str) -> None:
    """Every pattern is linear in what it is given: the instance must go on answering others."""
    began = time.process_time()
    plan(text)
    assert time.process_time() - began < 2


def test_a_request_that_is_too_long_is_refused_not_cut() -> None:
    """Counting the words of half a text would be a wrong answer."""
    (intent,) = plan("count the words in: " + "x " * 60_000)
    assert isinstance(intent, NotUnderstood)


def test_words_come_at_the_pace_of_a_model() -> None:
    """Texts go word by word with a wait after each; nothing is lost or added."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> list[str | Step]:
        asked = request("compute 1+1 then reverse it")
        return [e async for e in paced(answer(asked, Context(asked.messages, lambda: AT, _wait)), 0.02, wait)]

    words = [event for event in asyncio.run(run()) if isinstance(event, str)]
    assert "".join(words) == "1+1 = 2.\nReversed: 2"
    assert waits == [0.02] * len(words)
    assert seconds_per_word({}) == 0.02
