"""The agent of the emulated clouds, an ASGI application for packages: it stands alone.

A request with the field `x-agent` goes to httpbin, whose packages are in the folder `HTTPBIN`. All others are
recorded:
`RECORDS` names a folder. Each request is written to a file there, and the reply is read from `reply.json`.
Octets are latin-1 text in both, since JSON has no bytes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Record a request, then reply as the case says."""
    if scope["type"] != "http":
        return
    if any(name == b"x-agent" for name, _ in scope["headers"]):
        await httpbin()(scope, receive, send)
        return
    folder, body, more = Path(os.environ["RECORDS"]), b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    record(folder, scope, body)
    reply = json.loads((folder / "reply.json").read_text())
    await send({"type": "http.response.start", "status": reply["status"], "headers": octets(reply["fields"])})
    parts: list[bytes] = [part.encode("latin-1") for part in reply["parts"]]
    for number, part in enumerate(parts, 1):
        await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})


@cache
def httpbin() -> Any:  # noqa: ANN401 - an untyped library
    """httpbin as an ASGI application."""
    sys.path.append(os.environ["HTTPBIN"])
    from a2wsgi import WSGIMiddleware
    from httpbin import app as wsgi

    return WSGIMiddleware(wsgi)  # pyright: ignore[reportArgumentType] - the libraries' types of WSGI differ


def record(folder: Path, scope: Message, body: bytes) -> None:
    """One file for each request."""
    query: bytes = scope["query_string"]
    found = {
        "method": scope["method"],
        "target": (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1"),
        "path": scope["path"],
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    draft = folder / f"draft-{os.getpid()}"
    draft.write_text(json.dumps(found))
    number = len(list(folder.glob("seen-*")))
    draft.rename(folder / f"seen-{number}.json")


def octets(fields: list[list[str]]) -> list[tuple[bytes, bytes]]:
    """Fields of a reply as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
