"""The page as Starlette routes: the document, its stream, charts and static files, dialogs and actions.

`routes` is what the manager's app includes. Headers that all replies have are the app's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from infra.manager.access.login import Looks
from infra.manager.access.tokens import Role
from infra.manager.page import assets, charts, document, runbook, words
from infra.manager.page.actions import NO_STORE, Actions, principal
from infra.manager.page.feed import Feed
from infra.manager.services import Fleet, Jobs

DOCS = Path(__file__).resolve().parents[3] / "docs" / "how-to"
FOR_EVER = "public, max-age=31536000, immutable"
# A chart is an image: no script, and a style sheet of its own.
CHART_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def routes(
    fleet: Fleet,
    jobs: Jobs,
    *,
    stack: str,
    stopping: asyncio.Event | None = None,
    wall: Callable[[], float] = time.time,
) -> Sequence[BaseRoute]:
    """The routes of the page. stopping: set when the manager stops: streams end then. wall: Unix seconds."""
    feed = Feed(fleet, jobs, wall, stopping or asyncio.Event())

    async def page(request: Request) -> Response:
        person = principal(request)
        is_operator = person.role is Role.OPERATOR
        shown = document.page(stack, feed.render(), by=person.name, operator=is_operator)
        return HTMLResponse(shown, headers=NO_STORE)

    async def events(_request: Request) -> Response:
        return feed.response()

    async def chart(request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        picture = feed.picture()
        if name not in charts.BY_NAME or picture is None:
            return Response(status_code=404)
        minutes = tuple(words.complete(picture.minutes, picture.at))
        kept = FOR_EVER if charts.digest(minutes) == version else "no-store"
        return Response(
            await run_in_threadpool(charts.render, name, minutes),
            media_type="image/svg+xml",
            headers={"cache-control": kept, "content-security-policy": CHART_SECURITY},
        )

    return [
        Route("/", page),
        Route("/runbook/{name}", document_of_runbook),
        Route("/events", events),
        Route("/charts/{name}.{version}.svg", chart),
        Route("/static/{name}", static),
        *Actions(fleet, jobs).routes(),
    ]


def looks() -> Looks:
    """What the login takes of the page."""
    return Looks(assets.address("page.css"), assets.address("icon.svg"))


async def document_of_runbook(request: Request) -> Response:
    """One of the runbook's documents as plain text; 404 for another name, and without docs."""
    name = request.path_params["name"]
    file = DOCS / name
    if name not in runbook.DOCUMENTS or not file.is_file():
        return Response(status_code=404)
    return PlainTextResponse(await run_in_threadpool(file.read_text), headers=NO_STORE)


async def static(request: Request) -> Response:
    """One static file, to be kept for ever: its address has the hash of its content."""
    found = assets.by_address(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    return Response(found.content, media_type=found.media_type, headers={"cache-control": FOR_EVER})
