"""Tests of unpacked packages: complete or absent, with concurrent and interrupted runs."""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping
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


def zipped(path: Path, files: Mapping[str, str], *programs: str) -> Path:
    """A zip with these files, of which `programs` are executable."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name in programs else 0o644) << 16
            archive.writestr(entry, content)
    return path


def test_what_an_earlier_package_has_is_not_unpacked_again(tmp_path: Path) -> None:
    """It is the same file, which outlives the earlier package. A file of another content, another name or
    another mode is a new one."""
    packages = Packages(tmp_path / "unpacked")
    first = {"site/m.py": "one", "run.sh": "a", "agent.py": "old"}
    second = {"site/m.py": "one", "run.sh": "a", "agent.py": "new", "site/n.py": "one"}
    one = packages.unpack(zipped(tmp_path / "1.zip", first), "one")
    two = packages.unpack(zipped(tmp_path / "2.zip", second, "run.sh"), "two")
    assert {name for name in first if (one / name).samefile(two / name)} == {"site/m.py"}
    assert not (one / "site/m.py").samefile(two / "site/n.py")
    packages.forget_all_but({"two"})
    assert {name: (two / name).read_text() for name in second} == second
    modes = {name: (two / name).stat().st_mode & 0o777 for name in second}
    assert modes == {"site/m.py": 0o444, "run.sh": 0o555, "agent.py": 0o444, "site/n.py": 0o444}
    three = packages.unpack(tmp_path / "1.zip", "one")
    assert {name: (three / name).read_text() for name in first} == first


def test_a_file_that_vanished_is_unpacked_again(tmp_path: Path) -> None:
    """Another thread removes unused packages meanwhile."""
    packages = Packages(tmp_path / "unpacked")
    one = packages.unpack(zipped(tmp_path / "1.zip", {"m.py": "one"}), "one")
    shutil.rmtree(one)
    two = packages.unpack(zipped(tmp_path / "2.zip", {"m.py": "one", "n.py": "two"}), "two")
    assert (two / "m.py").read_text() == "one"
