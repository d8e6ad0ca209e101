"""Chromium, in which tests use the manager's page: the one on PATH, else Debian's package.

The package is installed by apt-get, which needs root; on any other machine the message says what to install.
A browser has no hash here: Debian signs its packages, and a page has to work in each version. The cache
keeps a link to the program, so that tests find it without looking again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.setup.errors import StepFailed, Unavailable
from infra.setup.extras.tool import Tool
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step

NAME = "chromium"
# As Debian, older Ubuntu and Google name it.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = "install Chromium (Debian: `apt-get install chromium` as root) or put a `chromium` on PATH"
PACKAGE = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")


def find(environ: Mapping[str, str]) -> str | None:
    """The path of a Chromium on PATH."""
    path = environ.get("PATH", os.defpath)
    return next((found for name in PROGRAMS if (found := shutil.which(name, path=path))), None)


def install(environ: Mapping[str, str], console: Console, user: int) -> str:
    """Install Debian's package and return the program. user: the effective user id. Raises Unavailable."""
    apt = shutil.which("apt-get", path=environ.get("PATH", os.defpath))
    if apt is None or user != 0:
        missing = "no apt-get" if apt is None else "apt-get needs root"
        raise Unavailable(f"no Chromium on PATH, and {missing}: {REMEDY}")
    console.line(f"{NAME}: installing Debian's package (once per machine; about half a minute)")
    quiet = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for title, command in (("list of packages", ("apt-get", "update")), ("package", PACKAGE)):
            run_step([apt, *command[1:]], title=f"{NAME}: {title}", console=console, environ=quiet)
    except StepFailed as error:
        raise Unavailable(f"{error}\n{REMEDY}") from None
    if (found := find(environ)) is None:
        raise Unavailable(f"the package chromium brought no program {NAME}: {REMEDY}")
    return found


def _make(folder: Path, environ: Mapping[str, str], console: Console) -> None:
    (folder / NAME).symlink_to(find(environ) or install(environ, console, os.geteuid()))


CHROMIUM = Tool(NAME, "system", NAME, _make)
