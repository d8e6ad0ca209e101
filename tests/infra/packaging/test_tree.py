"""Tests of tree.py: what is shipped of a folder, and what is told of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.errors import AgentError
from infra.packaging import tree


def make(root: Path, *names: str, ignore: str | None = None) -> tree.Tree:
    """The tree of the folder `mine` with these files; a name that ends with "/" is a folder."""
    for name in names:
        path = root / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("x")
    if ignore is not None:
        (root / "mine" / tree.IGNORE_FILE).write_text(ignore)
    return tree.walk(root, Path("mine"))


def shipped(found: tree.Tree) -> list[str]:
    return [name.removeprefix("mine/") for name, _ in found.files]


def test_files_come_in_the_order_of_names(tmp_path: Path) -> None:
    """Packages of the same files are the same bytes."""
    found = make(tmp_path, "b.py", "a/z.py", "a/tests/t.py", ".hidden", "req.in")
    assert shipped(found) == [".hidden", "a/tests/t.py", "a/z.py", "b.py", "req.in"]
    assert found.left_out == []


LEFT_OUT = {
    ".env": "mine/.env (may hold secrets)",
    "deep/.env.local": "mine/deep/.env.local (may hold secrets)",
    "node_modules/x/index.js": "mine/node_modules/ (installed packages)",
    ".venv/bin/python": "mine/.venv/ (a virtual environment)",
    "own/pyvenv.cfg": "mine/own/ (a virtual environment)",
    "empty/": "mine/empty/ (an empty folder)",
}


@pytest.mark.parametrize(("name", "told"), LEFT_OUT.items(), ids=LEFT_OUT.keys())
def test_what_is_left_out_is_told_with_the_reason(tmp_path: Path, name: str, told: str) -> None:
    """A folder that is left out is told once."""
    found = make(tmp_path, "a.py", name)
    assert "a.py" in shipped(found)
    assert found.left_out == [told]


@pytest.mark.parametrize("name", ["__pycache__/a.pyc", ".git/HEAD", ".pytest_cache/x", ".a.py.swp", "a.py~"])
def test_caches_and_version_control_are_not_worth_a_word(tmp_path: Path, name: str) -> None:
    """A tool makes them again."""
    found = make(tmp_path, "a.py", name)
    assert (shipped(found), found.left_out) == (["a.py"], [])


def test_the_ignore_file_has_the_last_word(tmp_path: Path) -> None:
    """In the language of .gitignore: folders, negation, anchors."""
    ignore = "# big\ndata/\n*.log\n!keep.log\n/top.txt\n!.env\n!node_modules/\n"
    names = (
        "a.py",
        "data/x",
        "deep/data/x",
        "a.log",
        "keep.log",
        "top.txt",
        "deep/top.txt",
        ".env",
        "node_modules/y",
    )
    found = make(tmp_path, *names, ignore=ignore)
    assert shipped(found) == [".env", "a.py", "deep/top.txt", "keep.log", "node_modules/y"]
    assert found.left_out == [
        f"mine/{name} (.skyfleetignore)" for name in ("a.log", "data/", "deep/data/", "top.txt")
    ]


def test_linked_files_and_folders_are_shipped(tmp_path: Path) -> None:
    """A package has no links: it has what they lead to. One that leads back, or to the checkout, is told."""
    make(tmp_path, "a.py")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "s.py").write_text("x")
    (tmp_path / "mine" / "linked").symlink_to(tmp_path / "shared")
    (tmp_path / "mine" / "loop").symlink_to(tmp_path / "mine")
    (tmp_path / "mine" / "parent").symlink_to("..")
    (tmp_path / "mine" / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "mine" / "pipe")
    found = tree.walk(tmp_path, Path("mine"))
    assert shipped(found) == ["a.py", "linked/s.py"]
    assert found.left_out == [
        "mine/gone (a link to nothing)",
        "mine/loop/ (a link to a folder above it)",
        "mine/parent/ (a link to a folder above it)",
        "mine/pipe (a pipe, not a file)",
    ]


def test_an_ignore_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Instead of a traceback."""
    make(tmp_path, "a.py")
    (tmp_path / "mine" / tree.IGNORE_FILE).write_bytes(b"\xff")
    with pytest.raises(AgentError, match=r"mine/\.skyfleetignore is not text in UTF-8 \(byte 0\)"):
        tree.walk(tmp_path, Path("mine"))


def test_an_ignore_file_that_is_no_file_is_named(tmp_path: Path) -> None:
    """Instead of a traceback."""
    with pytest.raises(AgentError, match=r"mine/\.skyfleetignore cannot be read: Is a directory"):
        make(tmp_path, "a.py", f"{tree.IGNORE_FILE}/")


def test_an_ignore_file_is_read_as_editors_write_it(tmp_path: Path) -> None:
    """With a byte order mark and line ends of Windows, as git reads it."""
    make(tmp_path, "a.py", "data/x")
    (tmp_path / "mine" / tree.IGNORE_FILE).write_bytes(b"\xef\xbb\xbfdata/\r\n")
    assert shipped(tree.walk(tmp_path, Path("mine"))) == ["a.py"]


def test_a_link_to_a_secret_is_left_out_whatever_its_name_is(tmp_path: Path) -> None:
    """A line of the ignore file ships it, as it ships the file itself."""
    make(tmp_path, "a.py")
    (tmp_path / ".env").write_text("KEY=x")
    (tmp_path / "mine" / "settings").symlink_to("../.env")
    found = tree.walk(tmp_path, Path("mine"))
    assert (shipped(found), found.left_out) == (["a.py"], ["mine/settings (may hold secrets)"])
    assert shipped(make(tmp_path, ignore="!settings\n")) == ["a.py", "settings"]


def test_a_link_to_a_device_is_none_to_nothing(tmp_path: Path) -> None:
    """It would have no end."""
    make(tmp_path, "a.py")
    (tmp_path / "mine" / "zero").symlink_to("/dev/zero")
    assert tree.walk(tmp_path, Path("mine")).left_out == ["mine/zero (a device, not a file)"]


def test_a_hostile_name_is_told_in_one_line_that_can_be_printed(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, line breaks and sequences of a terminal."""
    make(tmp_path, "a.py", "ü/")
    for name in (b"\xff", b"a\nb", b"\x1b[31m"):
        (tmp_path / "mine" / os.fsdecode(name)).mkdir()
    found = tree.walk(tmp_path, Path("mine")).left_out
    names = ["\\x1b[31m", "a\\nb", "ü", "\\xff"]
    assert found == [f"mine/{name}/ (an empty folder)" for name in names]
    assert tree.summary(found).encode()


def test_the_summary_is_one_line() -> None:
    """However much is left out."""
    told = tree.summary([f"mine/{number}.env (x)" for number in range(10)], shown=2)
    assert told.startswith("left out of the agent's package: mine/0.env (x), mine/1.env (x) and 8 more. ")
    assert tree.summary([]) == ""
