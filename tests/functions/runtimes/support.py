"""A stand-in for Secrets Manager, for the tests of the runtimes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tests.asgi import Message, Receive, Send

AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:skyfleet-keys-AbCdEf"


class Vault:
    """A stand-in for Secrets Manager that returns the answers in order and records the requests."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict[str, str], object]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((headers, json.loads(body)))
        status, answer = self.answers.pop(0)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})
