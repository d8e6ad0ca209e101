"""The checkout's environment: made when it is missing, mended when the lock changed, made again when cut off.

The programs are stand-ins (a `python` that makes an environment of scripts, whose `uv` writes down what it is
asked), so a test takes no network and no seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from infra.setup.errors import LockUnreadable, StepFailed
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console
from infra.setup.read_lock import entry
from infra.setup.venv import Venv, creator, ensure, is_ready, launcher_text
from tests.infra.setup.fakes import Lines, script

LOCK = (
    "a==1 \\\n    --hash=sha256:11\nuv==0.1 \\\n    --hash=sha256:22 \\\n    --hash=sha256:33\nuvicorn==2\n"
)
# Becomes .venv/bin/python: answers `ready` by the stamp alone and lets "pip" write down its requirement.
INNER = """
here=$(cd "$(dirname "$0")/.." && pwd)
case "$*" in
*"infra.setup ready"*) test -f "$here/skyfleet.json" && test -z "$NOT_READY" ;;
*"pip install"*) for last; do :; done; cp "$last" "$here/../asked-pip.txt" ;;
*) exit 0 ;;
esac
"""
UV = """
[ "$1" = --version ] && exit 0
echo "$*" >> "$LOG"
[ -z "$UV_BREAKS" ] || { echo "no route to the index"; exit 2; }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a lock and a `python` that can make environments."""
    root = tmp_path / "a checkout"
    (root / "locks").mkdir(parents=True)
    (root / "locks" / "project.txt").write_text(LOCK)
    script(tmp_path / "inner", INNER)
    script(tmp_path / "uv", UV)
    script(
        tmp_path / "maker",
        f"""
        mkdir -p "$3/bin" "$3/lib/python3.11/site-packages"
        cp "{tmp_path}/inner" "$3/bin/python"; cp "{tmp_path}/uv" "$3/bin/uv"; echo made >> "{tmp_path}/made"
        """,
    )
    return root


def run(root: Path, **variables: str) -> bool:
    """`ensure` with the stand-ins."""
    environ = {"PATH": "/usr/bin:/bin", "LOG": str(root.parent / "uv.log"), **variables}
    return ensure(Venv(root), environ, Console(None), str(root.parent / "maker"))


def test_a_fresh_checkout_gets_an_environment_of_what_the_lock_says(checkout: Path) -> None:
    """uv comes by pip with its hashes, the rest by uv; the stamp, the launcher and the import path are
    there.
    """
    assert run(checkout)
    venv = Venv(checkout)
    assert (checkout / "asked-pip.txt").read_text() == entry(LOCK, "uv")
    asked = (checkout.parent / "uv.log").read_text()
    assert "pip sync" in asked
    assert "--require-hashes" in asked
    assert venv.launcher.stat().st_mode & 0o111
    assert (venv.folder / "lib/python3.11/site-packages/skyfleet.pth").read_text() == f"{checkout}\n"
    assert is_ready(venv, "3.11")


def test_a_finished_environment_is_left_alone(checkout: Path) -> None:
    """The second call does nothing."""
    run(checkout)
    assert not run(checkout)
    assert (checkout.parent / "made").read_text() == "made\n"


def test_another_lock_brings_the_packages_in_line_without_making_anew(checkout: Path) -> None:
    """After a pull that changed the lock only the difference is installed."""
    run(checkout)
    Venv(checkout).lock.write_text(LOCK + "z==1\n")
    assert not is_ready(Venv(checkout), "3.11")
    assert run(checkout, NOT_READY="1")
    assert (checkout.parent / "made").read_text() == "made\n"
    assert (checkout.parent / "uv.log").read_text().count("sync") == 2
    assert is_ready(Venv(checkout), "3.11")


def test_one_that_was_cut_off_is_made_again(checkout: Path) -> None:
    """Without its stamp nobody knows what is in it."""
    with pytest.raises(StepFailed, match="no route to the index"):
        run(checkout, UV_BREAKS="1")
    assert not Venv(checkout).stamp.exists()
    (Venv(checkout).folder / "half").write_text("x")
    assert run(checkout)
    assert not (Venv(checkout).folder / "half").exists()


def test_a_copied_checkout_makes_its_own(checkout: Path, tmp_path: Path) -> None:
    """An environment cannot be moved: its scripts name the old folder."""
    run(checkout)
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    assert not is_ready(Venv(copy), "3.11")
    assert run(copy, NOT_READY="1")
    assert json.loads(Venv(copy).stamp.read_text())["root"] == str(copy)
    assert (tmp_path / "made").read_text() == "made\nmade\n"


def test_two_at_once_make_one_environment(checkout: Path) -> None:
    """The second waits, says so, and finds the work done."""
    lines = Lines()
    results: list[bool] = []

    def second() -> None:
        console = Console(lines)  # pyright: ignore[reportArgumentType] - what Console uses of a stream
        environ = {"PATH": "/usr/bin:/bin", "LOG": "/dev/null"}
        results.append(ensure(Venv(checkout), environ, console, str(checkout.parent / "maker")))

    thread = threading.Thread(target=second)
    waiting = threading.Event()
    with exclusive(checkout, waiting.set):
        thread.start()
        while "waiting" not in lines.text:
            assert thread.is_alive()
            thread.join(0.01)
        Venv(checkout).folder.mkdir()
        script(Venv(checkout).python, INNER)
        Venv(checkout).stamp.write_text("{}")
    thread.join()
    assert results == [False]


def test_a_missing_lock_is_named(checkout: Path) -> None:
    """It is part of the repository, so git has it."""
    Venv(checkout).lock.unlink()
    with pytest.raises(LockUnreadable, match=r"project\.txt.*git"):
        run(checkout)


def test_the_environment_is_never_made_by_the_one_it_replaces(tmp_path: Path) -> None:
    """With an activated environment `python3` is the one inside it."""
    base = script(tmp_path / "bin" / "python3.11", "exit 0")
    assert creator("/x/.venv", str(tmp_path), "/x/.venv/bin/python", "3.11") == str(base)
    assert creator("/usr", "/usr", "/usr/bin/python3", "3.11") == "/usr/bin/python3"


def test_the_launcher_runs_our_sources_from_any_folder(tmp_path: Path) -> None:
    """A module of the caller's folder does not shadow ours, and spaces in the path do no harm."""
    python = script(tmp_path / "a b" / "python", 'echo "$@"')
    launcher = script(tmp_path / "skyfleet", launcher_text(python).partition("\n")[2])
    said = subprocess.run([str(launcher), "status", "a b"], capture_output=True, text=True, check=True).stdout
    assert said == "-P -m infra.cli status a b\n"


def test_the_cache_lies_where_the_user_wants_it() -> None:
    """Ours, then the desktop's, then the usual place; never in the checkout."""
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
def test_without_a_python_the_set_up_names_what_it_found(tmp_path: Path, body: str, said: str) -> None:
    """Path and version of each candidate, what is needed, and how to name another."""
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
