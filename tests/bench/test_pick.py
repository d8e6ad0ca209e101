"""Tests of the output of `python -m bench.pick`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import pick


def test_the_table_has_one_header_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The header is printed once, and each figure is aligned with its name."""
    figures = {"min_ns": 400.0, "median_ns": 500.0, "max_ns": 900.0}
    row: dict[str, object] = {"layer": "pick", "strategy": "weighted", "targets": 300, **figures}

    def rows(batches: int) -> list[dict[str, object]]:
        return [row] if batches else []

    monkeypatch.setattr(pick, "rows", rows)
    assert pick.main(["--results", str(tmp_path / "pick.json")]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[:6] == ["layer", "strategy", "targets", "least", "median", "most"]
    assert "ns per call" in header
    for name, figure in {"targets": "300", "least": "400", "median": "500", "most": "900"}.items():
        assert header.index(name) + len(name) == line.index(f" {figure}") + len(f" {figure}")
