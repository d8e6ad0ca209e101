"""Objects in a folder, with the conditions that all three vendors' stores know: create only, replace if
unchanged.

The file is the object (the providers write some, such as packages). It is complete or absent: it is written
under
a name that starts with a dot, then renamed. One event loop is the only writer, so a check and the write after
it
are atomic. The generation, a number that only grows, is the modification time in ns.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path, PurePosixPath


class BadKey(Exception):
    """A name that cannot be a file here: empty parts, `..`, parts that start with a dot, or a
    folder's name.
    """


class PreconditionFailed(Exception):
    """The object is not in the state that the writer expects."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object. size: bytes."""

    key: str
    path: Path
    size: int
    generation: int

    @property
    def body(self) -> bytes:
        """Its content."""
        return self.path.read_bytes()

    @property
    def etag(self) -> str:
        """Entity tag with its quotes."""
        return f'"{self.generation:x}-{self.size:x}"'

    @property
    def modified(self) -> float:
        """Unix seconds."""
        return self.generation / 1e9

    @property
    def last_modified(self) -> str:
        """As HTTP writes it."""
        return formatdate(self.modified, usegmt=True)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a write or delete. absent: the object does not exist; etag: it has this one, `*`:
    it exists; not_etag: it has another one or does not exist.
    """

    absent: bool = False
    etag: str | None = None
    generation: int | None = None
    not_etag: str | None = None

    def check(self, found: Stored | None) -> None:
        """Raise PreconditionFailed when it does not hold."""
        wrong = (
            (self.absent and found is not None)
            or (self.etag is not None and (found is None or self.etag not in ("*", found.etag)))
            or (self.not_etag is not None and found is not None and found.etag == self.not_etag)
            or (self.generation is not None and (found is None or found.generation != self.generation))
        )
        if wrong:
            raise PreconditionFailed


ANY = Condition()
MOST_LISTED = (
    1000  # names in one page of S3 and Cloud Storage; Azure's 5000 is more than any bucket here holds
)


class Objects:
    """The objects of one bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Stored | None:
        """The object, or None."""
        path = self._path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stored(key, path, found.st_size, found.st_mtime_ns) if path.is_file() else None

    def put(self, key: str, body: bytes, condition: Condition = ANY) -> Stored:
        """Write it when `condition` holds."""
        before = self.get(key)
        condition.check(before)
        path = self._path(key)
        generation = max(time.time_ns(), before.generation + 1 if before else 0)
        draft = path.with_name(f".{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(body)
            os.utime(draft, ns=(generation, generation))
            draft.replace(path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise BadKey(key) from None
        finally:
            if path.parent.is_dir():
                draft.unlink(missing_ok=True)
        return Stored(key, path, len(body), path.stat().st_mtime_ns)

    def delete(self, key: str, condition: Condition = ANY) -> bool:
        """Remove it when `condition` holds; False when it did not exist."""
        found = self.get(key)
        condition.check(found)
        if found is not None:
            found.path.unlink(missing_ok=True)
        return found is not None

    def list(self, prefix: str) -> list[Stored]:
        """Objects whose key starts with `prefix`, by key."""
        found = (self.get(key) for key in keys_in(self._folder) if key.startswith(prefix))
        return [stored for stored in found if stored is not None]

    def _path(self, key: str) -> Path:
        return object_path(self._folder, key)


def object_path(folder: Path, key: str) -> Path:
    """The file of an object in its bucket's folder. Raises BadKey."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or any(part.startswith(".") for part in parts):
        raise BadKey(key)
    return folder / key


def keys_in(folder: Path) -> list[str]:
    """Keys of a bucket's objects, in order."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix() for path in files)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing: objects, and common prefixes up to the delimiter. after: last name of the page,
    from which the next one continues; empty on the last page.
    """

    objects: list[Stored]
    prefixes: list[str]
    after: str = ""


def listing(
    objects: list[Stored], prefix: str, delimiter: str, after: str = "", most: int = MOST_LISTED
) -> Listing:
    """Up to `most` names after `after`, grouped by what follows `prefix` up to `delimiter`, if
    there is one.
    """
    named: dict[str, Stored | None] = {}
    for stored in objects:
        head, found, _ = stored.key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        name = prefix + head + delimiter if found else stored.key
        if name > after and not (found and after.startswith(name)):
            named[name] = None if found else stored
    page = list(named)[:most]
    kept = [stored for name in page if (stored := named[name]) is not None]
    groups = [name for name in page if named[name] is None]
    return Listing(kept, groups, page[-1] if len(named) > most and page else "")
