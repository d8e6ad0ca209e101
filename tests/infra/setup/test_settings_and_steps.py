"""Small parts of the set-up: pip's settings for uv, locks, progress lines, child processes."""

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
    """uv's own defaults are right there."""
    assert uv_environment({"HOME": "/h", "PATH": "/bin"}, []) == {}


def test_what_was_told_to_pip_reaches_uv() -> None:
    """Certificate, index, wheels and proxy, from variables and from files; a variable wins over a file."""
    config = (
        "[global]\ncert = /file.pem\nindex-url = https://index.example\n[install]\nfind-links =\n  /a\n  /b\n"
    )
    assert uv_environment({"PIP_CERT": "/var.pem", "PIP_PROXY": "http://p:1"}, [config]) == {
        "SSL_CERT_FILE": "/var.pem",
        "UV_DEFAULT_INDEX": "https://index.example",
        "UV_FIND_LINKS": "/a,/b",
        "ALL_PROXY": "http://p:1",
    }


def test_what_was_told_to_uv_stays() -> None:
    """The more precise setting wins, under its older name too."""
    environ = {"SSL_CERT_FILE": "/own.pem", "PIP_CERT": "/pip.pem", "UV_INDEX_URL": "https://own.example"}
    assert uv_environment(environ, ["[global]\nindex-url = https://other.example\n"]) == {}


def test_the_bundle_of_requests_is_the_last_word_on_certificates() -> None:
    """Machines behind a proxy often set only that one."""
    assert uv_environment({"REQUESTS_CA_BUNDLE": "/r.pem"}, []) == {"SSL_CERT_FILE": "/r.pem"}


def test_broken_or_missing_pip_files_do_no_harm(tmp_path: Path) -> None:
    """pip itself will complain about its own file."""
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("not [ a file")
    named = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    assert read_configs(named) == []
    texts = read_configs({"HOME": str(tmp_path)})
    assert "not [ a file" in texts
    assert uv_environment({}, ["not [ a file"]) == {}


def test_an_entry_of_a_lock_is_taken_with_its_hashes() -> None:
    """uv and not uvicorn; a lock without it says so."""
    text = "uv==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nuvicorn==2 \\\n    --hash=sha256:cc\n"
    assert entry(text, "uv") == "uv==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    with pytest.raises(LockUnreadable, match="no entry for ruff"):
        entry(text, "ruff")


def test_every_lock_file_has_its_recipe_and_the_other_way_round() -> None:
    """`make lock` writes all of them; none names an address."""
    names = {lock.name for lock in all_locks()}
    assert names == {path.name for path in (CHECKOUT / "locks").glob("*.txt")}
    for lock in all_locks():
        assert all((CHECKOUT / source).exists() for source in lock.sources), lock
        assert "://" not in (CHECKOUT / "locks" / lock.name).read_text(), lock


def test_the_projects_lock_has_all_that_pyproject_asks_for() -> None:
    """A dependency added without `make lock` is found here and not on a fresh machine."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (CHECKOUT / "locks/project.txt").read_text(), re.MULTILINE))
    assert {re.split(r"[><=~!\[ ]", name)[0].lower() for name in asked} <= locked


def test_locks_are_universal_and_hashed() -> None:
    """What makes them serve on any machine."""
    for lock in all_locks():
        told = arguments(lock, Path("out.txt"))
        assert {"--universal", "--generate-hashes"} <= set(told)
        assert told[told.index("--python-version") + 1] == (
            "3.13" if lock.name == "emulator-azure.txt" else "3.11"
        )


def test_a_step_that_fails_says_what_the_program_said(tmp_path: Path) -> None:
    """The end of the output, the exit code and an advice."""
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


def test_a_program_that_is_not_there_is_named() -> None:
    """No traceback for a missing tool."""
    with pytest.raises(StepFailed, match="/no/such/tool cannot be started"):
        run_step(["/no/such/tool"], title="t", console=Console(None), environ={})


def test_a_step_gets_no_input_and_gives_its_output() -> None:
    """The set-up never waits for typed input."""
    code = "import sys; print('read', repr(sys.stdin.read()))"
    printed = run_step([sys.executable, "-c", code], title="t", console=Console(None), environ=os.environ)
    assert printed == "read ''\n"


def test_a_signal_that_arrives_while_a_program_starts_ends_it_too(tmp_path: Path) -> None:
    """The handler may run before the set-up knows its child; no child is left over."""
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


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    """A log shows life every half minute and is not flooded."""
    now = [0.0]
    lines = Lines()
    console = Console(lines, lambda: now[0])  # pyright: ignore[reportArgumentType] - what Console uses of a stream
    for second in range(65):
        now[0] = float(second)
        console.tick("build", now[0])
    console.done("build", 65.0)
    assert lines.text == (
        "build ... still running after 30 s\nbuild ... still running after 60 s\nbuild: 65.0 s\n"
    )
