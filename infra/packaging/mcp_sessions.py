"""Name the lines of an agent that start an MCP server whose sessions live in one instance.

Rules
- Streamable HTTP of the SDKs keeps sessions on its defaults: `streamable_http_app()` and
  `StreamableHTTPSessionManager()` of the official one, `http_app()` of fastmcp. They are named unless they
  are called with `stateless_http=True`, or `stateless=True` for the manager. A value that is no constant, and
  `**options`, may be anything, so such a call is not named.
- The older transport, `sse_app()` and `SseServerTransport()`, has a session for each stream and no other
  mode.
- An agent that declares its session ids valid in every instance (`functions.api.stateless`) has said enough.
- The search reads the code and does not run it. So the line informs and refuses nothing; the runtime refuses
  the session itself (functions/protocols/sessions.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from skyfleet.contract import AGENT_FOLDER as FOLDER

# The argument that makes each of them stateless; None: nothing does.
STARTS: Final[Mapping[str, str | None]] = {
    "streamable_http_app": "stateless_http",
    "http_app": "stateless_http",
    "StreamableHTTPSessionManager": "stateless",
    "sse_app": None,
    "SseServerTransport": None,
}
DECLARED: Final = "stateless"
# More lines say nothing new.
SHOWN: Final = 3


def told(agent: str, files: Iterable[tuple[str, bytes]]) -> str:
    """One line about sessions of MCP, or empty.

    agent: "module:attribute". files: of its package, by name.
    """
    module = f"{agent.partition(':')[0].replace('.', '/')}.py"
    found: list[str] = []
    for name, content in files:
        own = name.startswith(f"{FOLDER}/") or name == module
        if not (own and name.endswith(".py") and any(start.encode() in content for start in STARTS)):
            continue
        calls = list(_calls(content))
        if any(_name(call) == DECLARED for call in calls):
            return ""
        lines = [f"{name.removeprefix(f'{FOLDER}/')}:{call.lineno}" for call in calls if _keeps(call)]
        found += sorted(lines, key=lambda line: int(line.rpartition(":")[2]))
    if not found:
        return ""
    more = "" if len(found) <= SHOWN else f" and {len(found) - SHOWN} more"
    return (
        f"MCP sessions that live in one instance ({', '.join(found[:SHOWN])}{more}): the next request of a "
        "client may reach another one. Start the server with stateless_http=True (docs/how-to/mcp-a2a.md)."
    )


def _calls(content: bytes) -> Iterator[ast.Call]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):  # the check of the agent tells
        return
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _keeps(call: ast.Call) -> bool:
    """Whether this call starts a server that keeps sessions."""
    name = _name(call)
    if name not in STARTS:
        return False
    switch = STARTS[name]
    for keyword in call.keywords:
        if keyword.arg is None or (keyword.arg == switch and not _is_false(keyword.value)):
            return False
    return True


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and not value.value
