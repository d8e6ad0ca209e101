"""Which handshakes are accepted. Pure.

Rules
- The API key comes in the usual header fields (`router.access`). A page cannot set fields of a handshake,
  only the list of subprotocols, so the key may be one of them:
  `base64url.bearer.authorization.skyfleet.KEY`, with the key in base64url without padding, beside
  `skyfleet.v1`, which the router selects. Kubernetes does the same (k8s.io/apiserver,
  pkg/authentication/request/websocket/protocol.go). OpenAI's and xAI's APIs take a key in a subprotocol too.
  A key in the URL would be in the platform's logs, and a key in the first message would keep a connection
  open for a client that has none.
- Browsers apply no CORS to WebSockets, but send `Origin` (RFC 6455, section 10.2). Where the config names
  the origins (`router.cors`), all others are refused. Where it names none, the key decides. A router without
  a key accepts pages of its own host only, since any page could reach a router on the same machine.
- The path is compared as it was sent, as all paths of the router are: a rule in front reads it alike.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final

from router.core.errors import CallerError
from router.cors import not_allowed
from skyfleet import contract
from skyfleet.asgi import Header

PATH: Final = b"/ws"
SUBPROTOCOL: Final = "skyfleet.v1"
KEY_PREFIX: Final = "base64url.bearer.authorization.skyfleet."


def check_path(path: bytes) -> None:
    """path: as it was sent. Raises CallerError (404): agents get no WebSocket."""
    if path != PATH:
        told = f"WebSockets are at {PATH.decode()} only; agents take HTTP requests."
        raise CallerError(404, "no-websocket", told)


def key_fields(subprotocols: Iterable[str]) -> list[Header]:
    """The field that stands for an API key among the subprotocols. Raises CallerError (400)."""
    fields: list[Header] = []
    for offered in subprotocols:
        if offered.startswith(KEY_PREFIX):
            coded = offered.removeprefix(KEY_PREFIX)
            try:
                key = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
            except binascii.Error:
                raise CallerError(
                    400, "bad-request", f"What follows {KEY_PREFIX} is not the API key in base64url."
                ) from None
            fields.append((b"authorization", b"Bearer " + key))
    return fields


def selected(subprotocols: Iterable[str]) -> str | None:
    """The subprotocol that the router selects."""
    return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None


def check_origin(origin: bytes, host: bytes, allowed: Sequence[str], *, keyless: bool) -> None:
    """Raises CallerError (403). origin: may be empty. allowed: the config's. keyless: no key is needed."""
    if not origin or origin.partition(b"://")[2] == host:
        return
    if contract.EVERY_ORIGIN in allowed or origin.decode("latin-1") in allowed:
        return
    if allowed or keyless:
        raise not_allowed(origin)
