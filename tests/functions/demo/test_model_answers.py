"""Tests of what a model says besides its text: it reaches the official OpenAI client in OpenAI's shape.

The same answer is given plain and as a stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.asgi import Message, Receive, Send
from tests.functions.fake_model import DONE, KEY, Chunks, FakeModel, calls
from tests.functions.support import application, serving, signed

HEAD: Final = {
    "id": "chatcmpl-theirs",
    "created": 1_700_000_007,
    "model": "tiny-2026-01-01",
    "system_fingerprint": "fp_1",
    "service_tier": "default",
}
USAGE: Final = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
TOOL: Final = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
NONE: Final[list[object]] = []
LOGPROBS: Final[Mapping[str, object]] = {
    "content": [{"token": "a", "bytes": None, "logprob": -0.1, "top_logprobs": NONE}],
    "refusal": None,
}


def whole(message: Mapping[str, object], reason: str, logprobs: object = None) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {
        **HEAD,
        "object": "chat.completion",
        "choices": [{**choice, "logprobs": logprobs}],
        "usage": USAGE,
    }


def streamed(deltas: list[Mapping[str, object]], reason: str, logprobs: object = None) -> Chunks:
    def chunk(delta: Mapping[str, object], reason: str | None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None}

    first = chunk({"role": "assistant", "content": ""}, None)
    chunks = [chunk(delta, None) for delta in deltas]
    return [first, *chunks, chunk({}, reason), {**HEAD, "choices": [], "usage": USAGE}, DONE]


async def asked(fake: FakeModel, **more: object) -> Any:  # noqa: ANN401 - a completion, or its chunks
    """The answer to one chat request, as the types of the client."""
    body = {"messages": [{"role": "user", "content": "hi"}], **more}
    with serving(fake) as url:
        app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny", MODEL_API_KEY=KEY)
        reply = await signed(app, "POST", "/v1/chat/completions", json.dumps(body).encode())
    assert reply.status == 200, reply.body
    if not more.get("stream"):
        return ChatCompletion.model_validate(reply.json, strict=True)
    *events, done = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]


ENDS: Final = (
    ({"content": "half an"}, "length", {"content": "half an"}),
    ({"content": "We"}, "content_filter", {"content": "We"}),
    ({"content": ""}, "length", {"content": ""}),
    ({"content": None, "refusal": "I cannot."}, "stop", {"content": None, "refusal": "I cannot."}),
    ({"content": "x", "reasoning_content": "hm"}, "stop", {"content": "x", "reasoning_content": "hm"}),
)


@pytest.mark.parametrize(("message", "reason", "expected"), ENDS)
async def test_the_end_of_a_plain_answer_is_the_models(
    message: Mapping[str, object], reason: str, expected: Mapping[str, object]
) -> None:
    """Finish reason, refusal, ids and usage with its details."""
    got = await asked(FakeModel(whole(message, reason)))
    (choice,) = got.choices
    assert choice.finish_reason == reason
    found = choice.message.to_dict()
    assert {name: found[name] for name in expected} == expected
    assert {name: getattr(got, name) for name in HEAD} == HEAD
    assert got.usage.to_dict() == USAGE


@pytest.mark.parametrize(("message", "reason", "expected"), ENDS)
async def test_the_end_of_a_streamed_answer_is_the_models(
    message: Mapping[str, object], reason: str, expected: Mapping[str, object]
) -> None:
    """All chunks have one id; only the last one has the usage, as in OpenAI's API."""
    deltas: list[Mapping[str, object]] = [{name: value} for name, value in message.items() if value]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = await asked(FakeModel(streamed(deltas, reason)), **options)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [reason]
    for name, value in expected.items():
        parts = [chunk.choices[0].delta.to_dict().get(name) or "" for chunk in chunks]
        assert "".join(parts) == (value or "")
    for chunk in [*chunks, last]:
        assert {name: getattr(chunk, name) for name in HEAD} == HEAD
    assert all(chunk.usage is None and "usage" in chunk.to_dict() for chunk in chunks)
    assert (last.choices, last.usage.to_dict()) == ([], USAGE)


async def test_log_probabilities_are_passed_on() -> None:
    """With each chunk of a stream, and for the whole answer."""
    got = await asked(FakeModel(whole({"content": "a"}, "stop", LOGPROBS)), logprobs=True)
    assert got.choices[0].logprobs.content[0].token == "a"
    fake = FakeModel(streamed([{"content": "a"}], "stop", LOGPROBS))
    chunks = await asked(fake, logprobs=True, stream=True)
    (found,) = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].delta.content]
    assert found.content[0].logprob == -0.1
    assert fake.asked[0]["logprobs"] is True


