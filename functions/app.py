"""`create(environ)`: the agent as one ASGI application, the same in every cloud.

AgentMiddleware wraps the agent that the package names: an agent function behind our endpoints, an ASGI
application as it is, with its lifespan (functions/execution/lifespan.py). The agent runs on an event loop of
its own (functions/execution/relay.py), the rest on the server's. Nothing here depends on background tasks or
on the lifespan events of a host, which some never send.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from functions import IMPORTED_AT, agent_files
from functions.client_view import client_view
from functions.endpoints import Endpoints
from functions.execution.blocked import BlockedWatch
from functions.execution.lifespan import HostedLifespan, Lifespan, shutdown_s
from functions.execution.loop import agent_loop
from functions.execution.relay import Relay
from functions.instance import InstanceStats
from functions.loading import Kind
from functions.middleware import AgentMiddleware, IdempotencyHandler
from functions.runner import notify_start
from functions.settings import PACKAGE_ROOT, Settings
from skyfleet import contract
from skyfleet.asgi import ASGIApp, Receive, Scope, Send
from skyfleet.signing import Verifier

if TYPE_CHECKING:
    from functions.idempotency.middleware import IdempotencyMiddleware


def create(environ: Mapping[str, str]) -> AgentMiddleware:
    """Build the application. Raises SetupError if the environment, the package or the agent is wrong."""
    settings = Settings.from_env(environ)
    agent = agent_files.load(settings.agent, PACKAGE_ROOT)
    loop = agent_loop()
    stats = InstanceStats(init_ms=(time.perf_counter() - IMPORTED_AT) * 1000)
    lifespan: Lifespan | None = None
    hosted: HostedLifespan | None = None
    if agent.kind is Kind.ASGI:
        from functions.protocols.replies import Replies  # an agent function starts without it

        lifespan = Lifespan(Replies(_notifying(agent.call), stateless=agent.stateless), time.monotonic)
        hosted = HostedLifespan(lifespan, loop, lambda: shutdown_s(stats.draining_since, time.monotonic()))
    return AgentMiddleware(
        inner=Relay(
            lifespan or Endpoints(agent, settings.environ, time.time),
            loop,
            BlockedWatch(loop, agent_files.of_user(settings.agent, PACKAGE_ROOT)),
            hosted.ready if hosted is not None else None,
        ),
        lifespan=hosted,
        settings=settings,
        repeatable=agent.repeatable,
        stats=stats,
        verifier=Verifier(settings.keys),
        idempotency=_idempotency(settings.environ.get(contract.BUCKET), time.time),
        now=time.time,
        monotonic=time.monotonic,
    )


def _idempotency(url: str | None, now: Callable[[], float]) -> IdempotencyHandler:
    """Import functions.idempotency at the first request with a key, which keeps it out of the cold start."""
    loaded: IdempotencyMiddleware | None = None

    async def handle(app: ASGIApp, scope: Scope, body: bytes, send: Send) -> None:
        nonlocal loaded
        if loaded is None:
            from functions.idempotency.middleware import IdempotencyMiddleware

            loaded = IdempotencyMiddleware.for_url(url, now)
        await loaded.handle(app, scope, body, send)

    return handle


def _notifying(agent: ASGIApp) -> ASGIApp:
    """Call the ON_START hook of the scope before an ASGI agent starts, and give it the client's view."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await notify_start(scope)
            scope = client_view(scope)
        await agent(scope, receive, send)

    return application
