"""Tests of the check of words: what it finds, and what passes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tools import check_words

pytestmark = pytest.mark.pure

GLOSSARY: Final = """# Made up

## Words that are not used

| not | but |
| --- | --- |
| whence, whither | a place |
| back stage, limelight | front |
| `waitS` | `delayS` |
| `"takes"` | `"needs"` |

## Phrases that pass

| phrase | files |
| --- | --- |
| persons whence | |
| limelight | `docs/old/*`, NEWS.md |
"""
RULES: Final = check_words.rules(GLOSSARY)


def found(text: str, path: str = "made/up.py") -> list[tuple[int, str]]:
    return [(one.line, one.word) for one in check_words.words_in(path, text, RULES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Whence it comes.", [(1, "whence")]),
        ("a\nb whither c", [(2, "whither")]),
        ("def goes_whence(): ...", [(1, "whence")]),
        ("class WhenceError: ...", [(1, "whence")]),
        ("back_stage = BackStage()", [(1, "back stage"), (1, "back stage")]),
        ("# from back\n    # stage", [(1, "back # stage")]),
        ('{"waitS": 1, "takes": 2}', [(1, "waitS"), (1, '"takes"')]),
        ("b'whence'", [(1, "whence")]),
        ("limelight", [(1, "limelight")]),
    ],
)
def test_a_word_is_found_in_text_and_identifiers(text: str, expected: list[tuple[int, str]]) -> None:
    """In any case, over line ends of comments, and each time."""
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "whencever",
        "backstage",
        "front stage, back",
        "waits",
        "WAITS",
        "takes",
        "https://example.com/whence/whither",
        "# persons whence it comes: persons\n# whence",
    ],
)
def test_other_words_urls_and_phrases_that_pass_are_left_alone(text: str) -> None:
    """A longer word is a word of its own, and an entry with a capital letter is found as it is written."""
    assert found(text) == []


def test_a_phrase_passes_in_the_files_that_it_names_only() -> None:
    """Patterns are matched with the path from the root of the repository."""
    assert found("limelight", "docs/old/page.md") == []
    assert found("limelight", "NEWS.md") == []
    assert found("limelight", "docs/page.md") == [(1, "limelight")]


def test_a_file_is_named_without_these_words_too() -> None:
    """Line 0 stands for the path."""
    assert found("", "made/test_whence.py") == [(0, "whence")]


def test_the_tables_of_the_glossary_may_name_the_words() -> None:
    """The text above them may not."""
    assert found(GLOSSARY, check_words.GLOSSARY) == []
    assert found("whence\n" + GLOSSARY, check_words.GLOSSARY) == [(1, "whence")]


def test_a_glossary_without_its_tables_is_refused() -> None:
    """A check without words would pass all files."""
    for heading in ("Words that are not used", "Phrases that pass"):
        with pytest.raises(ValueError, match=heading):
            check_words.rules(GLOSSARY.replace(heading, "Other"))


def test_a_word_that_replaces_itself_is_refused() -> None:
    """A renaming over all files reaches the table too; it would forbid the new name."""
    with pytest.raises(ValueError, match="delayS"):
        check_words.rules(GLOSSARY.replace("waitS", "delayS"))


def test_the_project_has_its_rules() -> None:
    """Those that the issue of plain language began with are among them."""
    rules = check_words.rules((check_words.ROOT / check_words.GLOSSARY).read_text("utf-8"))
    text = "".join(f"{word}\n" for word in ("who", "nobody", "anew", "hearsay", "holdS"))
    lines = [one.line for one in check_words.words_in("made/up.py", text, rules)]
    assert lines == [1, 2, 3, 4, 5]
    allowed = 'def whoami(): "A person who reads it. An operator who deploys."'
    assert list(check_words.words_in("made/up.py", allowed, rules)) == []


def test_hidden_folders_and_other_kinds_of_files_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloads, caches and images are not checked."""
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    for name in ("a.py", "b/c.md", "b/d.svg", ".venv/e.py", "locks/f.txt", "Makefile"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    names = [path.relative_to(tmp_path).as_posix() for path in check_words.files([tmp_path])]
    assert names == ["Makefile", "a.py", "b/c.md"]


def test_the_command_says_where_a_word_is_and_what_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, and a failure for `make check`."""
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/glossary.md").write_text(GLOSSARY)
    (tmp_path / "a.py").write_text("# Here.\n# Whither?\n")
    assert check_words.main(["a.py"]) == 1
    assert capsys.readouterr().out == "a.py:2: 'whither': a place\n"
    (tmp_path / "a.py").write_text("# Here.\n")
    assert check_words.main([]) == 0
