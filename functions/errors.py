"""Errors of the agent function, split by their cause.

    FunctionError                     status, code, message: the whole of an error response
    ├── CallerError                   the request is wrong
    │   ├── BadJson                   400 bad-json
    │   ├── BadRequest                400 bad-request
    │   ├── UnsupportedParameter      400 unsupported_parameter (OpenAI's code)
    │   ├── UnknownPath               404 not-found
    │   ├── UnknownModel              404 model_not_found (OpenAI's code)
    │   ├── WrongMethod               405 method-not-allowed
    │   └── TooLarge                  413 too-large
    ├── AgentFailed                   500 agent-failed: the user's agent raised an exception
    ├── ModelFailed                   502 model-failed: the model behind the agent did not answer well
    ├── StartupFailed                 503 startup-failed: the lifespan startup of an application failed
    ├── InstanceDraining              503 draining: this instance of the function ends
    └── SetupError                    500 setup: the deployment is wrong; raised before any request
        └── AgentNotLoaded            500 agent-not-loaded: skyfleet:agent names nothing that can run

The failures of a model are in functions/demo/model_errors.py.
`skyfleet.signing.Unauthorized` (401) and `KeysError` are not in this tree, since routers carry them too.
A message has the cause, what was found and what to do. It never contains a secret or a stack trace.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from functions.runtimes.errors import CannotStart
from skyfleet.asgi import Header, Send, error_type, json_bytes, send_json
from skyfleet.cors import READABLE

# What caused the reply is shared by all clouds; docs/agent.md has the table of the field's values.
OUTCOME_DEPENDENCY: Final[Header] = (b"x-skyfleet-outcome", b"dependency")
OUTCOME_DRAINING: Final[Header] = (b"x-skyfleet-outcome", b"draining")
# RFC 9112, section 9.6: the sender closes the connection after this message.
CLOSE: Final[Header] = (b"connection", b"close")


class FunctionError(Exception):
    """Base of this tree, never raised itself; `str()` is the message of the error response.

    type: of the error in OpenAI's shape; None: the usual one of the status. param: the parameter at fault.
    """

    status: int = 500
    code: str
    type: str | None = None
    param: str | None = None

    @property
    def headers(self) -> list[Header]:
        return []

    def to_json(self) -> dict[str, object]:
        """The error object of a response, or of the last event of a stream."""
        return {
            "code": self.code,
            "message": str(self),
            "type": self.type or error_type(self.status),
            "param": self.param,
        }


class CallerError(FunctionError):
    """The request is wrong; repeating it has the same result."""

    status = 400


class BadJson(CallerError):
    """The body is not JSON."""

    code = "bad-json"


class BadRequest(CallerError):
    """The body is JSON of the wrong shape. param: the field at fault."""

    code = "bad-request"

    def __init__(self, message: str, param: str | None = None) -> None:
        self.param = param
        super().__init__(message)


class UnsupportedParameter(BadRequest):
    """The request has a parameter that would be ignored."""

    code = "unsupported_parameter"


class UnknownPath(CallerError):
    """No endpoint has this path."""

    status = 404
    code = "not-found"


class UnknownModel(CallerError):
    """No model has this name. known: the one that there is."""

    status = 404
    code = "model_not_found"
    param = "model"

    def __init__(self, name: str, known: str) -> None:
        super().__init__(f"There is no model {name[:200]!r} here. There is {known!r}.")


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


class DependencyFailed(FunctionError):
    """What all clouds share, such as a model or a database, answered with an error: the client gets it.

    The router counts no failure of the target and tries no other cloud, which would get the same answer. An
    agent may raise it itself.
    """

    status = 502
    code = "dependency-failed"
    # Whether a repeat by the client may help; None: the router decides.
    may_repeat: bool | None = None
    # More header fields of the response.
    fields: Sequence[Header] = ()

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        may_repeat: bool | None = None,
    ) -> None:
        """status, code: others than those of the class. type, param: as OpenAI's errors have them.
        retry_after_s: when a repeat may succeed, told in whole seconds and not too early. may_repeat: by the
        client; None: the router decides. Raises ValueError for a status that is none of an error."""
        if status is not None and not 400 <= status <= 599:
            raise ValueError(f"the status of a failed dependency is {status}, expected 400 to 599")
        self.status, self.code = status or self.status, code or self.code
        self.type, self.param = type, param
        self.may_repeat = self.may_repeat if may_repeat is None else may_repeat
        if retry_after_s is not None:
            self.fields = [(b"retry-after", b"%d" % max(0, math.ceil(retry_after_s)))]
        super().__init__(message)

    @property
    def headers(self) -> list[Header]:
        headers = [OUTCOME_DEPENDENCY, *self.fields]
        if self.may_repeat is not None:
            headers.append((b"x-should-retry", b"true" if self.may_repeat else b"false"))
        return headers

    def to_json(self) -> dict[str, object]:
        # In a stream the header fields were sent before.
        return {**super().to_json(), "outcome": "dependency"}


class StartupFailed(FunctionError):
    """The lifespan startup of the user's application failed. The agent has not run."""

    status = 503
    code = "startup-failed"

    def __init__(self) -> None:
        super().__init__("The agent did not start, so it has not run. The function's log has the reason.")


class InstanceDraining(FunctionError):
    """This instance ends and takes nothing new. The agent has not run."""

    status = 503
    code = "draining"

    def __init__(self) -> None:
        super().__init__("This instance of the agent ends, so it has not run. Another one takes its place.")

    @property
    def headers(self) -> list[Header]:
        return [CLOSE, OUTCOME_DRAINING, (b"retry-after", b"1")]


class SetupError(FunctionError, CannotStart):
    """The function cannot start with its configuration."""

    code = "setup"


class AgentNotLoaded(SetupError):
    """The configured agent does not exist, does not import, or is not callable as an agent."""

    code = "agent-not-loaded"


async def send_error(send: Send, error: FunctionError) -> None:
    """Send an error as a whole response, which pages of other origins may read."""
    fields = (*READABLE, *error.headers)
    await send_json(send, error.status, json_bytes({"error": error.to_json()}), fields)
