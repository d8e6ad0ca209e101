"""A client of OpenAI-compatible chat completions endpoints: one turn of a model, plain or streamed.

Rules
- Every failure of a model is one of functions/demo/model_errors.py; only a failed connection is the cloud's.
- One request is sent once: the SDKs of clients repeat, and so does the router where another cloud may help.
- A status other than 200 counts as soon as it is here, whatever becomes of its body: one that is cut, silent,
  endless or in a coding that cannot be read only lacks its words.
- A stream without `finish_reason` of each answer or `[DONE]` is a failure and never a short answer.
- A document beyond `LARGEST_DOCUMENT` is a failure of the model, and not the end of this instance.
- A server that answers a request for a stream with one JSON document is understood too.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import httpx

from functions.demo import model_errors, model_replies
from functions.demo.model_errors import ModelFailed, ModelMisused, ModelSilent, ModelUnreachable
from functions.demo.model_replies import NO_SHAPE, Said, Streamed, json_object
from functions.errors import FunctionError
from skyfleet import contract
from skyfleet.asgi import json_bytes
from skyfleet.event_reader import Event, EventReader, EventTooLarge

CONNECT_TIMEOUT_S: Final = 10.0
# Between two pieces of an answer: half of the shortest request limit of the clouds (230 s on Azure).
READ_TIMEOUT_S: Final = 110.0
# What is read of the body of an error, and for how long.
ERROR_BODY_BYTES: Final = 65_536
ERROR_BODY_S: Final = 5.0
# An answer of 128 choices is a few megabytes, and an instance has 512 MB.
LARGEST_DOCUMENT: Final = 32 << 20
_LARGEST_PORT: Final = 65_535
_LONGEST_LABEL: Final = 63  # RFC 1035, section 2.3.4
# The kind of the only event of a reply that is one JSON document.
_DOCUMENT: Final = "{}"

Output = AsyncGenerator[Said, None]
Read = TypeVar("Read")


class DocumentTooLarge(Exception):
    """A document is longer than `LARGEST_DOCUMENT`."""


@dataclass(frozen=True, slots=True)
class ChatApi:
    """A chat completions endpoint. base_url: including /v1. timeout_s: between two pieces."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout_s: float = READ_TIMEOUT_S

    async def plain(self, body: Mapping[str, object]) -> Output:
        """Yield the head, the messages and the reply. Raises an error of functions/demo/model_errors.py."""
        try:
            async with self._response(body) as response:
                data = await _document(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        except DocumentTooLarge:
            raise self._too_large() from None
        for said in self._whole(data, _wanted(body)):
            yield said

    async def streamed(self, body: Mapping[str, object]) -> Output:
        """Yield the head, pieces of the messages as they arrive, then the reply. Raises the same errors."""
        streamed = Streamed(_wanted(body))
        try:
            async with self._response(body) as response, aclosing(_events(response)) as events:
                async for event in events:
                    if event.kind == _DOCUMENT:
                        for said in self._whole(event.data, streamed.n):
                            yield said
                        return
                    for said in self._pieces(event, streamed):
                        yield said
                    if streamed.done:
                        break  # whatever the server does with the connection now
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not streamed.ended:
                raise self._unreachable(error) from error
        except DocumentTooLarge:
            raise self._too_large() from None
        except EventTooLarge:
            raise ModelFailed(f"The model at {self._host} streamed an event without an end.") from None
        if not streamed.ended:
            raise ModelFailed(f"The model at {self._host} broke off in the middle of its answer.")
        yield self._read(streamed.reply)

    def _whole(self, data: bytes, n: int) -> Sequence[Said]:
        """What a reply that came at once says."""
        reply = self._json(data)
        if not reply.get("choices") and model_errors.is_error(reply):
            raise model_errors.within_answer(self._host, model_errors.said(reply), self.api_key)
        return self._read(lambda: model_replies.whole(reply, n))

    def _pieces(self, event: Event, streamed: Streamed) -> Sequence[Said]:
        """What one event of a stream says."""
        data = event.data.strip()
        if data.startswith(b"[DONE]"):
            streamed.done = True
        if streamed.done or not data:
            return []
        chunk = self._json(data)
        if event.kind == "error" or model_errors.is_error(chunk):
            raise model_errors.within_answer(self._host, model_errors.said(chunk), self.api_key)
        return self._read(lambda: streamed.add(chunk))

    def _read(self, read: Callable[[], Read]) -> Read:
        try:
            return read()
        except NO_SHAPE:
            raise ModelFailed(
                f"The model at {self._host} answered in no shape of chat completions."
            ) from None

    @asynccontextmanager
    async def _response(self, body: Mapping[str, object]) -> AsyncGenerator[httpx.Response]:
        """Send the request. Raises what a status other than 200 means."""
        async with (
            self._client() as client,
            client.stream("POST", self._url, content=json_bytes(body), headers=self._headers()) as response,
        ):
            if response.status_code != 200:
                raise await self._refusal(response)
            yield response

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.timeout_s, connect=min(CONNECT_TIMEOUT_S, self.timeout_s))
        return httpx.AsyncClient(timeout=timeout, verify=_tls(), follow_redirects=False)

    def _headers(self) -> dict[str, str]:
        key = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"content-type": "application/json", **key}

    @property
    def _url(self) -> str:
        """Raises httpx.InvalidURL, also for what a socket would refuse with an error of its own."""
        url = httpx.URL(self.base_url)
        if (url.port or 0) > _LARGEST_PORT or any(len(part) > _LONGEST_LABEL for part in url.host.split(".")):
            raise httpx.InvalidURL("port or name too large")
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @property
    def _host(self) -> str:
        # The whole URL may contain a key as user name or query.
        return httpx.URL(self.base_url).host or contract.MODEL_BASE_URL

    async def _refusal(self, response: httpx.Response) -> FunctionError:
        body = bytearray()
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(ERROR_BODY_S), aclosing(_parts(response)) as parts:
                async for data in parts:
                    body += data
                    if len(body) > ERROR_BODY_BYTES:
                        break
        error = model_errors.said(model_errors.decoded(bytes(body)))
        return model_errors.of_status(self._host, response.status_code, response.headers, error, self.api_key)

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            return json_object(data)
        except ValueError:
            raise ModelFailed(f"The model at {self._host} sent something that is no JSON object.") from None

    def _too_large(self) -> ModelFailed:
        limit = LARGEST_DOCUMENT >> 20
        return ModelFailed(f"The model at {self._host} answered with more than {limit} MiB.")

    def _unreachable(self, error: Exception) -> FunctionError:
        match error:
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                return ModelMisused("MODEL_BASE_URL is no address like https://api.example.com/v1.")
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                why = why_unreachable(error)
                return ModelUnreachable(
                    f"The model at {self._host} cannot be reached from this cloud: {why}."
                )
            case httpx.TimeoutException():
                return ModelSilent(f"The model at {self._host} was silent for {self.timeout_s:g} seconds.")
            case _:
                kind = type(error).__name__
                return ModelFailed(
                    f"The model at {self._host} broke off before its answer was whole ({kind})."
                )


