"""What is wrong with a message on the wire."""

from __future__ import annotations


class MalformedMessage(Exception):
    """A message that this project does not read. status: the answer to it, if it is a request."""

    def __init__(self, message: str, status: int = 400, code: str = "bad-request") -> None:
        super().__init__(message)
        self.message, self.status, self.code = message, status, code
