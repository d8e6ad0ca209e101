"""Detects an AWS Lambda response that broke off although it ends like a complete one.

Lambda's streaming protocol reports an error in the middle of a response by HTTP trailers. The runtime library
of the Lambda Web Adapter (aws-lambda-rust-runtime, `requests.rs` and `types.rs`, releases 0.9 to 1.1) writes
these two lines into the body instead and ends the body regularly.

`LambdaErrorFilter` holds back bytes that may be the beginning of these lines. A body that ends with them has
failed. A body that only quotes them passes unchanged.
"""

from __future__ import annotations

import re
from typing import Final

from router.net.connection import ResponseHandler
from router.net.errors import TransportError

_START: Final = b"Lambda-Runtime-Function-Error-Type: "
# Without this letter in so many last bytes, no part of the beginning is at the end.
_INITIAL: Final = b"L"
_MAX_TAIL: Final = len(_START) - 1
_ERROR: Final = re.compile(
    re.escape(_START) + rb"Runtime\.[A-Za-z]+\r\nLambda-Runtime-Function-Error-Body: [A-Za-z0-9+/=]*\r\n"
)
# The text of the error is one sentence in base64; longer text belongs to the agent.
_MAX_HELD: Final = 4096


class LambdaErrorFilter:
    """A response handler in front of another one, for one response of a Lambda function."""

    __slots__ = ("_handler", "_held", "on_failure", "on_head")

    def __init__(self, handler: ResponseHandler) -> None:
        self._handler = handler
        self._held = b""
        self.on_head = handler.on_head
        self.on_failure = handler.on_failure

    def on_data(self, data: bytes) -> None:
        """Pass on what cannot be the beginning of the error."""
        if not self._held and _INITIAL not in data[-_MAX_TAIL:] and _START not in data:
            self._handler.on_data(data)
            return
        data, self._held = self._held + data, b""
        at = error_begins(data)
        if at < len(data):
            data, self._held = data[:at], data[at:]
        if data:
            self._handler.on_data(data)

    def on_end(self) -> None:
        """End, or fail when the body ended with the error."""
        held, self._held = self._held, b""
        if held and _ERROR.fullmatch(held):
            self._handler.on_failure(
                TransportError.RESET, "its function broke off in the middle of the reply"
            )
            return
        if held:
            self._handler.on_data(held)
        self._handler.on_end()


def error_begins(data: bytes) -> int:
    """The index in `data` where the error may begin; its length when it cannot."""
    at = data.rfind(_START)
    if at >= 0 and len(data) - at <= _MAX_HELD:
        return at
    at = data.rfind(b"L", max(0, len(data) - len(_START) + 1))
    return at if at >= 0 and _START.startswith(data[at:]) else len(data)
