"""The reply that Google's and Azure's runtimes call as an ASGI application."""

from starlette.types import Receive, Scope, Send

class Response:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
