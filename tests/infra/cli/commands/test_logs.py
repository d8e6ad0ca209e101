"""Tests of `skyfleet logs`: what an agent says is not hidden by health checks."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from infra.cli.commands import logs
from infra.operations.emulator.log_files import Follower, LogFile, is_check, is_news
from infra.operations.paths import Layout

AGENT = "azure/westeurope-skyfleet-local-agent.log"
PROBE = 'INFO:     127.0.0.1:0 - "GET /health HTTP/1.1" 200 OK'
FAILED = 'INFO:     127.0.0.1:0 - "GET /health HTTP/1.1" 503 Service Unavailable'
SNAPSHOT = 'INFO:     127.0.0.1:0 - "POST /_skyfleet/health HTTP/1.1" 200 OK'
STATUS = 'INFO:     127.0.0.1:0 - "GET /api/status?x=1 HTTP/1.1" 200 OK'
INVOKE = 'INFO:     127.0.0.1:0 - "POST /invoke HTTP/1.1" 200 OK'


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A checkout whose agent printed one line before forty probes."""
    found = Layout(tmp_path)
    path = found.logs / AGENT
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["hello from the agent", *[PROBE] * 40, FAILED]) + "\n")
    return found


def run(layout: Layout, *words: str) -> Result:
    return CliRunner().invoke(logs.command, words, obj=layout)


@pytest.mark.parametrize(
    ("line", "check"),
    [
        (PROBE, True),
        (SNAPSHOT, True),
        (STATUS, True),
        (FAILED, False),
        (INVOKE, False),
        ('INFO:     127.0.0.1:0 - "GET /healthy HTTP/1.1" 200 OK', False),
        (f"the agent quotes {PROBE}", False),
        ("request 1: the agent failed", False),
        ("", False),
    ],
)
def test_only_a_successful_check_is_one(line: str, check: bool) -> None:
    """Failed checks, requests and all that an agent prints are news."""
    assert is_check(line) is check
    assert is_news(line) is not check


def test_the_agents_lines_are_shown_and_the_checks_are_not(layout: Layout) -> None:
    """The last twenty lines are counted without the checks."""
    said = run(layout, "azure", "--role", "agent").stdout.splitlines()
    assert [line.partition(" | ")[2] for line in said] == ["hello from the agent", FAILED]


def test_checks_are_shown_on_demand(layout: Layout) -> None:
    """Then the last lines of the file are shown as they are."""
    said = run(layout, "--checks", "-n", "2").stdout.splitlines()
    assert [line.partition(" | ")[2] for line in said] == [PROBE, FAILED]


def test_logs_of_checks_alone_are_explained(layout: Layout) -> None:
    """An empty output would look like a broken command."""
    (layout.logs / AGENT).write_text(f"{PROBE}\n")
    done = run(layout)
    assert done.stdout == ""
    assert "--checks prints them" in done.stderr


def test_following_leaves_the_checks_out_too(layout: Layout) -> None:
    """The same filter holds for new lines."""
    path = layout.logs / AGENT
    follower = Follower(LogFile("agent", path), path.stat().st_size, is_news)
    with path.open("a") as file:
        file.write(f"{PROBE}\nagain\n{SNAPSHOT}\n")
    assert list(follower.new_lines()) == ["again"]


@pytest.mark.parametrize("role", ["agent", "router", "checker"])
def test_a_role_in_the_place_of_a_cloud_is_answered_with_its_option(layout: Layout, role: str) -> None:
    """The message is the command to type, also for the plural."""
    for word in (role, f"{role}s"):
        done = run(layout, word)
        assert done.exit_code == click.UsageError.exit_code
        assert f"skyfleet logs --role {role}" in done.output
