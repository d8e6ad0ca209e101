"""Errors of the runtime; `emulator/errors.py` has the base and those that the providers share.

EmulatorError
├── SetupError     this machine lacks something: an interpreter, wheels, a single daemon
└── RequestError   an invalid request to the admin API (answered 400)

InstanceError      an invocation that the platform answers itself; never leaves the runtime
"""

from __future__ import annotations

from typing import Literal

from emulator.errors import EmulatorError


class SetupError(EmulatorError):
    """This machine lacks something the emulator needs."""


class RequestError(EmulatorError):
    """An invalid request to the admin API."""


Cause = Literal[
    "bad-request",  # the request target has no valid form
    "bad-method",  # a method that the cloud passes to no function
    "no-host",  # the host name is not the function's
    "forbidden",  # the cloud refuses callers of this URL
    "crashed",  # the instance ended or truncated its reply
    "unstarted",  # no instance started
    "unavailable",  # the platform has no instance (fault `kill`)
    "failed",  # the function failed (fault `error`, or it raised)
    "throttled",  # no capacity for one more request
    "timeout",  # the function exceeded its timeout
    "request-too-large",
    "response-too-large",
    "no-route",  # Azure: no function of the app has this route
    "unauthorized",  # Azure: the function requires a key
    "uri-too-long",  # Azure: the request line
    "fields-too-large",  # Azure: their number or size
    "not-forwarded",  # Azure: the host cannot pass on a field of the request or of the reply
]


class InstanceError(Exception):
    """The platform answers instead of the function. detail: for the function's log, not for the caller."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause: Cause = cause
        self.detail = detail
