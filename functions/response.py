"""What an application sends, checked before its first byte leaves the function.

Rules
- A response that breaks HTTP or the ASGI specification is an error of the agent, as an exception is. Servers
  find out too late to say so: uvicorn has noted the response as started by then (uvicorn 0.54,
  protocols/http/httptools_impl.py, `send`), and each server ends the connection or answers in its own name. A
  router takes that for a failure of the cloud (`router.core.request.classify`).
- Checked are a status from 200 to 599, names that are tokens and values without a line end or NUL (RFC 9110,
  sections 5.1 and 5.5), one decimal length at most (RFC 9112, section 6.3), a start before the body, and that
  there is a response at all, unless its client has disconnected.
- A body that is shorter or longer than its length is found by the server, when a part of it is sent already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from skyfleet.asgi import Header, Message, Receive, Send

_TOKENS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_LINE_END: Final = re.compile(rb"[\r\n\x00]")
_LENGTH: Final = b"content-length"


class InvalidResponse(Exception):
    """The application's response breaks HTTP or the ASGI specification. str(): how, for the log."""


class CheckedResponse:
    """The channels of one request, as its application gets them. started: a part of the response is sent."""

    __slots__ = ("_gone", "_receive", "_send", "started")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._gone = False
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        """Raises InvalidResponse."""
        if not self.started:
            if message["type"] == "http.response.body":
                raise InvalidResponse("it sent a body before the start of a response")
            if message["type"] == "http.response.start":
                check_head(message["status"], message.get("headers", ()))
                self.started = True
        await self._send(message)

    def check_started(self) -> None:
        """The application has returned. Raises InvalidResponse."""
        if not (self.started or self._gone):
            raise InvalidResponse("it returned without a response")


def check_head(status: object, headers: Sequence[Header]) -> None:
    """Raises InvalidResponse."""
    if not (isinstance(status, int) and 200 <= status <= 599):
        raise InvalidResponse(f"its status is {status!r}, expected 200 to 599")
    try:
        names = [name.lower() for name, _ in headers]
        values = b"".join([value for _, value in headers])
        tokens = not names or (_TOKENS.fullmatch(b"".join(names)) and b"" not in names)
    except (AttributeError, TypeError, ValueError):
        raise InvalidResponse("its header fields are no pairs of bytes") from None
    if not tokens:
        raise InvalidResponse("the name of a header field is no token")
    if _LINE_END.search(values):
        raise InvalidResponse("the value of a header field has a line end or NUL")
    if _LENGTH in names:
        lengths = {value for name, value in headers if name.lower() == _LENGTH}
        if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
            raise InvalidResponse("its content-length is not one decimal number")
