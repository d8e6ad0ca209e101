"""Errors of the manager's API, each with its HTTP status. A message says what happened, was found and to do.

ManagerError
├── BadRequest        400  a field is missing, unknown or out of range
├── Unauthenticated   401  no token, an unknown or an expired one
├── Forbidden         403  a role, a Host or an Origin that may not do this
├── NotFound          404  no such target, job or path
├── SlowRequest       408  a body that does not arrive in time
├── Conflict          409  the fleet has changed, or another operation holds the stack
├── TooLarge          413  a body beyond the limit
├── Unsupported       415  a body that is not JSON
├── TooMany           429  beyond the rate limit, or too many listeners
└── Unavailable       503  the stack or its routers cannot be read

Each becomes a problem document (RFC 9457) with `extra` as further members.
"""

from __future__ import annotations

from collections.abc import Mapping


class ManagerError(Exception):
    """Base of all errors. extra: members of the problem document, such as `known` or `pid`."""

    status = 500
    title = "Internal error"

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: Mapping[str, object] = extra


class BadRequest(ManagerError):
    """A field is missing, unknown or out of range."""

    status = 400
    title = "Bad request"


class Unauthenticated(ManagerError):
    """No token, an unknown or an expired one."""

    status = 401
    title = "Unauthenticated"


class Forbidden(ManagerError):
    """A role, a Host or an Origin that may not do this."""

    status = 403
    title = "Forbidden"


class NotFound(ManagerError):
    """No such target, job or path."""

    status = 404
    title = "Not found"


class SlowRequest(ManagerError):
    """A body that does not arrive in time."""

    status = 408
    title = "Request timeout"


class Conflict(ManagerError):
    """The fleet has changed, or another operation holds the stack."""

    status = 409
    title = "Conflict"


class TooLarge(ManagerError):
    """A body beyond the limit."""

    status = 413
    title = "Content too large"


class Unsupported(ManagerError):
    """A body that is not JSON."""

    status = 415
    title = "Unsupported media type"


class TooMany(ManagerError):
    """Beyond the rate limit, or too many listeners."""

    status = 429
    title = "Too many requests"


class Unavailable(ManagerError):
    """The stack or its routers cannot be read."""

    status = 503
    title = "Unavailable"
