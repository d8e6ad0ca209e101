"""What a client may ask of the router for one request, in header fields.

    x-skyfleet-strategy: latency      the strategy that chooses the target
    x-skyfleet-redundant: 2           so many attempts at once; the first good reply wins
    x-skyfleet-timeout-ms: 1500       the reply must be complete by then, counted from the request's arrival
    grpc-timeout: 1500m               the same in gRPC's form (H M S m u n)
    x-skyfleet-heartbeat: off         no comments in a silent event stream

and Idempotency-Key, which the agent reads too. What a request of MCP or A2A is recognized by is noted in the
same pass (`router.core.request.rpc`).

Rules: an unknown value is a 400 with an example; an option that the deployment does not allow
(`allowedOverrides`) is a 403. A field repeated with another value is a 400, since either may be meant; a
repeated Idempotency-Key always is. Of two timeouts the shorter one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from router.core.errors import CallerError
from router.core.policy import Policy
from router.core.request.rpc import ACCEPT, FIELDS
from skyfleet.asgi import Header
from skyfleet.contract import Strategy
from skyfleet.idempotency_key import InvalidKey, parse_key
from skyfleet.values import frozen

STRATEGY: Final = b"x-skyfleet-strategy"
REDUNDANT: Final = b"x-skyfleet-redundant"
TIMEOUT: Final = b"x-skyfleet-timeout-ms"
GRPC_TIMEOUT: Final = b"grpc-timeout"
KEY: Final = b"idempotency-key"
HEARTBEAT: Final = b"x-skyfleet-heartbeat"
_FIELDS: Final = FIELDS | {STRATEGY, REDUNDANT, TIMEOUT, GRPC_TIMEOUT, KEY, HEARTBEAT}
# Nearly all requests have an Accept.
_RARE: Final = _FIELDS - {ACCEPT}
# One for each of the three clouds; the budgets of attempts and of money hold as well.
_PARALLEL: Final = (b"1", b"2", b"3")
# With 10 digits even milliseconds reach 115 days; gRPC's own specification allows 8.
_MOST_DIGITS: Final = 10
_MOST_GRPC_DIGITS: Final = 8
_UNITS_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


@frozen
class RequestOptions:
    """strategy: None means the router's own. parallel: attempts at once. timeout_s: None means the router's
    own. key: the Idempotency-Key, which agents check; None: there is none. heartbeat: whether a silent event
    stream may get comments. rpc: it looks like a request of MCP or A2A. harmless: its method says that a
    repeat does no harm, which these fields alone do not tell."""

    strategy: Strategy | None = None
    parallel: int = 1
    timeout_s: float | None = None
    key: bytes | None = None
    heartbeat: bool = True
    rpc: bool = False
    harmless: bool = False


NONE: Final = RequestOptions()
RPC: Final = RequestOptions(rpc=True)


def parse_options(
    headers: Sequence[Header], policy: Policy, by_name: Mapping[bytes, bytes] | None = None
) -> RequestOptions:
    """The options in these header fields. by_name: the last one of each name, if that is known.

    CallerError 400 for a bad value, 403 for one that is not allowed."""
    if by_name is not None and len(by_name) == len(headers) and _RARE.isdisjoint(by_name):
        return RPC if ACCEPT in by_name and _accepts_both(by_name[ACCEPT]) else NONE
    asked = [header for header in headers if header[0] in _FIELDS]
    found: dict[bytes, bytes] = {}
    rpc = False
    for name, value in asked:
        if name in FIELDS:
            rpc = rpc or name != ACCEPT or _accepts_both(value)
            continue
        # Clouds join repeated fields or keep the first, so a repeated key would differ between them.
        if name in found and (found[name] != value or name == KEY):
            raise _bad(name, found[name] + b" and " + value, "it once")
        found[name] = value
    if not found:
        return RPC if rpc else NONE
    timeouts = [read(found[name]) for name, read in _TIMEOUTS if name in found]
    return RequestOptions(
        _strategy(found[STRATEGY], policy) if STRATEGY in found else None,
        _parallel(found[REDUNDANT], policy) if REDUNDANT in found else 1,
        min(timeouts, default=None),
        _key(found[KEY]) if KEY in found else None,
        _heartbeat(found[HEARTBEAT]) if HEARTBEAT in found else True,
        rpc,
    )


def _accepts_both(value: bytes) -> bool:
    """Whether it is the Accept of MCP's clients."""
    return b"text/event-stream" in value and b"application/json" in value


def _key(value: bytes) -> bytes:
    """The key as the agent reads it; one that the agent will refuse, as it is."""
    try:
        return parse_key(value)
    except InvalidKey:
        return value


def _strategy(value: bytes, policy: Policy) -> Strategy:
    _granted(STRATEGY, "strategy", policy)
    try:
        return Strategy(value.decode("latin-1"))
    except ValueError:
        raise _bad(STRATEGY, value, f"one of {', '.join(Strategy)}") from None


def _parallel(value: bytes, policy: Policy) -> int:
    _granted(REDUNDANT, "redundant", policy)
    if value not in _PARALLEL:
        raise _bad(REDUNDANT, value, "1, 2 or 3")
    return int(value)


def _heartbeat(value: bytes) -> bool:
    if value not in (b"on", b"off"):
        raise _bad(HEARTBEAT, value, "on or off")
    return value == b"on"


def _milliseconds(value: bytes) -> float:
    if not _is_count(value):
        expected = "a whole number of milliseconds above 0 of at most 10 digits, e.g. 1500"
        raise _bad(TIMEOUT, value, expected)
    return int(value) / 1000


def _grpc(value: bytes) -> float:
    unit = _UNITS_S.get(value[-1:])
    if unit is None or not _is_count(value[:-1], _MOST_GRPC_DIGITS):
        expected = "a whole number above 0 of at most 8 digits and a unit of H, M, S, m, u, n, e.g. 1500m"
        raise _bad(GRPC_TIMEOUT, value, expected)
    return int(value[:-1]) * unit


_TIMEOUTS: Final = ((TIMEOUT, _milliseconds), (GRPC_TIMEOUT, _grpc))


def _is_count(value: bytes, most_digits: int = _MOST_DIGITS) -> bool:
    return value.isdigit() and len(value) <= most_digits and int(value) > 0


def _granted(field: bytes, wish: str, policy: Policy) -> None:
    if wish not in policy.allowed_overrides:
        raise CallerError(
            403,
            "not-granted",
            f"This router does not let clients set {field.decode()}; leave it out, or allow '{wish}' in "
            "allowedOverrides of its policy.",
        )


def _bad(field: bytes, value: bytes, expected: str) -> CallerError:
    found = value[:40].decode("latin-1")
    return CallerError(400, "bad-request", f"{field.decode()}: got {found!r}, expected {expected}.")
