"""What can go wrong before an application stands.

    RuntimeFault        the function cannot start; it says what to change
    ├── AppNotLoaded    SKYFLEET_APP names no factory of an ASGI application
    ├── SecretNotRead   the secret store did not give the signing keys
    └── EventFailed     a scheduled event was not answered with success

A tree of its own: the router's package carries these runtimes without the agent's modules.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Base of this tree."""


class AppNotLoaded(RuntimeFault):
    """SKYFLEET_APP names no factory of an ASGI application."""


class SecretNotRead(RuntimeFault):
    """The secret store did not give the signing keys."""


class EventFailed(RuntimeFault):
    """A scheduled event was not answered with success."""
