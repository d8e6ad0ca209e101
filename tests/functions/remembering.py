"""What the tests of remembered requests share: instances of one function with one bucket and one clock."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from functions.guard import Guard
from functions.remembered.once import Once
from tests.asgi import Reply
from tests.functions.memory_bucket import MemoryBucket
from tests.functions.support import application, signed

HERE = "tests.functions.memory_bucket"
ASK = b'{"input": "hi"}'
KEY = "a-key-that-no-log-may-show"


@dataclass(slots=True)
class Cloud:
    """Instances of one function with one bucket and one clock (unix seconds)."""

    agent: str
    bucket: MemoryBucket | None = field(default_factory=MemoryBucket)
    time: float = 1_800_000_000.0

    def instance(self) -> Guard:
        once = Once(self.bucket, lambda: self.time)
        return dataclasses.replace(application(f"{HERE}:{self.agent}"), keyed=once.answer)

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


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]["code"]


def replayed(reply: Reply) -> bool:
    return reply.header("idempotency-replayed") == "true"
