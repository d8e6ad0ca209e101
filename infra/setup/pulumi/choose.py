"""Find the Pulumi CLI: named by the user, on PATH, in the cache, downloaded, or built.

What is fetched or built goes into a temporary folder in the same place and is renamed when it is whole and
has said its version: an interrupted attempt leaves nothing that could be used. The folder's name holds a
hash of all that decides its content. It keeps the version that its program said: to ask again takes 0.1 s of
each command.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.setup.errors import NoPulumi
from infra.setup.file_lock import exclusive
from infra.setup.paths import cache_folder
from infra.setup.progress import Console
from infra.setup.pulumi import archive, found, gobuild
from infra.setup.pulumi.archive import Source
from infra.setup.pulumi.cli import PULUMI, RELEASE, Cli, Lack

# To be raised when the build changes without a change of the go.mod files.
RECIPE = 1
UNFINISHED = ".unfinished-"
# What `pulumi version` printed, with the size and the time of the program that printed it.
SAID = "version"


def ensure_pulumi(
    root: Path, environ: Mapping[str, str], console: Console, source: Source | None = None
) -> Cli:
    """A usable CLI. Download and build run at most once per user and version. Raises NoPulumi."""
    if (named := found.from_override(environ)) is not None:
        return named
    existing = found.on_path(environ)
    if isinstance(existing, Cli):
        return existing
    if existing.reason != "none found":
        console.line(f"pulumi: {existing.reason}; trying the next way")
    shelf = cache_folder(environ) / "pulumi"
    kept = shelf / folder_name(root)
    if (cli := _kept(kept, environ)) is not None:
        return cli
    shelf.mkdir(parents=True, exist_ok=True)
    with exclusive(shelf, lambda: console.line("pulumi: another process is making it: waiting for it")):
        if (cli := _kept(kept, environ)) is not None:
            return cli
        return _make(root, environ, console, kept, [existing], source or Source())


def folder_name(root: Path) -> str:
    """`<version>-<hash>`: the hash of the pinned modules, the recipe and the kind of machine."""
    digest = hashlib.sha256(f"{RECIPE} {platform.system()} {platform.machine()}".encode())
    for module in (gobuild.CLI_MODULE, gobuild.HOST_MODULE):
        for name in ("go.mod", "go.sum"):
            digest.update((root / module / name).read_bytes())
    return f"{RELEASE}-{digest.hexdigest()[:12]}"


def message(lacks: list[Lack]) -> str:
    """The error with the reason and the remedy of each way."""
    ways = "\n".join(
        f"  {number}. {lack.way}: {lack.reason}\n     to use this way: {lack.remedy}"
        for number, lack in enumerate(lacks, start=1)
    )
    return f"no Pulumi CLI ({RELEASE}) could be had. One of these three ways is enough:\n{ways}"


def _kept(folder: Path, environ: Mapping[str, str]) -> Cli | None:
    """The CLI in the cache, if it is usable."""
    if not folder.is_dir():
        return None
    program = folder / PULUMI
    said = _said(program)
    judged = found.judge(program, environ, "the cache of this user", said)
    if isinstance(judged, Lack):
        return None
    if said is None:
        with contextlib.suppress(OSError):  # a cache that may not be written: the next command asks again
            _remember(program, judged.version)
    return judged


def _remember(program: Path, version: str) -> None:
    program.with_name(SAID).write_text(f"{version} {_stamp(program)}\n")


def _said(program: Path) -> str | None:
    """The version that this very program said before."""
    try:
        version, _, stamp = program.with_name(SAID).read_text(errors="replace").strip().partition(" ")
        return version if stamp == _stamp(program) else None
    except OSError:
        return None


def _stamp(program: Path) -> str:
    found_now = program.stat()
    return f"{found_now.st_size} {found_now.st_mtime_ns}"


def _make(
    root: Path, environ: Mapping[str, str], console: Console, final: Path, lacks: list[Lack], source: Source
) -> Cli:
    # Left by killed runs: this process holds the lock, so no other uses them.
    for left in final.parent.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    ways: tuple[Callable[[Path], Lack | None], ...] = (
        lambda folder: archive.fetch(source, folder, console),
        lambda folder: gobuild.build(root, folder, environ, console),
    )
    for way in ways:
        folder = final.parent / f"{UNFINISHED}{os.getpid()}"
        folder.mkdir(mode=0o755)
        try:
            lack = way(folder)
            judged = lack or found.judge(folder / PULUMI, environ, "made now")
            if isinstance(judged, Lack):
                lacks.append(judged)
                continue
            _remember(folder / PULUMI, judged.version)
            shutil.rmtree(final, ignore_errors=True)  # one that was there but did not serve
            folder.rename(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        console.line(f"pulumi: {judged.version} is ready in {final}")
        return Cli(final / PULUMI, judged.version, (final,), "the cache of this user")
    raise NoPulumi(message(lacks))
