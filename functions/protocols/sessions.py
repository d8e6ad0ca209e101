"""Sessions of MCP that live in the memory of one instance are refused where they begin.

Rules
- A server that replies to `initialize` with `Mcp-Session-Id` expects the session's next request in the same
  instance. Behind a router it reaches another one, often in another cloud, where the session is unknown; on
  AWS an instance that is still there may be frozen. So the reply becomes an error that says what to do, and
  the server discards the session, as it does if its client leaves.
- An agent whose session ids are valid in every instance (sealed state, a store that all clouds share) says
  so: `functions.api.stateless`. Its session ids pass.
- A request with a session id passes: a stateless server ignores it, and any other replies 404, after which a
  client must begin again.
- The error is JSON-RPC with a null id, which clients show with its text. No cloud is blamed for it
  (`x-skyfleet-outcome: dependency`): it is the same in all.
- Revision 2026-07-28 has no sessions. Its clients work with any server.

Sources: modelcontextprotocol.io/specification/2025-11-25/basic/transports, section "Session Management";
2026-07-28/changelog, items 1 and 2; github.com/PrefectHQ/fastmcp issue 1003 ("Session not found" with two
replicas).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from skyfleet.asgi import JSON_TYPE, Header, json_bytes

FIELD: Final = b"mcp-session-id"
# The server does not support what the request needs (RFC 9110, section 15.6.2). 400, 404 and 405 would make
# clients try the transport of 2024.
STATUS: Final = 501
TEXT: Final = (
    "This MCP server keeps sessions in the memory of one instance, and the next request may reach another "
    "instance or another cloud. Start it stateless, e.g. streamable_http_app(stateless_http=True) in the "
    "Python SDK. If its session ids are valid in every instance, say so: app = stateless(app), from "
    "functions.api. Clients of revision 2026-07-28 need no session."
)
# -32000 to -32019 are left to implementations (2026-07-28/basic/index, "Error Codes").
_CODE: Final = -32000
BODY: Final = json_bytes(
    {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": _CODE, "message": TEXT, "data": {"code": "session-in-one-instance"}},
    }
)
HEADERS: Final[tuple[Header, ...]] = (
    JSON_TYPE,
    (b"content-length", b"%d" % len(BODY)),
    (b"x-should-retry", b"false"),
    (b"x-skyfleet-outcome", b"dependency"),
)


def begins(status: int, headers: Iterable[Header]) -> bool:
    """Whether a reply begins a session."""
    return status < 300 and any(name.lower() == FIELD and value for name, value in headers)
