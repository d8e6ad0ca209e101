"""Tests of the parameters of chat completions: each is honoured, passed to the model, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, get_type_hints

import pytest
from openai.types.chat import completion_create_params as params

from functions.demo.parameters import TextOptions, for_the_model, without_a_model
from functions.demo.text_limits import TextLimits
from functions.errors import BadRequest, UnsupportedParameter
from tests.asgi import Reply
from tests.functions.support import application, signed

MESSAGES: Final = [{"role": "user", "content": "reverse abc"}]
# A value of each parameter of OpenAI's API that asks for something.
VALUES: Final[Mapping[str, object]] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 1,
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "metadata": {"a": "b"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "n": 1,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 1,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "auto"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "safety_identifier": "s",
    "seed": 7,
    "service_tier": "flex",
    "stop": ["x"],
    "store": True,
    "stream": False,
    "stream_options": {"include_usage": True},
    "temperature": 0.7,
    "tool_choice": "required",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "top_logprobs": 3,
    "top_p": 0.5,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {},
}
READ: Final = {"n", "stream", "stream_options"}
REFUSED_OFFLINE: Final = {
    *("audio", "function_call", "functions", "logit_bias", "logprobs", "modalities", "moderation"),
    *("reasoning_effort", "service_tier", "store", "tool_choice", "tools", "top_logprobs", "verbosity"),
    "web_search_options",
}


@pytest.mark.pure
def test_every_parameter_of_the_api_has_a_row() -> None:
    """The types of the official client are the list."""
    known = get_type_hints(params.CompletionCreateParamsBase).keys() | {"stream"}
    assert known == VALUES.keys() | {"messages", "model"}


@pytest.mark.pure
@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_parameter_is_passed_to_the_model_or_refused(name: str) -> None:
    """Only those for audio are refused. A choice between tools needs tools."""
    body = {"messages": MESSAGES, "model": "m", name: VALUES[name]}
    if name == "tool_choice":
        body["tools"] = VALUES["tools"]
    if name == "function_call":
        body["functions"] = VALUES["functions"]
    if name in ("audio", "modalities"):
        with pytest.raises(UnsupportedParameter) as raised:
            for_the_model(body)
        assert raised.value.param == name
    else:
        expected = {one: body[one] for one in body.keys() - {"messages", "model"} - READ}
        assert for_the_model(body) == expected


@pytest.mark.pure
@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_parameter_is_honoured_without_a_model_or_refused(name: str) -> None:
    """What only steers sampling, or names a request, has nothing to change."""
    body = {"messages": MESSAGES, name: VALUES[name]}
    if name in REFUSED_OFFLINE:
        with pytest.raises(UnsupportedParameter, match=name) as raised:
            without_a_model(body)
        assert (raised.value.status, raised.value.code, raised.value.param) == (
            400,
            "unsupported_parameter",
            name,
        )
    else:
        without_a_model(body)
    assert without_a_model({"messages": MESSAGES, name: None}) == TextOptions()


@pytest.mark.pure
def test_n_is_refused_where_the_endpoint_gives_one_answer() -> None:
    """/invoke does; chat completions have parsed it before."""
    body = {"messages": MESSAGES, "n": 3}
    for parse in (for_the_model, without_a_model):
        with pytest.raises(BadRequest, match="/invoke gives one answer") as raised:
            parse(body)
        assert raised.value.param == "n"
    assert for_the_model(body, 3) == {}
    assert without_a_model(body, 3) == TextOptions()


@pytest.mark.pure
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", False),
        ("tools", []),
        ("tool_choice", "auto"),
        ("tool_choice", "none"),
        ("modalities", ["text"]),
        ("store", False),
        ("service_tier", "auto"),
        ("response_format", {"type": "text"}),
        ("stream_options", {"include_obfuscation": False}),
    ],
)
def test_a_value_that_asks_for_nothing_is_taken(field: str, value: object) -> None:
    """Clients send defaults."""
    assert without_a_model({"messages": MESSAGES, field: value}) == TextOptions()
    for_the_model({"messages": MESSAGES, field: value})


@pytest.mark.pure
@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"top_k": 4}, UnsupportedParameter, "top_k"),
        (
            {"stream_options": {"include_obfuscation": True}},
            UnsupportedParameter,
            "stream_options.include_obfuscation",
        ),
        ({"stream_options": {"x": 1}}, UnsupportedParameter, "stream_options.x"),
        ({"stream_options": 1}, BadRequest, "stream_options"),
    ],
)
def test_an_unknown_parameter_is_refused(
    body: Mapping[str, object], error: type[BadRequest], param: str
) -> None:
    """With and without a model; with `input` other fields are the client's own."""
    for read in (for_the_model, without_a_model):
        with pytest.raises(error) as raised:
            read({"messages": MESSAGES, **body})
        assert raised.value.param == param
    assert without_a_model({"input": "x", "top_k": 4}) == TextOptions()


