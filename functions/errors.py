"""What can go wrong in the agent function, split by whose fault it is.

    FunctionError                     status, code, message: all that a reply says
    ├── CallerError                   the request was wrong
    │   ├── BadJson            400 bad-json
    │   ├── BadRequest         400 bad-request
    │   ├── UnknownPath        404 not-found
    │   ├── WrongMethod        405 method-not-allowed
    │   └── TooLarge           413 too-large
    ├── AgentFailed            500 agent-failed     the user's agent raised
    ├── ModelFailed            502 model-failed     the model behind the agent did not answer
    └── SetupError             500 setup            the deployment is wrong; raised before any request
        └── AgentNotLoaded     500 agent-not-loaded the agent's name leads to nothing that can run

`signing.Unauthorized` (401) and `signing.KeysError` stand apart: the router carries signing.py without this
file.
A message says what happened, what was found and what to do, and never holds a secret or a trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class FunctionError(Exception):
    """Base of the room; `str()` of it is what the caller reads."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return []


class CallerError(FunctionError):
    """The request was wrong; sending it again changes nothing."""

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
    """The endpoint exists and takes other methods."""

    status = 405
    code = "method-not-allowed"

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"{path} does not take {method}. Use {self.allowed}.")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"allow", self.allowed.encode())]


class TooLarge(CallerError):
    """The body is over the limit."""

    status = 413
    code = "too-large"

    def __init__(self, limit: int, declared: int | None = None) -> None:
        found = f"is {declared} bytes" if declared is not None else "is longer"
        super().__init__(f"The body {found}; the limit is {limit} bytes (6 MB). Send less.")


class AgentFailed(FunctionError):
    """The user's agent raised; the trace is in the log only."""

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
    """The function cannot start as it is configured."""

    code = "setup"


class AgentNotLoaded(SetupError):
    """The agent's name leads to nothing that can run."""

    code = "agent-not-loaded"
