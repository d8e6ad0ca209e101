"""Tests of the line about MCP servers whose sessions live in one instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.packaging.mcp_sessions import told

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "line",
    [
        "app = server.streamable_http_app()",
        "app = server.streamable_http_app(\n    json_response=True,\n)",
        "app = server.streamable_http_app(stateless_http=False)",
        "app = FastMCP('x').http_app(path='/mcp')",
        "manager = StreamableHTTPSessionManager(server, stateless=None)",
        "app = server.sse_app()",
        "transport = SseServerTransport('/messages/')",
    ],
)
def test_a_server_that_keeps_sessions_is_named_with_its_line(line: str) -> None:
    """And with what to do."""
    text = told("tools:app", [("agent_files/tools.py", f"import mcp\n{line}\n".encode())])
    assert text.startswith("MCP sessions that live in one instance (tools.py:2): the next request of")
    assert "stateless_http=True" in text


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("agent_files/tools.py", "app = server.streamable_http_app(stateless_http=True)"),
        ("agent_files/tools.py", "app = server.streamable_http_app(stateless_http=STATELESS)"),
        ("agent_files/tools.py", "app = server.streamable_http_app(**options)"),
        ("agent_files/tools.py", "manager = StreamableHTTPSessionManager(server, stateless=True)"),
        ("agent_files/tools.py", "app = stateless(server.streamable_http_app())"),
        ("agent_files/tools.py", "# server.streamable_http_app()"),
        ("agent_files/tools.py", "def streamable_http_app(): pass"),
        ("agent_files/tools.py", "server.streamable_http_app("),
        ("agent_files/tools.txt", "server.streamable_http_app()"),
        ("functions/other.py", "server.streamable_http_app()"),
        ("agent_files/tools.py", "app = (lambda: http_app)()()"),
    ],
)
def test_nothing_is_told_of_other_lines_and_files(name: str, source: str) -> None:
    """Stateless ones, declared ones, what may be either, and what is no call of the agent's."""
    assert told("tools:app", [(name, source.encode())]) == ""


def test_a_long_list_is_cut_and_an_agent_inside_of_functions_is_searched_too() -> None:
    """Three lines show where to look."""
    source = b"server.sse_app()\n" * 5
    assert "(functions/mine.py:1, functions/mine.py:2, functions/mine.py:3 and 2 more)" in told(
        "functions.mine:app", [("functions/mine.py", source)]
    )


def test_the_example_is_stateless() -> None:
    """What people copy."""
    source = (ROOT / "examples" / "mcp_server.py").read_bytes()
    assert b"streamable_http_app(" in source
    assert told("examples.mcp_server:app", [("agent_files/examples/mcp_server.py", source)]) == ""
