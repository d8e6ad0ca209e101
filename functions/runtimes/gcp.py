# pyright: reportMissingModuleSource=false
"""Google Cloud Functions: the application as the reply of one functions-framework target, `main`.

The framework (Starlette underneath) calls a reply as an ASGI application, so ours gets the caller's own scope
and channels: status, headers and every chunk pass as they are.
"""

from __future__ import annotations

import os
from typing import Final

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.runtimes.app_loader import ASGIApp, Message, Receive, Send, load_app

APP: Final[ASGIApp] = load_app(os.environ)


class Relay(Response):
    """A reply that hands the whole request to our application."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await APP(scope, receive, send)


@functions_framework.aio.http
async def main(request: Request) -> Response:
    """Every path and method."""
    return Relay()
