"""A client of OpenAI-compatible chat completions endpoints: one turn of a model, plain or streamed.

Rules
- Every failure of a model is one of functions/demo/model_errors.py; only a failed connection is the cloud's.
- One request is sent once: the SDKs of clients repeat, and so does the router where another cloud may help.
- A stream without `finish_reason` of each answer or `[DONE]` is a failure and never a short answer.
- With `n` a model gives several answers in one reply. One that gives fewer is passed on as it is.
"""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx

from functions.api import Choice, Delta, Head, Usage
from functions.demo import model_errors
from functions.demo.model_errors import ModelFailed, ModelMisused, ModelSilent, ModelUnreachable
from functions.errors import FunctionError
from skyfleet import contract

CONNECT_TIMEOUT_S: Final = 10.0
# Between two pieces of an answer: half of the shortest request limit of the clouds (230 s on Azure).
READ_TIMEOUT_S: Final = 110.0


# What a model says of its whole answer, with the type of each.
_HEAD: Final[Mapping[str, type]] = {
    "id": str,
    "model": str,
    "created": int,
    "system_fingerprint": str,
    "service_tier": str,
}
# Fields of a message that a Turn has; all others are passed on as they are.
_READ: Final = frozenset({"role", "content", "tool_calls"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requests. arguments: unparsed JSON."""

    id: str
    name: str
    arguments: str

    def to_json(self) -> dict[str, object]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a model at its end.

    spoke: it has said something besides tool calls. finish_reason: None if it gave none. index: of the
    answer that it belongs to."""

    spoke: bool
    text: str
    calls: tuple[ToolCall, ...]
    finish_reason: str | None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a model's reply: a turn for each answer, and the usage of all."""

    turns: tuple[Turn, ...]
    usage: Usage | None


Output = AsyncGenerator[Head | str | Delta | Choice | Reply, None]


@dataclass(slots=True)
class _Parts:
    """The accumulated parts of a streamed turn."""

    texts: list[str] = field(default_factory=list[str])
    calls: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    finish_reason: str | None = None
    spoke: bool = False

    def turn(self, index: int) -> Turn:
        calls = tuple(ToolCall(c["id"], c["name"], c["arguments"]) for _, c in sorted(self.calls.items()))
        return Turn(self.spoke, "".join(self.texts), calls, self.finish_reason, index)


@dataclass(slots=True)
class _Streamed:
    """What has arrived of a streamed reply. n: the answers that were asked for."""

    n: int
    choices: dict[int, _Parts] = field(default_factory=dict[int, _Parts])
    usage: Usage | None = None
    done: bool = False
    headed: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing of the answers is missing."""
        ended = [parts for parts in self.choices.values() if parts.finish_reason is not None]
        return self.done or len(ended) >= self.n

    def reply(self) -> Reply:
        # One without any choice: the agent says what is wrong with it.
        choices = self.choices or {0: _Parts()}
        return Reply(tuple(parts.turn(index) for index, parts in sorted(choices.items())), self.usage)


@dataclass(frozen=True, slots=True)
class ChatApi:
    """A chat completions endpoint. base_url: including /v1. timeout_s: between two pieces."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout_s: float = READ_TIMEOUT_S

    async def plain(self, body: Mapping[str, object]) -> Output:
        """Yield the head, the messages and the reply. Raises an error of functions/demo/model_errors.py."""
        try:
            async with self._client() as client:
                response = await client.post(self._url, json=body, headers=self._headers())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise self._refusal(response)
        reply = self._json(response.content)
        if "choices" not in reply and reply.get("error"):
            raise model_errors.in_stream(self._host, model_errors.said(reply), self.api_key)
        try:
            usage = _usage(reply.get("usage"))
            found = _indexed(reply["choices"], _wanted(body))
            choices = [_whole_choice(index, choice) for index, choice in found]
            if not choices:
                raise LookupError("choices")
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ModelFailed(
                f"The model at {self._host} answered in no shape of chat completions."
            ) from None
        yield _head(reply)
        for turn, part in choices:
            if part is not None:
                yield of_choice(turn.index, part)
        yield Reply(tuple(turn for turn, _ in choices), usage)

    async def streamed(self, body: Mapping[str, object]) -> Output:
        """Yield the head, pieces of the messages as they arrive, then the reply. Raises the same errors."""
        parts = _Streamed(_wanted(body))
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
                        for event in self._line(line, parts):
                            yield event
                        if parts.done:
                            break  # whatever the server does with the connection now
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not parts.ended:
                raise self._unreachable(error) from error
        if not parts.ended:
            raise ModelFailed(f"The model at {self._host} broke off in the middle of its answer.")
        yield parts.reply()

    def _line(self, line: str, parts: _Streamed) -> Sequence[Head | str | Delta | Choice]:
        """Add one line of the event stream to the parts; returns what it says."""
        if not line.startswith("data:"):
            return []
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            parts.done = True
            return []
        chunk = self._json(data.encode())
        if chunk.get("error"):
            raise model_errors.in_stream(self._host, model_errors.said(chunk), self.api_key)
        try:
            parts.usage = _usage(chunk.get("usage")) or parts.usage
            pieces = _read_choices(chunk.get("choices") or [], parts)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ModelFailed(
                f"The model at {self._host} streamed in no shape of chat completions."
            ) from None
        head = [] if parts.headed else [_head(chunk)]
        parts.headed = True
        return [*head, *pieces]

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
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ModelFailed(f"The model at {self._host} sent something that is no JSON object.")
        return cast("dict[str, Any]", parsed)

    def _unreachable(self, error: Exception) -> FunctionError:
        match error:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                return ModelMisused("MODEL_BASE_URL is no address like https://api.example.com/v1.")
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
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


def of_choice(index: int, part: str | Delta) -> str | Delta | Choice:
    """A piece of the answer with this index; the first answer's is itself."""
    return Choice(index, part) if index else part


def _wanted(body: Mapping[str, object]) -> int:
    """How many answers a request asks for."""
    n = body.get("n")
    return n if isinstance(n, int) else 1


def _indexed(choices: Sequence[dict[str, Any]], n: int) -> list[tuple[int, dict[str, Any]]]:
    """The choices with their indexes; more than n are left out, as is the index of a single one."""
    if n == 1:
        return [(0, choice) for choice in choices[:1]]
    # Some servers send no index.
    found = [(int(choice.get("index", position)), choice) for position, choice in enumerate(choices)]
    return [(index, choice) for index, choice in found if 0 <= index < n]


def _whole_choice(index: int, choice: Mapping[str, Any]) -> tuple[Turn, str | Delta | None]:
    message: dict[str, Any] = choice["message"]
    calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
    part = _part(message, choice)
    return Turn(part is not None, _text(message), calls, _reason(choice), index), part


def _read_choices(choices: Sequence[dict[str, Any]], streamed: _Streamed) -> list[str | Delta | Choice]:
    pieces: list[str | Delta | Choice] = []
    for index, choice in _indexed(choices, streamed.n):
        part = _read_choice(choice, streamed.choices.setdefault(index, _Parts()))
        if part is not None:
            pieces.append(of_choice(index, part))
    return pieces


def _read_choice(choice: dict[str, Any], parts: _Parts) -> str | Delta | None:
    parts.finish_reason = _reason(choice) or parts.finish_reason
    delta: dict[str, Any] = choice.get("delta") or {}
    for position, piece in enumerate(delta.get("tool_calls") or ()):
        call = parts.calls.setdefault(piece.get("index", position), {"id": "", "name": "", "arguments": ""})
        function = piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""
    parts.texts.append(_text(delta))
    part = _part(delta, choice)
    parts.spoke = parts.spoke or part is not None
    return part


def _part(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str | Delta | None:
    """What a message or a delta says besides tool calls; text alone is a text."""
    text, logprobs = _text(message), choice.get("logprobs")
    fields = {name: value for name, value in message.items() if name not in _READ and value}
    if not fields and not logprobs:
        return text or None
    content = {"content": text} if text else {}
    return Delta(
        {**content, **fields}, cast("Mapping[str, Any]", logprobs) if isinstance(logprobs, dict) else None
    )


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else None


def _head(reply: Mapping[str, Any]) -> Head:
    return Head({name: reply[name] for name, kind in _HEAD.items() if isinstance(reply.get(name), kind)})


def _tool_call(call: dict[str, Any]) -> ToolCall:
    arguments = call["function"].get("arguments") or "{}"
    # Some servers send an object in place of its JSON.
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(call.get("id") or "", call["function"]["name"], text)


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    counts = cast("dict[str, Any]", value)
    details: dict[str, dict[str, int]] = {}
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if isinstance(given := counts.get(name), dict):
            parts = cast("dict[str, object]", given)
            details[name] = {part: n for part, n in parts.items() if isinstance(n, int)}
    return Usage(int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0), details)


@functools.cache
def _tls() -> ssl.SSLContext:
    # The certificates are read once per instance, which takes tens of milliseconds.
    return httpx.create_ssl_context()
