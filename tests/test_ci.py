"""Claims about what runs before a change is merged: CI, hooks, and the forms of issues."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, cast

import pytest
import yaml

pytestmark = pytest.mark.pure

ROOT: Final = Path(__file__).parent.parent
WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS: Final = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
# What a hook may start: tools that `make setup` installs, and those of any Linux.
OWN: Final = (".venv/bin/ruff", ".venv/bin/basedpyright", ".venv/bin/python", ".venv/bin/lint-imports")
COMMON: Final = ("awk",)


def read(path: Path) -> dict[str, Any]:
    # Strings.
    return cast("dict[str, Any]", yaml.load(path.read_text("utf-8"), yaml.BaseLoader))  # noqa: S506


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_ci_runs_one_script_on_the_oldest_python_and_on_that_of_the_clouds() -> None:
    """What CI checks is what `.ci/run` checks, so that it can be run anywhere."""
    workflow = read(ROOT / ".github/workflows/ci.yml")
    assert [step["run"] for step in steps(workflow) if "run" in step] == [".ci/run"]
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"] == {"python": ["3.11", "3.13"]}
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_longer_tests_run_each_night() -> None:
    """They are further examples of the same claims, so no change waits for them."""
    workflow = read(ROOT / ".github/workflows/long.yml")
    assert [step["run"] for step in steps(workflow) if "run" in step] == ["make test-long"]
    assert "schedule" in workflow["on"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read_and_pin_their_actions_by_commit(path: Path) -> None:
    """A tag can be moved to other code; a commit cannot."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one)] == []


def test_hooks_run_tools_of_the_project() -> None:
    """Another version of a tool would disagree with `make check`."""
    config = read(ROOT / ".pre-commit-config.yaml")
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {hook["entry"].split()[0] for hook in hooks} <= {*OWN, *COMMON}
    assert all(hook["language"] == "system" for hook in hooks)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_of_issues_are_what_github_takes(path: Path) -> None:
    """A form without these is not shown (docs.github.com, "Syntax for issue forms")."""
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    inputs = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in inputs)
    ids = [part["id"] for part in inputs]
    assert len(ids) == len(set(ids))
    assert len({part["attributes"]["label"] for part in inputs}) == len(inputs)
