"""The endpoints of an agent function: /invoke, /v1/chat/completions, /v1/models.

The head of a stream is sent with its first event, so an earlier failure is an error status, which a router
may retry. After that a stream of /invoke ends with exactly one `done` or `error` event, one of chat
completions with `[DONE]` or with an error object.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from functions.api import AgentRequest, Choice, Delta, Failed, Head, Step
from functions.errors import FunctionError, UnknownModel, UnknownPath, WrongMethod
from functions.loading import LoadedAgent
from functions.openai.completions import MODEL, Chunks, Completion, model_json
from functions.parsing import RequestContext, chat_request, invoke_request
from functions.runner import Finished, notify_start, run
from skyfleet import sse
from skyfleet.asgi import (
    ClientDisconnected,
    Header,
    Receive,
    Scope,
    Send,
    header,
    header_text,
    json_bytes,
    read_body,
    send_json,
)

Frames = AsyncGenerator[bytes, None]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
# Routers send shorter ids; a longer one is replaced in logs and responses.
REQUEST_ID_LENGTH: Final = 128
# An earlier start, or one in the future by more, is ignored.
_LONGEST_REQUEST_S: Final = 3600.0
# On a reply that the agent marks as `Failed`; the router counts it as a failure.
OUTCOME_ERROR: Final[Header] = (b"x-skyfleet-outcome", b"error")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The ASGI application around an agent function. now: unix seconds."""

    agent: LoadedAgent
    environ: Mapping[str, str] = field(repr=False)
    now: Callable[[], float]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        handlers = self._routes().get(path)
        if handlers is None:
            if path.startswith("/v1/models/"):
                raise UnknownModel(path.removeprefix("/v1/models/"), MODEL)
            known = ["GET /health", *(f"{m} {p}" for p, ms in self._routes().items() for m in ms)]
            raise UnknownPath(f"There is no {path[:200]!r} here. There is: {', '.join(known)}.")
        handler = handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise WrongMethod(method, path, [*handlers, *(["HEAD"] if "GET" in handlers else [])])
        await handler(scope, receive, send)

    def _routes(self) -> dict[str, dict[str, Handler]]:
        return {
            "/invoke": {"POST": self._invoke},
            "/v1/chat/completions": {"POST": self._chat},
            "/v1/models": {"GET": self._models},
            f"/v1/models/{MODEL}": {"GET": self._model},
        }

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = invoke_request(
            await read_body(header(scope, b"content-length"), receive), self._context(scope)
        )
        await notify_start(scope)
        if request.stream:
            headers = list(sse.HEADERS)
            frames = self._invoke_frames(request, headers)
            await unless_gone(_stream(send, headers, frames, _invoke_error), receive)
        else:
            await unless_gone(self._whole(send, request, lambda finished, _: finished.body), receive)

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = chat_request(
            await read_body(header(scope, b"content-length"), receive), self._context(scope, may_accept=False)
        )
        await notify_start(scope)
        completion = Completion(request.request_id, begun_at(scope, self.now()), _wants_usage(request))
        if request.stream:
            headers = list(sse.HEADERS)
            frames = self._chat_frames(request, completion, headers)
            await unless_gone(_stream(send, headers, frames, _chat_error), receive)
        else:

            def body(finished: Finished, head: Head) -> bytes:
                return json_bytes(completion.of(head).whole(finished))

            await unless_gone(self._whole(send, request, body), receive)

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, json_bytes({"object": "list", "data": [model_json()]}))

    async def _model(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, json_bytes(model_json()))

    async def _whole(
        self, send: Send, request: AgentRequest, body: Callable[[Finished, Head], bytes]
    ) -> None:
        headers: list[Header] = []
        head = Head({})
        async with aclosing(run(self.agent, request)) as output:
            async for event in output:
                if isinstance(event, Failed):
                    headers.append(OUTCOME_ERROR)
                elif isinstance(event, Head):
                    head = Head({**event.fields, **head.fields})
                elif isinstance(event, Finished):
                    await send_json(send, 200, body(event, head), headers)

    async def _invoke_frames(self, request: AgentRequest, headers: list[Header]) -> Frames:
        """The events of /invoke. headers: of the response, sent with the first event."""
        async with aclosing(run(self.agent, request)) as output:
            async for event in output:
                match event:
                    case str():
                        yield sse.frame({"text": event}, "delta")
                    case Failed(reply=text):
                        headers.append(OUTCOME_ERROR)
                        yield sse.frame({"text": text}, "delta")
                    case Step():
                        yield sse.frame(event.to_json(), "step")
                    case Delta() if event.text:
                        yield sse.frame({"text": event.text}, "delta")
                    case Head() | Delta() | Choice():
                        pass  # `done` has the fields of the message; only chat completions have choices
                    case Finished():
                        yield sse.raw_frame(event.body, "done")

    async def _chat_frames(
        self, request: AgentRequest, completion: Completion, headers: list[Header]
    ) -> Frames:
        chunks = Chunks(completion)
        async with aclosing(run(self.agent, request)) as output:
            async for event in output:
                if isinstance(event, Failed):
                    headers.append(OUTCOME_ERROR)
                for chunk in chunks.of(event):
                    yield sse.frame(chunk)
        yield sse.raw_frame(b"[DONE]")

    def _context(self, scope: Scope, *, may_accept: bool = True) -> RequestContext:
        given = header_text(scope, b"x-request-id")
        usable = 0 < len(given) <= REQUEST_ID_LENGTH and given.isascii() and given.isprintable()
        return RequestContext(
            request_id=given if usable else secrets.token_hex(16),
            accepts_events=may_accept and sse.CONTENT_TYPE in header_text(scope, b"accept"),
            environ=self.environ,
            supports=self.agent.supports,
        )


