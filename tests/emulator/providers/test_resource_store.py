"""Tests of the file of resources: each write is atomic."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from emulator.errors import StoreError
from emulator.providers.storage.resource_store import Resource, ResourceStore


def a_row(key: str, value: int = 1) -> Resource:
    return Resource(key, "t", key, f"urn::{key}", {"value": value}, {"id": key})


def test_resources_survive_a_restart(tmp_path: Path) -> None:
    """A completed change is on the disk."""
    path = tmp_path / "emulator" / "resources.json"
    ResourceStore(path).change(put=[a_row("a"), a_row("b")])
    again = ResourceStore(path)
    again.change(put=[a_row("b", 2)], remove=["a"])
    assert dict(ResourceStore(path).resources) == {"b": a_row("b", 2)}


def test_only_the_user_can_read_the_file(tmp_path: Path) -> None:
    """The file contains secrets."""
    path = tmp_path / "resources.json"
    ResourceStore(path).change(put=[a_row("a")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_snapshot_is_immutable(tmp_path: Path) -> None:
    """A reader sees one state during a concurrent write."""
    table = ResourceStore(tmp_path / "resources.json")
    before = table.resources
    table.change(put=[a_row("a")])
    assert (dict(before), dict(table.resources)) == ({}, {"a": a_row("a")})


def test_a_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    """On a full disk the operation fails with the file's name, and memory and file are unchanged."""
    path = tmp_path / "resources.json"
    table = ResourceStore(path)
    table.change(put=[a_row("a")])
    (tmp_path / ".resources.json.tmp").mkdir()  # the path of the temporary file
    with pytest.raises(StoreError, match=r"resources\.json: .*nothing was changed"):
        table.change(put=[a_row("b")])
    assert dict(table.resources) == dict(ResourceStore(path).resources) == {"a": a_row("a")}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 1, "rows": []}', '{"version": 2, "resources": [1]}']
)
def test_an_invalid_file_is_named_and_kept(tmp_path: Path, content: str) -> None:
    """The emulator does not start empty in place of a damaged state."""
    path = tmp_path / "resources.json"
    path.write_text(content)
    with pytest.raises(StoreError, match=r"resources\.json"):
        ResourceStore(path)
    assert path.read_text() == content
