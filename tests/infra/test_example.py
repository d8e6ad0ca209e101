"""Tests of Pulumi.example.yaml and of README's steps to a stack on real accounts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import yaml

from infra.cli.app import COMMANDS
from infra.config.parse import parse_settings
from skyfleet.contract import Checks

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "Pulumi.example.yaml").read_text()
README = (ROOT / "README.md").read_text()
WAY = README.partition("## Deploy for real")[2].partition("\n## ")[0]


def test_the_example_is_a_complete_config_of_a_real_stack() -> None:
    """It has all clouds, routers and checkers, and is valid for a new account."""
    found = parse_settings(cast("dict[str, Any]", yaml.safe_load(EXAMPLE))["config"], "prod")
    assert found.clouds == ("aws", "azure", "gcp")
    assert not found.emulated
    assert not found.open
    assert found.checks == Checks()


def test_the_commented_settings_of_the_example_are_valid() -> None:
    """Each commented line with a key is checked."""
    text = re.sub(r"^  # (?=(skyfleet|azure-native):\w+: )", "  ", EXAMPLE, flags=re.MULTILINE)
    assert text.count("\n  skyfleet:") > EXAMPLE.count("\n  skyfleet:")
    parse_settings(cast("dict[str, Any]", yaml.safe_load(text))["config"], "prod")


def test_the_google_project_is_set_once() -> None:
    """Two settings could differ."""
    assert len(re.findall(r"my-project-123", EXAMPLE)) == 1
    assert "azure-native:subscriptionId" in EXAMPLE


def test_the_steps_to_a_real_stack_begin_with_the_set_up_in_a_new_shell() -> None:
    """Without `make setup` Pulumi finds no Python packages."""
    steps = [
        "0. `make setup`",
        "new shell",
        "1. `pulumi login`",
        "init prod",
        "3. `.venv/bin/skyfleet",
        "4. `pulumi up`",
    ]
    places = [WAY.index(step) for step in steps]
    assert places == sorted(places)


def test_the_steps_name_existing_commands_and_pages() -> None:
    """Each linked page and each `skyfleet` command exists."""
    links = set(re.findall(r"\]\((docs/[^)#]+)", WAY))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert set(re.findall(r"skyfleet (\w+) --stack", WAY)) <= set(COMMANDS)
