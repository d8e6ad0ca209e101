"""`skyfleet top`: the manager's picture as lines and tables."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, Group

from infra.cli.output.fleet_view import render, sparkline
from infra.operations.json_access import JsonObject

AT = 1_700_000_000.0
PICTURE: JsonObject = {
    "at": AT,
    "stack": "dev",
    "version": "abc",
    "problems": ["The router gcp/europe-west1 does not answer: no answer within 3 s."],
    "routers": [
        {
            "cloud": "aws",
            "region": "eu-west-1",
            "problem": "",
            "strategy": "adaptive",
            "requests": 12,
        },
        {"cloud": "gcp", "region": "europe-west1", "problem": "no answer within 3 s", "strategy": ""},
    ],
    "targets": [
        {
            "cloud": "aws",
            "region": "eu-west-1",
            "state": "healthy",
            "share": 0.75,
            "latency_ms": 41.6,
            "errors": 0.0,
            "inflight": 3,
            "instances": 2,
            "sentence": "",
            "planned": "",
        },
        {
            "cloud": "azure",
            "region": "westeurope",
            "state": "down",
            "share": 0.0,
            "latency_ms": None,
            "errors": 0.5,
            "inflight": 0,
            "sentence": "It gets no requests.",
            "planned": "weight 2 configured",
        },
    ],
    "minutes": [
        {"at": AT - 200 + 60 * n, "requests": n * 10, "errors": 0, "p99_ms": None if n == 1 else 50.0}
        for n in range(4)
    ],
}
JOB: JsonObject = {
    "state": "failed",
    "by": "ann",
    "result": "refused by aws",
    "change": {"action": "create", "cloud": "aws", "region": "us-east-1", "preview": False},
}


def text(width: int = 120, lost: str = "") -> str:
    """What a terminal of this width shows."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    console.print(Group(*render(PICTURE, [JOB], lost)))
    return out.getvalue()


def test_a_state_is_a_word_and_a_share_a_bar() -> None:
    """So that a terminal without colours tells the same."""
    shown = text()
    assert "healthy" in shown
    assert "75%   ████████··" in shown
    assert " 0%   ··········" in shown


def test_problems_reasons_and_jobs_are_sentences() -> None:
    """Each with the place that it is about."""
    shown = text()
    for words in (
        "does not answer: no answer within 3 s.",
        "azure/westeurope It gets no requests. weight 2 configured",
        "failed create aws/us-east-1 by ann: refused by aws",
    ):
        assert words in shown


def test_a_lost_manager_is_said_with_the_time_of_the_picture() -> None:
    """An old picture must not look like a new one."""
    assert "disconnected" not in text()
    assert "disconnected: connection refused. This is the picture of " in text(lost="connection refused")


@pytest.mark.parametrize("width", [36, 42, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Figures that do not fit are left out, names and states never."""
    shown = text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert "azure/westeurope" in shown
    for word in ("healthy", "down", "answers"):
        assert word in shown.split()


def test_a_narrow_terminal_has_fewer_minutes() -> None:
    """The newest ones, each series on one line."""
    minutes = [{"at": AT - 60 * n, "requests": n, "errors": 0} for n in range(30, 0, -1)]
    out = io.StringIO()
    console = Console(file=out, width=42, highlight=False)
    console.print(Group(*render({**PICTURE, "minutes": minutes}, [])))
    found = next(line for line in out.getvalue().splitlines() if line.startswith("requests/min"))
    assert (len(found), found.endswith(" 1")) == (42, True)


def test_a_text_of_a_fleet_moves_no_cursor_and_makes_no_style() -> None:
    """Reasons are texts of agents."""
    hostile = {**PICTURE, "problems": ["\x1b[2J[red]x[/red]"]}
    out = io.StringIO()
    Console(file=out, width=120, highlight=False).print(Group(*render(hostile, [])))
    assert "\x1b[2J" not in out.getvalue()
    assert "[red]x[/red]" in out.getvalue()


def test_a_sparkline_is_relative_to_its_largest_value() -> None:
    """An unknown value is a gap, zeros are the lowest bar."""
    assert sparkline([0, 5, 10, None]) == "▁▅█ "
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None]) == " "
