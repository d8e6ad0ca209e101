"""Tests of the virtual environment: created if missing or incomplete, synchronised if the lock changed.

The programs are stand-ins: a `python` that creates an environment of scripts, and a `uv` that records its
arguments. No test uses the network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from infra.setup.errors import LockUnreadable, StepFailed
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console
from infra.setup.read_lock import entry
from infra.setup.stamp import expected, is_complete, stamp_path
from infra.setup.venv import base_python, ensure
from tests.infra.setup.fakes import Lines, script

LOCK = (
    "a==1 \\\n    --hash=sha256:11\nuv==0.1 \\\n    --hash=sha256:22 \\\n    --hash=sha256:33\nuvicorn==2\n"
)
# Becomes .venv/bin/python: runs the real stamp module for its own checkout, and records pip's requirement.
INNER = f"""
here=$(cd "$(dirname "$0")/../.." && pwd)
case "$*" in
*"infra.setup.stamp"*) shift 3; exec {sys.executable} -S "$here/infra/setup/stamp.py" "$@" ;;
*"pip install"*) for last; do :; done; cp "$last" "$here/asked-pip.txt" ;;
*) exit 0 ;;
esac
"""
UV = """
[ "$1" = --version ] && exit 0
echo "$*" >> "$LOG"
[ -z "$UV_BREAKS" ] || { echo "no route to the index"; exit 2; }
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a lock and a `python` that can create environments."""
    root = tmp_path / "a checkout"
    (root / "locks").mkdir(parents=True)
    (root / "locks" / "project.txt").write_text(LOCK)
    (root / "locks" / "page.txt").write_text("htmx==1\n")
    (root / "pyproject.toml").write_text("[project]")
    (root / "infra" / "setup").mkdir(parents=True)
    shutil.copy(ROOT / "infra" / "setup" / "stamp.py", root / "infra" / "setup")
    script(tmp_path / "inner", INNER)
    script(tmp_path / "uv", UV)
    script(
        tmp_path / "base",
        f"""
        [ "$3" = --clear ] && rm -rf "$4"
        mkdir -p "$4/bin"
        cp "{tmp_path}/inner" "$4/bin/python"; cp "{tmp_path}/uv" "$4/bin/uv"; echo made >> "{tmp_path}/made"
        """,
    )
    return root


def run(root: Path, **variables: str) -> bool:
    """`ensure` with the stand-ins."""
    environ = {"PATH": "/usr/bin:/bin", "LOG": str(root.parent / "uv.log"), **variables}
    return ensure(root, environ, Console(None), str(root.parent / "base"))


def test_a_fresh_checkout_gets_the_packages_of_the_lock_and_the_project(checkout: Path) -> None:
    """pip installs uv with its hashes, uv the rest and the project itself; the stamp is written last."""
    assert run(checkout)
    assert (checkout / "asked-pip.txt").read_text() == entry(LOCK, "uv")
    sync, htmx, install = (checkout.parent / "uv.log").read_text().splitlines()
    assert sync.startswith("pip sync --require-hashes")
    assert htmx.startswith(f"pip install --no-deps --require-hashes -r {checkout}/locks/page.txt")
    assert install.startswith(f"pip install --offline --no-deps --editable {checkout}")
    assert is_complete(checkout, PYTHON)


def test_a_complete_environment_is_left_alone(checkout: Path) -> None:
    """The second call does nothing."""
    run(checkout)
    assert not run(checkout)
    assert (checkout.parent / "made").read_text() == "made\n"


@pytest.mark.parametrize("name", ["locks/project.txt", "locks/page.txt", "pyproject.toml"])
def test_a_changed_lock_or_project_is_synchronised_without_a_new_environment(
    checkout: Path, name: str
) -> None:
    """After a pull only the difference is installed."""
    run(checkout)
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert not is_complete(checkout, PYTHON)
    assert run(checkout)
    assert (checkout.parent / "made").read_text() == "made\n"
    assert (checkout.parent / "uv.log").read_text().count("sync") == 2
    assert is_complete(checkout, PYTHON)


def test_an_incomplete_environment_is_created_again(checkout: Path) -> None:
    """Without its stamp its content is unknown."""
    with pytest.raises(StepFailed, match="no route to the index"):
        run(checkout, UV_BREAKS="1")
    assert not stamp_path(checkout).exists()
    (checkout / ".venv" / "half").write_text("x")
    assert run(checkout)
    assert not (checkout / ".venv" / "half").exists()


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "copied"])
def test_a_moved_or_copied_checkout_creates_its_own(checkout: Path, tmp_path: Path, *, moved: bool) -> None:
    """An environment cannot be moved: its scripts contain the old path."""
    run(checkout)
    other = tmp_path / "other"
    checkout.rename(other) if moved else shutil.copytree(checkout, other)
    assert not is_complete(other, PYTHON)
    assert run(other)
    assert is_complete(other, PYTHON)
    assert (tmp_path / "made").read_text() == "made\nmade\n"


def test_an_interpreter_of_another_version_does_not_count_as_complete(checkout: Path) -> None:
    """The packages are in a folder that is named after the Python version."""
    run(checkout)
    assert not is_complete(checkout, "3.99")


def test_a_link_in_place_of_the_environment_is_not_followed(checkout: Path, tmp_path: Path) -> None:
    """`venv --clear` would empty the folder behind it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    (checkout / ".venv").symlink_to(elsewhere)
    assert run(checkout)
    assert (elsewhere / "kept").read_text() == "x"


