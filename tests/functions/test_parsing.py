"""Tests of the parser of request bodies: requests and located mistakes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.api import CHOICES, IMAGES, Image
from functions.errors import BadJson, BadRequest, CallerError
from functions.parsing import MOST_CHOICES, RequestContext, chat_request, invoke_request
from skyfleet.asgi import json_bytes

pytestmark = pytest.mark.pure

CONTEXT = RequestContext(request_id="r1", accepts_events=False, environ={})
SUPPORTING = RequestContext("r1", accepts_events=False, environ={}, supports=frozenset({IMAGES, CHOICES}))


def test_an_input_is_one_user_message() -> None:
    """`input` is the short form of a conversation with one message."""
    request = invoke_request(b'{"input": "hi", "extra": 1}', CONTEXT)
    assert (request.input, request.messages[0].role, request.body["extra"]) == ("hi", "user", 1)
    assert not request.stream


def test_the_input_of_messages_is_the_last_user_message() -> None:
    """Text parts are joined by a line break, and an assistant message with only tool calls has no text."""
    request = chat_request(
        json_bytes(
            {
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                    },
                    {"role": "assistant", "content": None},
                ],
                "stream": True,
            }
        ),
        CONTEXT,
    )
    assert request.input == "a\nb"
    assert request.stream
    assert [message.content for message in request.messages] == ["be kind", "a\nb", ""]


def test_a_conversation_is_accepted_as_clients_replay_it() -> None:
    """With the refusal of a model, and with a function and its result as they were before tools."""
    refusal = {"type": "refusal", "refusal": "I cannot."}
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [refusal], "refusal": None},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
        {"role": "function", "name": "f", "content": None},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "43"}]},
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "two"},
    ]
    request = chat_request(json_bytes({"messages": messages}), CONTEXT)
    texts = ["one", "I cannot.", "", "42", "", "", "43", "be brief", "two"]
    assert [message.content for message in request.messages] == texts
    assert request.input == "two"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "messages"),
        (b'{"messages": [{"role": "robot"}]}', "messages[0].role"),
        (b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}', "messages[0].content[0]"),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 2}', "n"),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": 1}', "stream"),
    ],
)
def test_a_mistake_names_its_parameter(body: bytes, param: str) -> None:
    """As in the errors of OpenAI's API."""
    with pytest.raises(BadRequest) as raised:
        chat_request(body, CONTEXT)
    assert raised.value.to_json()["param"] == param


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b"", BadJson, "empty"),
        (b"{", BadJson, "line 1, column 2"),
        (b'{"a": 1,\n "b": }', BadJson, "line 2, column 7"),
        (b"\xff", BadJson, "byte 0"),
        (b'{"input": NaN}', BadJson, "NaN"),
        (b"[" * 100_000, BadJson, "nested"),
        (b'{"input": ' + b"9" * 5000 + b"}", BadJson, "digits"),
        (b"[]", BadRequest, "a list|an empty list"),
        (b'"x"', BadRequest, "text"),
        (b"{}", BadRequest, "neither input nor messages"),
        (b'{"inputs": 1}', BadRequest, "inputs"),
        (b'{"input": 7}', BadRequest, "input is a number"),
        (b'{"input": "x", "messages": []}', BadRequest, "both"),
        (b'{"input": "x", "stream": "yes"}', BadRequest, "stream is text"),
        (b'{"messages": []}', BadRequest, "messages is an empty list"),
        (b'{"messages": {}}', BadRequest, "messages is an object"),
        (b'{"messages": ["x"]}', BadRequest, r"messages\[0\] is text"),
        (b'{"messages": [{"role": "robot", "content": ""}]}', BadRequest, r"messages\[0\].role is 'robot'"),
        (b'{"messages": [{"content": ""}]}', BadRequest, "role is missing"),
        (b'{"messages": [{"role": "user"}]}', BadRequest, r"messages\[0\].content is missing"),
        (b'{"messages": [{"role": "system", "content": "x"}]}', BadRequest, "role user"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
            BadRequest,
            r"messages\[0\].content\[0\]",
        ),
    ],
)
def test_mistakes_are_named(body: bytes, error: type[CallerError], words: str) -> None:
    """The message has the mistake, its place and the expected form."""
    with pytest.raises(error, match=words):
        invoke_request(body, CONTEXT)


def test_more_than_one_answer_is_refused() -> None:
    """A client would not notice an ignored `n`, unless the agent declares that it gives as many."""
    body = b'{"messages": [{"role": "user", "content": "x"}], "n": 2}'
    with pytest.raises(BadRequest, match="n is not 1"):
        chat_request(body, CONTEXT)
    assert chat_request(body, SUPPORTING).n == 2


@pytest.mark.parametrize(("n", "expected"), [(None, 1), (1, 1), (2, 2), (MOST_CHOICES, MOST_CHOICES)])
def test_as_many_answers_as_openais_api_gives_may_be_asked_for(n: object, expected: int) -> None:
    """The limit is OpenAI's."""
    body = json_bytes({"messages": [{"role": "user", "content": "x"}], "n": n})
    assert chat_request(body, SUPPORTING).n == expected


@pytest.mark.parametrize("n", [0, -1, MOST_CHOICES + 1, 10**30, 1.5, 1.0, "2", True, [2]])
def test_another_number_of_answers_is_refused(n: object) -> None:
    """The limits are in the message."""
    body = json_bytes({"messages": [{"role": "user", "content": "x"}], "n": n})
    with pytest.raises(
        BadRequest, match=f"n is .*, expected a whole number from 1 to {MOST_CHOICES}"
    ) as raised:
        chat_request(body, SUPPORTING)
    assert (raised.value.code, raised.value.param) == ("bad-request", "n")


def test_images_are_parts_of_a_message() -> None:
    """The text parts are its content; an image has its URL and its level of detail."""
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png?x=1", "detail": "low"}},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    body = json_bytes({"messages": [{"role": "user", "content": content}]})
    (message,) = chat_request(body, SUPPORTING).messages
    assert message.content == "a\nb"
    assert message.images == (
        Image("https://example.com/a.png?x=1", "low"),
        Image("data:image/png;base64,AAAA", "auto"),
    )
    assert invoke_request(body, SUPPORTING).messages == (message,)


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool", "function"])
def test_images_of_other_roles_are_refused(role: str) -> None:
    """As in OpenAI's API."""
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    body = json_bytes({"messages": [{"role": role, "content": content}, {"role": "user", "content": "x"}]})
    with pytest.raises(BadRequest, match="only text is read here") as raised:
        chat_request(body, SUPPORTING)
    assert raised.value.param == "messages[0].content[0]"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_request_or_a_client_error(body: bytes) -> None:
    """No body causes another exception."""
    for parse in (invoke_request, chat_request):
        with contextlib.suppress(BadJson, BadRequest):
            parse(body, SUPPORTING)