def _wanted(body: Mapping[str, object]) -> int:
    """How many answers a request asks for."""
    n = body.get("n")
    return n if isinstance(n, int) else 1


def why_unreachable(error: BaseException) -> str:
    """Why there is no connection, from what caused the error. It names no address and no key."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not accepted ({cause.verify_message})"
            case socket.gaierror():
                return "its name is not found"
            case ConnectionRefusedError():
                return "it refuses connections"
            case httpx.ConnectTimeout():
                return "no connection in time"
            case _:
                cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _parts(response: httpx.Response) -> AsyncGenerator[bytes]:
    return cast("AsyncGenerator[bytes]", response.aiter_bytes())


async def _document(response: httpx.Response) -> bytes:
    document = bytearray()
    async with aclosing(_parts(response)) as parts:
        async for data in parts:
            _add(document, data)
    return bytes(document)


def _add(document: bytearray, data: bytes) -> None:
    document += data
    if len(document) > LARGEST_DOCUMENT:
        raise DocumentTooLarge


async def _events(response: httpx.Response) -> AsyncGenerator[Event, None]:
    """The events of a response; the last one may lack its empty line. Of a JSON document: the document."""
    reader = EventReader()
    document: bytearray | None = None
    begun = False
    async with aclosing(_parts(response)) as parts:
        async for data in parts:
            if not begun and data.lstrip().startswith(b"{"):  # no field of an event begins so
                document = bytearray()
            begun = True
            if document is not None:
                _add(document, data)
                continue
            for event in reader.feed(data):
                yield event
    if document is not None:
        yield Event(_DOCUMENT, bytes(document), "")
    for event in reader.feed(b"\n\n"):
        yield event


@functools.cache
def _tls() -> ssl.SSLContext:
    # The certificates are read once per instance, which takes tens of milliseconds.
    return httpx.create_ssl_context()
