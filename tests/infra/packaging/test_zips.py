"""Tests of the zips of packages: dependencies are compressed once, and no package can tell."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from infra.packaging import zips
from infra.packaging.sources import File

pytestmark = pytest.mark.pure

SITE = ".python_packages/"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An installed folder in a cache."""
    folder = tmp_path / "cache" / "py3.13-x"
    (folder / "library").mkdir(parents=True)
    (folder / "library" / "m.py").write_text("M = 1\n")
    (folder / "top.py").write_text("T = 1\n")
    return folder


def content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


def test_packages_with_the_same_dependencies_share_what_is_compressed(
    installed: Path, tmp_path: Path
) -> None:
    """The second package is made from the zip of the first one's dependencies, at the paths of its cloud."""
    one, two = tmp_path / "agent-azure-1.zip", tmp_path / "agent-azure-2.zip"
    zips.write(one, [File("a.py", b"1")], installed, SITE)
    (base,) = installed.parent.glob("*.zip")
    (installed / "top.py").write_text("changed\n")  # an installed folder never changes: this shows its use
    zips.write(two, [File("z.py", b"2")], installed, SITE)
    shared = {f"{SITE}library/m.py": b"M = 1\n", f"{SITE}top.py": b"T = 1\n"}
    assert content(one) == shared | {"a.py": b"1"}
    assert content(two) == shared | {"z.py": b"2"}
    zips.write(tmp_path / "agent-aws-1.zip", [], installed, "")
    assert content(tmp_path / "agent-aws-1.zip").keys() == {"library/m.py", "top.py"}
    assert len([*installed.parent.glob("*.zip")]) == 2
    assert zips.is_whole(base)


def test_a_package_is_the_same_bytes_whichever_machine_compressed_its_dependencies(
    installed: Path, tmp_path: Path
) -> None:
    """With and without a zip of them in the cache; a damaged one is made again."""
    first, second, third = (tmp_path / f"agent-aws-{number}.zip" for number in range(3))
    files = [File("b.sh", b"1", executable=True), File("a.py", b"2")]
    zips.write(first, files, installed, "")
    zips.write(second, reversed(files), installed, "")
    (base,) = installed.parent.glob("*.zip")
    base.write_bytes(base.read_bytes()[:40])
    zips.write(third, files, installed, "")
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()


def test_a_source_file_comes_before_a_dependency_of_its_name(installed: Path, tmp_path: Path) -> None:
    """A zip never has two members of one name."""
    path = tmp_path / "agent-aws-1.zip"
    zips.write(path, [File("top.py", b"own")], installed, "")
    assert content(path) == {"library/m.py": b"M = 1\n", "top.py": b"own"}
