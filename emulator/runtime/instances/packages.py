"""Deployed zips, unpacked once per content, read-only as in the clouds.

A folder under its hash is complete, and no file outside of it is ever written: a folder gets its hash as name
when it is complete, and loses that name before its first file is removed. Threads unpack while the event loop
removes: a draft belongs to its thread until it is complete.

A file that another package has too is a second name of the same file: a changed agent has a thousand files of
its dependencies in common with the one before, and unpacking them takes a second. Both are read-only.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
import uuid
import zipfile
from collections.abc import Mapping, Set
from pathlib import Path, PurePosixPath

# Name, CRC-32, size and attributes of a file in a zip.
Content = tuple[str, int, int, int]


class BadPackage(Exception):
    """The uploaded file is not a package; the text says why."""


class Packages:
    """Unpacked packages by sha256 of their zip."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._busy: dict[str, threading.Lock] = {}
        self._drafts: set[str] = set()
        # By hash of the zip, what this daemon unpacked.
        self._files: dict[str, Mapping[Content, Path]] = {}

    def unpack(self, package: Path, package_hash: str) -> Path:
        """Folder with the content of `package`; unpacks it at the first call."""
        folder = self._root / package_hash
        with self._busy.setdefault(package_hash, threading.Lock()):
            if not folder.is_dir():
                self._fill(folder, package)
        return folder

    def forget_all_but(self, kept: Set[str]) -> None:
        """Remove packages that no function uses, and drafts of an interrupted daemon."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                if folder.name not in kept and folder.name not in self._drafts:
                    self._files.pop(folder.name, None)
                    remove(folder)

    def _fill(self, folder: Path, package: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".{uuid.uuid4().hex}"
        self._drafts.add(draft.name)
        try:
            contents = _extract(package, draft, self._unpacked())
            draft.chmod(0o755)
            draft.rename(folder)
        finally:
            self._drafts.discard(draft.name)
            remove(draft)
        folder.chmod(0o555)
        self._files[folder.name] = {content: folder / content[0] for content in contents}

    def _unpacked(self) -> dict[Content, Path]:
        """The files of all packages that this daemon unpacked and still has."""
        return {content: path for files in list(self._files.values()) for content, path in files.items()}


def _extract(package: Path, folder: Path, unpacked: Mapping[Content, Path]) -> list[Content]:
    """Unpack into the new `folder` and return what is there. unpacked: files that may be linked."""
    contents: list[Content] = []
    try:
        with zipfile.ZipFile(package) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename)
                if path.is_absolute() or ".." in path.parts:
                    raise BadPackage(f"its entry {entry.filename!r} leads outside of the package")
                if entry.is_dir():
                    continue
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                contents.append((entry.filename, entry.CRC, entry.file_size, entry.external_attr))
                if not _linked(unpacked.get(contents[-1]), target):
                    target.write_bytes(archive.read(entry))
                    target.chmod(0o555 if (entry.external_attr >> 16) & stat.S_IXUSR else 0o444)
    except FileNotFoundError as error:
        raise BadPackage(f"{error.filename} is gone; deploy again") from error
    except zipfile.BadZipFile as error:
        raise BadPackage(f"{package.name} is not a zip archive ({error})") from error
    folder.mkdir(exist_ok=True)
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        inner.chmod(0o555)
    return contents


def _linked(earlier: Path | None, target: Path) -> bool:
    """Whether `target` now is the file of another package; that may be removed meanwhile."""
    if earlier is None:
        return False
    try:
        os.link(earlier, target)
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """Delete a read-only tree; an absent one is not an error."""
    if not folder.is_dir():
        return
    folder.chmod(0o755)
    doomed = folder.with_name(f".{uuid.uuid4().hex}")
    folder.rename(doomed)
    for path in doomed.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(doomed)


def need_files(root: Path, *names: str) -> None:
    """Raise BadPackage unless the package has these files at its root."""
    for name in names:
        if not (root / name).is_file():
            found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
            raise BadPackage(f"the package has no {name}; its root holds {found}")
