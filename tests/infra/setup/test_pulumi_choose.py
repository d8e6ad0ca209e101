"""Tests of the choice of a Pulumi CLI: installed, downloaded or built, and the error if all fail."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.setup.errors import NoPulumi
from infra.setup.progress import Console
from infra.setup.pulumi.archive import Source
from infra.setup.pulumi.choose import SAID, ensure_pulumi, folder_name
from infra.setup.pulumi.cli import FILES, RELEASE
from infra.setup.pulumi.gobuild import go_environment, needed_go
from tests.infra.setup.fakes import (
    CHECKOUT,
    NAME,
    SUMS,
    Lines,
    checksums,
    install,
    pulumi_script,
    release,
    script,
    serving,
)

# A stand-in of go that writes the requested program, with the module cache in $MODULES.
GO = f"""
case "$1" in
env) echo go$GO_SAYS ;;
build)
  while [ "$1" != -o ]; do shift; done
  [ -n "$GO_FAILS" ] && {{ echo "no such module"; exit 1; }}
  [ -n "$GO_HANGS" ] && {{ echo $$ > "$GO_HANGS"; exec sleep 600; }}
  printf '#!/bin/sh\\n%s\\n' '{pulumi_script("v" + RELEASE)}' > "$2"
  chmod +x "$2"; echo built >> "$MODULES/built" ;;
list) echo "$MODULES" ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def nowhere() -> Iterator[Source]:
    """A source behind a port without a listener."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
        yield Source(base, base)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine with a stand-in of go, an empty cache and no Pulumi."""
    tools = tmp_path / "tools"
    script(tools / "go", GO)
    for name in ("sh", "sleep", "chmod"):
        (tools / name).symlink_to(shutil.which(name) or "")
    modules = tmp_path / "modules"
    script(modules / "python" / "cmd" / "pulumi-language-python-exec", "exit 0")
    script(modules / "python" / "dist" / "pulumi-resource-pulumi-python", "exit 0")
    return {
        "PATH": str(tools),
        "HOME": str(tmp_path),
        "SKYFLEET_CACHE": str(tmp_path / "cache"),
        "MODULES": str(modules),
        "GO_SAYS": "1.99.0",
    }


