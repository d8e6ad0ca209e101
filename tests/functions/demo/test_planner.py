"""Tests of the planner, which maps English requests to tool calls, and of the agent loop."""

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
    """The answer and the names of the steps."""

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
    """The answer has one line for each request, in order."""
    assert ask(text)[0] == said


def test_earlier_messages_are_the_memory_of_a_conversation() -> None:
    """The agent keeps no other state."""
    assert ask("what is my name?", "my name is Ada")[0] == "Your name is Ada."
    assert "not told me" in ask("what is my name?")[0]


@pytest.mark.parametrize("text", ["tell me a joke", "what is the capital of France?", "", "???", "asdf qwer"])
def test_an_unknown_request_is_answered_with_help(text: str) -> None:
    """The answer says that the request was not understood and lists the abilities."""
    said, tools = ask(text)
    assert tools == ["plan"]
    assert "I can calculate" in said


def test_the_understood_part_of_a_request_is_answered() -> None:
    """The other part is named as not understood."""
    said, tools = ask("what is 2+2 then make me a sandwich")
    assert tools == ["plan", "arithmetic"]
    assert said.startswith('2+2 = 4.\nI did not understand "make me a sandwich".')


async def test_the_first_event_is_the_plan() -> None:
    """A stream begins before a tool runs."""
    asked = request("wait 5 seconds")
    events = answer(asked, Context(asked.messages, lambda: AT, _wait))
    event = await anext(events)
    await events.aclose()
    assert isinstance(event, Step)
    assert (event.name, event.output) == ("plan", [{"do": "wait", "for": "wait 5 seconds"}])


def test_a_clause_that_refers_back_has_a_placeholder() -> None:
    """`PREVIOUS` marks the place of the earlier result."""
    one, two = plan("compute 2+3 then multiply it by 4")
    assert isinstance(one, Call)
    assert isinstance(two, Call)
    assert not one.needs_previous
    assert two.arguments == {"expression": f"{PREVIOUS}*4"}


@given(st.text(max_size=300))
def test_any_text_gets_a_plan(text: str) -> None:
    """No text raises an exception, and no client can insert PREVIOUS."""
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
    """Every pattern takes linear time, so the instance can serve other requests."""
    began = time.process_time()
    plan(text)
    assert time.process_time() - began < 2


def test_a_long_request_is_refused_and_not_truncated() -> None:
    """A count of words in a truncated text would be wrong."""
    (intent,) = plan("count the words in: " + "x " * 60_000)
    assert isinstance(intent, NotUnderstood)


async def test_words_are_sent_at_the_pace_of_a_model() -> None:
    """Each word is followed by a pause, and the text is not changed."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    asked = request("compute 1+1 then reverse it")
    events = paced(answer(asked, Context(asked.messages, lambda: AT, _wait)), 0.02, wait)
    words = [event async for event in events if isinstance(event, str)]
    assert "".join(words) == "1+1 = 2.\nReversed: 2"
    assert waits == [0.02] * len(words)
    assert seconds_per_word({}) == 0.02
