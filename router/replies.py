"""What the router itself says in a reply: header fields beside the agent's, and errors of its own.

Rule: every reply says which target, how many attempts, which request, and where the time went.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from router.headers import Header
from router.refusals import GiveUp


@dataclass(frozen=True, slots=True)
class Story:
    """How a request came to its end.

    target: whose reply it is; None: nobody was tried. attempts: all of them. hedged: one of them was a hedge.
    panic: the target was not serving. total_ms, upstream_ms: since the request's arrival, and the part that
    the attempt took.
    """

    id: bytes
    target: str | None
    attempts: int
    hedged: bool
    panic: bool
    total_ms: float
    upstream_ms: float


def story_headers(story: Story) -> list[Header]:
    """The header fields that tell it."""
    headers: list[Header] = [
        (b"x-request-id", story.id),
        (b"x-skyfleet-attempts", b"%d" % story.attempts),
    ]
    if story.target is not None:
        headers.append((b"x-skyfleet-target", story.target.encode()))
    if story.hedged:
        headers.append((b"x-skyfleet-hedged", b"true"))
    if story.panic:
        headers.append((b"x-skyfleet-panic", b"true"))
    router_ms = max(0.0, story.total_ms - story.upstream_ms)
    timing = b"upstream;dur=%.1f, router;dur=%.1f" % (story.upstream_ms, router_ms)
    headers.append((b"server-timing", timing))
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
