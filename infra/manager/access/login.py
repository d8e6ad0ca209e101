"""The login of a browser: a form that takes a token, and the cookie of a session.

The cookie is HttpOnly and SameSite=Strict, so no script reads it and no other site has it sent (OWASP,
Session Management Cheat Sheet). It is Secure when browser (`origin`) or proxy (`x-forwarded-proto`) say
that it came by HTTPS; on loopback there is no TLS. A login ends the session that the browser had before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

import htpy as h
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from infra.manager.access import audit
from infra.manager.access.gate import Access
from infra.manager.access.sessions import COOKIE, LONGEST_S
from infra.manager.access.tokens import find
from infra.manager.bodies import content
from infra.manager.errors import Unsupported
from infra.operations.stack.option import is_real

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Looks:
    """Addresses of the page's style sheet and icon; empty for none. A browser asks for an icon by itself."""

    style: str = ""
    icon: str = ""


def page(looks: Looks, stack: str, problem: str = "") -> str:
    """The form. problem: why the last try failed."""
    option = f" --stack {stack}" if is_real(stack) else ""
    return str(
        h.html(lang="en")[
            h.head[
                h.meta(charset="utf-8"),
                h.meta(name="viewport", content="width=device-width, initial-scale=1"),
                h.title["Log in - Skyfleet"],
                h.link(rel="icon", type="image/svg+xml", href=looks.icon) if looks.icon else None,
                h.link(rel="stylesheet", href=looks.style) if looks.style else None,
            ],
            h.body[
                h.main(".login")[
                    h.p(".brand")["Skyfleet ", h.span(".stack")[stack]],
                    h.h1["Log in"],
                    h.p(".error", role="alert")[problem] if problem else None,
                    h.form(method="post", action="/login")[
                        h.label(for_="token")["Operator token"],
                        h.input(
                            id="token",
                            name="token",
                            type="password",
                            autocomplete="off",
                            required=True,
                            autofocus=True,
                        ),
                        h.button(".confirm", type="submit")["Log in"],
                    ],
                    h.p(".quiet")["In the checkout of the stack, this makes a token and shows it once:"],
                    h.p[h.code[f"skyfleet manager token create NAME --role operator{option}"]],
                ]
            ],
        ]
    )


def routes(access: Access, stack: str, looks: Looks | None = None) -> Sequence[BaseRoute]:
    """The routes of login and logout. stack: whose manager it is."""
    shown = looks or Looks()

    async def show(_request: Request) -> Response:
        return HTMLResponse(page(shown, stack))

    async def login(request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return await show(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != FORM:
            raise Unsupported(f"The Content-Type is {media_type[:60] or 'none'}; expected {FORM}.")
        fields = parse_qs((await content(request)).decode("utf-8", "replace"), max_num_fields=10)
        token = find(access.tokens.all(), fields.get("token", [""])[0].strip())
        now = access.wall()
        audit.note(action="login", target=token.name if token else "")
        if token is None or token.is_expired(now):
            access.check_rate("", "failed")
            reason = "This token has expired." if token else "This token is unknown or was revoked."
            return HTMLResponse(page(shown, stack, reason), 401)
        access.sessions.end(request.cookies.get(COOKIE, ""))
        reply = RedirectResponse("/", 303)
        reply.set_cookie(
            COOKIE,
            access.sessions.begin(token, now),
            max_age=int(LONGEST_S),
            secure=_is_https(request),
            httponly=True,
            samesite="strict",
        )
        return reply

    async def logout(request: Request) -> Response:
        access.sessions.end(request.cookies.get(COOKIE, ""))
        reply = RedirectResponse("/login", 303)
        reply.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return reply

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def _is_https(request: Request) -> bool:
    """Whether the form came by HTTPS: a browser names its scheme in Origin (RFC 6454), a proxy may too."""
    origin = request.headers.get("origin", "").lower()
    return origin.startswith("https://") or request.headers.get("x-forwarded-proto", "").lower() == "https"
