"""How each cloud answers instead of the function: status, headers, body, one row per cause.

Taken from the vendors' documentation where it exists. Chosen where it is silent: a request whose instance
ended is
502 in all three (it may have run), and a cloud that cannot start an instance answers as for a failed start:
Lambda
502, Azure Functions 503, Cloud Run 503.
"""

from __future__ import annotations

from emulator.desired.model import Cloud
from emulator.runtime.errors import Cause

Answer = tuple[int, dict[str, str], bytes]

RETRY_AFTER_S = "1"

_AWS_502: Answer = (502, {"content-type": "text/plain"}, b"Internal Server Error")
_AZURE_503: Answer = (503, {"content-type": "text/plain"}, b"Function host is not running.")


def _json(status: int, error: str, body: bytes, **more: str) -> Answer:
    return status, {"content-type": "application/json", "x-amzn-errortype": error, **more}, body


def _html(status: int, title: str, text: str, **more: str) -> Answer:
    page = (
        '<html><head><meta http-equiv="content-type" content="text/html;charset=utf-8">'
        f"<title>{status} {title}</title></head><body><h1>Error: {title}</h1><h2>{text}</h2></body></html>"
    )
    return status, {"content-type": "text/html; charset=UTF-8", **more}, page.encode()


def _plain(status: int, text: str, **more: str) -> Answer:
    return status, {"content-type": "text/plain", **more}, text.encode()


_RETRY = {"retry-after": RETRY_AFTER_S}

ANSWERS: dict[Cloud, dict[Cause, Answer]] = {
    "aws": {
        "bad-request": _json(400, "BadRequestException", b'{"message":"Bad Request"}'),
        "no-host": _json(403, "AccessDeniedException", b'{"Message":"Forbidden"}'),
        "forbidden": _json(
            403,
            "AccessDeniedException",
            b'{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: '
            b'https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}',
        ),
        "throttled": _json(
            429,
            "TooManyRequestsException",
            b'{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User",'
            b'"message":"Rate Exceeded."}',
            **_RETRY,
        ),
        "request-too-large": _json(
            413,
            "RequestTooLargeException",
            b'{"message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}',
        ),
        "crashed": _AWS_502,
        "unstarted": _AWS_502,
        "unavailable": _AWS_502,
        "failed": _AWS_502,
        "timeout": _AWS_502,
        "response-too-large": _AWS_502,
    },
    "azure": {
        "bad-request": _html(400, "Bad Request", "The request target is invalid."),
        "no-host": _html(
            404, "Web Settings not found", "This web app does not exist, or it has another name."
        ),
        "forbidden": _html(403, "Forbidden", "This web app is not open to you."),
        "throttled": _plain(429, "Too Many Requests", **_RETRY),
        "request-too-large": (413, {}, b""),
        "crashed": _plain(502, "Bad Gateway"),
        "unstarted": _AZURE_503,
        "unavailable": _AZURE_503,
        "failed": (500, {}, b""),
        "timeout": _plain(504, "504.0 GatewayTimeout"),
        "no-route": (404, {}, b""),
        "unauthorized": (401, {}, b""),
        "not-forwarded": (502, {}, b""),
        "uri-too-long": (414, {}, b""),
        "fields-too-large": (431, {}, b""),
    },
    "gcp": {
        "bad-request": _html(400, "Bad Request", "Your client has issued a malformed or illegal request."),
        "bad-method": _html(405, "Method Not Allowed", "The request method is inappropriate for the URL."),
        "no-host": _html(404, "Page not found", "The requested URL was not found on this server."),
        "forbidden": _html(403, "Forbidden", "Your client does not have permission to get this URL."),
        "throttled": _plain(429, "Rate exceeded.", **_RETRY),
        "request-too-large": _html(
            413, "Request Entity Too Large", "Your client issued a request too large."
        ),
        "crashed": _plain(502, "Bad Gateway"),
        "unstarted": _plain(503, "Service Unavailable"),
        "unavailable": _plain(503, "Service Unavailable"),
        "failed": _plain(500, "Internal Server Error"),
        "timeout": _plain(504, "upstream request timeout"),
        "response-too-large": _plain(500, "Internal Server Error"),
    },
}


def answer(cloud: Cloud, cause: Cause) -> Answer:
    """The platform's reply; a cause that the cloud does not have is its general failure."""
    rows = ANSWERS[cloud]
    return rows.get(cause, rows["failed"])
