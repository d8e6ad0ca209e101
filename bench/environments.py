"""Python environments for packages that the benches alone need, made by uv from a lock.

Rule: a stamp with the lock's hash is written last. An environment without it, or of another lock, is made
again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.setup import read_lock
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step
from infra.setup.venv import NETWORK_ADVICE

_STAMP: Final = "skyfleet-lock"


def ensure(
    folder: Path, lock: Path, environ: Mapping[str, str], console: Console, of: Path = Path(sys.executable)
) -> Path:
    """Make an environment with the packages of `lock` unless it exists; returns its interpreter.

    folder: where it is. environ: the caller's environment, with settings of package indexes. of: the base
    interpreter. Raises StepFailed.
    """
    text, stamp, python = read_lock.read(lock), folder / _STAMP, folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == read_lock.identity(text):
        return python
    uv_environ = {**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"}
    uv = Path(sys.executable).with_name("uv")
    for argv in (
        [uv, "venv", "--quiet", "--clear", "--python", of, folder],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock],
    ):
        run_step(
            argv, title=f"bench: {lock.stem}", console=console, environ=uv_environ, advice=NETWORK_ADVICE
        )
    stamp.write_text(read_lock.identity(text))
    return python
