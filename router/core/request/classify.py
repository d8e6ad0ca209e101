"""What the head of a reply says: who spoke, what it is worth, how the target is.

Rules
- Who spoke is told by the agents' mark (router.core.request.front_end). An agent may call its own 2xx an
  error (`x-skyfleet-outcome: error`); that counts like a 500. It may say of its 429 or 503 that it is about
  this caller or this request (`x-skyfleet-outcome: caller`): then it counts against nobody.
- A reply that was kept from an earlier run (`idempotency-replayed`) says nothing of how its target is now.
- 429, and 503 with a Retry-After, is a target that asks for rest: no failure.
- An event stream that we can read is an answer from its first event on; a reply of a small announced length
  when it is whole, and so is a JSON document without one, since a part of it is of no use to anybody;
  anything else at its head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from router.core.health.fleet import Outcome
from router.core.request.front_end import MARK, Voice, voice
from router.core.request.machine import BROKEN, UNDONE, Worth
from router.core.request.retry_after import retry_after_s
from skyfleet.signing import Header
from skyfleet.sse import is_event_stream
from skyfleet.values import frozen

# Answers of agents are a few kilobytes; a larger one costs more to hold than a cut one is likely.
MOST_WHOLE: Final = 65_536
_LOAD: Final = b"application_utilization="


@frozen
class Reading:
    """worth: see there. verdict: what is known of the target already; None: the end will tell. at_end: what
    it is if the reply ends well. why: of a bad verdict. load: as the agent reports it; None: it does not.
    events: a readable event stream. rest_s: how long the target asks to be left alone.
    """

    worth: Worth
    verdict: Outcome | None
    at_end: Outcome
    why: str = ""
    load: float | None = None
    events: bool = False
    backoff_s: float | None = None


def read(status: int, headers: Sequence[Header], *, bodiless: bool, strict: bool, now: float) -> Reading:
    """bodiless: the reply to HEAD. strict: agents of this fleet do send the mark. now: unix seconds."""
    fields = dict(reversed(headers))  # of repeated fields the first counts
    reading = _read(status, fields, bodiless=bodiless, strict=strict, now=now)
    if b"idempotency-replayed" in fields and MARK in fields:
        return replace(reading, verdict=None, at_end=Outcome.NEUTRAL, backoff_s=None)
    return reading


def _read(status: int, fields: dict[bytes, bytes], *, bodiless: bool, strict: bool, now: float) -> Reading:
    mark = fields.get(MARK)
    load = None
    if mark is not None:
        load = load_of(mark)
    elif (speaker := voice(status, strict=strict, later=b"retry-after" in fields)) is not Voice.AGENT:
        return _not_the_agents(status, speaker)
    if status < 300 and fields.get(b"x-skyfleet-outcome") == b"error":
        why = "its agent called its reply an error"
        return Reading(Worth.BROKEN, Outcome.FAILURE, Outcome.FAILURE, why, load, _is_readable(fields))
    if status in UNDONE and fields.get(b"x-skyfleet-outcome") == b"caller":
        return Reading(Worth.UNDONE, None, Outcome.NEUTRAL, load=load)
    backoff_s = retry_after_s(fields.get(b"retry-after"), now) if status in UNDONE else None
    if status == 429 or backoff_s is not None:
        return Reading(
            Worth.UNDONE,
            Outcome.RATE_LIMITED,
            Outcome.RATE_LIMITED,
            f"status {status}",
            load,
            backoff_s=backoff_s,
        )
    if status >= 500:
        worth = Worth.UNDONE if status in UNDONE else Worth.BROKEN if status in BROKEN else Worth.ANSWER
        return Reading(worth, Outcome.FAILURE, Outcome.FAILURE, f"status {status}", load)
    events = not bodiless and _is_readable(fields)
    worth = Worth.EVENTS if events else _length(fields, bodiless=bodiless)
    cold = fields.get(b"x-skyfleet-cold") == b"true"
    at_end = Outcome.COLD if cold else Outcome.SUCCESS
    if mark is None and status >= 300:
        at_end = Outcome.NEUTRAL
    return Reading(worth, None, at_end, "", load, events)


def _not_the_agents(status: int, speaker: Voice) -> Reading:
    if speaker is Voice.LIMIT:
        return Reading(Worth.UNDONE, None, Outcome.NEUTRAL)
    worth = Worth.AWAY if speaker is Voice.DOOR else Worth.STRANGE
    return Reading(worth, Outcome.FAILURE, Outcome.NEUTRAL, f"status {status}, not from its agent")


def load_of(mark: bytes) -> float | None:
    """The utilization in ORCA's text form; None when it is not there or no number."""
    at = mark.find(_LOAD)
    if at < 0:
        return None
    try:
        load = float(mark[at + len(_LOAD) :].split(b",", 1)[0])
    except ValueError:
        return None
    return load if 0 <= load < math.inf else None


def _is_readable(fields: dict[bytes, bytes]) -> bool:
    return is_event_stream(fields.get(b"content-type")) and b"content-encoding" not in fields


def _length(fields: dict[bytes, bytes], *, bodiless: bool) -> Worth:
    length = fields.get(b"content-length")
    if bodiless:
        return Worth.ANSWER
    if length is None:
        return Worth.WHOLE if _is_document(fields.get(b"content-type", b"")) else Worth.ANSWER
    small = length.isdigit() and len(length) <= 5 and int(length) <= MOST_WHOLE
    return Worth.WHOLE if small else Worth.ANSWER


def _is_document(content_type: bytes) -> bool:
    """Whether this names one JSON value (RFC 8259 and RFC 6839), not a sequence of them."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")
