"""Tests of pip's settings for uv, of locks, of progress lines and of child processes of the set-up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.setup.compile_locks import all_locks, arguments
from infra.setup.errors import LockUnreadable, StepFailed
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.read_lock import entry
from infra.setup.subprocess_step import run_step
from tests.infra.setup.fakes import CHECKOUT, Lines


def test_a_machine_without_settings_adds_nothing() -> None:
    """uv's defaults are then used."""
    assert uv_environment({"HOME": "/h", "PATH": "/bin"}, []) == {}


def test_pips_settings_are_passed_to_uv() -> None:
    """Certificate, index, wheels and proxy are read from variables and files; variables take precedence."""
    config = (
        "[global]\ncert = /file.pem\nindex-url = https://index.example\n[install]\nfind-links =\n  /a\n  /b\n"
    )
    assert uv_environment({"PIP_CERT": "/var.pem", "PIP_PROXY": "http://p:1"}, [config]) == {
        "SSL_CERT_FILE": "/var.pem",
        "UV_DEFAULT_INDEX": "https://index.example",
        "UV_FIND_LINKS": "/a,/b",
        "ALL_PROXY": "http://p:1",
    }


def test_uvs_own_settings_take_precedence() -> None:
    """This holds for older names of the variables too."""
    environ = {"SSL_CERT_FILE": "/own.pem", "PIP_CERT": "/pip.pem", "UV_INDEX_URL": "https://own.example"}
    assert uv_environment(environ, ["[global]\nindex-url = https://other.example\n"]) == {}


def test_the_certificates_of_requests_are_the_last_choice() -> None:
    """Machines behind a proxy often set only REQUESTS_CA_BUNDLE."""
    assert uv_environment({"REQUESTS_CA_BUNDLE": "/r.pem"}, []) == {"SSL_CERT_FILE": "/r.pem"}


def test_broken_or_missing_pip_files_are_ignored(tmp_path: Path) -> None:
    """pip itself reports a broken file."""
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("not [ a file")
    named = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    assert read_configs(named) == []
    texts = read_configs({"HOME": str(tmp_path)})
    assert "not [ a file" in texts
    assert uv_environment({}, ["not [ a file"]) == {}


def test_an_entry_of_a_lock_is_read_with_its_hashes() -> None:
    """The entry of uv is not confused with uvicorn's, and a lock without it is an error."""
    text = "uv==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nuvicorn==2 \\\n    --hash=sha256:cc\n"
    assert entry(text, "uv") == "uv==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    with pytest.raises(LockUnreadable, match="no entry for ruff"):
        entry(text, "ruff")


def test_lock_files_and_their_definitions_agree() -> None:
    """`make lock` writes all of them, and none contains a URL."""
    names = {lock.name for lock in all_locks()}
    assert names == {path.name for path in (CHECKOUT / "locks").glob("*.txt")}
    for lock in all_locks():
        assert all((CHECKOUT / source).exists() for source in lock.sources), lock
        assert "://" not in (CHECKOUT / "locks" / lock.name).read_text(), lock


def test_the_projects_lock_covers_all_requirements_of_pyproject() -> None:
    """A dependency that was added without `make lock` is found here."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (CHECKOUT / "locks/project.txt").read_text(), re.MULTILINE))
    assert {re.split(r"[><=~!\[ ]", name)[0].lower() for name in asked} <= locked


def test_locks_are_universal_and_hashed() -> None:
    """They are valid for any machine."""
    for lock in all_locks():
        told = arguments(lock, Path("out.txt"))
        assert {"--universal", "--generate-hashes"} <= set(told)
        assert told[told.index("--python-version") + 1] == (
            "3.13" if lock.name == "emulator-azure.txt" else "3.11"
        )


def test_a_failed_step_is_reported_with_the_programs_output(tmp_path: Path) -> None:
    """The error has the end of the output, the exit code and an advice."""
    code = "import sys; [print('line', n) for n in range(40)]; sys.exit('the reason')"
    with pytest.raises(StepFailed) as raised:
        run_step(
            [sys.executable, "-c", code], title="t", console=Console(None), environ=os.environ, advice="Do x."
        )
    said = str(raised.value)
    assert "the reason" in said
    assert "ended with 1" in said
    assert said.endswith("Do x.")
    assert "line 3\n" not in said


def test_a_missing_program_is_named() -> None:
    """It causes no traceback."""
    with pytest.raises(StepFailed, match="/no/such/tool cannot be started"):
        run_step(["/no/such/tool"], title="t", console=Console(None), environ={})


def test_a_step_gets_no_input_and_returns_its_output() -> None:
    """The set-up never waits for input."""
    code = "import sys; print('read', repr(sys.stdin.read()))"
    printed = run_step([sys.executable, "-c", code], title="t", console=Console(None), environ=os.environ)
    assert printed == "read ''\n"


def test_a_signal_during_the_start_of_a_program_ends_it(tmp_path: Path) -> None:
    """The handler may run before the set-up knows its child, and no child is left."""
    code = (
        "import os, signal, sys; from infra.setup.progress import Console;"
        "from infra.setup.subprocess_step import run_step\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "for number in range(20):\n"
        "    script = f'echo $$ > {sys.argv[1]}/{number}; kill -TERM $PPID; exec sleep 600'\n"
        "    try: run_step(['sh', '-c', script], title='t', console=Console(None), environ=os.environ)\n"
        "    except SystemExit: pass\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=CHECKOUT, timeout=60, check=True)
    pids = [path.read_text().strip() for path in tmp_path.iterdir()]
    assert len(pids) == 20
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_progress_without_a_terminal_is_an_occasional_line() -> None:
    """A log gets one line every half minute."""
    now = [0.0]
    lines = Lines()
    console = Console(lines, lambda: now[0])  # pyright: ignore[reportArgumentType] - a stand-in of a stream
    for second in range(65):
        now[0] = float(second)
        console.tick("build", now[0])
    console.done("build", 65.0)
    assert lines.text == (
        "build ... still running after 30 s\nbuild ... still running after 60 s\nbuild: 65.0 s\n"
    )
