"""How attempts fail, and what the router itself tells the client: errors and its own response headers.

Rules
- An error names what happened to each attempt and what to do next. Only a request that certainly did not
  execute, or may be repeated, is said to be worth trying again.
- SDKs of model APIs repeat 408, 409, 429 and 5xx on their own, twice by default, and obey `x-should-retry`
  (openai-python, _base_client.py, `_should_retry`; openai-node and the SDKs of Anthropic have the same
  generated code). So every such reply says it: `false` where the request may have executed and must not be
  repeated, and where a repeat gets the same; `true`, with Retry-After, where a repeat is harmless. What the
  agent says itself is kept.
- Each reply names its target, the number of attempts, the request id and where the time went.
- Missing bytes are a broken connection, and another target may do better (`RESET`, `TRUNCATED`). Wrong bytes
  are the agent's bug (`INVALID`): another target would send the same, so one attempt is enough, and only the
  comparison of targets tells whether it counts. nginx has the same two kinds, and repeats a request for the
  first only (`proxy_next_upstream error timeout`, its default, without `invalid_header`). HAProxy's manual
  calls a retry after junk "usually a bad idea", since the request may be what harms the server
  (`retry-on junk-response`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import ceil
from typing import Final

from router.core.outcomes import Outcome
from router.core.targets import Choice
from skyfleet.asgi import Header, error_json
from skyfleet.cors import READABLE
from skyfleet.values import frozen

_OWN_LINES: Final = (
    b"x-request-id: %b\r\nx-skyfleet-attempts: %d\r\nserver-timing: upstream;dur=%.1f, router;dur=%.1f\r\n"
)


class AttemptError(StrEnum):
    """How an attempt ended without a reply that can be forwarded."""

    CONNECT = "connect-failure"
    OVERFLOW = "too-many-connections"  # the pool's own limit: not sent, and not the target's fault
    RESET = "reset"
    TRUNCATED = "truncated"  # within a reply of which nothing was forwarded
    UNRESPONSIVE = "unresponsive"  # neither a reply nor an answer to /health
    INVALID = "invalid-response"  # whole so far, and not HTTP/1.1


@frozen
class ErrorRule:
    """What follows from an error of an attempt. sent: the agent may have executed. elsewhere: another target
    may do better. returns: the target may be tried again after a failed probe. outcome: what it says of the
    target."""

    sent: bool
    elsewhere: bool
    returns: bool
    outcome: Outcome


ERROR_RULES: Final[Mapping[AttemptError, ErrorRule]] = {
    AttemptError.CONNECT: ErrorRule(False, True, False, Outcome.SILENCE),
    AttemptError.OVERFLOW: ErrorRule(False, True, False, Outcome.NEUTRAL),
    AttemptError.RESET: ErrorRule(True, True, True, Outcome.SILENCE),
    AttemptError.TRUNCATED: ErrorRule(True, True, True, Outcome.FAILURE),
    AttemptError.UNRESPONSIVE: ErrorRule(True, True, False, Outcome.UNRESPONSIVE),
    AttemptError.INVALID: ErrorRule(True, False, False, Outcome.AGENT_ERROR),
}
_DAY_S: Final = 86_400.0
_SHOULD_RETRY: Final = b"x-should-retry"
# What SDKs repeat below 500.
_REPEATED: Final = frozenset({408, 409, 429})
# The request was not sent.
UNSENT: Final = frozenset(error for error, rule in ERROR_RULES.items() if not rule.sent)


@frozen
class Fail:
    """Give the client this error. retry: a repeat is harmless and may help. longest_wait_s: before it."""

    status: int
    code: str
    reason: str
    retry: bool = False
    longest_wait_s: float = _DAY_S


def no_reply(causes: Sequence[str], *, slow: bool, sent: bool) -> Fail:
    """Every attempt failed. causes: of each. slow: one was unresponsive. sent: one was sent."""
    found = "; ".join(causes) or "no target may be tried"
    what = "It was sent, but no agent gave a whole reply" if sent else "Nothing could be sent to any target"
    reason = f"{what} ({found}). Try again later."
    return Fail(504, "no-answer", reason, True) if slow else Fail(503, "no-target", reason, True)


def too_late(causes: Sequence[str], running: Sequence[str], given_s: float, *, safe: bool) -> Fail:
    """The deadline passed. running: targets without a reply. given_s: the time that the request had. safe: it
    may be repeated.

    SDKs wait for Retry-After before they repeat, so it is no longer than `given_s`: an error after 0.5 s
    would otherwise reach the client's program after 20 s."""
    found = "; ".join([*causes, *(f"{key}: no reply yet" for key in running)]) or "nothing was sent"
    reason = f"The deadline passed before a reply could be passed on ({found})."
    if running:
        reason += " It may be repeated." if safe else " It may have run; check before you repeat it."
    return Fail(504, "deadline", reason, safe or not running, given_s)


