"""What each request passes before it reaches a route: Host, origin, token, role, rate, audit.

Rules
- GET and HEAD need a viewer, every other method an operator. Paths of OPEN need no token.
- The local stack is open to its own machine: a request without a token is the operator `local`, unless it
  came through a proxy. A token that is presented counts all the same, so a wrong one is refused.
- A token comes in `Authorization: Bearer` (RFC 6750), a session in a cookie.
- Refused tokens are limited by themselves: a flood of them delays no valid one. The audit log has only some
  lines of what came without a token, so that a flood cannot push out the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.manager import problem
from infra.manager.access import audit, origins
from infra.manager.access.audit import AuditLog
from infra.manager.access.limits import Kind, Limiter
from infra.manager.access.sessions import COOKIE, Sessions
from infra.manager.access.tokens import LOCAL, Role, Token, TokenStore, find
from infra.manager.errors import Forbidden, ManagerError, TooMany, Unauthenticated

# What a browser needs before the user has a session, and what says that the manager is there.
OPEN: Final = frozenset({"/login", "/logout", "/health", "/api/openapi.json"})
OPEN_BELOW: Final = "/static/"
_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Principal:
    """The operator of a request: `request.state.principal`."""

    name: str
    role: Role


@dataclass(slots=True)
class Access:
    """What each operator may do. is_local: the stack of the emulator, which needs no token.

    hosts: names in Host besides those of loopback. wall: Unix seconds. monotonic: seconds.
    """

    tokens: TokenStore
    log: AuditLog
    is_local: bool
    hosts: Collection[str] = ()
    limiter: Limiter = field(default_factory=Limiter)
    sessions: Sessions = field(default_factory=Sessions)
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def authenticate(self, headers: Headers, cookies: dict[str, str]) -> Principal | None:
        """The operator of a request; None without a token. Raises Unauthenticated, Unavailable."""
        token = self._presented(headers, cookies)
        if token is None:
            is_open = self.is_local and origins.is_of_this_machine(headers)
            return Principal(LOCAL, Role.OPERATOR) if is_open else None
        if token.is_expired(self.wall()):
            raise Unauthenticated(
                f"The token {token.name!r} has expired. `skyfleet manager token create` makes a new one.",
                expired=True,
            )
        return Principal(token.name, token.role)

    def _presented(self, headers: Headers, cookies: dict[str, str]) -> Token | None:
        given = headers.getlist("authorization")
        if given:
            if len(given) > 1 or not given[0].lower().startswith(_BEARER):
                raise Unauthenticated("The Authorization field must be `Bearer TOKEN`, once.")
            token = find(self.tokens.all(), given[0][len(_BEARER) :].strip())
            if token is None:
                raise Unauthenticated("The token is unknown or was revoked.")
            return token
        session = cookies.get(COOKIE)
        return self.sessions.find(session, self.tokens.all(), self.wall()) if session else None

    def check_rate(self, name: str, kind: Kind) -> None:
        """Raises TooMany when an operator sends more than the limit."""
        wait = self.limiter.wait_s(name, kind, self.monotonic())
        if wait:
            what = {"read": "requests", "write": "changes", "failed": "refused tokens"}[kind]
            raise TooMany(f"Too many {what} in a short time. Try again in {wait} s.", retry_after=wait)


def is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path in OPEN or path.startswith(OPEN_BELOW)


@dataclass(frozen=True, slots=True)
class Gate:
    """The ASGI application in front of the routes."""

    app: ASGIApp
    access: Access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = problem.with_headers(send)
        connection = HTTPConnection(scope)
        try:
            self._check_sender(connection)
            principal = self._admit(connection)
        except ManagerError as error:
            if isinstance(error, Unauthenticated) and _is_navigation(connection):
                await RedirectResponse("/login", 303)(scope, receive, send)
                return
            self._log_refusal(scope, error)
            await problem.response(error)(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        if scope["method"] in origins.SAFE:
            await self.app(scope, receive, send)
        else:
            await self._audited(scope, receive, send, principal)

    def _check_sender(self, connection: HTTPConnection) -> None:
        reason = origins.refuse_host(connection.headers.getlist("host"), self.access.hosts)
        scope = connection.scope
        reason = reason or origins.refuse_origin(scope["method"], scope["path"], connection.headers)
        if reason:
            raise Forbidden(reason)

    def _admit(self, connection: HTTPConnection) -> Principal | None:
        access, method = self.access, connection.scope["method"]
        if is_open(connection.scope["path"]):
            access.check_rate("", "read")
            return None
        try:
            principal = access.authenticate(connection.headers, connection.cookies)
            if principal is None:
                raise Unauthenticated(
                    "A token is needed: `Authorization: Bearer TOKEN`, or log in at /login."
                )
        except Unauthenticated:
            access.check_rate("", "read" if _shows_login(connection) else "failed")
            raise
        is_write = method not in origins.SAFE
        access.check_rate(principal.name, "write" if is_write else "read")
        if is_write and principal.role is not Role.OPERATOR:
            raise Forbidden(
                f"The token {principal.name!r} has the role viewer, and {method} needs the role operator.",
                token=principal.name,
            )
        return principal

    async def _audited(self, scope: Scope, receive: Receive, send: Send, principal: Principal | None) -> None:
        entry, status = audit.begin(), 500

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, watching)
        finally:
            self._log(scope, principal, status, entry)

    def _log_refusal(self, scope: Scope, error: ManagerError) -> None:
        """Log a request that was not let in; of a flood only as many as the limit of refused tokens."""
        access = self.access
        if isinstance(error, TooMany) or access.limiter.wait_s("log", "failed", access.monotonic()):
            return
        entry = {"request": _request(scope), "detail": error.detail}
        by = str(error.extra.get("token", ""))
        access.log.write(audit.line(access.wall(), by, error.status, entry))

    def _log(self, scope: Scope, principal: Principal | None, status: int, entry: dict[str, str]) -> None:
        access = self.access
        is_let_in = principal is not None or "target" in entry  # a login names its token
        if not is_let_in and access.limiter.wait_s("log", "failed", access.monotonic()):
            return
        by = principal.name if principal else ""
        line = audit.line(access.wall(), by, status, {"request": _request(scope), **entry})
        access.log.write(line)


def _request(scope: Scope) -> str:
    return f"{scope['method']} {scope['path']}"[:200]


def _shows_login(connection: HTTPConnection) -> bool:
    """Whether a browser loads a page without Authorization; it is led to the login and guesses no token."""
    return _is_navigation(connection) and "authorization" not in connection.headers


def _is_navigation(connection: HTTPConnection) -> bool:
    """Whether a browser loads a page; then a redirect to the login says more than a problem document."""
    return (
        connection.scope["method"] in origins.SAFE
        and "text/html" in connection.headers.get("accept", "")
        and not connection.scope["path"].startswith("/api/")
    )
