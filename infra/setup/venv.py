"""The checkout's virtual environment: `python -m venv`, uv, the packages of locks/project.txt, htmx, the
project.

Each step is that tool's own command. uv comes with pip, hash-checked against the lock; the project itself is
an editable install, which uv builds without network (`uv_build` is part of uv). htmx, of the manager's page,
is in the wheel of django-htmx (locks/page.txt), installed without that package's dependency Django. The stamp
is written last (infra/setup/stamp.py): an environment without one, or of another folder, is created
again; one whose lock has changed is synchronised.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.setup import read_lock, stamp
from infra.setup.errors import SetupError
from infra.setup.file_lock import exclusive
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step

NETWORK_ADVICE = (
    "Check the network (pip's own settings PIP_INDEX_URL, PIP_CERT, PIP_PROXY and pip.conf are honoured), "
    "then run the same command again."
)
VENV_ADVICE = "On Debian and Ubuntu python3-venv is needed; PYTHON=/path/to/python3 selects another Python."


def ensure(root: Path, environ: Mapping[str, str], console: Console, base: str | None = None) -> bool:
    """Complete the environment of the checkout `root`; False if it was complete already.

    Safe to interrupt, to repeat and to run in parallel. base: the Python to create the environment with.
    Raises StepFailed or SetupError.
    """
    folder = root / ".venv"
    python, uv = folder / "bin" / "python", folder / "bin" / "uv"
    uv_environ = {**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"}
    with exclusive(root, lambda: console.line("another set-up of this checkout is running: waiting for it")):
        if _runs([python, "-S", "-m", "infra.setup.stamp"], root, environ):
            return False
        lock = root / "locks" / "project.txt"
        uv_entry = read_lock.entry(read_lock.read(lock), "uv")
        reusable = stamp.is_of(root) and _runs([uv, "--version"], root, environ)
        stamp.stamp_path(root).unlink(missing_ok=True)
        if not reusable:
            _create(
                folder, base or base_python(sys.prefix, sys.base_prefix, sys.executable), environ, console
            )
            _install_uv(folder, uv_entry, environ, console)
        pip = [uv, "pip"]
        for title, command in (
            ("set-up: packages of locks/project.txt", ["sync", "--require-hashes", lock]),
            ("set-up: htmx", ["install", "--no-deps", "--require-hashes", "-r", root / "locks" / "page.txt"]),
            ("set-up: the project", ["install", "--offline", "--no-deps", "--editable", root]),
        ):
            argv = [*pip, *command, "--quiet", "--python", python]
            run_step(argv, title=title, console=console, environ=uv_environ, cwd=root, advice=NETWORK_ADVICE)
        if not _runs([python, "-S", "-m", "infra.setup.stamp", "write"], root, environ):
            raise SetupError(f"{python} does not run after it was made: remove {folder} and run it again.")
    return True


def base_python(prefix: str, base_prefix: str, executable: str) -> str:
    """The interpreter to create an environment with: not the one inside the environment to be replaced."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(base_prefix) / "bin" / f"python{version}"
    return str(base) if prefix != base_prefix and base.exists() else executable


def _create(folder: Path, base: str, environ: Mapping[str, str], console: Console) -> None:
    if folder.is_symlink() or folder.is_file():  # `--clear` would empty the folder behind a link
        folder.unlink()
    argv = [base, "-m", "venv", "--clear", folder]
    run_step(argv, title="set-up: virtual environment", console=console, environ=environ, advice=VENV_ADVICE)


def _install_uv(folder: Path, entry: str, environ: Mapping[str, str], console: Console) -> None:
    requirement = folder / "uv.txt"
    requirement.write_text(entry)
    argv = [
        *(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"),
        *("--require-hashes", "--disable-pip-version-check", "-r", requirement),
    ]
    run_step(argv, title="set-up: uv", console=console, environ=environ, advice=NETWORK_ADVICE)


def _runs(argv: Sequence[str | Path], root: Path, environ: Mapping[str, str]) -> bool:
    """Whether the program starts and exits with 0."""
    try:
        done = subprocess.run(
            argv, cwd=root, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0
