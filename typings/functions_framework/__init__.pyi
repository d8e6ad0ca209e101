"""What bench/router/framework.py uses of functions-framework."""

from collections.abc import Callable

from flask import Request, Response

Handler = Callable[[Request], Response]

def http(func: Handler) -> Handler: ...
