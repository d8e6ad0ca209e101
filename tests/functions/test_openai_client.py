"""Tests of the function with the official `openai` client, plain and streaming."""

from __future__ import annotations

from collections.abc import Generator

import httpx2 as httpx  # the HTTP client of the openai package
import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from tests.functions.support import application, serving, signature
from tests.trust import NO_CERTIFICATES


class Signing(httpx.Auth):
    """Signs each request like the router."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        signed = signature(request.method, request.url.path, request.url.query, request.content)
        request.headers.update({name.decode(): value.decode() for name, value in signed})
        yield request


@pytest.fixture(scope="module")
def client() -> Generator[OpenAI]:
    with (
        serving(application()) as url,
        httpx.Client(auth=Signing(), trust_env=False, verify=NO_CERTIFICATES) as http,
        OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, http_client=http) as openai,
    ):
        yield openai


def test_a_plain_completion(client: OpenAI) -> None:
    """The client's types accept it."""
    reply = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "what is 12 * (3 + 4)?"}]
    )
    assert reply.choices[0].message.content == "12 * (3 + 4) = 84."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.id.startswith("chatcmpl-")


def test_a_streamed_completion(client: OpenAI) -> None:
    """The chunks form the answer, the last one has finish_reason stop, and usage is sent on request."""
    stream = client.chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": "reverse abc"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Reversed: cba"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None


def test_models_are_listed_and_found(client: OpenAI) -> None:
    """There is one model, of the name that the documentation uses."""
    (model,) = client.models.list()
    assert model.id == "skyfleet"
    assert client.models.retrieve(model.id) == model
    with pytest.raises(NotFoundError) as raised:
        client.models.retrieve("gpt-none")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_errors_are_raised_as_the_clients_exceptions(client: OpenAI) -> None:
    """The exception contains the function's message."""
    with pytest.raises(BadRequestError, match="role user") as raised:
        client.chat.completions.create(model="any", messages=[{"role": "system", "content": "x"}])
    error = raised.value
    assert (error.code, error.param, error.type) == ("bad-request", "messages", "invalid_request_error")


def test_without_a_signature_the_client_is_refused(client: OpenAI) -> None:
    """An agent accepts only signatures; API keys are for the router."""
    with (
        httpx.Client(trust_env=False, verify=NO_CERTIFICATES) as http,
        pytest.raises(APIStatusError) as raised,
    ):
        client.with_options(http_client=http).models.list()
    assert raised.value.status_code == 401
