"""Snapshots as a checker sends them to a router."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from skyfleet import signing
from tests.router.support import (
    ROOTS,
    Front,
    keys_of,
)

PATH = "/_skyfleet/health"


NONCES = (f"{number:032x}" for number in range(1, 1_000_000))


def snapshot(*oks: bool, at: float, checker: str = "aws/r0", target: str = "aws/r0") -> dict[str, Any]:
    """A snapshot with one probe result per second, the last one at `at`."""
    times = [at - len(oks) + number + 1 for number in range(len(oks))]
    results = [
        {"target": target, "at": when, "ok": good, "latency_ms": 3.0, "cold": False, "reason": "r"}
        for when, good in zip(times, oks, strict=True)
    ]
    return {"version": 1, "checker": checker, "at": at, "results": results}


async def send(
    front: Front,
    body: bytes,
    *,
    checker: str = "",
    roots: str = ROOTS,
    at: float | None = None,
    nonce: str = "",
) -> httpx.Response:
    """Send a snapshot signed by a checker, by default the one that it names. at: the time of the signature,
    by default now."""
    checker = checker or _named(body)
    signed = signing.sign(
        signing.Keys.parse(keys_of("checker", checker, roots)),
        "POST",
        PATH,
        b"",
        body,
        now=time.time() if at is None else at,
        nonce=nonce or next(NONCES),
    )
    headers = [(name.decode(), value.decode()) for name, value in signed]
    return await front.client.post(PATH, content=body, headers=headers)


def _named(body: bytes) -> str:
    try:
        checker = json.loads(body)["checker"]
    except (ValueError, RecursionError, TypeError, KeyError):
        checker = ""
    return checker if "/" in checker else "aws/r0"