@pytest.mark.parametrize("stream", [False, True])
async def test_the_usage_of_all_turns_is_added(stream: bool) -> None:
    """Also the details; the id is that of the first turn in all chunks."""
    turn: Any = calls(("arithmetic", '{"expression": "6*7"}'))
    answer = {**whole({"content": "42"}, "stop"), "id": "chatcmpl-second"}
    first = {**turn, "id": "chatcmpl-first", "usage": USAGE}
    if stream:
        call = {"index": 0, **turn["choices"][0]["message"]["tool_calls"][0]}
        choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
        usage: Mapping[str, object] = {"choices": [], "usage": USAGE}
        fake = FakeModel(
            [{**HEAD, "id": "chatcmpl-first", "choices": [choice]}, usage, DONE],
            streamed([{"content": "42"}], "stop"),
        )
        chunks = await asked(fake, stream=True, stream_options={"include_usage": True})
        assert {chunk.id for chunk in chunks} == {"chatcmpl-first"}
        found = chunks[-1].usage
    else:
        got = await asked(FakeModel(first, answer))
        assert (got.id, got.choices[0].message.content) == ("chatcmpl-first", "42")
        found = got.usage
    assert found.to_dict() == {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 6},
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_the_calls_of_a_clients_own_tools_are_its_own(stream: bool) -> None:
    """The agent offers its tools only to a request without any, and calls none of the client's."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "x"}'}}
    options = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "stream": stream}
    if stream:
        fragments = [
            {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"at": '}},
            {"index": 0, "function": {"arguments": '"x"}'}},
        ]
        fake = FakeModel(streamed([{"tool_calls": [one]} for one in fragments], "tool_calls"))
        chunks = await asked(fake, **options)
        (found,) = [
            chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices[0].delta.tool_calls
        ]
        assert [one.to_dict() for one in found] == [{"index": 0, **call}]
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
    else:
        fake = FakeModel(whole({"content": None, "tool_calls": [call]}, "tool_calls"))
        got = await asked(fake, **options)
        assert got.choices[0].message.content is None
        assert [one.to_dict() for one in got.choices[0].message.tool_calls] == [call]
        assert got.choices[0].finish_reason == "tool_calls"
    (request,) = fake.asked
    assert {name: request[name] for name in ("tools", "tool_choice", "parallel_tool_calls")} == {
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    assert [message["role"] for message in request["messages"]] == ["user"]


async def test_tools_are_not_offered_to_a_request_that_wants_none() -> None:
    """`tool_choice: none` concerns the agent's tools too."""
    fake = FakeModel(whole({"content": "x"}, "stop"))
    await asked(fake, tool_choice="none")
    assert not fake.asked[0].keys() & {"tools", "tool_choice"}


async def test_invoke_tells_a_truncated_answer_too() -> None:
    """Its reply has the finish reason, unless that is `stop`, and the other fields of the message."""
    for stream in (False, True):
        turn = streamed([{"content": "half"}], "length") if stream else whole({"content": "half"}, "length")
        with serving(FakeModel(turn)) as url:
            app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny")
            body = json.dumps({"input": "hi", "stream": stream}).encode()
            reply = await signed(app, "POST", "/invoke", body)
        last: dict[str, Any] = json.loads(reply.body.split(b"data: ")[-1])
        assert last == {"output": "half", "steps": [], "finish_reason": "length"}


async def test_a_replayed_conversation_reaches_the_model_as_it_was() -> None:
    """Calls and results keep their ids; a result without its call is sent as text."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "name": "ada",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "tool", "tool_call_id": "c0", "content": "rain"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "function", "name": "g", "content": "2"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": "No."},
        {"role": "assistant", "content": "x", "tool_calls": ["odd"], "function_call": "odd"},
        {"role": "user", "content": "and now?"},
    ]
    fake = FakeModel(whole({"content": "x"}, "stop"))
    await asked(fake, messages=messages, tools=[TOOL])
    assert fake.asked[0]["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "ada", "content": "a\nb"},
        messages[2],
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "system", "content": "A tool of the caller answered: rain"},
        messages[5],
        {"role": "function", "name": "f", "content": "1"},
        {"role": "system", "content": "A tool of the caller answered: 2"},
        {"role": "assistant", "content": "No."},
        messages[9],
        {"role": "user", "content": "and now?"},
    ]


async def test_a_stream_that_breaks_after_its_finish_reason_is_whole() -> None:
    """Nothing of the answer is missing."""
    *most, _ = streamed([{"content": "all"}], "stop")
    chunks = await asked(FakeModel(most, cut=True), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "all"


async def test_a_stream_ends_with_its_last_event() -> None:
    """Also where the server keeps the connection open after [DONE], as this one does."""

    async def leaves_open(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = b"data: " + json.dumps(streamed([{"content": "all"}], "stop")[1]).encode() + b"\n\n" + DONE
        await send({"type": "http.response.body", "body": body, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    with serving(leaves_open) as url:
        app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny")
        body = json.dumps({"input": "hi", "stream": True}).encode()
        async with asyncio.timeout(20):
            reply = await signed(app, "POST", "/invoke", body)
    assert b'"output":"all"' in reply.body


async def test_arguments_that_are_an_object_are_taken_as_its_json() -> None:
    """Some servers do not write them as text."""
    turn: Any = calls(("arithmetic", ""))
    turn["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = {"expression": "6*7"}
    fake = FakeModel(turn, whole({"content": "42"}, "stop"))
    await asked(fake)
    assert fake.asked[1]["messages"][-1]["content"] == "42"