def expired(running: Sequence[str], *, safe: bool) -> Fail:
    """This instance of the router ends. running: targets without a reply. safe: the request may be
    repeated."""
    reason = "This instance of the router ended before a reply could be passed on"
    reason += f" (no reply yet from {', '.join(running)})." if running else "."
    reason += " It may be repeated." if safe else " It may have run; check before you repeat it."
    return Fail(503, "draining", reason, safe)


def may_have_run(key: str, how: str, *, slow: bool = False) -> Fail:
    """Sent once, without a usable reply. how: the attempt ended. slow: it was unresponsive."""
    reason = (
        f"The request was sent to {key}, which gave no reply ({how}): it may have run there, so it was "
        "not sent again. Check before you repeat it, or send an Idempotency-Key header with requests "
        "that may be repeated."
    )
    return Fail(504 if slow else 502, "may-have-run", reason)


def invalid_response(key: str, why: str) -> Fail:
    """The reply is not valid HTTP/1.1. why: what is wrong with it."""
    reason = (
        f"The agent at {key} sent a reply that is not valid HTTP/1.1: {why}. It may have run there and "
        "was not sent again, since the same agent in another cloud would most likely reply in the same way."
    )
    return Fail(502, "invalid-response", reason)


def response_lines(
    request_id: bytes, attempts: int, took_ms: tuple[float, float], choice: Choice | None, *, hedged: bool
) -> bytes:
    """The router's own fields of a reply, as lines. attempts: all of the request. took_ms: since its arrival,
    and since the attempt began that replied. choice: of that attempt; None: there is none. hedged: a hedge
    was sent."""
    total_ms, upstream_ms = took_ms
    router_ms = total_ms - upstream_ms if total_ms > upstream_ms else 0.0
    lines = _OWN_LINES % (request_id, attempts, upstream_ms, router_ms)
    if hedged:
        lines += b"x-skyfleet-hedged: true\r\n"
    if choice is None:
        return lines
    panic = b"x-skyfleet-panic: true\r\n" if choice.panic else b""
    return b"%bx-skyfleet-target: %b\r\n%b" % (lines, choice.key.encode(), panic)


def error_reply(fail: Fail, retry_after_s: int, rpc: bytes = b"") -> tuple[list[Header], bytes]:
    """Header fields and body of the router's own error. retry_after_s: until a target may serve again;
    told only if a repeat may help. rpc: the error in JSON-RPC's shape, for a request that has it."""
    body = rpc or error_json(fail.code, fail.reason, fail.status)
    headers: list[Header] = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *READABLE,
    ]
    if fail.retry:
        headers.append((b"retry-after", b"%d" % max(1, min(retry_after_s, ceil(fail.longest_wait_s)))))
    headers.append((_SHOULD_RETRY, b"true" if fail.retry else b"false"))
    return headers, body


def retry_advice(
    status: int, fields: Sequence[Header], *, repeatable: bool, keyed: bool
) -> tuple[Header, ...]:
    """What a forwarded reply of an agent tells SDKs about a repeat; empty: nothing beyond what it has.

    fields: of the reply. repeatable: a repeat is harmless and may help. keyed: with an Idempotency-Key, a
    repeat gets the stored reply."""
    if (status < 500 and status not in _REPEATED) or any(name == _SHOULD_RETRY for name, _ in fields):
        return ()
    # With 429 and 503 an agent says that it did not do the work (docs/agent.md); no such reply is stored.
    again = status in (429, 503) or (repeatable and not keyed)
    return ((_SHOULD_RETRY, b"true" if again else b"false"),)
