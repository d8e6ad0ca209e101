"""Tests of start_failures.py: a deployment tells the agent's own line, wherever a cloud logs it."""

from __future__ import annotations

from pathlib import Path

from infra.operations.emulator.start_failures import log_sizes, start_failures
from skyfleet.contract import CANNOT_START as MARK

REASON = "main:agent does not import: main.py:5: KeyError: 'X'"


def log(folder: Path, cloud: str, *lines: str) -> None:
    """Append lines to the agent's log."""
    path = folder / cloud / "here-agent.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_the_last_reason_of_each_function_is_told(tmp_path: Path) -> None:
    """Only of this deployment, and only a line of the function itself."""
    log(tmp_path, "aws", f"{MARK}an earlier reason")
    before = log_sizes(tmp_path)
    log(tmp_path, "aws", f"{MARK}a first reason", "[emulator] its output: " + MARK + "x", f"{MARK}{REASON}")
    log(tmp_path, "gcp", "INFO: up")
    log(tmp_path, "azure", f"{MARK}{REASON}")
    assert start_failures(tmp_path, before) == [
        f"aws/here-agent does not start: {REASON}",
        f"azure/here-agent does not start: {REASON}",
    ]


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    """It is shorter than before."""
    log(tmp_path, "aws", "x" * 100)
    before = log_sizes(tmp_path)
    (tmp_path / "aws" / "here-agent.log").write_text(f"{MARK}{REASON}\n")
    assert start_failures(tmp_path, before) == [f"aws/here-agent does not start: {REASON}"]


def test_without_logs_nothing_is_told(tmp_path: Path) -> None:
    """A first deployment has none."""
    assert start_failures(tmp_path, log_sizes(tmp_path)) == []
