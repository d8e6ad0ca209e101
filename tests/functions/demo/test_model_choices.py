"""Tests of `n` and of images with a model: both reach it as they are, and its answers reach the client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.functions.demo.test_model_answers import HEAD, TOOL, USAGE, asked
from tests.functions.fake_model import DONE, Chunks, FakeModel, calls, delta, says
from tests.functions.support import application, serving, signed

ARITHMETIC: Final = ("arithmetic", '{"expression": "6*7"}')
OPTIONS: Final = {"stream": True, "stream_options": {"include_usage": True}}


def several(*messages: Mapping[str, object]) -> dict[str, object]:
    """A whole reply with these messages as its choices."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": None, **message},
            "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
        }
        for index, message in enumerate(messages)
    ]
    return {**HEAD, "choices": choices, "usage": USAGE}


def chunk(index: int, finish: str | None = None, **fields: object) -> dict[str, object]:
    choice = {"index": index, "delta": fields, "finish_reason": finish}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None}


def call(*wanted: tuple[str, str]) -> list[dict[str, Any]]:
    """The tool calls of a message."""
    message: Any = calls(*wanted)
    return message["choices"][0]["message"]["tool_calls"]


def texts(chunks: list[Any], n: int) -> list[str]:
    """The text of each answer of a stream."""
    found = [""] * n
    for one in chunks:
        for choice in one.choices:
            found[choice.index] += choice.delta.content or ""
    return found


async def test_a_models_answers_are_all_given() -> None:
    """It is asked once, and its usage is that of all."""
    fake = FakeModel(several({"content": "a"}, {"content": "b"}, {"refusal": "no"}))
    got = await asked(fake, n=3)
    assert [choice.message.content for choice in got.choices] == ["a", "b", None]
    assert [choice.message.refusal for choice in got.choices] == [None, None, "no"]
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    assert got.usage.to_dict() == USAGE
    assert [one["n"] for one in fake.asked] == [3]


async def test_a_models_answers_are_streamed_as_they_are_made() -> None:
    """Their pieces alternate; each has its role and its finish reason, and the usage is the last chunk."""
    turn: Chunks = [
        chunk(0, role="assistant", content=""),
        chunk(1, role="assistant", content=""),
        *(chunk(index, content=text) for text, index in (("a", 0), ("b", 1), ("c", 0), ("d", 1))),
        chunk(1, "length"),
        chunk(0, "stop"),
        {**HEAD, "choices": [], "usage": USAGE},
        DONE,
    ]
    fake = FakeModel(turn)
    *chunks, last = await asked(fake, n=2, **OPTIONS)
    order = [one.choices[0].index for one in chunks if one.choices[0].delta.content]
    assert order == [0, 1, 0, 1]
    assert texts(chunks, 2) == ["ac", "bd"]
    ends = {c.index: c.finish_reason for one in chunks for c in one.choices if c.finish_reason}
    assert ends == {0: "stop", 1: "length"}
    assert [one.choices[0].index for one in chunks if one.choices[0].delta.role] == [0, 1]
    assert (last.choices, last.usage.to_dict()) == ([], USAGE)
    assert (fake.asked[0]["n"], fake.asked[0]["stream"]) == (2, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_calls_tools_goes_on_by_itself(stream: bool) -> None:
    """The others are not asked for again."""
    (wanted,) = call(ARITHMETIC)
    if stream:
        first: object = [
            chunk(0, content="It is 42."),
            chunk(0, "stop"),
            chunk(1, tool_calls=[{"index": 0, **wanted}]),
            chunk(1, "tool_calls"),
            DONE,
        ]
        second: object = [delta(content="Forty-two."), delta("stop"), DONE]
    else:
        first = several({"content": "It is 42."}, {"tool_calls": [wanted]})
        second = says("Forty-two.")
    fake = FakeModel(first, second)
    got = await asked(fake, n=2, stream=stream)
    said = texts(got, 2) if stream else [choice.message.content for choice in got.choices]
    assert said == ["It is 42.", "Forty-two."]
    assert [one.get("n") for one in fake.asked] == [2, None]
    assert [one["role"] for one in fake.asked[1]["messages"]] == ["system", "user", "assistant", "tool"]
    assert fake.asked[1]["messages"][-1]["content"] == "42"


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_of_a_clients_tools_belong_to_their_answer(stream: bool) -> None:
    """Several at once in one of them, and one in the other."""
    one, two = call(("weather", '{"at": "x"}'), ("weather", '{"at": "y"}'))
    if stream:
        first: object = [
            chunk(0, tool_calls=[{"index": 0, **one}, {"index": 1, **two}]),
            chunk(1, tool_calls=[{"index": 0, **two}]),
            chunk(0, "tool_calls"),
            chunk(1, "tool_calls"),
            DONE,
        ]
    else:
        first = several({"tool_calls": [one, two]}, {"tool_calls": [two]})
    got = await asked(FakeModel(first), n=2, tools=[TOOL], stream=stream)
    found: dict[int, list[str]] = {0: [], 1: []}
    for choice in [c for part in got for c in part.choices] if stream else got.choices:
        message: Any = choice.delta if stream else choice.message
        called: list[Any] = message.tool_calls or []
        found[choice.index] += [each.function.arguments for each in called]
    assert found == {0: ['{"at": "x"}', '{"at": "y"}'], 1: ['{"at": "y"}']}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_gives_fewer_or_more_answers_is_passed_on(stream: bool) -> None:
    """Many servers ignore `n`. More than asked for are left out."""
    for n, said, expected in ((3, ["a"], ["a"]), (1, ["a", "b"], ["a"]), (2, ["a", "b", "c"], ["a", "b"])):
        if stream:
            pieces = [chunk(i, content=text) for i, text in enumerate(said)]
            turn: object = [*pieces, *(chunk(i, "stop") for i in range(len(said))), DONE]
            if n == 1:
                both: Any = [{"index": i, "delta": {"content": t}} for i, t in enumerate(said)]
                turn = [{**HEAD, "choices": both}, chunk(0, "stop"), DONE]
        else:
            turn = several(*({"content": text} for text in said))
        got = await asked(FakeModel(turn), n=n, stream=stream)
        found = texts(got, len(expected)) if stream else [choice.message.content for choice in got.choices]
        assert found == expected, (n, stream)


async def test_a_stream_that_breaks_before_all_answers_ended_is_an_error() -> None:
    """The end of one is not the end of all."""
    with serving(FakeModel([chunk(0, content="a"), chunk(0, "stop")], cut=True)) as url:
        app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny")
        body = {"messages": [{"role": "user", "content": "hi"}], "n": 2, "stream": True}
        reply = await signed(app, "POST", "/v1/chat/completions", json.dumps(body).encode())
    last = json.loads(reply.body.decode().split("data: ")[-1])
    assert last["error"]["code"] == "model-failed"
    assert b"[DONE]" not in reply.body


async def test_images_reach_the_model_as_they_are() -> None:
    """With their detail and the order of parts; messages without images have joined texts."""
    parts = [
        {"type": "text", "text": "which is"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
        {"type": "text", "text": "larger?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}},
    ]
    joined = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "user", "content": joined}, {"role": "user", "content": parts}]
    fake = FakeModel(says("The second."))
    got = await asked(fake, messages=messages)
    assert got.choices[0].message.content == "The second."
    assert fake.asked[0]["messages"][1:] == [
        {"role": "user", "content": "a\nb"},
        {"role": "user", "content": parts},
    ]
