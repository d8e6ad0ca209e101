"""Fixtures of the command line's tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.operations.paths import Layout


@pytest.fixture
def deployed(tmp_path: Path) -> Layout:
    """A checkout with a deployed stack; `routers` writes its outputs."""
    layout = Layout(tmp_path)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text("{}")
    return layout


@pytest.fixture
def no_listener() -> Iterator[str]:
    """A URL without a listener."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"
