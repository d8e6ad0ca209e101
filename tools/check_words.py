"""Find words that docs/glossary.md says are not used: `python -m tools.check_words [FOLDER or file]...`

- The words, their replacements and the phrases that pass are the last two tables of docs/glossary.md.
- Code, comments, strings, pages and file names are searched alike. An identifier is read as its words:
  `old_name` and `OldName` as `old name`. URLs are left out.
- An entry in lower case is found in any case; one with a capital letter only as it is written.
- A phrase that passes is removed before the search. It may be limited to files by patterns.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
GLOSSARY: Final = "docs/glossary.md"
SUFFIXES: Final = frozenset((".go", ".in", ".md", ".mod", ".py", ".pyi", ".sh", ".toml", ".yaml", ".yml"))
NAMES: Final = frozenset(("Makefile", "run", ".editorconfig", ".gitignore"))
LEFT_OUT: Final = frozenset((".git", ".venv", ".skyfleet", ".ruff_cache", ".pytest_cache", ".hypothesis"))
URL: Final = re.compile(r"https?://\S+")
# Where a word begins inside an identifier: `oldName`, `_OldName`, `HTTPName`.
HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Between two words of an entry: also a line's end, with what begins the next line of a comment or quote.
GAP: Final = r"[\s#>*]+"


@dataclass(frozen=True, slots=True)
class Entry:
    """Words that are not used, and what is used instead."""

    pattern: re.Pattern[str]
    instead: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase that passes in files whose path fits one of the patterns."""

    pattern: re.Pattern[str]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Both tables."""

    entries: tuple[Entry, ...]
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A word in a file, at a line counted from 1, or in the file's own path (line 0)."""

    path: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else f"{self.path}: the path"
        return f"{where}: {self.word!r}: {self.instead}"


def rules(glossary: str) -> Rules:
    """What the text of the glossary forbids and permits.

    Raises ValueError when one of the two tables is missing, or a word replaces itself.
    """
    return Rules(
        tuple(
            _entry(word, instead)
            for words, instead in _rows(glossary, "Words that are not used")
            for word in _listed(words)
        ),
        tuple(
            Phrase(_pattern(phrase), tuple(_listed(files)) or ("*",))
            for phrases, files in _rows(glossary, "Phrases that pass")
            for phrase in _listed(phrases)
        ),
    )


def words_in(path: str, text: str, rule: Rules) -> Iterator[Found]:
    """Each forbidden word of a file, first those of its path, then those of its text in order."""
    yield from (Found(path, 0, word, instead) for _, word, instead in _search(path, path, rule))
    if path == GLOSSARY:
        text = text.partition("## Words that are not used")[0]
    for start, word, instead in _search(path, text, rule):
        yield Found(path, text.count("\n", 0, start) + 1, word, instead)


def files(roots: Iterable[Path]) -> Iterator[Path]:
    """Every file with words below the roots, sorted."""
    for root in roots:
        paths = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in paths:
            known = path.suffix in SUFFIXES or path.name in NAMES
            if known and path.is_file() and LEFT_OUT.isdisjoint(path.relative_to(ROOT).parts):
                yield path


def main(arguments: list[str]) -> int:
    """Print what is found below the named folders, the whole repository by default; 1 when there is any."""
    rule = rules((ROOT / GLOSSARY).read_text("utf-8"))
    roots = [(Path.cwd() / name).resolve() for name in arguments or [str(ROOT)]]
    count = 0
    for path in files(roots):
        for found in words_in(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"), rule):
            print(found)  # noqa: T201 - its output
            count += 1
    if count:
        print(f"{count} words that docs/glossary.md replaces", file=sys.stderr)  # noqa: T201
    return 1 if count else 0


def _entry(word: str, instead: str) -> Entry:
    entry = Entry(_pattern(word), instead, exact=word != word.lower())
    if entry.pattern.search(instead):
        raise ValueError(f"docs/glossary.md replaces {word!r} with itself; a renaming changed its table")
    return entry


def _search(path: str, text: str, rule: Rules) -> Iterator[tuple[int, str, str]]:
    """Start, word and replacement of each entry found in a text."""
    for phrase in rule.phrases:
        if any(fnmatchcase(path, pattern) for pattern in phrase.files):
            text = phrase.pattern.sub(_blank, text)
    text = URL.sub(_blank, text)
    spaced, starts = _spaced(text)
    found = [
        (match.start() if entry.exact else starts[match.start()], " ".join(match[0].split()), entry.instead)
        for entry in rule.entries
        for match in entry.pattern.finditer(text if entry.exact else spaced)
    ]
    yield from sorted(found)


def _spaced(text: str) -> tuple[str, list[int]]:
    """The text in lower case with spaces between the words of identifiers, and where each character was."""
    parts: list[str] = []
    starts: list[int] = []
    begin = 0
    for end in [*(match.start() for match in HUMP.finditer(text)), len(text)]:
        parts.append(text[begin:end])
        starts += range(begin, end)
        if end < len(text):
            parts.append(" ")
            starts.append(end)
        begin = end
    return "".join(parts).replace("_", " ").lower(), starts


def _blank(match: re.Match[str]) -> str:
    """As many spaces and line ends as a match has characters."""
    return re.sub(r"[^\n]", " ", match[0])


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """An entry as a pattern. A word's edge is held only where the entry begins or ends with a letter."""
    middle = GAP.join(map(re.escape, words.split()))
    before = r"(?<![^\W_])" if words[0].isalnum() else ""
    after = r"(?![^\W_])" if words[-1].isalnum() else ""
    return re.compile(before + middle + after)


def _rows(glossary: str, heading: str) -> Iterator[tuple[str, str]]:
    """The first two cells of each row of the table under a heading."""
    _, found, rest = glossary.partition(f"## {heading}\n")
    table = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")][2:]
    if not found or not table:
        raise ValueError(f"docs/glossary.md has no table under {heading!r}")
    for line in table:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        yield cells[0], cells[1]


def _listed(cell: str) -> Iterator[str]:
    """The entries of a cell, which commas separate; backticks around one are left out."""
    for part in cell.split(","):
        if entry := part.strip().strip("`"):
            yield entry


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
