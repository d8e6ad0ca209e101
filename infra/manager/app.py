"""The manager's application: routes of API and page behind the gate.

    gate (Host, origin, token, role, rate, audit) -> routes -> services

Built from services and values alone, so that a test passes fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from infra.manager import api, openapi, problem
from infra.manager.access import login
from infra.manager.access.gate import Access, Gate
from infra.manager.errors import ManagerError
from infra.manager.problem import Json
from infra.manager.services import Fleet, Jobs
from infra.manager.stream import Listeners


@dataclass(frozen=True, slots=True)
class Parts:
    """What an application is made of. page: the routes of the page. looks: of the login.

    running: entered while the application serves; what the services do in the background.
    """

    stack: str
    fleet: Fleet
    jobs: Jobs
    access: Access
    listeners: Listeners
    page: Sequence[BaseRoute] = ()
    looks: login.Looks | None = None
    running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


def all_routes(parts: Parts) -> Sequence[BaseRoute]:
    """The routes of API, login and page."""

    async def health(_request: Request) -> Response:
        return Json({"status": "ok", "stack": parts.stack})

    async def document(_request: Request) -> Response:
        return Json(openapi.document())

    async def scrape(_request: Request) -> Response:
        from infra.manager import metrics  # 30 ms that only a scraper pays for

        return Response(metrics.exposition(parts.fleet.picture()), media_type=metrics.CONTENT_TYPE)

    return [
        Route("/health", health),
        Route("/metrics", scrape),
        Route("/api/openapi.json", document),
        *api.routes(parts.fleet, parts.jobs, parts.listeners),
        *login.routes(parts.access, parts.stack, parts.looks),
        *parts.page,
    ]


def create_app(parts: Parts) -> ASGIApp:
    """The ASGI application."""
    app = Starlette(
        routes=all_routes(parts),
        lifespan=lambda _app: parts.running(),
        exception_handlers={
            ManagerError: problem.on_manager_error,
            HTTPException: problem.on_http_error,
            Exception: problem.on_bug,
        },
    )
    app.router.redirect_slashes = False  # a path has one spelling
    return Gate(app, parts.access)