def test_pulumi_is_built_from_go_modules_if_no_archive_can_be_downloaded(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """The build gives a complete CLI, which is cached."""
    cli = ensure_pulumi(CHECKOUT, environ, Console(None), nowhere)
    assert cli.folder == tmp_path / "cache" / "pulumi" / folder_name(CHECKOUT)
    assert {path.name for path in cli.folder.iterdir()} == {*FILES, SAID}
    assert [path.name for path in cli.folder.parent.iterdir()] == [cli.folder.name]
    ensure_pulumi(CHECKOUT, environ | {"GO_FAILS": "1"}, Console(None), nowhere)
    assert (tmp_path / "modules" / "built").read_text().count("built") == 2, "CLI and host, built once"


def test_the_archive_comes_before_the_build(environ: dict[str, str], tmp_path: Path) -> None:
    """A download takes seconds and a build minutes."""
    packed = release()
    with serving({SUMS: checksums(NAME, packed), f"/archives/{NAME}": packed}) as source:
        cli = ensure_pulumi(CHECKOUT, environ, Console(None), source)
    assert cli.version == RELEASE
    assert not (tmp_path / "modules" / "built").exists()


def test_a_pulumi_on_path_comes_first(environ: dict[str, str], nowhere: Source, tmp_path: Path) -> None:
    """Nothing is downloaded, built or cached."""
    folder = install(tmp_path / "bin", "v3.251.0")
    cli = ensure_pulumi(CHECKOUT, environ | {"PATH": f"{folder}:{environ['PATH']}"}, Console(None), nowhere)
    assert cli.folder == folder
    assert not (tmp_path / "cache").exists()


def test_an_old_pulumi_on_path_is_reported_and_skipped(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """The next sources are tried, and the user sees the reason."""
    folder = install(tmp_path / "bin", "v3.99.0")
    lines = Lines()
    console = Console(lines)  # pyright: ignore[reportArgumentType] - a stand-in of a stream
    cli = ensure_pulumi(CHECKOUT, environ | {"PATH": f"{folder}:{environ['PATH']}"}, console, nowhere)
    assert cli.folder != folder
    assert f"{folder}/pulumi is 3.99.0, needed is {RELEASE}" in lines.text


def test_if_all_sources_fail_one_error_names_all_three(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """The error has the cause and an advice for each source."""
    with pytest.raises(NoPulumi) as raised:
        ensure_pulumi(CHECKOUT, environ | {"GO_SAYS": "1.20.1"}, Console(None), nowhere)
    said = str(raised.value)
    for part in (
        "1. a pulumi on PATH: none found",
        "2. the official release archive: no download",
        "3. building it",
    ):
        assert part in said
    assert "1.20.1" in said
    assert f"install Go {needed_go((CHECKOUT / 'infra/setup/pulumi/modules/cli/go.mod').read_text())}" in said


def test_a_failed_build_leaves_nothing_and_shows_the_output_of_go(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """A partial CLI is never used."""
    with pytest.raises(NoPulumi, match="no such module"):
        ensure_pulumi(CHECKOUT, environ | {"GO_FAILS": "1"}, Console(None), nowhere)
    assert list((tmp_path / "cache" / "pulumi").iterdir()) == []


def test_a_broken_cli_in_the_cache_is_built_again(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """An empty file in the cache must not break every later run."""
    kept = tmp_path / "cache" / "pulumi" / folder_name(CHECKOUT)
    install(kept, "v3.250.0")
    (kept / "pulumi").write_text("")
    cli = ensure_pulumi(CHECKOUT, environ, Console(None), nowhere)
    assert cli.version == RELEASE


def test_a_cli_in_the_cache_says_its_version_once(
    environ: dict[str, str], nowhere: Source, tmp_path: Path
) -> None:
    """Later commands read what it said. A program that changed is asked again."""
    kept = tmp_path / "cache" / "pulumi" / folder_name(CHECKOUT)
    install(kept, "v3.250.0")
    asked = tmp_path / "asked"
    asking = f"echo asked >> {asked}\n{pulumi_script('v3.250.0')}"
    script(kept / "pulumi", asking)
    for _ in range(3):
        assert ensure_pulumi(CHECKOUT, environ, Console(None), nowhere).version == RELEASE
    assert asked.read_text().count("asked") == 1
    script(kept / "pulumi", f"{asking}\n# changed")
    ensure_pulumi(CHECKOUT, environ, Console(None), nowhere)
    assert asked.read_text().count("asked") == 2


def test_an_interrupted_build_ends_go_and_is_repeated(environ: dict[str, str], tmp_path: Path) -> None:
    """After SIGTERM no compiler is running, no partial result is left, and the next run succeeds."""
    marker = tmp_path / "hanging"
    code = (
        "import os, sys; from infra.setup.progress import Console; from infra.setup.paths import ROOT;"
        "from infra.setup.pulumi.archive import Source; from infra.setup.pulumi.choose import ensure_pulumi;"
        "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3));"
        "ensure_pulumi(ROOT, os.environ, Console(None), Source('http://127.0.0.1:9', 'http://127.0.0.1:9'))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=environ | {"GO_HANGS": str(marker)},
        stdin=subprocess.DEVNULL,
    )
    with child:
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text().strip()):
            assert time.monotonic() < deadline, "the build never began"
            assert child.poll() is None, "the set-up ended early"
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 3
    assert not Path(f"/proc/{marker.read_text().strip()}").exists(), "go is still running"
    assert list((tmp_path / "cache" / "pulumi").iterdir()) == []


def test_folders_of_killed_runs_are_removed(environ: dict[str, str], nowhere: Source, tmp_path: Path) -> None:
    """A SIGKILL leaves the temporary folder, and the next installation removes it."""
    left = tmp_path / "cache" / "pulumi" / ".unfinished-1"
    left.mkdir(parents=True)
    (left / "pulumi").write_text("half")
    ensure_pulumi(CHECKOUT, environ, Console(None), nowhere)
    assert not left.exists()


def test_go_settings_that_would_change_the_build_are_removed() -> None:
    """A user may set GOFLAGS=-mod=mod or a workspace for other modules."""
    told = go_environment(
        {"GOFLAGS": "-mod=vendor -v -modfile=x.mod --mod=mod", "GOWORK": "/x", "HOME": "/h"}
    )
    assert told == {"GOFLAGS": "-v", "GOWORK": "off", "GOTOOLCHAIN": "local", "HOME": "/h"}


def test_both_modules_require_the_same_go() -> None:
    """The error names one version, and the pinned files contain no URL of a registry."""
    mods = [
        (CHECKOUT / "infra" / "setup" / "pulumi" / "modules" / name / "go.mod").read_text()
        for name in ("cli", "python")
    ]
    assert len({needed_go(mod) for mod in mods}) == 1
    assert not any("://" in mod for mod in mods)
    assert os.sep not in folder_name(CHECKOUT)
