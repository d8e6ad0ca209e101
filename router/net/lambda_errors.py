"""Detects an AWS Lambda response that broke off although it ends like a complete one.

Lambda's streaming protocol reports an error in the middle of a response by HTTP trailers. The runtime library
of the Lambda Web Adapter (aws-lambda-rust-runtime, `requests.rs` and `types.rs`, releases 0.9 to 1.1) writes
these two lines into the body instead and ends the body regularly.

`LambdaErrorFilter` holds back bytes that may be the beginning of these lines. A body that ends with them has
failed. A body that only quotes them passes unchanged. A response with an announced length needs no filter:
with these lines its body is longer than announced.
"""

from __future__ import annotations

import re
from typing import Final

BROKE_OFF: Final = "its function broke off in the middle of the reply"
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
    """The body of one response of a Lambda function without a length: data in, data to pass on out."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What cannot be the beginning of the error; empty: all of it is held back."""
        if not self._held and _INITIAL not in data[-_MAX_TAIL:] and _START not in data:
            return data
        data = self._held + data
        at = error_begins(data)
        self._held = data[at:]
        return data[:at]

    def finish(self) -> bytes | None:
        """The rest of a body that is complete; None if it ends with the error."""
        held, self._held = self._held, b""
        return None if held and _ERROR.fullmatch(held) else held


def error_begins(data: bytes) -> int:
    """The index in `data` where the error may begin; its length when it cannot."""
    at = data.rfind(_START)
    if at >= 0 and len(data) - at <= _MAX_HELD:
        return at
    at = data.rfind(b"L", max(0, len(data) - len(_START) + 1))
    return at if at >= 0 and _START.startswith(data[at:]) else len(data)
