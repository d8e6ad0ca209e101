"""Instances of one function with one bucket and one clock, for the tests of idempotency keys."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from functions.idempotency.middleware import IdempotencyMiddleware
from functions.middleware import AgentMiddleware
from tests.asgi import Caller, Reply, Send, scope
from tests.functions.idempotency.memory_bucket import MemoryBucket
from tests.functions.support import application, signature, signed

HERE = "tests.functions.idempotency.memory_bucket"
ASK = b'{"input": "hi"}'
KEY = "a-key-that-no-log-may-show"


@dataclass(slots=True)
class Cloud:
    """Instances of one function with one bucket and one clock (unix seconds). skew: seconds by
    which the clocks of the instances are ahead.
    """

    agent: str
    bucket: MemoryBucket | None = field(default_factory=MemoryBucket)
    time: float = 1_800_000_000.0
    skew: float = 0.0

    def __post_init__(self) -> None:
        if self.bucket is not None:
            self.bucket.now = lambda: self.time

    def instance(self) -> AgentMiddleware:
        middleware = IdempotencyMiddleware(self.bucket, lambda: self.time + self.skew)
        return dataclasses.replace(application(f"{HERE}:{self.agent}"), idempotency=middleware.handle)

    async def ask(
        self,
        body: bytes = ASK,
        path: str = "/invoke",
        key: str = KEY,
        method: str = "POST",
        query: bytes = b"",
    ) -> Reply:
        headers = {"idempotency-key": key, "x-request-id": "r-7"}
        return await signed(self.instance(), method, path, body, query=query, headers=headers)

    async def ask_into(self, send: Send, body: bytes = ASK, path: str = "/invoke", key: str = KEY) -> None:
        """Send a request with the ASGI channel `send` of the test."""
        headers = [(b"idempotency-key", key.encode()), *signature("POST", path, b"", body)]
        await self.instance()(scope("POST", path, b"", headers), Caller([body]).receive, send)


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]


def replayed(reply: Reply) -> bool:
    return reply.header("idempotency-replayed") == "true"
