"""The agent with a model: a real HTTP client against a model that is made up, on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from functions.api import Event, Step, Usage
from functions.demo.model import MAX_CALLS, MAX_ROUNDS, Model
from functions.demo.openai_client import ChatApi
from functions.demo.tools.base import Context
from functions.demo.tools.catalog import TOOLS
from functions.errors import ModelFailed
from tests.asgi import Message, Receive, Send
from tests.functions.support import application, free_socket, request, serving, signed

KEY = "sk-very-secret"
Chunks = list[Mapping[str, object] | bytes]


class FakeModel:
    """Answers each turn with what it was given: a reply (plain), a list of chunks (stream), or raw bytes.

    After its last answer it stays silent until the caller hangs up.
    """

    def __init__(self, *turns: object, status: int = 200) -> None:
        self.turns = list(turns)
        self.status = status
        self.asked: list[dict[str, Any]] = []
        self.authorization: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append({"path": scope["path"], **json.loads(body)})
        headers = dict(scope["headers"])
        self.authorization.append(headers.get(b"authorization", b"").decode())
        turn = self.turns.pop(0) if self.turns else None
        if turn is None:
            await receive()
            return
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        for data in _frames(turn):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _frames(turn: object) -> list[bytes]:
    match turn:
        case bytes():
            return [turn]
        case list():
            chunks: Chunks = turn  # pyright: ignore[reportUnknownVariableType]
            return [c if isinstance(c, bytes) else f"data: {json.dumps(c)}\n\n".encode() for c in chunks]
        case _:
            return [json.dumps(turn).encode()]


def says(text: str) -> dict[str, object]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def calls(*wanted: tuple[str, str]) -> dict[str, object]:
    tool_calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(wanted)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": tool_calls}
    return {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def delta(finish: str | None = None, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


DONE = b"data: [DONE]\n\n"


def ask(fake: FakeModel, text: str = "what is 6*7?", *, timeout_s: float = 10, **more: object) -> list[Event]:
    """All events of one request answered with the help of the model."""

    async def run(url: str) -> list[Event]:
        asked = request(text, **more)
        context = Context(asked.messages, lambda: 0.0, asyncio.sleep)
        model = Model(ChatApi(f"{url}/v1", KEY, timeout_s), "tiny")
        return [event async for event in model.answer(asked, context)]

    with serving(fake) as url:
        return asyncio.run(run(url))


def text_of(events: list[Event]) -> str:
    return "".join(event for event in events if isinstance(event, str))


def test_the_model_calls_our_tools_and_answers() -> None:
    """Plan, call, observe, answer; tokens of both turns are added up."""
    fake = FakeModel(calls(("arithmetic", '{"expression": "6*7"}')), says("It is 42."))
    events = ask(fake)
    assert events == [Step("arithmetic", {"expression": "6*7"}, "42"), "It is 42.", Usage(17, 8)]
    first, second = fake.asked
    assert first["path"] == "/v1/chat/completions"
    assert first["model"] == "tiny"
    assert [tool["function"]["name"] for tool in first["tools"]] == list(TOOLS)
    assert second["messages"][-1] == {"role": "tool", "tool_call_id": "c0", "content": "42"}
    assert fake.authorization == [f"Bearer {KEY}"] * 2


def test_a_streaming_model_is_passed_on_piece_by_piece() -> None:
    """A call of a tool that comes in fragments is put together; text is not held back."""
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
    assert events == [Step("arithmetic", {"expression": "6*7"}, "42"), "It ", "is 42.", Usage(1, 2)]
    assert all(asked["stream"] for asked in fake.asked)


def test_a_models_mistakes_with_tools_are_told_to_it() -> None:
    """Unknown tool, arguments that are no JSON, refused arguments: the loop goes on."""
    wrong = calls(("nosuch", "{}"), ("arithmetic", "{oops"), ("arithmetic", '{"expression": "1/0"}'))
    fake = FakeModel(wrong, says("Sorry."))
    assert text_of(ask(fake)) == "Sorry."
    told = [message["content"] for message in fake.asked[1]["messages"][-3:]]
    assert "no tool 'nosuch'" in told[0]
    assert "no JSON object" in told[1]
    assert "divides by zero" in told[2]


def test_a_model_that_never_answers_is_stopped() -> None:
    """Bounded rounds, bounded calls in a round, and in the last round no tool may be asked for."""
    many = calls(*[("arithmetic", '{"expression": "1+1"}')] * (MAX_CALLS + 2))
    fake = FakeModel(*[many] * (MAX_ROUNDS + 1))
    with pytest.raises(ModelFailed, match=f"{MAX_ROUNDS} times"):
        ask(fake)
    assert len(fake.asked) == MAX_ROUNDS
    assert [asked.get("tool_choice") for asked in fake.asked] == [None] * (MAX_ROUNDS - 1) + ["none"]
    assert sum("Not called" in str(m["content"]) for m in fake.asked[1]["messages"]) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (FakeModel(*[b"wrong key sk-very-secret"] * 2, status=401), "status 401. Check MODEL_API_KEY"),
        (FakeModel(*[b"{}"] * 2, status=404), "status 404. Check MODEL_BASE_URL"),
        (FakeModel(*[b"{}"] * 2, status=429), "rate limit"),
        (FakeModel(*[b"busy"] * 2, status=500), "status 500"),
        (FakeModel(), "silent for 0.2 seconds"),
    ],
    ids=["wrong-key", "not-found", "throttled", "failing", "silent"],
)
def test_a_model_that_fails_is_one_error_without_the_key(fake: FakeModel, words: str, stream: bool) -> None:
    """Which status, what to look at, and nothing of what the endpoint wrote."""
    with pytest.raises(ModelFailed, match=words.replace(".", r"\.")) as raised:
        ask(fake, stream=stream, timeout_s=0.2 if "silent" in words else 10)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("turn", "stream", "words"),
    [
        (b"no json", False, "no JSON object"),
        ({"choices": []}, False, "no shape"),
        ({"choices": [{"message": "x"}]}, False, "no shape"),
        (says(""), False, "nothing"),
        ([b"data: no json\n\n"], True, "no JSON object"),
        ([{"choices": ["x"]}], True, "no shape"),
        ([{"error": {"message": KEY}}], True, "error in the middle"),
        ([delta(content="half")], True, "broke off"),
    ],
)
def test_answers_of_the_wrong_shape_are_errors(turn: object, stream: bool, words: str) -> None:
    """A stream without its end is no short answer either."""
    with pytest.raises(ModelFailed, match=words):
        ask(FakeModel(turn), stream=stream)


def test_a_model_out_of_reach_is_named() -> None:
    """A closed port, and an address that is none."""

    async def run(url: str) -> None:
        await ChatApi(url, None, 5).plain({})

    with free_socket() as nobody, pytest.raises(ModelFailed, match=r"127\.0\.0\.1 cannot be reached"):
        asyncio.run(run(f"http://127.0.0.1:{nobody.getsockname()[1]}"))
    with pytest.raises(ModelFailed, match="no address"):
        asyncio.run(run("api.test/v1"))


def test_what_the_caller_sets_for_the_model_is_passed_on() -> None:
    """A short list; the rest of the body stays with the agent."""
    fake = FakeModel(says("ok"))

    async def run(url: str) -> None:
        app = application(MODEL_BASE_URL=f"{url}/v1/", MODEL_NAME="tiny", MODEL_API_KEY=KEY)
        body = {"messages": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "x"}]}
        sent = json.dumps({**body, "temperature": 0, "user": "u7"}).encode()
        reply = await signed(app, "POST", "/v1/chat/completions", sent)
        assert reply.json["choices"][0]["message"]["content"] == "ok"
        assert reply.json["usage"]["total_tokens"] == 15

    with serving(fake) as url:
        asyncio.run(run(url))
    assert fake.asked[0]["temperature"] == 0
    assert "user" not in fake.asked[0]
    assert [m["role"] for m in fake.asked[0]["messages"]] == ["system", "system", "user"]


def test_through_the_function_a_failing_model_is_502() -> None:
    """The caller learns that it was the model, and never the key."""

    async def run(url: str) -> None:
        app = application(MODEL_BASE_URL=url, MODEL_NAME="tiny", MODEL_API_KEY=KEY)
        for stream in (True, False):
            body = json.dumps({"input": "x", "stream": stream}).encode()
            reply = await signed(app, "POST", "/invoke", body)
            assert (reply.status, reply.json["error"]["code"]) == (502, "model-failed")
            assert KEY not in reply.body.decode()
        nameless = application(MODEL_BASE_URL=url)
        assert "MODEL_NAME" in (await signed(nameless, "POST", "/invoke", b'{"input": "x"}')).body.decode()

    with serving(FakeModel(*[b"x"] * 2, status=503)) as url:
        asyncio.run(run(url))
