"""Tests of the agent with a model: the real HTTP client and a fake model on loopback."""

from __future__ import annotations

import asyncio
import json

import pytest

from functions.api import End, Event, Head, Step, Usage
from functions.demo.model import MAX_CALLS, MAX_ROUNDS, Model
from functions.demo.model_errors import ModelFailed
from functions.demo.openai_client import ChatApi
from functions.demo.tools.base import Context
from functions.demo.tools.catalog import TOOLS
from tests.functions.fake_model import DONE, KEY, Chunks, FakeModel, calls, delta, says
from tests.functions.support import application, request, serving, signed


def ask(fake: FakeModel, text: str = "what is 6*7?", *, timeout_s: float = 10, **more: object) -> list[Event]:
    """All events of one request to the agent with this model."""

    async def run(url: str) -> list[Event]:
        asked = request(text, **more)
        context = Context(asked.messages, lambda: 0.0, asyncio.sleep)
        model = Model(ChatApi(f"{url}/v1", KEY, timeout_s), "tiny")
        return [event async for event in model.answer(asked, context)]

    with serving(fake) as url:
        return asyncio.run(run(url))


def text_of(events: list[Event]) -> str:
    return "".join(event for event in events if isinstance(event, str))


def without_heads(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Head)]


def test_the_model_calls_our_tools_and_answers() -> None:
    """The tokens of both turns are added."""
    fake = FakeModel(calls(("arithmetic", '{"expression": "6*7"}')), says("It is 42."))
    events = ask(fake)
    step = Step("arithmetic", {"expression": "6*7"}, "42")
    assert without_heads(events) == [step, "It is 42.", End("stop"), Usage(17, 8)]
    first, second = fake.asked
    assert first["path"] == "/v1/chat/completions"
    assert first["model"] == "tiny"
    assert [tool["function"]["name"] for tool in first["tools"]] == list(TOOLS)
    assert second["messages"][-1] == {"role": "tool", "tool_call_id": "c0", "content": "42"}
    assert fake.authorization == [f"Bearer {KEY}"] * 2


def test_the_text_of_a_streaming_model_is_forwarded_in_pieces() -> None:
    """The fragments of a tool call are joined; text is forwarded without delay."""
    fragments = [
        delta(tool_calls=[{"index": 0, "id": "c0", "function": {"name": "arithmetic", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"expression"'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ': "6*7"}'}}]),
        delta("tool_calls"),
        DONE,
    ]
    pieces: Chunks = [
        b": keep-alive\n\n",
        delta(role="assistant", content=""),
        delta(content="It "),
        delta(content="is 42."),
        delta("stop"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        DONE,
    ]
    fake = FakeModel(fragments, pieces)
    events = ask(fake, stream=True)
    step = Step("arithmetic", {"expression": "6*7"}, "42")
    assert without_heads(events) == [step, "It ", "is 42.", End("stop"), Usage(1, 2)]
    assert all(asked["stream"] for asked in fake.asked)


def test_a_models_invalid_tool_calls_are_answered_with_the_mistake() -> None:
    """After an unknown tool, arguments that are not JSON or refused arguments the loop continues."""
    wrong = calls(("nosuch", "{}"), ("arithmetic", "{oops"), ("arithmetic", '{"expression": "1/0"}'))
    fake = FakeModel(wrong, says("Sorry."))
    assert text_of(ask(fake)) == "Sorry."
    told = [message["content"] for message in fake.asked[1]["messages"][-3:]]
    assert "no tool 'nosuch'" in told[0]
    assert "no JSON object" in told[1]
    assert "divides by zero" in told[2]


def test_a_model_that_never_answers_is_stopped() -> None:
    """Rounds and calls in a round are limited, and the last round offers no tools."""
    many = calls(*[("arithmetic", '{"expression": "1+1"}')] * (MAX_CALLS + 2))
    fake = FakeModel(*[many] * (MAX_ROUNDS + 1))
    with pytest.raises(ModelFailed, match=f"{MAX_ROUNDS} times"):
        ask(fake)
    assert len(fake.asked) == MAX_ROUNDS
    assert [asked.get("tool_choice") for asked in fake.asked] == [None] * (MAX_ROUNDS - 1) + ["none"]
    assert sum("Not called" in str(m["content"]) for m in fake.asked[1]["messages"]) == 2


@pytest.mark.parametrize(
    ("turn", "stream", "words"),
    [
        (b"no json", False, "no JSON object"),
        ({"choices": []}, False, "no shape"),
        ({"choices": [{"message": "x"}]}, False, "no shape"),
        ({"choices": [{"message": {"content": ""}}]}, False, "nothing"),
        ([b"data: no json\n\n"], True, "no JSON object"),
        ([{"choices": ["x"]}], True, "no shape"),
        ([{"error": {"message": KEY}}], True, "reported an error"),
        ([delta(content="half")], True, "broke off"),
    ],
)
def test_answers_of_the_wrong_shape_are_errors(turn: object, stream: bool, words: str) -> None:
    """A stream without its end is an error too."""
    with pytest.raises(ModelFailed, match=words):
        ask(FakeModel(turn), stream=stream)


async def test_the_clients_parameters_of_the_model_are_forwarded() -> None:
    """The roles are those that all endpoints know."""
    fake = FakeModel(says("ok"))
    with serving(fake) as url:
        app = application(MODEL_BASE_URL=f"{url}/v1/", MODEL_NAME="tiny", MODEL_API_KEY=KEY)
        body = {"messages": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "x"}]}
        sent = json.dumps({**body, "temperature": 0, "user": "u7"}).encode()
        reply = await signed(app, "POST", "/v1/chat/completions", sent)
        assert reply.json["choices"][0]["message"]["content"] == "ok"
        assert reply.json["usage"]["total_tokens"] == 15
    assert fake.asked[0]["temperature"] == 0
    assert fake.asked[0]["user"] == "u7"
    assert [m["role"] for m in fake.asked[0]["messages"]] == ["system", "system", "user"]
