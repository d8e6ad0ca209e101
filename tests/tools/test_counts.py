"""Claims about the counts: what a write of the instance's state is, and what a hop is."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from tools import counts, one_request


@pytest.mark.parametrize(
    "line",
    [
        "balancer.strategy = x",
        "self._balancer.failed += 1",
        "context.balancer.inflight[key] = 0",
        "a, balancer.fleet = x",
        "del balancer.fleet[key]",
        "balancer.rejected.note(x)",
        "self._balancer.traffic.pop(key)",
    ],
)
def test_an_assignment_or_a_changing_call_is_a_write(line: str) -> None:
    """To an attribute of the balancer, or to something within it."""
    assert any(map(counts.changes_state, ast.walk(ast.parse(line))))


@pytest.mark.parametrize(
    "line",
    [
        "x = balancer.fleet",
        "balancer.choose(x)",
        "self.balancer = x",
        "balancer = x",
        "fleet.targets = balancer",
    ],
)
def test_reading_calling_and_holding_it_are_no_writes(line: str) -> None:
    """Its methods are how others change it."""
    assert not any(map(counts.changes_state, ast.walk(ast.parse(line))))


def test_the_file_of_the_class_is_no_writer(tmp_path: Path) -> None:
    """Only files beside it count."""
    for name in (counts.STATE_FILE, "router/app.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("balancer.x = 1\n")
    assert counts.writers(tmp_path) == ["router/app.py"]
    assert (counts.ROOT / counts.STATE_FILE).is_file()


def test_a_hop_is_a_call_into_another_file_of_the_router() -> None:
    """Through other code too; within a file it is none, and other code is not counted."""
    code = {
        name: compile(text, f"{one_request.ROUTER}{name}.py", "exec")
        for name, text in (
            ("a", "def f(g): return list(map(g, [1]))\ndef h(x): return x"),
            ("b", "def g(x): return x"),
        )
    }
    space: dict[str, object] = {}
    for one in code.values():
        exec(one, space)  # noqa: S102 - files of a made-up router
    trace = one_request.Trace()
    f, g, h = (cast("Callable[[object], object]", space[name]) for name in "fgh")
    sys.setprofile(trace)
    try:
        f(g)
        f(h)
    finally:
        sys.setprofile(None)
    assert trace.files == {"a.py", "b.py"}
    assert trace.hops == [("a.py", "b.py")]


def test_the_page_has_a_row_for_each_count() -> None:
    """Before, aim and now side by side."""
    text = counts.page([counts.Row("files", "3", "1", "2", "`ls`")])
    assert "| files | 3 | 1 | **2** | `ls` |" in text