def begun_at(scope: Scope, now: float) -> int:
    """When the client's request began, in unix seconds.

    It is the value of `x-request-start: t=1700000000.125`, which the router sends with the same value in all
    attempts of a request; without it, now."""
    given = header_text(scope, b"x-request-start").removeprefix("t=")
    try:
        began = float(given)
    except ValueError:
        return int(now)
    return int(began) if abs(now - began) < _LONGEST_REQUEST_S else int(now)


async def unless_gone(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Await the work; if the client disconnects first, cancel it and raise ClientDisconnected."""
    working = asyncio.ensure_future(work)
    tasks: list[asyncio.Future[Any]] = [working]
    try:
        await asyncio.sleep(0)  # an agent that never waits is done now, and nothing has to be watched
        if not working.done():
            watching = asyncio.ensure_future(_disconnected(receive))
            tasks.append(watching)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and not watching.result():
                await asyncio.wait({working})
    finally:
        gone = not working.done()
        if gone or len(tasks) > 1:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if gone:
        raise ClientDisconnected
    working.result()


async def _disconnected(receive: Receive) -> bool:
    # After the body the only other message is the disconnect.
    message = await receive()
    return message["type"] == "http.disconnect"


async def _stream(
    send: Send, headers: list[Header], frames: Frames, error_frame: Callable[[FunctionError], bytes]
) -> None:
    started = False

    async def push(data: bytes, *, more: bool = True) -> None:
        nonlocal started
        if not started:
            started = True
            await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": data, "more_body": more})

    async with aclosing(frames):
        try:
            async for data in frames:
                await push(data)
        except FunctionError as error:
            if not started:
                raise
            await push(error_frame(error))
    await push(b"", more=False)


def _invoke_error(error: FunctionError) -> bytes:
    return sse.frame({"error": error.to_json()}, "error")


def _chat_error(error: FunctionError) -> bytes:
    return sse.frame({"error": error.to_json()})


def _wants_usage(request: AgentRequest) -> bool:
    options = request.body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))  # pyright: ignore
