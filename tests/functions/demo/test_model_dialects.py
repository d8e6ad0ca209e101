"""Tests of models that deviate from OpenAI's API: what they say reaches the client; no cloud is at fault."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.asgi import Reply
from tests.functions.fake_model import DONE, Chunks, FakeModel, delta, says
from tests.functions.support import application, serving, signed

TOOL: Final = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
HI: Final[list[dict[str, object]]] = [{"role": "user", "content": "hi"}]


async def asked(fake: FakeModel, path: str = "/v1/chat/completions", **more: object) -> Reply:
    """The function's answer to one request whose model is this one."""
    with serving(fake) as url:
        app = application(MODEL_BASE_URL=f"{url}/v1", MODEL_NAME="tiny")
        return await signed(app, "POST", path, json.dumps({"messages": HI, **more}).encode())


def message_of(reply: Reply) -> dict[str, Any]:
    """The message of a whole answer, or the joined one of a stream."""
    assert reply.status == 200, reply.body
    if reply.header("content-type") == "application/json":
        return reply.json["choices"][0]["message"]
    *events, done = [event.removeprefix("data: ") for event in reply.body.decode().split("\n\n") if event]
    assert done == "[DONE]", reply.body
    joined: dict[str, Any] = {}
    for event in events:
        for name, value in json.loads(event)["choices"][0]["delta"].items():
            joined[name] = joined[name] + value if name in joined else value
    return joined


def chunk(index: int | str | None, name: str | None, arguments: object, **more: object) -> dict[str, object]:
    """A chunk with a piece of a tool call. index: None: it has none."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    numbered = {} if index is None else {"index": index}
    return delta(tool_calls=[{**numbered, "function": function, **more}])


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085"])
async def test_line_ends_of_unicode_end_no_event(character: str) -> None:
    """They may be in a JSON text, and only \\n and \\r end a line of an event stream."""
    text = f"a{character}b"
    raw = json.dumps(delta(content=text), ensure_ascii=False).encode()
    fake = FakeModel([b"data: " + raw + b"\n\n", delta("stop"), DONE])
    assert message_of(await asked(fake, stream=True))["content"] == text


@pytest.mark.parametrize(
    "turn",
    [
        [b": OPENROUTER PROCESSING\n\n", delta(content="all"), b"data: \n\n", delta("stop"), DONE],
        [b"event: message\r\ndata:" + json.dumps(delta(content="all")).encode() + b"\r\n\r\n", DONE],
        [b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "all"}}]}\n\n', DONE],
        [delta(content="all"), b"data: [DONE]"],
        [b'data: {"choices": [{"delta": {"content": "all"}, "finish_reason": "stop"}]}\n'],
        [{"choices": None}, {"choices": []}, delta(content="all"), {"id": "x"}, delta("stop")],
    ],
)
async def test_a_stream_is_read_as_the_standard_defines(turn: Chunks) -> None:
    """Comments, empty data, data in several lines, other line ends, a last event without its end."""
    assert message_of(await asked(FakeModel(turn), stream=True))["content"] == "all"


async def test_a_document_in_place_of_a_stream_is_an_answer() -> None:
    """Some servers ignore `stream`."""
    assert message_of(await asked(FakeModel(says("all")), stream=True))["content"] == "all"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_content_in_parts_is_read(stream: bool) -> None:
    """Mistral's reasoning models answer with a list."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    content = [thinking, {"type": "text", "text": "the answer"}]
    whole = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    fake = FakeModel([delta(content=content), delta("stop"), DONE] if stream else whole)
    message = message_of(await asked(fake, stream=stream))
    assert (message["content"], message["reasoning_content"]) == ("the answer", "hm")


