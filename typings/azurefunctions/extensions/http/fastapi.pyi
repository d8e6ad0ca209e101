"""What functions/runtimes/azure.py uses of azurefunctions-extensions-http-fastapi."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as Request
from starlette.responses import Response as Response

class WebApp:
    web_app: Starlette
    route: Callable[[Any, Callable[..., Any]], Callable[..., Any]]
    def __init__(self) -> None: ...
