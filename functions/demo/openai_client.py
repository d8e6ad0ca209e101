"""A client of OpenAI-compatible chat completions endpoints: one turn of a model, plain or streamed.

Rules
- Every failure of a model is one of functions/demo/model_errors.py; only a failed connection is the cloud's.
- One request is sent once: the SDKs of clients repeat, and so does the router where another cloud may help.
- A stream without `finish_reason` or `[DONE]` is a failure and never a short answer.
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx

from functions.api import Usage
from functions.demo import model_errors
from functions.demo.model_errors import ModelFailed, ModelMisused, ModelSilent, ModelUnreachable
from functions.errors import FunctionError
from skyfleet import contract

CONNECT_TIMEOUT_S: Final = 10.0
# Between two pieces of an answer: half of the shortest request limit of the clouds (230 s on Azure).
READ_TIMEOUT_S: Final = 110.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requests. arguments: unparsed JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The text, tool calls and usage of one turn of a model."""

    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage | None


@dataclass(slots=True)
class _Parts:
    """The accumulated parts of a streamed turn."""

    texts: list[str] = field(default_factory=list[str])
    calls: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    usage: Usage | None = None
    ended: bool = False

    def turn(self) -> Turn:
        calls = tuple(ToolCall(c["id"], c["name"], c["arguments"]) for _, c in sorted(self.calls.items()))
        return Turn("".join(self.texts), calls, self.usage)


@dataclass(frozen=True, slots=True)
class ChatApi:
    """A chat completions endpoint. base_url: including /v1. timeout_s: between two pieces."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout_s: float = READ_TIMEOUT_S

    async def plain(self, body: Mapping[str, object]) -> Turn:
        """Request one turn. Raises an error of functions/demo/model_errors.py."""
        try:
            async with self._client() as client:
                response = await client.post(self._url, json=body, headers=self._headers())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise self._refusal(response)
        reply = self._json(response.content)
        try:
            message: dict[str, Any] = reply["choices"][0]["message"]
            calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
            return Turn(message.get("content") or "", calls, _usage(reply.get("usage")))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelFailed(
                f"The model at {self._host} answered in no shape of chat completions."
            ) from None

    async def streamed(self, body: Mapping[str, object]) -> AsyncGenerator[str | Turn, None]:
        """Yield pieces of text as they arrive, then the turn. Raises the same errors."""
        parts = _Parts()
        try:
            async with (
                self._client() as client,
                client.stream("POST", self._url, json=body, headers=self._headers()) as response,
            ):
                if response.status_code != 200:
                    await response.aread()
                    raise self._refusal(response)
                async with aclosing(cast("AsyncGenerator[str]", response.aiter_lines())) as lines:
                    async for line in lines:
                        if (text := self._line(line, parts)) is not None:
                            yield text
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if not parts.ended:
            raise ModelFailed(f"The model at {self._host} broke off in the middle of its answer.")
        yield parts.turn()

    def _line(self, line: str, parts: _Parts) -> str | None:
        """Add one line of the event stream to the parts; returns its text."""
        if not line.startswith("data:"):
            return None
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            parts.ended = True
            return None
        chunk = self._json(data.encode())
        if chunk.get("error"):
            raise model_errors.in_stream(self._host, model_errors.said(chunk), self.api_key)
        try:
            parts.usage = _usage(chunk.get("usage")) or parts.usage
            return _read_choice(chunk.get("choices") or [], parts)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ModelFailed(
                f"The model at {self._host} streamed in no shape of chat completions."
            ) from None

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.timeout_s, connect=min(CONNECT_TIMEOUT_S, self.timeout_s))
        return httpx.AsyncClient(timeout=timeout, verify=_tls(), follow_redirects=False)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def _url(self) -> str:
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def _host(self) -> str:
        # The whole URL may contain a key as user name or query.
        return httpx.URL(self.base_url).host or contract.MODEL_BASE_URL

    def _refusal(self, response: httpx.Response) -> FunctionError:
        error = model_errors.said(model_errors.decoded(response.content))
        return model_errors.of_status(self._host, response.status_code, response.headers, error, self.api_key)

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            parsed: object = json.loads(data)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ModelFailed(f"The model at {self._host} sent something that is no JSON object.")
        return cast("dict[str, Any]", parsed)

    def _unreachable(self, error: Exception) -> FunctionError:
        match error:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                return ModelMisused("MODEL_BASE_URL is no address like https://api.example.com/v1.")
            case httpx.ConnectError() | httpx.ConnectTimeout():
                kind = type(error).__name__
                return ModelUnreachable(
                    f"The model at {self._host} cannot be reached from this cloud ({kind})."
                )
            case httpx.TimeoutException():
                return ModelSilent(f"The model at {self._host} was silent for {self.timeout_s:g} seconds.")
            case _:
                kind = type(error).__name__
                return ModelFailed(
                    f"The model at {self._host} broke off before its answer was whole ({kind})."
                )


def _read_choice(choices: list[dict[str, Any]], parts: _Parts) -> str | None:
    if not choices:
        return None
    choice = choices[0]
    parts.ended = parts.ended or choice.get("finish_reason") is not None
    delta: dict[str, Any] = choice.get("delta") or {}
    for position, piece in enumerate(delta.get("tool_calls") or ()):
        call = parts.calls.setdefault(piece.get("index", position), {"id": "", "name": "", "arguments": ""})
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""
    text = delta.get("content")
    if not isinstance(text, str) or not text:
        return None
    parts.texts.append(text)
    return text


def _tool_call(call: dict[str, Any]) -> ToolCall:
    return ToolCall(call.get("id") or "", call["function"]["name"], call["function"].get("arguments") or "{}")


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    counts = cast("dict[str, Any]", value)
    return Usage(int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0))


@functools.cache
def _tls() -> ssl.SSLContext:
    # The certificates are read once per instance, which takes tens of milliseconds.
    return httpx.create_ssl_context()
