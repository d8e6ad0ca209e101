"""What functions/runtimes/gcp.py uses of functions-framework, no dependency of the project itself."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]

def http(func: Handler) -> Handler: ...
