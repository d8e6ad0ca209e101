"""What the head of a reply says: which component sent it, how far it counts, and how its target is.

Rules
- Each reply of an agent carries its load (`LOAD_HEADER`). Its middleware omits the field if the signature is
  wrong, and no platform front end sends it.
- So a 401, 403, 404 or 421 without the field was sent before the agent: the keys differ, the function is
  gone, a permission was removed, or a router answers at that address. The agent did not execute.
- The same holds for a redirect and, except that the agent may have executed, for a 2xx. But only where the
  deployment says that the agents send the field (`AgentTraits`): it knows, and a target that was listed by
  hand may be anything.
- Any other 4xx without the field, where the field is known to be sent, is a rule of that cloud's front end:
  Google's refuse a GET with a body, Azure's an encoded NUL. Another cloud may take the request.
- It also holds for errors of the platform: a 503 of a function that is not running, a 502 of one that died
  (it may have executed). A 503 with Retry-After is a limit and is left as it is.
- A request that a runtime answers itself, or that a front end may rewrite (which breaks the signature),
  proves nothing against the target: no client can eject a target with unusual paths or fields.
- An agent says with `x-skyfleet-outcome` what caused its reply (docs/agent.md has the table). `error` on a
  2xx counts like a 500. `caller` on a 429 or 503 does not count against the target, and the request goes
  elsewhere. `dependency` on any status is the answer of something that all clouds share, such as a model:
  it does not count either, causes no backoff, and is forwarded, since another cloud would get the same.
- A 5xx with the field is an agent error: the comparison of targets tells whether it counts against the target
  (`router.core.health.attribution`). One without the field is a failure of the target.
- `draining` on a 503: the agent did not run, since its instance ends. It counts as a refused connection that
  is not the target's fault: the request goes elsewhere, or waits for another instance of the same target.
- A reply stored from an earlier run (`idempotency-replayed`) says nothing about the target's health.
- 429, and 503 with Retry-After, is a rate-limited target, not a failure.
- An event stream counts from its first event on; a reply of small announced length, or a JSON document
  without one, when it is complete; any other at its head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from router.core.outcomes import Outcome
from skyfleet.asgi import Header
from skyfleet.orca import LOAD_HEADER, parse_load
from skyfleet.sse import LastEvent, is_event_stream
from skyfleet.values import frozen

# Replies of agents are a few kilobytes; a larger one costs more to hold than a truncated one is likely.
MOST_BUFFERED: Final = 65_536
# Compared first, since nearly all replies have it and parsing a type takes longer.
_JSON: Final = b"application/json"
# The field in which an agent says what caused its reply, and one of its values.
OUTCOME: Final = b"x-skyfleet-outcome"
_DEPENDENCY: Final = b"dependency"
DRAINING: Final = b"draining"
# Kinds of agents that are functions.
_FUNCTIONS: Final = frozenset({"function", "generator"})
# The request was not executed.
NOT_NOW: Final = frozenset({429, 503})
# The request may have been executed in part.
_SERVER_ERRORS: Final = frozenset({500, 502, 504})
_DENIALS: Final = frozenset({401, 403, 404, 421})
# Of a body, a request line, header fields.
_LIMITS: Final = frozenset({413, 414, 431})
# What all three runtimes hand to the agent.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The host of Azure Functions answers these itself.
_KEPT: Final = (b"/admin", b"/runtime/")
_REWRITTEN: Final = (b"%", b"//", b"/.", b"\\")
# Of a query: what RFC 3986 has in no URL, and the one that URLs of browsers have encoded.
_ENCODED_IN_QUERIES: Final = frozenset(b"\"'<>\\^`{|}")


class ResponseKind(StrEnum):
    """How far the head of a reply counts.

    PASS, BUFFER and STREAM are replies: forwarded at once, when complete, or from the first event on.
    NOT_PROCESSED and SERVER_ERROR are errors of the agent. FRONTEND was sent before the agent, UNKNOWN by
    another component although the agent may have executed; neither is forwarded.
    """

    PASS = "pass"  # noqa: S105
    BUFFER = "buffer"
    STREAM = "stream"
    NOT_PROCESSED = "not-processed"
    SERVER_ERROR = "server-error"
    FRONTEND = "frontend"
    UNKNOWN = "unknown"


class Responder(StrEnum):
    """The component that sent a reply without the load header.

    AGENT: nothing speaks against it. FRONTEND: before the agent. LIMIT: a limit or a rule of the cloud. Of
    bodies Lambda's is the lowest for binary data, of heads Azure's. UNKNOWN: another component, and the agent
    may have executed.
    """

    AGENT = "agent"
    FRONTEND = "frontend"
    LIMIT = "limit"
    UNKNOWN = "unknown"


# Of most replies. CPython 3.13 specializes the lookup of a constant, not that of a member of an Enum.
_BUFFER, _PASS = ResponseKind.BUFFER, ResponseKind.PASS
_COLD, _SUCCESS = Outcome.COLD, Outcome.SUCCESS


@frozen
class AgentTraits:
    """What the deployment knows of the fleet's agents. identified: they send the load header, as the
    middleware of each deployed agent does. ends_streams: they are functions, whose streams of /invoke end
    with the event `done`."""

    identified: bool = False
    ends_streams: bool = False

    def stream_fault(self, last: LastEvent, path: str) -> str:
        """What is wrong with a stream that ended in order; empty: nothing. path: of the request.

        Chat completions end with [DONE] (OpenAI's API). An application ends /invoke as it likes."""
        if last.is_error():
            return "its stream ended in an error"
        if path.endswith("/chat/completions"):
            return "" if last.is_done() else "its stream ended without [DONE]"
        if self.ends_streams and path == "/invoke" and not last.is_of(b"done"):
            return "its stream ended without its last event"
        return ""


def agent_traits(kind: str) -> AgentTraits:
    """The traits of agents of a kind (`contract.AGENT_KINDS`); empty: nothing is known of them."""
    return AgentTraits(identified=bool(kind), ends_streams=kind in _FUNCTIONS)


def stream_blame(last: LastEvent) -> Outcome:
    """How a stream counts that did not end well: its error event may name a dependency as the cause, in the
    member `outcome` of its error, since the head was sent long before."""
    return Outcome.NEUTRAL if last.has_member(b"outcome", _DEPENDENCY) else Outcome.AGENT_ERROR


@frozen
class Classification:
    """kind: how far it counts. outcome: what is known of the target already; None: the end will tell. at_end:
    the outcome if the reply ends well. why: of a bad outcome. load: as the agent reports it; None: it does
    not. events: a readable event stream. backoff_s: how long a rate-limited target asks for. sized: the
    reply has an announced length.
    """

    kind: ResponseKind
    outcome: Outcome | None
    at_end: Outcome
    why: str = ""
    load: float | None = None
    events: bool = False
    backoff_s: float | None = None
    sized: bool = False


def classify(
    status: int, fields: Mapping[bytes, bytes], *, bodiless: bool, identified: bool, now: float
) -> Classification:
    """Classify the head of a reply. fields: the first of each name. bodiless: the reply to HEAD. identified:
    agents of this fleet send the load header. now: unix seconds."""
    if b"idempotency-replayed" in fields and LOAD_HEADER in fields:
        told = {name: value for name, value in fields.items() if name != b"idempotency-replayed"}
        found = classify(status, told, bodiless=bodiless, identified=identified, now=now)
        return replace(found, outcome=None, at_end=Outcome.NEUTRAL, backoff_s=None)
    metrics, load = fields.get(LOAD_HEADER), None
    if metrics is not None:
        load = parse_load(metrics)
    else:
        sender = responder(status, identified=identified, later=b"retry-after" in fields)
        if sender is not Responder.AGENT:
            return _not_the_agents(status, sender)
    cause = fields.get(OUTCOME)
    if cause == DRAINING and status == 503:
        return Classification(ResponseKind.FRONTEND, Outcome.NEUTRAL, Outcome.NEUTRAL, "", load)
    if cause == b"error" and status < 300:
        why = "its agent called its reply an error"
        kind, events = ResponseKind.SERVER_ERROR, _is_readable(fields)
        return Classification(kind, Outcome.AGENT_ERROR, Outcome.AGENT_ERROR, why, load, events)
    if (status >= 500 or status in NOT_NOW) and cause != _DEPENDENCY:
        return _refusal_or_failure(status, fields, cause, load, now)
    at_end = _COLD if fields.get(b"x-skyfleet-cold") == b"true" else _SUCCESS
    if cause == _DEPENDENCY or (metrics is None and status >= 300):
        at_end = Outcome.NEUTRAL
    if bodiless:
        return Classification(ResponseKind.PASS, None, at_end, "", load)
    length, content_type = fields.get(b"content-length"), fields.get(b"content-type")
    if content_type != _JSON and _is_readable(fields):
        return Classification(ResponseKind.STREAM, None, at_end, "", load, True, None, length is not None)
    if length is None:
        small = _is_document(content_type or b"")
    else:
        small = length.isdigit() and len(length) <= 5 and int(length) <= MOST_BUFFERED
    kind = _BUFFER if small else _PASS
    return Classification(kind, None, at_end, "", load, False, None, length is not None)


def _refusal_or_failure(
    status: int, fields: Mapping[bytes, bytes], cause: bytes | None, load: float | None, now: float
) -> Classification:
    """A 429, a 503 or another 5xx. cause: what the agent says caused it."""
    if status in NOT_NOW and cause == b"caller":
        return Classification(ResponseKind.NOT_PROCESSED, None, Outcome.NEUTRAL, load=load)
    after_s = parse_retry_after(fields.get(b"retry-after"), now) if status in NOT_NOW else None
    if status == 429 or after_s is not None:
        kind, why = ResponseKind.NOT_PROCESSED, f"status {status}"
        return Classification(kind, Outcome.RATE_LIMITED, Outcome.RATE_LIMITED, why, load, backoff_s=after_s)
    kind = ResponseKind.SERVER_ERROR if status in _SERVER_ERRORS else ResponseKind.PASS
    kind = ResponseKind.NOT_PROCESSED if status in NOT_NOW else kind
    outcome = Outcome.AGENT_ERROR if LOAD_HEADER in fields else Outcome.FAILURE
    return Classification(kind, outcome, outcome, f"status {status}", load)


def responder(status: int, *, identified: bool, later: bool = False) -> Responder:
    """Which component sent a reply without the load header. identified: agents of this fleet send it. later:
    the reply has a Retry-After."""
    if status in _DENIALS:
        return Responder.FRONTEND
    if status in _LIMITS or (identified and 400 <= status < 500 and status != 429):
        return Responder.LIMIT
    if identified and 300 <= status < 400:
        return Responder.FRONTEND
    if identified and status == 503 and not later:
        return Responder.FRONTEND
    if identified and (status < 300 or status in _SERVER_ERRORS):
        return Responder.UNKNOWN
    return Responder.AGENT


def _not_the_agents(status: int, sender: Responder) -> Classification:
    if sender is Responder.LIMIT:
        return Classification(ResponseKind.NOT_PROCESSED, None, Outcome.NEUTRAL)
    kind = ResponseKind.FRONTEND if sender is Responder.FRONTEND else ResponseKind.UNKNOWN
    return Classification(kind, Outcome.FAILURE, Outcome.NEUTRAL, f"status {status}, not from its agent")


def is_not_charged(kind: ResponseKind, status: int) -> bool:
    """Whether this reply means that there is no agent to execute anything: like a refused connection."""
    return kind is ResponseKind.FRONTEND and status >= 500


def is_ordinary(method: str, target: bytes, headers: Iterable[Header] = ()) -> bool:
    """Whether a rejection by a front end is the target's fault. target: the request target as sent."""
    if not _is_ascii(headers):
        return False
    path, _, query = target.partition(b"?")
    if method not in _METHODS or path.lower().startswith(_KEPT):
        return False
    return not any(part in path for part in _REWRITTEN) and _ENCODED_IN_QUERIES.isdisjoint(query)


def unless_refused(
    found: Classification, status: int, cloud: str, headers: Iterable[Header]
) -> Classification:
    """The classification, if the cloud's host can have passed the request on. headers: of the request.

    The host of Azure Functions is made with YARP, which answers 502 to a field with octets beyond ASCII and
    sends nothing (dotnet/yarp issue 1502)."""
    if found.kind is not ResponseKind.UNKNOWN or cloud != "azure" or status != 502 or _is_ascii(headers):
        return found
    return replace(found, kind=ResponseKind.FRONTEND)


def _is_ascii(headers: Iterable[Header]) -> bool:
    return all(value.isascii() for _, value in headers)


def parse_retry_after(value: bytes | None, now: float) -> float | None:
    """Seconds from `now` (unix seconds), at least 0, of a Retry-After field: seconds or a date (RFC 9110,
    section 10.2.3); None for anything else. `BACKOFF_CAP_S` limits how much of it counts."""
    if value is None:
        return None
    text = value.strip()
    if text.isdigit():
        # More digits than a float can hold mean "for ever" too.
        return float(text[:12])
    # Imported for the first date only: most instances never see one, and it takes milliseconds.
    from email.utils import mktime_tz, parsedate_tz

    date = parsedate_tz(text.decode("latin-1"))
    if date is None:
        return None
    try:
        return max(0.0, mktime_tz(date) - now)
    except (ValueError, OverflowError):
        return None


def _is_readable(fields: Mapping[bytes, bytes]) -> bool:
    return is_event_stream(fields.get(b"content-type")) and b"content-encoding" not in fields


def _is_document(content_type: bytes) -> bool:
    """Whether this names one JSON value (RFC 8259 and RFC 6839), not a sequence of them."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == _JSON or kind.endswith(b"+json")
