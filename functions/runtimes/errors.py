"""Errors before an application runs, or around it.

    RuntimeFault            base
    ├── CannotStart         the message is complete: it is printed without a traceback, and the process ends
    │   ├── AppNotLoaded    SKYFLEET_APP names no factory of an ASGI application
    │   ├── PortUnusable    the port that the platform named cannot be opened
    │   └── SecretNotRead   the function's secrets could not be read from Secrets Manager
    └── EventFailed         the application answered a scheduled event with an error

This tree is separate, since the router's package contains the runtimes without the agent's modules.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base of this tree."""


class CannotStart(RuntimeFault):
    """The function cannot start, for a reason that the message tells whole."""


class AppNotLoaded(CannotStart):
    """SKYFLEET_APP names no factory of an ASGI application."""


class PortUnusable(CannotStart):
    """The port cannot be opened. reason: the system's words."""

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(
            f"Port {port} of 127.0.0.1 cannot be opened: {reason}. Set PORT, or AWS_LWA_PORT, to a free one."
        )


class SecretNotRead(CannotStart):
    """The function's secrets could not be read from Secrets Manager."""


class EventFailed(RuntimeFault):
    """The application answered a scheduled event with an error."""
