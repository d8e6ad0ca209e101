"""Tests of the endpoints /invoke, /v1/chat/completions and /v1/models with each kind of agent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from functions.endpoints import begun_at
from tests.asgi import Reply
from tests.functions.support import application, signed

HERE = "tests.functions.agents"


def invoke(agent: str, *, stream: bool = False, **environ: str) -> Reply:
    body = json.dumps({"input": "hi", "stream": stream}).encode()
    return asyncio.run(signed(application(f"{HERE}:{agent}", **environ), "POST", "/invoke", body))


def chat(agent: str, **more: object) -> Reply:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], **more}).encode()
    app = application(f"{HERE}:{agent}")
    return asyncio.run(signed(app, "POST", "/v1/chat/completions", body, headers={"x-request-id": "r1"}))


def chunks(reply: Reply) -> list[Any]:
    return [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]


def test_text_becomes_output() -> None:
    """An agent may return plain text."""
    assert invoke("echo").json == {"output": "you said hi", "steps": []}
    assert invoke("an_object").json["output"] == "from an object"


@pytest.mark.parametrize(
    ("given", "created"),
    [
        (b"t=1700000000.875", 1_700_000_000),
        (b"1700000003", 1_700_000_003),
        (b"t=1600000000", 1_700_000_030),
        (b"t=1800000000", 1_700_000_030),
        (b"t=nan", 1_700_000_030),
        (b"t=inf", 1_700_000_030),
        (b"yesterday", 1_700_000_030),
        (b"", 1_700_000_030),
    ],
)
def test_a_completion_is_created_at_the_begin_of_its_request(given: bytes, created: int) -> None:
    """All attempts of a request have the same time, and an implausible time is ignored."""
    assert begun_at({"headers": [(b"x-request-start", given)]}, 1_700_000_030.5) == created


def test_a_mapping_is_the_reply_itself() -> None:
    """/invoke returns the whole mapping, and chat completions its `output`."""
    assert invoke("mapping").json == {"output": "hi", "score": 7}
    assert chat("mapping").json["choices"][0]["message"]["content"] == "hi"


def test_a_generator_streams_steps_and_text_and_ends_with_the_whole_reply() -> None:
    """`done` contains the same reply as without a stream."""
    step = {"name": "look", "input": {"at": "hi"}, "output": "seen"}
    whole = {"output": "one two", "steps": [step]}
    assert invoke("streams").json == whole
    events = [
        (event.split("\n")[0].removeprefix("event: "), json.loads(event.split("data: ")[1]))
        for event in invoke("streams", stream=True).body.decode().split("\n\n")
        if event
    ]
    assert events == [
        ("step", step),
        ("delta", {"text": "one "}),
        ("delta", {"text": "two"}),
        ("done", whole),
    ]


def test_a_function_without_a_generator_streams_too() -> None:
    """The stream has one delta and `done`, so clients read one form."""
    body = invoke("echo", stream=True).body.decode()
    assert body.count("event: delta") == body.count("event: done") == 1


def test_usage_is_the_models_count_if_it_exists() -> None:
    """Otherwise it is estimated from the length of the texts."""
    assert chat("streams").json["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 22,
        "total_tokens": 33,
    }
    assert chat("echo").json["usage"]["completion_tokens"] == 3


def test_usage_in_a_stream_is_sent_on_request() -> None:
    """As in OpenAI's API it is a further chunk without choices before the end."""
    *_, last, usage, end = chunks(chat("streams", stream=True, stream_options={"include_usage": True}))
    assert json.loads(last)["choices"][0]["finish_reason"] == "stop"
    assert (json.loads(usage)["choices"], json.loads(usage)["usage"]["total_tokens"]) == ([], 33)
    assert end == "[DONE]"
    assert "usage" not in chat("streams", stream=True).body.decode()


def test_attempts_of_one_request_have_one_id() -> None:
    """The id is derived from the request id."""
    ids = {chat("echo").json["id"] for _ in range(2)}
    ids |= {json.loads(chunk)["id"] for chunk in chunks(chat("echo", stream=True))[:-1]}
    assert len(ids) == 1
