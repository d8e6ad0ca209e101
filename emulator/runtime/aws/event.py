"""Lambda's formats: the function URL event (payload 2.0), its request context, and a buffered result as HTTP.

Pure. Source: AWS `urls-invocation`, `lambda-urls` payload format; time is an argument. A function URL leaves
the path as it was sent, where an HTTP API decodes it (events recorded in github.com/hotsock/voker/pull/8).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, unquote

from emulator.desired.model import Function
from emulator.runtime.limits import LIMITS, MIB
from emulator.runtime.types import Call, Headers

ENCODED = frozenset(' "#<>?`{}')  # in a path, by the adapter
APOSTROPHE = "'"
UNREADABLE = frozenset('"<>')  # in a query
TEXT = ("text/", "application/json", "application/xml", "application/javascript")
EVENT_BYTES = LIMITS["aws"].request
# Of a result: the quota and 100 bytes, as the error for a larger one says ("maximum allowed payload size").
RESULT_BYTES = LIMITS["aws"].reply + 100
ACCOUNT = "123456789012"


def arn(spec: Function) -> str:
    """ARN of a function."""
    return f"arn:aws:lambda:{spec.region}:{ACCOUNT}:function:{spec.name}"


def joined(headers: Headers) -> dict[str, str]:
    """Lower-case names; repeated values joined by a comma as in Lambda, cookies by a semicolon."""
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
        "apiId": "emulator",
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
    headers = {name: _text(value) for name, value in joined(call.headers).items()}
    cookies = headers.pop("cookie", "")
    binary = bool(body) and not (_is_text(headers) and _is_utf8(body))
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
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
        event["body"] = base64.b64encode(body).decode() if binary else body.decode()
    return _json(event)


def _is_utf8(body: bytes) -> bool:
    """Whether a body is UTF-8; other bytes cannot be text in a JSON event. Base64 for them is a choice:
    undocumented.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_too_large(call: Call) -> bool:
    """Whether a request exceeds Lambda's limit, which counts the event: base64 makes binary bodies a third
    larger, and JSON escapes count.

    6 MB: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, invocation payload.
    """
    body = call.body if isinstance(call.body, bytes) else b""
    # A byte of a body becomes at most six characters, and headers are far below a megabyte.
    return 6 * len(body) > EVENT_BYTES - MIB and len(url_event(call, 0.0)) > EVENT_BYTES


def returned(status: int, headers: Headers, body: bytes) -> bytes:
    """What the adapter returns for a buffered reply; the inverse of `buffered`."""
    fields = joined(headers)
    binary = bool(body) and not _is_text(fields)
    text = base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")
    return _json({"statusCode": status, "headers": fields, "isBase64Encoded": binary, "body": text})


def _is_text(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith(TEXT) and not headers.get("content-encoding")


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _text(octets: str) -> str:
    """A header field as JSON text: UTF-8 if it is valid, or else latin-1."""
    try:
        return octets.encode("latin-1").decode()
    except UnicodeError:
        return octets


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
        return _result(cast("Mapping[str, object]", found))
    text = found if isinstance(found, str) else json.dumps(found)
    return Result(200, (("content-type", "application/json"),), text.encode())


def _object(raw: bytes) -> Mapping[str, object]:
    found: object = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError("the head of a streamed reply is not a JSON object")
    return cast("Mapping[str, object]", found)


def _listed(value: object) -> str:
    """A value that is no text: octets beyond ASCII as a list of numbers, or repeated fields as a list of
    texts, which a function URL does not support (aws-lambda-rust-runtime, pull request 692)."""
    if isinstance(value, list) and all(isinstance(one, int) for one in cast("list[object]", value)):
        return bytes(cast("list[int]", value)).decode("latin-1")
    raise ValueError("a field of the reply has several values, and a function URL takes one")


def as_adapter(target: str) -> str:
    """The target that the adapter sends: it makes a URL of the event, in which a backslash is a slash, dot
    segments are removed, encoded ones too, and some characters are encoded (url.spec.whatwg.org, "path state"
    and "query state"; seen with its binary)."""
    path, mark, query = target.partition("?")
    kept: list[str] = []
    segments = path.replace("\\", "/").removeprefix("/").split("/")
    for number, segment in enumerate(segments, 1):
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append("".join(f"%{ord(char):02X}" if char in ENCODED else char for char in segment))
            continue
        if number == len(segments):
            kept.append("")
    return f"/{'/'.join(kept)}{mark}{query.replace(APOSTROPHE, '%27')}"


def fails_at(target: str) -> bool:
    """Whether the adapter's library makes no URI of this target, so that the invocation fails (seen with its
    binary)."""
    return not UNREADABLE.isdisjoint(target.partition("?")[2])


def only_once(headers: Headers) -> None:
    """Raises ValueError for a repeated field, which a function URL does not support; cookies are apart."""
    names = [name for name, _ in headers if name != "set-cookie"]
    if len(set(names)) != len(names):
        raise ValueError("a field of the reply has several values, and a function URL takes one")


def _octets(text: str) -> str:
    """The inverse: octets as latin-1, as front ends write fields."""
    return text.encode().decode("latin-1")


def _result(found: Mapping[str, object]) -> Result:
    headers: list[tuple[str, str]] = []
    for name, value in cast("Mapping[str, object]", found.get("headers") or {}).items():
        headers.append((name.lower(), _octets(str(value)) if isinstance(value, str) else _listed(value)))
    for name, values in cast("Mapping[str, list[object]]", found.get("multiValueHeaders") or {}).items():
        headers = [pair for pair in headers if pair[0] != name.lower()]
        headers += [(name.lower(), _octets(str(value))) for value in values]
    cookies = cast("list[object]", found.get("cookies") or [])
    headers += [("set-cookie", _octets(str(cookie))) for cookie in cookies]
    text = str(found.get("body") or "")
    body = base64.b64decode(text) if found.get("isBase64Encoded") else text.encode()
    return Result(int(str(found.get("statusCode", 200))), tuple(headers), body)
