"""Tests of extras/chromium.py: the Chromium on PATH, Debian's package, or words about what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.setup.errors import Unavailable
from infra.setup.extras import chromium
from infra.setup.extras.chromium import CHROMIUM
from infra.setup.progress import Console
from tests.infra.setup.fakes import script

ROOT_USER = 0


@pytest.fixture
def console() -> Console:
    return Console(None)


def environment(folder: Path) -> dict[str, str]:
    """The environment of a user on whose PATH is no browser, with a cache of its own."""
    for name in ("touch", "sh", "echo", "mkdir", "chmod"):
        (folder / "bin").mkdir(exist_ok=True)
        if not (link := folder / "bin" / name).exists():
            link.symlink_to(f"/bin/{name}")
    return {"HOME": str(folder), "SKYFLEET_CACHE": str(folder / "cache"), "PATH": str(folder / "bin")}


@pytest.mark.parametrize("name", chromium.PROGRAMS)
def test_the_browser_on_path_is_used(tmp_path: Path, console: Console, name: str) -> None:
    """The cache keeps a link to it. Nothing is installed."""
    program = script(tmp_path / "bin" / name, "exit 0")
    environ = environment(tmp_path)
    assert CHROMIUM.ensure(environ, console).resolve() == program
    assert CHROMIUM.cached(environ) is not None


def test_a_browser_that_was_removed_is_looked_for_again(tmp_path: Path, console: Console) -> None:
    """A link to nothing is no browser."""
    old = script(tmp_path / "bin" / "chromium", "exit 0")
    environ = environment(tmp_path)
    CHROMIUM.ensure(environ, console)
    old.unlink()
    assert CHROMIUM.cached(environ) is None
    new = script(tmp_path / "bin" / "google-chrome", "exit 0")
    assert CHROMIUM.ensure(environ, console).resolve() == new


def test_debians_package_is_installed_by_root(tmp_path: Path, console: Console) -> None:
    """The list of packages is read first: a fresh machine has none."""
    environ = environment(tmp_path)
    script(
        tmp_path / "bin" / "apt-get",
        'echo "$@" >> "$HOME/asked"\n'
        '[ "$1" = install ] || exit 0\n'
        'touch "$HOME/bin/chromium" && chmod +x "$HOME/bin/chromium"',
    )
    assert chromium.install(environ, console, ROOT_USER) == str(tmp_path / "bin" / "chromium")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["update", "install -y --no-install-recommends chromium"]


def test_what_is_missing_is_said(tmp_path: Path, console: Console) -> None:
    """No apt-get, no root, a failed installation, a package without the program."""
    environ = environment(tmp_path)
    with pytest.raises(Unavailable, match="no Chromium on PATH, and no apt-get: install Chromium"):
        chromium.install(environ, console, ROOT_USER)
    apt = script(tmp_path / "bin" / "apt-get", "exit 0")
    with pytest.raises(Unavailable, match="apt-get needs root: install Chromium"):
        chromium.install(environ, console, ROOT_USER + 1000)
    with pytest.raises(Unavailable, match="brought no program chromium"):
        chromium.install(environ, console, ROOT_USER)
    script(apt, "echo no route to the mirror; exit 100")
    with pytest.raises(Unavailable, match=r"(?s)no route to the mirror.*install Chromium"):
        chromium.install(environ, console, ROOT_USER)
