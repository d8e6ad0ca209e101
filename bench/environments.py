"""A Python environment of its own for what the project itself does not need, made by uv from a lock.

Rule: a stamp is written last, so an interrupted one, or one of another lock, is made again.
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
    """The interpreter of an environment in `folder` that has what `lock` says; StepFailed without it.

    of: the Python that it is an environment of."""
    text, stamp, python = read_lock.read(lock), folder / _STAMP, folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == read_lock.identity(text):
        return python
    told = {**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"}
    uv = Path(sys.executable).with_name("uv")
    asked = ["--quiet", "--require-hashes", "--python", python, lock]
    for argv in (
        [uv, "venv", "--quiet", "--clear", "--python", of, folder],
        [uv, "pip", "sync", *asked],
    ):
        run_step(argv, title=f"bench: {lock.stem}", console=console, environ=told, advice=NETWORK_ADVICE)
    stamp.write_text(read_lock.identity(text))
    return python
