"""The page as Starlette routes: the document, its stream, charts and static files, dialogs and actions.

`routes` is what the manager's app includes. Headers that all replies have (Content-Security-Policy and its
like) are the app's; SECURITY here is what the page works under.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from infra.manager.page import assets, charts, document, words
from infra.manager.page.feed import Feed
from infra.manager.services import Fleet, Jobs

FOR_EVER = "public, max-age=31536000, immutable"
NO_STORE = {"cache-control": "no-store"}
# No buffering by a proxy: an event has to arrive when it is sent.
STREAM = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# A chart is an image: no script, and a style sheet of its own.
CHART_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def routes(
    fleet: Fleet,
    jobs: Jobs,
    *,
    stack: str,
    wall: Callable[[], float] = time.time,
) -> Sequence[BaseRoute]:
    """The routes of the page."""
    feed = Feed(fleet, jobs, wall)

    async def page(_request: Request) -> Response:
        return HTMLResponse(document.page(stack, feed.render(), operator=False), headers=NO_STORE)

    async def events(_request: Request) -> Response:
        feed.admit()
        return StreamingResponse(feed.stream(), media_type="text/event-stream", headers=STREAM)

    async def chart(request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        picture = feed.picture()
        if name not in charts.BY_NAME or picture is None:
            return Response(status_code=404)
        minutes = tuple(words.complete(picture.minutes, picture.at))
        kept = FOR_EVER if charts.digest(minutes) == version else "no-store"
        return Response(
            charts.render(name, minutes),
            media_type="image/svg+xml",
            headers={"cache-control": kept, "content-security-policy": CHART_SECURITY},
        )

    return [
        Route("/", page),
        Route("/events", events),
        Route("/charts/{name}.{version}.svg", chart),
        Route("/static/{name}", static),
    ]


async def static(request: Request) -> Response:
    """One static file, to be kept for ever: its address has the hash of its content."""
    found = assets.by_address(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    return Response(found.content, media_type=found.media_type, headers={"cache-control": FOR_EVER})
