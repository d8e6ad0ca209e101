# pyright: reportMissingModuleSource=false
"""Azure Functions: the application behind one HTTP route for every path, or behind a timer for a checker.

The FastAPI extension calls a handler's response as an ASGI application with the scope and channels of the
request; ASGIResponse passes these to ours. A checker has no HTTP route: its timer dispatches `POST /events`
to the application in process. Annotations are not postponed, since the worker reads the types of the
handlers' parameters.

The extension runs the handler in a FastAPI application with documents at /docs, /redoc and /openapi.json,
which would hide those of an agent, and with a route for eight methods. A plain Starlette application takes
its place, whose default takes every method and path. A route's pattern would match no path with an encoded
line feed (starlette.routing, `PathConvertor`). The function itself names no methods, so the host passes on
all (learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger, `methods`).
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import azure.functions as func

from functions.runtimes.app_loader import load_app
from functions.runtimes.ascii_fields import in_ascii
from functions.runtimes.events import dispatch_event
from skyfleet import contract
from skyfleet.asgi import ASGIApp, Receive, Scope, Send

# Six fields, the first is seconds. One minute is the shortest period of the other clouds' schedulers.
EVERY_MINUTE: Final = "0 * * * * *"
Handler = Callable[[Any], Awaitable[ASGIApp]]


def register(environ: MutableMapping[str, str]) -> func.FunctionApp:
    """The functions of this package, for the worker to index."""
    return _timer(environ) if environ.get(contract.ROLE) == "checker" else _route(environ)


def _timer(environ: MutableMapping[str, str]) -> func.FunctionApp:
    functions = func.FunctionApp()
    app = load_app(environ)

    @functions.timer_trigger(arg_name="timer", schedule=EVERY_MINUTE)
    async def check(timer: func.TimerRequest) -> None:
        await dispatch_event(app, {"source": "azure.timer", "past_due": timer.past_due})

    return functions


def _route(environ: MutableMapping[str, str]) -> func.FunctionApp:
    # A local import: the import of the extension starts its HTTP server in the worker.
    from azurefunctions.extensions.http.fastapi import Request, Response, WebApp

    # The worker makes the one instance after this module is loaded (azure_functions_runtime/http_v2.py).
    WebApp.__init__, WebApp.route = _without_routes, _serve_everything
    functions = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app = load_app(environ)

    class ASGIResponse(Response):
        """A response that passes the request to our application."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, in_ascii(send))

    @functions.route(route="{*path}")
    async def main(req: Request) -> Response:
        return ASGIResponse()

    return functions


def _without_routes(self: Any) -> None:  # noqa: ANN401 - a class of an untyped library
    from starlette.applications import Starlette

    self.web_app = Starlette()


def _serve_everything(self: Any, handler: Handler) -> Handler:  # noqa: ANN401
    """What the worker decorates its handler with."""
    from fastapi import Request

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    self.web_app.router.default = endpoint
    return handler


app: Final = register(os.environ)
