"""Errors of the agent function, split by their cause.

    FunctionError                     status, code, message: the whole of an error response
    ├── CallerError                   the request is wrong
    │   ├── BadJson            400 bad-json
    │   ├── BadRequest         400 bad-request
    │   ├── UnknownPath        404 not-found
    │   ├── WrongMethod        405 method-not-allowed
    │   └── TooLarge           413 too-large
    ├── AgentFailed            500 agent-failed     the user's agent raised an exception
    ├── ModelFailed            502 model-failed     the model behind the agent did not answer as it should
    └── SetupError             500 setup            the deployment is wrong; raised before any request
        └── AgentNotLoaded     500 agent-not-loaded skyfleet:agent names nothing that can run

`skyfleet.signing.Unauthorized` (401) and `KeysError` are not in this tree, since routers carry them too.
A message has the cause, what was found and what to do. It never contains a secret or a stack trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from skyfleet.asgi import Header, Send, error_json, send_json


class FunctionError(Exception):
    """Base of this tree, never raised itself; `str()` is the message of the error response."""

    status: ClassVar[int] = 500
    code: ClassVar[str]

    @property
    def headers(self) -> list[Header]:
        return []


class CallerError(FunctionError):
    """The request is wrong; repeating it has the same result."""

    status = 400


class BadJson(CallerError):
    """The body is not JSON."""

    code = "bad-json"


class BadRequest(CallerError):
    """The body is JSON of the wrong shape."""

    code = "bad-request"


class UnknownPath(CallerError):
    """No endpoint has this path."""

    status = 404
    code = "not-found"


class WrongMethod(CallerError):
    """The endpoint does not support this method. allowed: the methods that it supports."""

    status = 405
    code = "method-not-allowed"

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"{path} does not take {method}. Use {self.allowed}.")

    @property
    def headers(self) -> list[Header]:
        return [(b"allow", self.allowed.encode())]


class TooLarge(CallerError):
    """The body exceeds the limit. limit, declared: bytes."""

    status = 413
    code = "too-large"

    def __init__(self, limit: int, declared: int | None = None) -> None:
        found = f"is {declared} bytes" if declared is not None else "is longer"
        super().__init__(f"The body {found}; the limit is {limit} bytes (6 MB). Send less.")


class AgentFailed(FunctionError):
    """The user's agent raised an exception. Its stack trace is in the log only, under the request id."""

    code = "agent-failed"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The agent failed on this request. The function's log has the reason under {request_id}."
        )


class ModelFailed(FunctionError):
    """The model behind the agent did not answer as it should."""

    status = 502
    code = "model-failed"


class SetupError(FunctionError):
    """The function cannot start with its configuration."""

    code = "setup"


class AgentNotLoaded(SetupError):
    """The configured agent does not exist, does not import, or is not callable as an agent."""

    code = "agent-not-loaded"


async def send_error(send: Send, error: FunctionError) -> None:
    """Send an error as a whole response."""
    await send_json(send, error.status, error_json(error.code, str(error)), error.headers)
