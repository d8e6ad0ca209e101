"""Pages of other origins, where the config names the origins (`skyfleet:router.corsOrigins`).

Rules (fetch.spec.whatwg.org, section "HTTP CORS protocol")
- Without the key the agent decides, and its application answers preflights (`router.access`).
- With it the router answers each preflight itself, for all paths of agents: no agent runs. It allows what the
  page asks for, since the API key decides the rest. Another origin is refused.
- A reply to a page of such an origin gets the fields that it needs, unless the agent has set them itself. All
  other replies say that they vary with the origin, for caches.
- Credentials in the sense of browsers (cookies) are not allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from router.core.errors import CallerError
from skyfleet import contract
from skyfleet.asgi import Header
from skyfleet.cors import ALLOW_ORIGIN, EXPOSED

_EXPOSE: Final[Header] = (b"access-control-expose-headers", b", ".join(EXPOSED))
_VARY: Final[Header] = (b"vary", b"origin")
# Two hours, the longest that Chromium keeps an answer.
_MAX_AGE: Final[Header] = (b"access-control-max-age", b"7200")
# What a browser sends: a method, and a list of names (RFC 9110, section 5.6.2).
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}")
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, -]{1,4000}")


class CorsFields(dict[bytes, tuple[Header, ...]]):
    """The fields of a reply, by the origin of a page; without ALLOW_ORIGIN for one that may not call.

    A mapping, since a look-up costs no call. origins: as in the config; `*` is every origin."""

    def __init__(self, origins: Iterable[str]) -> None:
        super().__init__()
        self._others: tuple[Header, ...] = (_VARY,)
        for origin in origins:
            if origin == contract.EVERY_ORIGIN:
                self._others = ((ALLOW_ORIGIN, b"*"), _EXPOSE)
            else:
                self[origin.encode()] = (ALLOW_ORIGIN, origin.encode()), _EXPOSE, _VARY

    def __missing__(self, origin: bytes) -> tuple[Header, ...]:
        return self._others

    def preflight(self, fields: Mapping[bytes, bytes]) -> list[Header]:
        """The fields of the answer to a preflight, a 204. fields: of the request, by lower-case name.

        Raises CallerError (403) for an origin that the config does not name, (400) for fields that no browser
        sends."""
        origin = fields[b"origin"]
        shown = self[origin]
        if shown == (_VARY,):
            raise not_allowed(origin)
        method = fields[b"access-control-request-method"]
        names = fields.get(b"access-control-request-headers", b"")
        if not _METHOD.fullmatch(method) or (names and not _NAMES.fullmatch(names)):
            raise CallerError(400, "bad-request", "The fields of this preflight are not those of a browser.")
        answer = [*shown, _MAX_AGE, (b"access-control-allow-methods", method)]
        return [*answer, (b"access-control-allow-headers", names)] if names else answer


def not_allowed(origin: bytes) -> CallerError:
    """The refusal of an origin that the config does not name."""
    return CallerError(
        403,
        "origin-not-allowed",
        f"Pages of {origin.decode('latin-1')[:200]!r} may not call this router. "
        "Add the origin to skyfleet:router.corsOrigins if they should.",
    )
