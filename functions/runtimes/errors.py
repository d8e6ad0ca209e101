"""Errors before an application runs, or around it.

    RuntimeFault        base
    ├── AppNotLoaded    SKYFLEET_APP names no factory of an ASGI application
    ├── SecretNotRead   the function's secrets could not be read from Secrets Manager
    └── EventFailed     the application answered a scheduled event with an error

This tree is separate, since the router's package contains the runtimes without the agent's modules.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base of this tree."""


class AppNotLoaded(RuntimeFault):
    """SKYFLEET_APP names no factory of an ASGI application."""


class SecretNotRead(RuntimeFault):
    """The function's secrets could not be read from Secrets Manager."""


class EventFailed(RuntimeFault):
    """The application answered a scheduled event with an error."""
