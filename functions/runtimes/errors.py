"""Errors before an application runs, or around it.

    RuntimeFault            base
    ├── CannotStart         the message is complete: it is printed without a traceback, and the process ends
    │   ├── AppNotLoaded    SKYFLEET_APP names no factory of an ASGI application
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


class SecretNotRead(CannotStart):
    """The function's secrets could not be read from Secrets Manager."""


class EventFailed(RuntimeFault):
    """The application answered a scheduled event with an error."""
