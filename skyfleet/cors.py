"""What makes this project's own errors readable for pages of other origins.

Rules (fetch.spec.whatwg.org, section "HTTP CORS protocol")
- A page sees a reply of another origin only if the reply says so, also an error. So each error of a router or
  of an agent's runtime says it, for every origin. The standard calls `*` safe where no network address or
  firewall protects the data: a page has to bring the API key itself, and with `*` a browser shows nothing
  that a cookie has unlocked.
- All other replies, and the answers to preflights, are the agent's: its application decides which origins may
  use it.
"""

from __future__ import annotations

from typing import Final

from skyfleet.asgi import Header

# Fields of an error that a page needs and that no browser shows by itself.
EXPOSED: Final = (
    b"allow",
    b"retry-after",
    b"retry-after-ms",
    b"server-timing",
    b"www-authenticate",
    b"x-request-id",
    b"x-should-retry",  # the SDKs of model APIs obey it in browsers too
    b"x-skyfleet-attempts",
    b"x-skyfleet-hedged",
    b"x-skyfleet-panic",
    b"x-skyfleet-target",
)
ALLOW_ORIGIN: Final = b"access-control-allow-origin"
READABLE: Final[tuple[Header, ...]] = (
    (ALLOW_ORIGIN, b"*"),
    (b"access-control-expose-headers", b", ".join(EXPOSED)),
)
