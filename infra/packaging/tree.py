"""The files of a folder that a package carries, and what is left out of it and why.

Rules:
- All files are shipped, those in linked folders too, except what belongs to the machine and not to the agent:
  version control, caches, environments, installed packages, `.env` files, links to these included.
- `.skyfleetignore` in the folder says otherwise, in the language of .gitignore: the last line that matches
  decides, `!.env` ships what is left out by default, and a folder that is left out is not searched.
- Whatever has content and is left out is told with its reason. Caches and version control are not: a tool
  makes them again.
The order is that of names, on every machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from infra.errors import AgentError

IGNORE_FILE = ".skyfleetignore"
# Names of files and folders, with the reason that is told; empty: nothing is told.
DEFAULTS: tuple[tuple[str, str], ...] = (
    *((name, "") for name in (".git", ".hg", ".svn", ".jj")),
    *((name, "") for name in ("__pycache__", "*.pyc", "*.pyo", ".tox", ".nox", ".ipynb_checkpoints")),
    *((name, "") for name in (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")),
    *((name, "") for name in (".DS_Store", ".*.sw?", "*~", IGNORE_FILE)),
    ("node_modules", "installed packages"),
    (".venv", "a virtual environment"),
    # Every reader of the package would have it, and clouds keep former packages.
    (".env", "may hold secrets"),
    (".env.*", "may hold secrets"),
)
ENVIRONMENT_MARK = "pyvenv.cfg"  # docs.python.org/3/library/venv.html
# True: leave it out; False: ship it; None: no line matches. The path is relative, a folder's ends with "/".
Ignored = Callable[[str], bool | None]


@dataclass(slots=True)
class Tree:
    """What was found below `root/folder`. files: by name relative to root; left_out: names with reasons."""

    files: list[tuple[str, Path]] = field(default_factory=list[tuple[str, Path]])
    left_out: list[str] = field(default_factory=list[str])


def walk(root: Path, folder: Path) -> Tree:
    """The files below `root/folder`. Raises AgentError for an ignore file that cannot be read."""
    tree = Tree()
    start = root / folder
    _fill(tree, start, f"{folder.as_posix()}/", "", ignored_by(start / IGNORE_FILE), (start.resolve(),))
    return tree


def _fill(
    tree: Tree, folder: Path, shown: str, inside: str, ignored: Ignored, above: tuple[Path, ...]
) -> None:
    """Add one folder. shown: its name in messages; inside: relative to the ignore file; above: where the walk
    came from."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        is_folder = path.is_dir()
        name = f"{path.name}/" if is_folder else path.name
        reason = _reason(path, f"{inside}{name}", ignored, above)
        if reason is None and not is_folder:
            tree.files.append((f"{shown}{name}", path))
        elif reason is None:
            _fill(tree, path, f"{shown}{name}", f"{inside}{name}", ignored, (*above, path.resolve()))
        elif reason:
            tree.left_out.append(f"{_printable(f'{shown}{name}')} ({reason})")


def _reason(path: Path, inside: str, ignored: Ignored, above: tuple[Path, ...]) -> str | None:
    """Why a file or folder is left out, empty if that need not be told; None: it is shipped."""
    chosen = ignored(inside)
    if chosen:
        return IGNORE_FILE
    if chosen is None and (default := _default(path)) is not None:
        return default
    if path.is_dir():
        if any(folder.is_relative_to(path.resolve()) for folder in above):
            return "a link to a folder above it"
        return None if any(path.iterdir()) else "an empty folder"
    if path.is_file():
        return None
    return f"{_kind(path)}, not a file" if path.exists() else "a link to nothing"


def _default(path: Path) -> str | None:
    linked = path.resolve().name if path.is_symlink() and path.exists() else path.name
    for pattern, reason in DEFAULTS:
        if fnmatchcase(path.name, pattern) or (reason and fnmatchcase(linked, pattern)):
            return reason
    return "a virtual environment" if (path / ENVIRONMENT_MARK).is_file() else None


def _kind(path: Path) -> str:
    mode = path.stat().st_mode
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def ignored_by(file: Path) -> Ignored:
    """What an ignore file says of a path; nothing if there is none."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()  # git reads over the mark of editors, too
    except FileNotFoundError:
        return lambda _: None
    except OSError as error:
        raise AgentError(f"{file} cannot be read: {error.strerror}; nothing was changed.") from None
    except UnicodeDecodeError as error:
        raise AgentError(f"{file} is not text in UTF-8 (byte {error.start}); nothing was changed.") from None
    import pathspec

    try:
        spec = pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise AgentError(f"{file}: {error}; nothing was changed.") from None
    return lambda path: spec.check_file(path).include


def _printable(name: str) -> str:
    """A name for a line of text: no terminal obeys it, and bytes that are not UTF-8 can be printed."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def summary(left_out: Sequence[str], shown: int = 8) -> str:
    """One line about what is left out of a package; empty if nothing is."""
    if not left_out:
        return ""
    more = f" and {len(left_out) - shown} more" if len(left_out) > shown else ""
    return (
        f"left out of the agent's package: {', '.join(left_out[:shown])}{more}. "
        f"A line such as `!.env` in {IGNORE_FILE} of the agent's folder ships it (docs/how-to/agent.md)"
    )