@pytest.mark.parametrize("index", [0, None, "0"])
async def test_parallel_calls_with_one_index_stay_apart(index: int | str | None) -> None:
    """As Gemini numbers them; a piece without a name goes on with the call before, whatever its id."""
    fake = FakeModel(
        [
            chunk(index, "weather", '{"in": "Oslo"}', id="a"),
            chunk(index, "weather", '{"in": ', id="b"),
            chunk(index, None, '"Rome"}', id="another"),
            delta("tool_calls"),
            DONE,
        ]
    )
    calls = message_of(await asked(fake, stream=True, tools=[TOOL]))["tool_calls"]
    assert [(call["index"], call["id"], call["function"]["arguments"]) for call in calls] == [
        (0, "a", '{"in": "Oslo"}'),
        (1, "b", '{"in": "Rome"}'),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call_keeps_all_its_fields(stream: bool) -> None:
    """For the client, which replays them, and in the agent's own turns: Gemini wants its signature back."""
    signature = {"google": {"thought_signature": "S"}}
    arithmetic = {"name": "arithmetic", "arguments": '{"expression": "6*7"}'}
    call = {"id": "a", "type": "function", "function": arithmetic, "extra_content": signature}
    whole = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    turn = [delta(tool_calls=[{"index": 0, **call}]), delta("tool_calls"), DONE] if stream else whole
    theirs = message_of(await asked(FakeModel(turn), stream=stream, tools=[TOOL]))["tool_calls"]
    assert theirs == [{"index": 0, **call} if stream else call]
    fake = FakeModel(turn, [delta(content="42"), delta("stop"), DONE] if stream else says("42"))
    assert message_of(await asked(fake, stream=stream))["content"] == "42"
    assert fake.asked[1]["messages"][-2]["tool_calls"] == [call]


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_of_custom_tools_are_passed_on(stream: bool) -> None:
    """openai-python, types/chat/chat_completion_message_custom_tool_call.py."""
    call = {"id": "a", "type": "custom", "custom": {"name": "code", "input": "print(1)"}}
    whole = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    turn = [delta(tool_calls=[{"index": 0, **call}]), delta("tool_calls"), DONE] if stream else whole
    tools = [{"type": "custom", "custom": {"name": "code"}}]
    calls = message_of(await asked(FakeModel(turn), stream=stream, tools=tools))["tool_calls"]
    assert calls == [{"index": 0, **call} if stream else call]


async def test_a_stream_that_breaks_within_a_tool_call_sends_no_part_of_it() -> None:
    """A client would call its tool with half of the arguments."""
    turn: Chunks = [delta(content="wait"), chunk(0, "weather", '{"in": "Os', id="a")]
    reply = await asked(FakeModel(turn, cut=True), stream=True, tools=[TOOL])
    assert b"tool_calls" not in reply.body
    assert json.loads(reply.body.split(b"data: ")[-1])["error"]["outcome"] == "dependency"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"code": "context_length_exceeded", "type": "invalid_request_error", "message": "too long"},
            (400, "context_length_exceeded"),
        ),
        ({"type": "invalid_request_error", "message": "no"}, (400, "model-refused")),
        ({"code": "invalid_api_key", "type": "invalid_request_error"}, (502, "model-misused")),
        ({"type": "authentication_error"}, (502, "model-misused")),
        ({"code": "rate_limit_exceeded", "type": "tokens"}, (429, "rate_limit_exceeded")),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, (429, "insufficient_quota")),
        ({"type": "overloaded_error"}, (503, "model-busy")),
        ({"code": 504, "message": "Provider timed out"}, (504, "model-silent")),
        ({"type": "server_error", "code": "weird"}, (502, "weird")),
        ("something went wrong", (502, "model-failed")),
    ],
)
async def test_an_error_with_status_200_has_the_status_of_its_kind(
    error: object, expected: tuple[int, str], stream: bool
) -> None:
    """In a document and in the first event of a stream; also by servers without an `error` member."""
    turns: list[object] = [json.dumps({"error": error, "choices": []}).encode()]
    if stream:
        data = json.dumps({"error": error}).encode()
        turns += [[b"data: " + data + b"\n\n"], [b"event: error\ndata: " + data + b"\n\n"]]
    if isinstance(error, dict):
        turns += [{"object": "error", **error}]
    for turn in turns:
        reply = await asked(FakeModel(turn), stream=stream)
        assert (reply.status, reply.json["error"]["code"]) == expected, turn
        assert reply.header("x-skyfleet-outcome") == "dependency"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "turn",
    [
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": Infinity}}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1e999}}',
        b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [NaN]}}]}',
        b'{"choices": [{"message": {"content": ["x"]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "a"}]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": "f"}]}}]}',
    ],
)
async def test_what_cannot_be_read_is_the_models_failure(turn: bytes, stream: bool) -> None:
    """And no exception of the agent, which would count against each cloud."""
    if stream:
        turn = b"data: " + turn.replace(b'"message"', b'"delta"') + b"\n\ndata: [DONE]\n\n"
    reply = await asked(FakeModel(turn), stream=stream)
    assert (reply.status, reply.json["error"]["code"]) == (502, "model-failed")
    assert reply.header("x-skyfleet-outcome") == "dependency"


