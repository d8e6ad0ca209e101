# pyright: reportMissingModuleSource=false
"""Google Cloud Functions: the application as the response of one functions-framework target, `main`.

The framework (on Starlette) calls a handler's response as an ASGI application with the scope and channels of
the request; ASGIResponse passes these to ours, so status, headers and chunks are not changed.

The framework gives its Starlette application no lifespan (functions_framework/aio/__init__.py, 3.10), so ours
is added where the framework makes it, after the import of this file. gunicorn forks later: the events arrive
in its worker.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.runtimes.app_loader import load_or_exit
from functions.runtimes.lifespan import running
from skyfleet.asgi import ASGIApp, Receive, Scope, Send

APP: Final[ASGIApp] = load_or_exit(os.environ)


def _lifespan(_: object) -> AbstractAsyncContextManager[None]:
    return running(APP)


_framework: Any = functions_framework.aio
_framework.Starlette = partial(_framework.Starlette, lifespan=_lifespan)


class ASGIResponse(Response):
    """A response that passes the request to our application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await APP(scope, receive, send)


@functions_framework.aio.http
async def main(request: Request) -> Response:
    """Serve every path and method."""
    return ASGIResponse()
