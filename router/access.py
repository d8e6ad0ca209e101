"""Which requests a router lets through: those with the API key, and preflights of browsers.

Rules
- A key is compared by its SHA-256 in constant time, from `Authorization: Bearer KEY` or `x-api-key`; the
  field that carried it stops here. During a rotation the former key is valid too.
- A refusal has a challenge (RFC 9110, section 11.6.1). It names an error only if a key was sent (RFC 6750,
  section 3.1).
- A preflight needs no key, since a browser never sends credentials with it (fetch.spec.whatwg.org, section
  "CORS-preflight fetch"). The agent answers it, since only its application knows the origins that it serves,
  or the router, if the config names them (`router.cors`).
- A request without a key is a preflight only if it has that form and no credentials. Of its fields the agent
  gets those that browsers send, so it brings neither options for the router nor anything that costs.
- What a request without a key meets is no evidence of a target's health (`router.proxy.attempt`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from router.core.errors import CallerError
from skyfleet.asgi import Header
from skyfleet.signing import SIGNATURE

KEY_FIELDS: Final = frozenset({b"authorization", b"x-api-key"})
# Preflights without a key that one instance forwards at once. A browser repeats none within its cache's time,
# and an agent answers one in milliseconds.
MOST_PREFLIGHTS: Final = 16
_METHOD: Final = b"access-control-request-method"
_FORBIDDEN: Final = KEY_FIELDS | {b"cookie", SIGNATURE}
# The fields of a preflight as browsers send it, and the ids by which a request is traced. The fourth and the
# fifth are of Private Network Access and of its successor, Local Network Access.
_OF_PREFLIGHT: Final = frozenset(
    {
        b"origin",
        _METHOD,
        b"access-control-request-headers",
        b"access-control-request-private-network",
        b"access-control-request-local-network",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"referer",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    }
)
_REALM: Final = b'Bearer realm="skyfleet"'


def admit(
    headers: Collection[Header],
    expected: Sequence[bytes] | None,
    by_name: Mapping[bytes, bytes] | None = None,
) -> frozenset[bytes]:
    """Names of the fields that carried a key. expected: SHA-256 of each valid key; None: no key is needed.
    by_name: the last field of each name, if that is known.

    Raises CallerError (401) without a valid key."""
    if expected is None:
        return frozenset()
    if by_name is not None and len(by_name) == len(headers):
        carried = [name for name in KEY_FIELDS if name in by_name and _is_key(by_name[name], expected)]
    else:
        carried = [name for name, value in headers if name in KEY_FIELDS and _is_key(value, expected)]
    if not carried:
        raise CallerError(
            401,
            "unauthorized",
            "No valid API key was found. Send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'; "
            "the stack's output apiKey has it.",
            [(b"www-authenticate", _challenge(headers))],
        )
    return frozenset(carried)


def _is_key(value: bytes, expected: Sequence[bytes]) -> bool:
    bearer = value[:7] == b"Bearer " or value[:7].lower() == b"bearer "
    key = value[7:].strip() if bearer else value.strip()
    digest = hashlib.sha256(key).digest()
    for valid in expected:  # noqa: SIM110 - `any` would make a generator for each request
        if hmac.compare_digest(digest, valid):
            return True
    return False


def _challenge(headers: Iterable[Header]) -> bytes:
    """Another scheme than Bearer counts as no key at all (RFC 6750, section 3.1)."""
    sent = {
        name
        for name, value in headers
        if (name == b"x-api-key" and value.strip())
        or (name == b"authorization" and value[:7].lower() == b"bearer " and value[7:].strip())
    }
    return _REALM + b', error="invalid_token"' if sent else _REALM


def is_preflight(fields: Mapping[bytes, bytes]) -> bool:
    """Whether an OPTIONS request is a preflight as browsers send it: two fields, no body, no credentials. A
    body in chunks shows only when it is read, and an adapter may announce one that is empty.

    fields: by lower-case name."""
    return (
        b"origin" in fields
        and _METHOD in fields
        and fields.get(b"content-length", b"0") == b"0"
        and _FORBIDDEN.isdisjoint(fields)
    )


def preflight_fields(headers: Iterable[Header]) -> list[Header]:
    """The fields of a preflight that an agent gets."""
    return [header for header in headers if header[0] in _OF_PREFLIGHT]
