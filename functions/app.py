"""`create(environ)`: the agent as one ASGI application, the same in every cloud.

What the package names as its agent is put behind the guard: a function with our endpoints around it, an ASGI
application as it is. Nothing here needs a background task or lifespan events: some hosts never send them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from functions import IMPORTED_AT
from functions.asgi import ASGIApp, Receive, Scope, Send, begin
from functions.endpoints import Endpoints
from functions.instance import Vitals
from functions.loading import Kind, LoadedAgent, load
from functions.middleware import Guard, Keyed
from functions.settings import Settings
from skyfleet.signing import Verifier

if TYPE_CHECKING:
    from functions.idempotency.middleware import Once

# Where replies to requests with an `Idempotency-Key` are kept: `s3://…`, `az://…` or `gs://…`.
BUCKET: Final = "SKYFLEET_BUCKET"


def create(environ: Mapping[str, str]) -> Guard:
    """Build the application; SetupError when it is configured wrongly."""
    settings = Settings.from_env(environ)
    agent = load(settings.agent)
    return Guard(
        inner=_application(agent, settings),
        settings=settings,
        repeatable=agent.repeatable,
        vitals=Vitals(init_ms=(time.perf_counter() - IMPORTED_AT) * 1000),
        verifier=Verifier(settings.keys),
        keyed=_remembering(settings.environ.get(BUCKET), time.time),
        now=time.time,
        steady=time.monotonic,
    )


def _application(agent: LoadedAgent, settings: Settings) -> ASGIApp:
    if agent.kind is Kind.ASGI:
        return _announced(agent.call)
    endpoints = Endpoints(agent, settings.environ, time.time)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _nothing_to_start(receive, send)
        else:
            await endpoints(scope, receive, send)

    return application


def _remembering(url: str | None, now: Callable[[], float]) -> Keyed:
    """Loaded at the first request with a key: all others pay nothing for it."""
    loaded: Once | None = None

    async def answer(app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
        nonlocal loaded
        if loaded is None:
            from functions.idempotency.middleware import Once

            loaded = Once.at(url, now)
        await loaded.answer(app, scope, body, send)

    return answer


def _announced(agent: ASGIApp) -> ASGIApp:
    """An ASGI agent starts with its first line: whoever wants to know is told before."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(scope)
        await agent(scope, receive, send)

    return application


async def _nothing_to_start(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        kind = message["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