@pytest.mark.parametrize("indexes", [(0, 0), (None, None), (None, 1)])
async def test_answers_without_an_index_of_their_own_are_told_apart(indexes: tuple[int | None, ...]) -> None:
    """By their order."""
    choices = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"}
        for index, text in zip(indexes, "ab", strict=True)
    ]
    reply = await asked(FakeModel({"choices": choices}), n=2)
    assert [choice["message"]["content"] for choice in reply.json["choices"]] == ["a", "b"]


@pytest.mark.parametrize("arguments", ['{"expression": NaN}', '{"expression": 1e999}', "[" * 100_000])
async def test_arguments_that_are_no_json_are_told_the_model(arguments: str) -> None:
    """And are no exception of the agent."""
    function = {"name": "arithmetic", "arguments": arguments}
    call = {"id": "a", "type": "function", "function": function}
    turn = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    fake = FakeModel(turn, says("sorry"))
    assert message_of(await asked(fake))["content"] == "sorry"
    assert fake.asked[1]["messages"][-1]["content"] == "The arguments are no JSON object."


async def test_a_mixture_of_indexes_is_read() -> None:
    """One piece without and one with an index, and arguments as an object."""
    pieces = [
        {"index": None, "id": "a", "function": {"name": "weather", "arguments": {"in": "Oslo"}}},
        {"index": 1, "id": "b", "function": {"name": "weather"}},
    ]
    fake = FakeModel([delta(tool_calls=pieces), delta("tool_calls"), DONE])
    calls = message_of(await asked(fake, stream=True, tools=[TOOL]))["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"in": "Oslo"}', "{}"]


@pytest.mark.parametrize(
    ("told", "passed"), [("true", "true"), ("false", "false"), ("perhaps", None), (None, None)]
)
async def test_whether_to_repeat_is_the_models_word(told: str | None, passed: str | None) -> None:
    """`x-should-retry` of the endpoint; where SDKs repeat, the deployment is right."""
    for status in (409, 425, 429, 500):
        fake = FakeModel(b"", status=status, fields={"x-should-retry": told} if told else {})
        reply = await asked(fake)
        assert reply.status == (429 if status == 429 else 502)
        assert reply.header("x-should-retry") == passed
    refused = await asked(FakeModel(b"", status=401, fields={"x-should-retry": "true"}))
    assert refused.header("x-should-retry") == "false"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "tool_call_id": {"a": 1}, "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "tool", "tool_call_id": ["a"], "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "function", "name": ["f"], "content": "x"}, "messages[1].name"),
    ],
)
async def test_an_id_that_is_no_text_is_the_clients_mistake(message: object, param: str) -> None:
    """It is refused before the model is asked."""
    fake = FakeModel(says("x"))
    reply = await asked(fake, messages=[*HI, message])
    assert (reply.status, reply.json["error"]["param"], fake.asked) == (400, param, [])


async def test_odd_calls_in_a_replayed_message_reach_the_model() -> None:
    """It says what is wrong with them; an empty list, which OpenAI's API refuses, is left out."""
    messages: list[dict[str, object]] = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [{"id": ["a"]}], "function_call": {"name": [1]}},
        {"role": "assistant", "content": "x", "tool_calls": []},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "user", "content": "a lone \ud800 surrogate"},
    ]
    fake = FakeModel(says("fine"))
    assert message_of(await asked(fake, messages=messages))["content"] == "fine"
    assert fake.asked[0]["messages"][2:] == [
        messages[1],
        {"role": "assistant", "content": "x"},
        {"role": "assistant", "content": "I cannot."},
        messages[4],
    ]


async def test_a_streamed_function_call_is_whole_at_the_end() -> None:
    """The last event of /invoke has the message as it became."""
    turn = [
        delta(function_call={"name": "weather", "arguments": ""}),
        delta(function_call={"arguments": '{"in": '}),
        delta(function_call={"arguments": '"Oslo"}'}),
        delta("function_call"),
        DONE,
    ]
    reply = await asked(FakeModel(turn), "/invoke", stream=True, functions=[TOOL["function"]])
    last: dict[str, Any] = json.loads(reply.body.split(b"data: ")[-1])
    assert last["function_call"] == {"name": "weather", "arguments": '{"in": "Oslo"}'}