@pytest.mark.pure
@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_completion_tokens": "5"},
        {"stop": [""]},
        {"stop": list("abcde")},
        {"stop": 5},
        {"response_format": {"type": "json_schema"}},
        {"response_format": "json"},
    ],
)
def test_a_value_that_cannot_be_honoured_is_refused(body: Mapping[str, object]) -> None:
    """The error names the parameter."""
    with pytest.raises(BadRequest) as raised:
        without_a_model({"messages": MESSAGES, **body})
    assert raised.value.param in body


@pytest.mark.pure
def test_a_choice_between_tools_needs_tools() -> None:
    """As in OpenAI's API."""
    with pytest.raises(BadRequest, match="only allowed with tools"):
        for_the_model({"messages": MESSAGES, "tool_choice": "required"})


async def chat(**more: object) -> Reply:
    body = json.dumps({"messages": MESSAGES, **more}).encode()
    return await signed(application(), "POST", "/v1/chat/completions", body)


def answer(reply: Reply, *, stream: bool) -> tuple[str, str]:
    """The text and the finish reason."""
    assert reply.status == 200, reply.body
    if not stream:
        choice = reply.json["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]
    events = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    choices: list[Any] = [json.loads(event)["choices"][0] for event in events[:-1]]
    return "".join(one["delta"].get("content", "") for one in choices), choices[-1]["finish_reason"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({}, "Reversed: cba", "stop"),
        ({"max_tokens": 2}, "Reversed", "length"),
        ({"max_tokens": 9, "max_completion_tokens": 1}, "Reve", "length"),
        ({"max_tokens": 4}, "Reversed: cba", "stop"),
        ({"stop": "d: c"}, "Reverse", "stop"),
        ({"stop": ["nothing", "ba"]}, "Reversed: c", "stop"),
        ({"stop": "cbaX"}, "Reversed: cba", "stop"),
        ({"stop": ": ", "max_tokens": 1}, "Reve", "length"),
        ({"response_format": {"type": "json_object"}}, '{"answer": "Reversed: cba"}', "stop"),
        ({"response_format": {"type": "json_object"}, "max_tokens": 2}, '{"answer', "length"),
    ],
)
async def test_the_answer_without_a_model_keeps_to_its_limits(
    options: Mapping[str, object], text: str, reason: str, stream: bool
) -> None:
    """The finish reason tells a cut answer."""
    assert answer(await chat(**options, stream=stream), stream=stream) == (text, reason)


async def test_a_refused_parameter_is_a_400_that_names_it() -> None:
    """In OpenAI's shape, which the official client reads."""
    for stream in (False, True):
        reply = await chat(tools=VALUES["tools"], stream=stream)
        error = reply.json["error"]
        assert (reply.status, error["code"], error["param"], error["type"]) == (
            400,
            "unsupported_parameter",
            "tools",
            "invalid_request_error",
        )


@pytest.mark.pure
def test_a_stop_text_is_found_across_pieces() -> None:
    """Its beginning is held until it is clear what follows."""
    limits = TextLimits(TextOptions(stops=("END",)))
    assert [limits.feed(piece) for piece in ("aE", "N", "x", "E", "ND", "b")][:5] == ["a", "", "ENx", "", ""]
    assert limits.ended == "stop"
