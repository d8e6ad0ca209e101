# pyright: reportMissingModuleSource=false
"""Azure Functions: the application behind one route for every path, or behind a timer when it is the checker.

The FastAPI extension hands over the raw request and calls a reply as an ASGI application, so ours gets the
caller's own scope and channels. A checker has no HTTP route: its timer sends `POST /events` to the
application in process.
(No postponed annotations here: the worker reads the types of the handlers' parameters.)
"""

import os
from collections.abc import MutableMapping
from typing import Final

import azure.functions as func

from functions.runtimes.app_loader import Message, Receive, Send, load_app
from functions.runtimes.events import post_event

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Six fields, the first is seconds: once a minute, as the other clouds' schedulers at their finest.
EVERY_MINUTE: Final = "0 * * * * *"


def register(environ: MutableMapping[str, str]) -> func.FunctionApp:
    """The functions of this package, for the worker to index."""
    return _timer(environ) if environ.get("SKYFLEET_ROLE") == "checker" else _route(environ)


def _timer(environ: MutableMapping[str, str]) -> func.FunctionApp:
    functions = func.FunctionApp()
    app = load_app(environ)

    @functions.timer_trigger(arg_name="timer", schedule=EVERY_MINUTE)
    async def check(timer: func.TimerRequest) -> None:
        await post_event(app, {"source": "azure.timer", "past_due": timer.past_due})

    return functions


def _route(environ: MutableMapping[str, str]) -> func.FunctionApp:
    # Only here: importing the extension starts its HTTP server in the worker.
    from azurefunctions.extensions.http.fastapi import Request, Response

    functions = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app = load_app(environ)

    class Relay(Response):
        """A reply that hands the whole request to our application."""

        async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

    @functions.route(route="{*path}", methods=METHODS)
    async def main(req: Request) -> Response:
        return Relay()

    return functions


app: Final = register(os.environ)
