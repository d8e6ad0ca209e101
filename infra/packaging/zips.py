"""Zips that are the same bytes for the same members, and are either whole or not there.

A zip is written under another name, hashed, and renamed; its hash stands in a file beside it, so that one
that is damaged later is detected and built again. Of a package's second of compression, its dependencies take
all but a few milliseconds, so they are compressed once for all packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.packaging.sources import File

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
UNIX = 3
FILE_MODE, EXECUTABLE_MODE = 0o100644, 0o100755
LEVEL = 6  # zlib's own middle: 9 takes three times as long for one per cent
KEPT = 4  # of each kind and cloud: going back and forth between a few versions builds nothing


def write(path: Path, files: Iterable[File], dependencies: Path | None, site: str) -> None:
    """`files` by their names, and everything in the folder `dependencies` below `site`."""
    members = {file.name: file for file in files}
    base = _compressed(dependencies, site) if dependencies else None
    if base is not None and dependencies is not None and _overlap(base, members):
        base, members = None, {file.name: file for file in _below(dependencies, site)} | members
    _write(path, members, base)


def _compressed(folder: Path, site: str) -> Path:
    """A zip of an installed folder alone, made once and kept beside it: compressing takes a second."""
    base = folder.with_name(f"{folder.name}-{hashlib.sha256(site.encode()).hexdigest()[:8]}.zip")
    if not is_whole(base):
        _write(base, {file.name: file for file in _below(folder, site)}, None)
    return base


def _overlap(base: Path, members: Mapping[str, File]) -> bool:
    with zipfile.ZipFile(base) as archive:
        return not members.keys().isdisjoint(archive.namelist())


def _write(path: Path, members: Mapping[str, File], base: Path | None) -> None:
    """`members`, after those that the zip `base` has."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if base is not None:
            shutil.copyfile(base, draft)
        mode = "x" if base is None else "a"
        with zipfile.ZipFile(draft, mode, zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for name in sorted(members):
                archive.writestr(_header(members[name]), members[name].content)
            archive.filelist.sort(key=lambda member: member.filename)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        recorded = draft.with_suffix(".sha256")
        recorded.write_text(_sha256(draft))
        recorded.replace(_record(path))
        draft.replace(path)
    finally:
        for left in (draft, draft.with_suffix(".sha256")):
            left.unlink(missing_ok=True)


def sizes(folder: Path, site: str) -> list[tuple[str, int]]:
    """Names in a package and bytes of the files of a folder that is put below `site`."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [(f"{site}{path.relative_to(folder).as_posix()}", path.stat().st_size) for path in found]


def is_whole(path: Path) -> bool:
    """Whether `path` is there with the content that was once written."""
    try:
        return _record(path).read_text(errors="replace") == _sha256(path)
    except OSError:
        return False


def prune(newest: Path) -> None:
    """Leaves the newest few beside `newest`; what runs in the clouds was copied there."""
    prefix = newest.name.rpartition("-")[0]
    built = sorted(newest.parent.glob(f"{prefix}-*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in built[KEPT:]:
        old.unlink(missing_ok=True)
        _record(old).unlink(missing_ok=True)


def _record(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(file: File) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(file.name, EPOCH)
    header.compress_type = zipfile.ZIP_DEFLATED
    header.create_system = UNIX
    header.external_attr = (EXECUTABLE_MODE if file.executable else FILE_MODE) << 16
    return header


def _below(folder: Path, site: str) -> Iterable[File]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield File(f"{site}{path.relative_to(folder).as_posix()}", path.read_bytes())
