"""Tests of the folder that an agent's files have in a package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from functions import agent_files
from functions.errors import AgentNotLoaded
from functions.loading import Kind
from skyfleet import contract

AGENT = "async def agent(request):\n    return 'mine'\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with an agent in main.py and one in mine.py. Import path, modules and working folder are
    restored."""
    folder = tmp_path / contract.AGENT_FOLDER
    folder.mkdir()
    for name in ("main", "mine"):
        (folder / f"{name}.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {name: sys.modules.pop(name, None) for name in ("main", "mine")}
    yield tmp_path
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def loaded_by_the_platform(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    """A module of the name, loaded from the file."""
    module = ModuleType(name)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, module)


def test_an_agent_named_as_the_entry_file_is_loaded(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """functions-framework has registered Google's entry file as `main`."""
    loaded_by_the_platform(monkeypatch, "main", package / "main.py")
    assert agent_files.load("main:agent", package).kind is Kind.FUNCTION
    assert sys.modules["main"].__file__ == str(package / contract.AGENT_FOLDER / "main.py")


def test_another_module_of_the_name_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent would otherwise be looked for in a module of the platform."""
    loaded_by_the_platform(monkeypatch, "mine", Path("/opt/platform/mine.py"))
    with pytest.raises(AgentNotLoaded, match=r"another module 'mine' \(/opt/platform/mine\.py\)"):
        agent_files.load("mine:agent", package)


def test_the_folder_is_first_and_the_working_folder(package: Path) -> None:
    """In each cloud alike."""
    folder = str(package / contract.AGENT_FOLDER)
    agent_files.load("mine:agent", package)
    assert (sys.path[0], str(Path.cwd())) == (folder, folder)


def test_a_checkout_has_no_such_folder(tmp_path: Path) -> None:
    """Neither import path nor working folder change."""
    before = [*sys.path], Path.cwd()
    assert agent_files.load("functions.agent:agent", tmp_path).repeatable
    assert ([*sys.path], Path.cwd()) == before


def test_paths_are_those_of_the_checkout(package: Path) -> None:
    """A package lies elsewhere on each cloud; the user knows the names in the checkout."""
    (package / contract.AGENT_FOLDER / "mine.py").write_text("import json\njson.loads('{')\n")
    with pytest.raises(AgentNotLoaded, match=r"^mine:agent does not import: mine\.py:2: JSONDecodeError"):
        agent_files.load("mine:agent", package)
