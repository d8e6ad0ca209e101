"""Assets and archives of a program, written into the emulator's folders.

A file appears whole or not at all, and only with the hash that the engine planned with. Paths are relative to
the
program's folder (where `Pulumi.yaml` says `main:`). A change can be undone: each write records how to restore
the
file that it replaced.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from emulator.errors import CloudError, StoreError
from emulator.providers.values import ARCHIVE, Json, Properties, fields, is_marked, text

CHUNK = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold: same input, same bytes


@dataclass(frozen=True, slots=True)
class Undo:
    """rollback: steps that take a change back, run in reverse order. commit: steps that make it final."""

    rollback: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    commit: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written. Hashes are lower-case hex."""

    path: Path
    size: int
    sha256: str
    md5: str


def base64_of(digest: str) -> str:
    """A hex digest as AWS and Google print digests."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def write_asset(asset: Json, program_folder: Path, target: Path, undo: Undo) -> Written:
    """Writes an asset or archive to `target`. Raises CloudError if its hash is not the planned one."""
    with _open(asset, program_folder) as source:
        return write(source, target, undo, planned=_planned(asset))


def write(source: BinaryIO, target: Path, undo: Undo, planned: str = "") -> Written:
    """Copies `source` to `target` through a temporary file. planned: the required sha256."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    beside = target.with_name(f".{target.name[:200]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            while chunk := source.read(CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if planned and planned != sha256.hexdigest():
            beside.unlink()
            raise CloudError(
                "PackageChanged",
                f"{target.name} has the sha256 {sha256.hexdigest()[:16]}…, Pulumi planned {planned[:16]}…: "
                "the file changed during the deployment, run it again",
            )
        _remember(target, undo)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StoreError(target, f"cannot be written ({error.strerror}); nothing was changed") from error
    return Written(target, size, sha256.hexdigest(), md5.hexdigest())


def remove(target: Path, undo: Undo) -> None:
    """Removes a file; an absent one is not an error."""
    try:
        _remember(target, undo)
        target.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(target, f"cannot be removed ({error.strerror}); nothing was changed") from error


def discard(folder: Path) -> None:
    """Removes a folder and its content; an absent one is not an error."""
    shutil.rmtree(folder, ignore_errors=True)


def _remember(target: Path, undo: Undo) -> None:
    if not target.exists():
        undo.rollback.append(lambda: target.unlink(missing_ok=True))
        return
    kept = target.with_name(f".{target.name[:200]}.old")
    kept.unlink(missing_ok=True)
    os.link(target, kept)
    undo.rollback.append(lambda: kept.replace(target))
    undo.commit.append(lambda: kept.unlink(missing_ok=True))


def _planned(asset: Json) -> str:
    """The sha256 of the bytes, where the engine's hash is one (of parts it hashes a tar)."""
    is_folder_or_parts = is_marked(asset, ARCHIVE) and not text(asset, "path").endswith((".zip", ".jar"))
    return "" if is_folder_or_parts else text(asset, "hash")


def _open(asset: Json, program_folder: Path) -> BinaryIO:
    if text(asset, "uri"):
        raise CloudError("RemoteAsset", f"the emulator fetches nothing from outside ({text(asset, 'uri')})")
    path = text(asset, "path")
    if path:
        found = program_folder / path
        if found.is_dir():
            return _zip((file.relative_to(found).as_posix(), file) for file in _files(found))
        if not found.is_file():
            raise CloudError("AssetMissing", f"no file {path} in the program's folder {program_folder}")
        return found.open("rb")
    if is_marked(asset, ARCHIVE):
        return _zip(_parts(fields(asset, "assets"), program_folder))
    return io.BytesIO(text(asset, "text").encode())


def _parts(assets: Properties, program_folder: Path) -> Iterator[tuple[str, Path | bytes]]:
    """The members of an AssetArchive, with inner archives unfolded under their name."""
    for name, part in assets.items():
        folder = program_folder / text(part, "path")
        if is_marked(part, ARCHIVE) and text(part, "path") and folder.is_dir():
            for file in _files(folder):
                yield (Path(name) / file.relative_to(folder)).as_posix(), file
        elif is_marked(part, ARCHIVE):
            with _open(part, program_folder) as source, zipfile.ZipFile(source) as inner:
                for info in inner.infolist():
                    yield (Path(name) / info.filename).as_posix(), inner.read(info)
        else:
            with _open(part, program_folder) as source:
                yield name, source.read()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _zip(members: Iterator[tuple[str, Path | bytes]]) -> BinaryIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members, key=lambda member: member[0]):
            info = zipfile.ZipInfo(name, EPOCH)
            executable = isinstance(content, Path) and os.access(content, os.X_OK)
            info.external_attr = (0o755 if executable else 0o644) << 16
            archive.writestr(info, content.read_bytes() if isinstance(content, Path) else content)
    buffer.seek(0)
    return cast("BinaryIO", buffer)


def link(source: Path, target: Path) -> None:
    """Gives the bytes at `source` a second name; objects are replaced by rename, so these bytes stay."""
    if target.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.tmp")
        beside.unlink(missing_ok=True)
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
        beside.replace(target)
    except OSError as error:
        raise StoreError(target, f"cannot be written ({error.strerror}); nothing was changed") from error
