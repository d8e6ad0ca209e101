"""Tests of `n` and of images without a model: the official client's types read each answer."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from functions.api import Image
from functions.demo.images import MOST, about_images, described
from tests.functions.support import application, signed

PIXEL: Final = "data:image/png;base64,aW1nIGJ5dGVzIGhlcmU="
SUM: Final = "6 * 7 = 42."


async def asked(content: object, **more: object) -> Any:  # noqa: ANN401 - a completion, or its chunks
    """The answer to one chat request without a model."""
    body = {"messages": [{"role": "user", "content": content}], **more}
    reply = await signed(application(), "POST", "/v1/chat/completions", json.dumps(body).encode())
    assert reply.status == 200, reply.body
    if not more.get("stream"):
        return ChatCompletion.model_validate(reply.json, strict=True)
    *events, done = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(event, strict=True) for event in events]


async def answers(content: object, n: int, *, stream: bool, **more: object) -> list[tuple[str, str]]:
    """Text and finish reason of each answer, by its index."""
    got = await asked(content, n=n, stream=stream, **more)
    if not stream:
        assert [choice.index for choice in got.choices] == list(range(n))
        return [(choice.message.content, choice.finish_reason) for choice in got.choices]
    texts, ends = [""] * n, [""] * n
    for chunk in got:
        for choice in chunk.choices:
            if choice.delta.role:
                assert (texts[choice.index], choice.delta.role) == ("", "assistant")
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] = choice.finish_reason or ends[choice.index]
    assert all(len(chunk.choices) <= 1 for chunk in got)
    return list(zip(texts, ends, strict=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_as_many_answers_as_asked_for(stream: bool) -> None:
    """Each has the result, says which one it is, and is the same in each cloud."""
    expected = [(SUM, "stop"), (f"Answer 2 of 3: {SUM}", "stop"), (f"Answer 3 of 3: {SUM}", "stop")]
    assert await answers("what is 6 * 7?", 3, stream=stream) == expected
    assert len(await answers("what is 6 * 7?", 128, stream=stream)) == 128


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"max_tokens": 1}, [("6 * ", "length"), ("Answ", "length")]),
        ({"stop": ["Answer"]}, [(SUM, "stop"), ("", "stop")]),
        (
            {"response_format": {"type": "json_object"}},
            [(f'{{"answer": "{SUM}"}}', "stop"), (f'{{"answer": "Answer 2 of 2: {SUM}"}}', "stop")],
        ),
    ],
)
async def test_the_limits_of_a_request_hold_for_each_answer(
    limit: dict[str, object], expected: list[tuple[str, str]], stream: bool
) -> None:
    """Also for one that has no text left."""
    assert await answers("what is 6 * 7?", 2, stream=stream, **limit) == expected


async def test_the_usage_is_that_of_all_answers() -> None:
    """The question counts once."""
    one = await asked("what is 6 * 7?")
    three = await asked("what is 6 * 7?", n=3)
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens == sum(
        -(-len(choice.message.content) // 4) for choice in three.choices
    )
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = await asked("what is 6 * 7?", n=3, **options)
    assert chunks[-1].usage == three.usage


@pytest.mark.parametrize("stream", [False, True])
async def test_images_are_told_apart(stream: bool) -> None:
    """The rest of the request is answered too."""
    content = [
        {"type": "text", "text": "what do these pictures show? what is 6 * 7?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    ((text, _),) = await answers(content, 1, stream=stream)
    assert text == (
        "You sent 2 images: image/png of 14 bytes, one at example.com, not loaded. "
        f"Without a model I do not see what they show.\n{SUM}"
    )


async def test_an_image_alone_is_a_request() -> None:
    """Of a user's last message; the earlier ones are not counted again."""
    image = [{"type": "image_url", "image_url": {"url": PIXEL}}]
    ((text, _),) = await answers(image, 1, stream=False)
    assert text == "You sent 1 image: image/png of 14 bytes. Without a model I do not see what it shows."
    earlier = [{"role": "user", "content": image}, {"role": "user", "content": "what is 6 * 7?"}]
    got = await asked("", messages=earlier)
    assert got.choices[0].message.content == SUM


@pytest.mark.pure
def test_many_images_are_counted() -> None:
    """The text stays short."""
    said = described([Image("https://example.com/a.png")] * (MOST + 5))
    assert said.startswith("You sent 15 images: ")
    assert "and 5 more. Without" in said
    assert about_images("describe the photo")
    assert not about_images("imagine")


async def test_other_agents_refuse_what_they_do_not_declare() -> None:
    """An ignored image, or an answer too few, would not be noticed."""
    app = application("tests.functions.agents:echo")
    image = [{"type": "image_url", "image_url": {"url": PIXEL}}]
    for more, param in (({"n": 2}, "n"), ({}, "messages[0].content[0]")):
        content: object = "x" if more else image
        body = {"messages": [{"role": "user", "content": content}], **more}
        reply = await signed(app, "POST", "/v1/chat/completions", json.dumps(body).encode())
        assert (reply.status, reply.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agents_answers_may_come_in_any_order(stream: bool) -> None:
    """They are told apart by their index; one more than asked for is a mistake of the agent."""
    app = application("tests.functions.agents:two_answers")
    for n, status in ((2, 200), (1, 500)):
        body = {"messages": [{"role": "user", "content": "x"}], "n": n, "stream": stream}
        reply = await signed(app, "POST", "/v1/chat/completions", json.dumps(body).encode())
        assert reply.status == status
        if status == 500:
            assert reply.json["error"]["code"] == "agent-failed"
        elif stream:
            events = [
                json.loads(line.removeprefix("data: ")) for line in reply.body.decode().split("\n\n")[:-2]
            ]
            found = [(one["choices"][0]["index"], one["choices"][0]["delta"]) for one in events]
            role = {"role": "assistant", "content": ""}
            more = {"content": "c", "refusal": "no"}
            said = [(1, role), (1, {"content": "b"}), (0, role), (0, {"content": "a"}), (1, more)]
            assert found == [*said, (0, {}), (1, {})]
        else:
            first, second = ChatCompletion.model_validate(reply.json, strict=True).choices
            assert (first.message.content, first.finish_reason) == ("a", "stop")
            assert (second.message.content, second.message.refusal) == ("bc", "no")
            assert second.finish_reason == "length"
