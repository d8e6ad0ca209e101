"""Shared by the tests of functions/: keys, signed requests in process, a server in a thread."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import uvicorn

from emulator.runtime.ports import for_instance
from functions.api import AgentRequest, Message
from functions.app import create
from functions.middleware import AgentMiddleware
from skyfleet.signing import Keys, sign
from tests.asgi import App, Reply, call

KEYS_JSON = '{"k2": "a-newer-made-up-secret", "k1": "an-older-made-up-secret"}'
KEYS = Keys.parse(KEYS_JSON)
ENVIRON = {"SKYFLEET_SIGNING_KEYS": KEYS_JSON, "AGENT_PACE_MS": "0"}


def application(agent: str = "functions.agent:agent", **environ: str) -> AgentMiddleware:
    """A new instance of the function with the agent `module:attribute`."""
    return create({**ENVIRON, "SKYFLEET_AGENT": agent, **environ})


def signature(method: str, path: str, query: bytes, body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a valid signature."""
    return sign(KEYS, method, path, query, body, now=time.time(), nonce=secrets.token_hex(16))


async def signed(
    app: App,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    query: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a request with a valid signature."""
    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    every = [*given, *signature(method, path, query, body)]
    return await call(app, method, path, query=query, headers=every, body=body)


def request(text: str, *earlier: str, **more: Any) -> AgentRequest:  # noqa: ANN401 - fields of AgentRequest
    """An AgentRequest with the user messages `earlier` and `text`."""
    messages = tuple(Message("user", said) for said in (*earlier, text))
    return AgentRequest(messages=messages, input=text, body={}, request_id="r1", **more)


def free_socket() -> socket.socket:
    """A bound loopback socket, which reserves its port until it is closed."""
    # asyncio turns Nagle's delay off only on sockets that were made as TCP by number.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


@contextlib.contextmanager
def port_of_a_process() -> Generator[int]:
    """A port that another process opens later. The kernel gives it to no other socket meanwhile."""
    port = for_instance()
    try:
        yield port.number
    finally:
        port.release()


def until(condition: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
    """Wait for a condition of another thread or process; fail with `what` after the limit."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        threading.Event().wait(0.005)


@contextlib.contextmanager
def serving(app: Any, http: Any = "httptools") -> Generator[str]:  # noqa: ANN401 - any ASGI application
    """Run a server with an ASGI application; yields its URL. http: uvicorn's option, a name or a protocol."""
    bound = free_socket()
    config = uvicorn.Config(app, log_level="critical", lifespan="off", http=http, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        until(lambda: server.started, "the server")
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
        assert not thread.is_alive()
