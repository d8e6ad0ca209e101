"""What goes wrong in the running half of the emulator; the base and what providers share lie in
`emulator/errors.py`.

EmulatorError
├── SetupError     this machine lacks something: an interpreter, wheels, a single daemon
└── RequestError   the admin API was asked for something that does not exist (answered 400)

InstanceError            an invocation that the platform answers itself; never leaves the hosts
"""

from __future__ import annotations

from typing import Literal

from emulator.errors import EmulatorError


class SetupError(EmulatorError):
    """This machine lacks something the emulator needs."""


class RequestError(EmulatorError):
    """The admin API was asked for something it does not know."""


Cause = Literal[
    "bad-request",  # a request target of no form that is served
    "bad-method",  # a method that the cloud passes to no function
    "no-host",  # the request is for another host name than the function's
    "forbidden",  # the cloud refuses callers of this URL
    "crashed",  # the instance died or broke off before it answered
    "unstarted",  # no instance came up
    "unavailable",  # the platform has none at all (fault `kill`)
    "failed",  # the function failed (fault `error`, or it raised)
    "throttled",  # no room for one more request
    "timeout",  # the function took longer than it may
    "request-too-large",
    "response-too-large",
    "no-route",  # Azure: no function of the app has this route
    "unauthorized",  # Azure: the function wants a key
]


class InstanceError(Exception):
    """The platform answers instead of the function. detail: for the function's log, not for the caller."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause: Cause = cause
        self.detail = detail
