"""Lambda's shapes: the function URL event (payload 2.0), its request context, and a buffered result back to
HTTP.

The rule of this file: pure. Source: AWS `urls-invocation`, `lambda-urls` payload format; time is an argument.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, unquote

from infra.local.hosts.messages import Call, Headers
from infra.local.world import Function

TEXT = ("text/", "application/json", "application/xml", "application/javascript")
ACCOUNT = "123456789012"


def arn(spec: Function) -> str:
    """ARN of a function."""
    return f"arn:aws:lambda:{spec.region}:{ACCOUNT}:function:{spec.name}"


def joined(headers: Headers) -> dict[str, str]:
    """Lower-case names, repeated values joined by a comma, as Lambda has it; cookies by a semicolon."""
    result: dict[str, str] = {}
    for name, value in headers:
        glue = "; " if name == "cookie" else ","
        result[name] = f"{result[name]}{glue}{value}" if name in result else value
    return result


def request_context(call: Call, now: float) -> dict[str, object]:
    """`requestContext` of the event; the adapter passes it as `x-amzn-request-context`."""
    path = unquote(call.target.partition("?")[0])
    return {
        "accountId": "anonymous",
        "apiId": "sky",
        "domainName": call.host,
        "domainPrefix": call.host.partition(".")[0],
        "http": {
            "method": call.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": call.peer,
            "userAgent": call.header("user-agent"),
        },
        "requestId": call.id,
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def lambda_context(spec: Function, request_id: str, deadline: float, trace: str = "") -> dict[str, object]:
    """The context, as the adapter passes it in `x-amzn-lambda-context`. deadline: unix seconds."""
    return {
        "request_id": request_id,
        "deadline": int(deadline * 1000),
        "invoked_function_arn": arn(spec),
        "xray_trace_id": trace or None,
        "client_context": None,
        "identity": None,
        "env_config": {
            "function_name": spec.name,
            "memory": spec.memory_mb,
            "version": "$LATEST",
            "log_group": f"/aws/lambda/{spec.name}",
            "log_stream": "",
        },
    }


def url_event(call: Call, now: float) -> bytes:
    """The event of one function URL request."""
    path, _, query = call.target.partition("?")
    body = call.body if isinstance(call.body, bytes) else b""
    headers = joined(call.headers)
    cookies = headers.pop("cookie", "")
    binary = bool(body) and not headers.get("content-type", "").startswith(TEXT)
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": request_context(call, now),
        "isBase64Encoded": binary,
    }
    pairs: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        pairs[name] = f"{pairs[name]},{value}" if name in pairs else value
    if pairs:
        event["queryStringParameters"] = pairs
    if cookies:
        event["cookies"] = cookies.split("; ")
    if body:
        event["body"] = base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")
    return json.dumps(event).encode()


@dataclass(frozen=True, slots=True)
class Result:
    """What a function returned, as HTTP."""

    status: int
    headers: Headers
    body: bytes


def prelude(raw: bytes) -> Result:
    """Head of a streamed result: the JSON before the eight NUL bytes."""
    return _result(_object(raw))


def buffered(raw: bytes) -> Result:
    """A returned JSON document: an object with `statusCode` is a reply, anything else is its body."""
    found: object = json.loads(raw)
    if isinstance(found, dict) and "statusCode" in found:
        return _result(cast(Mapping[str, object], found))
    text = found if isinstance(found, str) else json.dumps(found)
    return Result(200, (("content-type", "application/json"),), text.encode())


def _object(raw: bytes) -> Mapping[str, object]:
    found: object = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError("the head of a streamed reply is not a JSON object")
    return cast(Mapping[str, object], found)


def _result(found: Mapping[str, object]) -> Result:
    headers: list[tuple[str, str]] = []
    for name, value in cast(Mapping[str, object], found.get("headers") or {}).items():
        headers.append((name.lower(), str(value)))
    for name, values in cast(Mapping[str, list[object]], found.get("multiValueHeaders") or {}).items():
        headers = [pair for pair in headers if pair[0] != name.lower()]
        headers += [(name.lower(), str(value)) for value in values]
    cookies = cast(list[object], found.get("cookies") or [])
    headers += [("set-cookie", str(cookie)) for cookie in cookies]
    text = str(found.get("body") or "")
    body = base64.b64decode(text) if found.get("isBase64Encoded") else text.encode()
    return Result(int(str(found.get("statusCode", 200))), tuple(headers), body)