def test_two_concurrent_runs_create_one_environment(checkout: Path) -> None:
    """The second run waits, prints that it waits, and finds a complete environment."""
    lines = Lines()
    results: list[bool] = []

    def second() -> None:
        console = Console(lines)  # pyright: ignore[reportArgumentType] - a stand-in of a stream
        environ = {"PATH": "/usr/bin:/bin", "LOG": "/dev/null"}
        results.append(ensure(checkout, environ, console, str(checkout.parent / "base")))

    thread = threading.Thread(target=second)
    waiting = threading.Event()
    with exclusive(checkout, waiting.set):
        thread.start()
        while "waiting" not in lines.text:
            assert thread.is_alive()
            thread.join(0.01)
        script(checkout / ".venv" / "bin" / "python", INNER)
        stamp_path(checkout).write_text(expected(checkout, PYTHON))
    thread.join()
    assert results == [False]


def test_a_missing_lock_is_named(checkout: Path) -> None:
    """The message says how to restore it from git."""
    (checkout / "locks" / "project.txt").unlink()
    with pytest.raises(LockUnreadable, match=r"project\.txt.*git"):
        run(checkout)


def test_an_environment_is_not_created_by_the_one_it_replaces(tmp_path: Path) -> None:
    """In an activated environment `python3` is that of the environment itself."""
    base = script(tmp_path / "bin" / f"python{PYTHON}", "exit 0")
    assert base_python("/x/.venv", str(tmp_path), "/x/.venv/bin/python") == str(base)
    assert base_python("/usr", "/usr", "/usr/bin/python3") == "/usr/bin/python3"


def test_the_command_runs_this_checkout_from_any_folder(tmp_path: Path) -> None:
    """A package of the current folder does not hide the project's."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__init__.py").write_text("raise SystemExit('hidden')")
    command = [Path(sys.executable).with_name("skyfleet"), "--help"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Usage: skyfleet")


def test_uv_builds_the_project_with_its_own_copy_of_the_build_backend() -> None:
    """The ranges are the same, so the locked uv never looks for another uv_build on the network."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (uv,) = [each for each in project["project"]["dependencies"] if each.startswith("uv>")]
    (backend,) = project["build-system"]["requires"]
    assert backend == uv.replace("uv", "uv_build")


def test_the_cache_is_in_the_configured_folder() -> None:
    """The order is SKYFLEET_CACHE, XDG_CACHE_HOME, ~/.cache; it is never in the checkout."""
    assert cache_folder({"SKYFLEET_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/h"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b", "HOME": "/h"}) == Path("/b/skyfleet")
    assert cache_folder({"HOME": "/h"}) == Path("/h/.cache/skyfleet")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 1", "does not start"),
        ('case "$2" in *print*) echo "Python 3.9.2"; exit 0 ;; esac; exit 1', "Python 3.9.2"),
    ],
    ids=["broken", "too-old"],
)
def test_without_a_suitable_python_the_candidates_are_named(tmp_path: Path, body: str, said: str) -> None:
    """The message has path and version of each, the least version, and how to choose another."""
    tools = tmp_path / "bin"
    (tmp_path / "infra" / "setup").mkdir(parents=True)
    shutil.copy(ROOT / "infra" / "setup" / "run.sh", tmp_path / "infra" / "setup")
    for name in ("dirname", "cat"):
        tools.mkdir(exist_ok=True)
        (tools / name).symlink_to(shutil.which(name) or "")
    script(tools / "python3", body)
    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "infra/setup/run.sh"), "venv"],
        env={"PATH": str(tools)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{tools}/python3: {said}" in done.stderr
    assert "3.11 or newer" in done.stderr
    assert "PYTHON=" in done.stderr
