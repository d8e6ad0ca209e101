"""What the router itself says in a reply: header fields beside the agent's, and errors of its own.

Rule: every reply says which target, how many attempts, which request, and where the time went.
"""

from __future__ import annotations

import json

from router.core.request.failures import GiveUp
from router.core.request.machine import Choice
from skyfleet.signing import Header


def story_headers(
    request_id: bytes, attempts: int, took_ms: tuple[float, float], choice: Choice | None, *, hedged: bool
) -> list[Header]:
    """How a request came to its end. attempts: all of them. took_ms: since its arrival, and the part that the
    attempt took whose reply it is. choice: of that one; None: it is nobody's. hedged: one of them was a
    hedge."""
    total_ms, upstream_ms = took_ms
    router_ms = total_ms - upstream_ms if total_ms > upstream_ms else 0.0
    headers: list[Header] = [
        (b"x-request-id", request_id),
        (b"x-skyfleet-attempts", b"%d" % attempts),
        (b"server-timing", b"upstream;dur=%.1f, router;dur=%.1f" % (upstream_ms, router_ms)),
    ]
    if hedged:
        headers.append((b"x-skyfleet-hedged", b"true"))
    if choice is not None:
        headers.append((b"x-skyfleet-target", choice.key.encode()))
        if choice.panic:
            headers.append((b"x-skyfleet-panic", b"true"))
    return headers


def error_reply(giving_up: GiveUp, retry_after_s: int) -> tuple[list[Header], bytes]:
    """Header fields and body of an error of our own. retry_after_s: said only if asking again may help."""
    body = json.dumps({"error": {"code": giving_up.code, "message": giving_up.reason}}).encode()
    headers: list[Header] = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if giving_up.again:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    return headers, body
