# pyright: reportMissingModuleSource=false
"""Google Cloud Functions: functions-framework starts gunicorn and uvicorn's worker with our application.

Rules
- The framework makes a Starlette application for each function. Its routes and middlewares took more than a
  third of the CPU time of a request to a router. Here `Starlette` in the framework's module makes ours
  instead (functions_framework/aio/__init__.py, `_create_asgi_app_with_function`, 3.10).
- So the paths and methods that the framework answers itself (`/robots.txt`, `/favicon.ico`, PROPFIND) reach
  the application, as in the other clouds, and the worker sends it the events of the lifespan protocol, which
  the framework's application ignores. gunicorn forks later: the events arrive in its worker.
- uvicorn has the same options as on AWS (`functions.runtimes.server.options`). gunicorn's worker reads them
  from a class attribute (uvicorn_worker/_workers.py, `UvicornWorker.CONFIG_KWARGS`, 0.4), and its server is
  made from a name of that module (`_serve`).
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response
from uvicorn_worker import UvicornWorker

from functions.runtimes.app_loader import load_or_exit
from functions.runtimes.draining import REQUESTS_S
from functions.runtimes.server.options import SERVER_OPTIONS, WEBSOCKET_OPTIONS
from functions.runtimes.uvicorn_server import GracefulServer
from skyfleet import contract
from skyfleet.asgi import ASGIApp

APP: Final[ASGIApp] = load_or_exit(os.environ)
# Cloud Run carries WebSockets (cloud.google.com/run/docs/triggering/websockets). They end at a router.
_OPTIONS: Final = WEBSOCKET_OPTIONS if os.environ.get(contract.ROLE) == "router" else SERVER_OPTIONS


def _application(**_: object) -> ASGIApp:
    return APP


_framework: Any = functions_framework.aio
_framework.Starlette = _application
_worker: Any = sys.modules[UvicornWorker.__module__]
_worker.Server = GracefulServer
UvicornWorker.CONFIG_KWARGS = {
    **UvicornWorker.CONFIG_KWARGS,
    **_OPTIONS,
    "timeout_graceful_shutdown": REQUESTS_S,
}


@functions_framework.aio.http
async def main(request: Request) -> Response:
    """The function that the framework looks for; it is never called."""
    raise RuntimeError("functions-framework serves its own application instead of Skyfleet's.")
