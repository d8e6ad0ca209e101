"""A reply of an AWS Lambda that broke off: it ends like a whole one, with the runtime's error at its end.

Lambda's streaming protocol reports an error in the middle of a reply by HTTP trailers. The runtime library
under the Lambda Web Adapter (aws-lambda-rust-runtime, `requests.rs` and `types.rs`, releases 0.9 to 1.1)
writes these two lines into the body instead and ends it well. Taken at its word such a reply would be whole.

`Midstream` stands between a connection and the receiver of its reply. It holds back what may be the
beginning of these lines, and a body that ends with them has failed. A reply that only quotes them goes on
unchanged.
"""

from __future__ import annotations

import re
from typing import Final

from router.core.request.machine import Failure
from router.net.connection import Sink

_START: Final = b"Lambda-Runtime-Function-Error-Type: "
_ERROR: Final = re.compile(
    re.escape(_START) + rb"Runtime\.[A-Za-z]+\r\nLambda-Runtime-Function-Error-Body: [A-Za-z0-9+/=]*\r\n"
)
# The error's text is a sentence in base64; anything longer is the agent's own.
_MOST_HELD: Final = 4096


class Midstream:
    """A sink for one reply of a Lambda function."""

    __slots__ = ("_held", "_sink", "on_failure", "on_head")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held = b""
        self.on_head = sink.on_head
        self.on_failure = sink.on_failure

    def on_data(self, data: bytes) -> None:
        data, self._held = self._held + data, b""
        at = error_begins(data)
        if at < len(data):
            data, self._held = data[:at], data[at:]
        if data:
            self._sink.on_data(data)

    def on_end(self) -> None:
        held, self._held = self._held, b""
        if _ERROR.fullmatch(held):
            self._sink.on_failure(Failure.RESET, "its function broke off in the middle of the reply")
            return
        if held:
            self._sink.on_data(held)
        self._sink.on_end()


def receiver(sink: Sink, cloud: str) -> Sink:
    """What stands between the connection to a target of that cloud and `sink`."""
    return Midstream(sink) if cloud == "aws" else sink


def error_begins(data: bytes) -> int:
    """Where the last lines of `data` may be the beginning of the error; its length when they cannot."""
    at = data.rfind(_START)
    if at >= 0 and len(data) - at <= _MOST_HELD:
        return at
    at = data.rfind(b"L", max(0, len(data) - len(_START) + 1))
    return at if at >= 0 and _START.startswith(data[at:]) else len(data)
