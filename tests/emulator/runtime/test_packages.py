"""Tests of unpacked packages: complete or absent, with concurrent and interrupted runs."""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.runtime.instances.packages import Packages

FILES = ("build.json", "functions/app.py", "functions/settings.py", "run.sh")
PATIENCE_S = 30.0


def package_at(folder: Path) -> Path:
    path = folder / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            archive.writestr(zipfile.ZipInfo(name), "x")
    return path


def inside(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()))


class Paused:
    """An extraction that pauses after its first file until the test continues it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.times = 0
        read: Callable[..., bytes] = zipfile.ZipFile.read

        def paused(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
            if entry.filename == FILES[1]:
                self.times += 1
                self.reached.set()
                assert self.go_on.wait(PATIENCE_S)
            return read(archive, entry)

        monkeypatch.setattr(zipfile.ZipFile, "read", paused)


def test_removing_unused_packages_keeps_unfinished_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a start could fail, or serve without build.json as build `dev`."""
    paused, packages = Paused(monkeypatch), Packages(tmp_path / "unpacked")
    with ThreadPoolExecutor(1) as thread:
        unpacking = thread.submit(packages.unpack, package_at(tmp_path), "hash")
        assert paused.reached.wait(PATIENCE_S)
        packages.forget_all_but(set())
        paused.go_on.set()
        folder = unpacking.result(PATIENCE_S)
    assert inside(folder) == FILES


def test_a_package_of_two_functions_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud's router and checker start at the same time after a restart."""
    paused, packages = Paused(monkeypatch), Packages(tmp_path / "unpacked")
    package = package_at(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(packages.unpack, package, "hash") for _ in range(2)]
        assert paused.reached.wait(PATIENCE_S)
        paused.go_on.set()
        folders = {each.result(PATIENCE_S) for each in both}
    assert folders == {tmp_path / "unpacked" / "hash"}
    assert paused.times == 1


def test_an_interrupted_removal_leaves_no_partial_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next deployment unpacks the package again."""
    packages = Packages(tmp_path / "unpacked")
    folder = packages.unpack(package_at(tmp_path), "hash")

    def cut(path: Path) -> None:
        next(path.rglob("build.json")).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", cut)
    with pytest.raises(KeyboardInterrupt):
        packages.forget_all_but(set())
    assert not folder.exists()
    monkeypatch.undo()
    assert inside(packages.unpack(tmp_path / "p.zip", "hash")) == FILES


def test_remains_of_an_interrupted_daemon_are_removed(tmp_path: Path) -> None:
    """These are partial packages and interrupted removals."""
    left = tmp_path / "unpacked" / ".0a1b" / "functions"
    left.mkdir(parents=True)
    left.chmod(0o555)
    Packages(tmp_path / "unpacked").forget_all_but({"hash"})
    assert list((tmp_path / "unpacked").iterdir()) == []
