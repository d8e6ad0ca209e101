"""Every error as a problem document (RFC 9457), and the headers that every reply has.

The type is `about:blank`, so that the status says what kind of problem it is (RFC 9457, section 4.2.1);
`detail` is for people, and further members are for programs: `known`, `version`, `pid`, `errors`.
"""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from typing import Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Send

from infra.manager.errors import ManagerError

MEDIA_TYPE: Final = "application/problem+json"
# OWASP, HTTP Security Response Headers Cheat Sheet. A reply may have its own value for each of them.
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Json(JSONResponse):
    """JSON in ASCII: a lone surrogate of a request, which has no UTF-8, can be said in an error."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def response(error: ManagerError, headers: Mapping[str, str] | None = None) -> Response:
    """The reply for an error; `retry_after` among its members becomes the header too (RFC 9110, 10.2.3)."""
    more = dict(headers or {})
    if (after := error.extra.get("retry_after")) is not None:
        more["retry-after"] = str(after)
    if error.status == http.HTTPStatus.UNAUTHORIZED:
        more["www-authenticate"] = 'Bearer realm="skyfleet manager"'
    return _document(error.status, error.title, error.detail, error.extra, more)


def body(status: int, title: str, detail: str) -> bytes:
    """A problem document as bytes."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def _document(
    status: int, title: str, detail: str, extra: Mapping[str, object], headers: Mapping[str, str]
) -> Response:
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Json({**extra, **members}, status, dict(headers), MEDIA_TYPE)


async def on_manager_error(_request: Request, error: Exception) -> Response:
    """Handler of ManagerError."""
    return response(cast("ManagerError", error))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of Starlette's own errors: a path or method that is not served."""
    found, path = cast("HTTPException", error), request.url.path
    details = {
        404: f"{path} is none of the manager's paths; /api/openapi.json lists them.",
        405: f"{path} does not take {request.method}; `allow` lists what it takes.",
    }
    title = http.HTTPStatus(found.status_code).phrase.capitalize()
    detail = details.get(found.status_code, found.detail)
    return _document(found.status_code, title, detail, {}, found.headers or {})


async def on_bug(_request: Request, _error: Exception) -> Response:
    """Handler of anything else. The server's log has the traceback."""
    return _document(500, "Internal error", "An error in the manager; its log has the traceback.", {}, {})


def with_headers(send: Send, headers: Mapping[str, str] = HEADERS) -> Send:
    """`send` with the headers of every reply where the reply has none of that name."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            found = list(message.get("headers", []))
            names = {name.lower() for name, _ in found}
            found += [(k.encode(), v.encode()) for k, v in headers.items() if k.encode() not in names]
            message = {**message, "headers": found}
        await send(message)

    return sending
