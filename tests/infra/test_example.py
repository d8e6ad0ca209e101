"""Pulumi.example.yaml deploys as it stands, and README's way to a real stack names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import yaml

from infra.cli.app import COMMANDS
from infra.config.model import Checks
from infra.config.parse import parse_settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "Pulumi.example.yaml").read_text()
README = (ROOT / "README.md").read_text()
WAY = README.partition("## Deploy for real")[2].partition("\n## ")[0]


def test_the_example_is_a_whole_config_of_a_real_stack() -> None:
    """All clouds, routers and checkers; nothing to be taken out on a new account."""
    found = parse_settings(cast("dict[str, Any]", yaml.safe_load(EXAMPLE))["config"], "prod")
    assert found.clouds == ("aws", "azure", "gcp")
    assert not found.emulated
    assert not found.open
    assert found.checks == Checks()


def test_what_is_commented_out_in_the_example_may_be_said() -> None:
    """Each line with a key."""
    text = re.sub(r"^  # (?=(skyfleet|azure-native):\w+: )", "  ", EXAMPLE, flags=re.MULTILINE)
    assert text.count("\n  skyfleet:") > EXAMPLE.count("\n  skyfleet:")
    parse_settings(cast("dict[str, Any]", yaml.safe_load(text))["config"], "prod")


def test_the_project_is_said_once() -> None:
    """Two places may differ."""
    assert len(re.findall(r"my-project-123", EXAMPLE)) == 1
    assert "azure-native:subscriptionId" in EXAMPLE


def test_the_way_to_a_real_stack_begins_with_the_set_up_in_a_new_shell() -> None:
    """In the order in which it works: without `make setup` Pulumi finds no Python packages."""
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


def test_the_way_names_commands_and_pages_that_there_are() -> None:
    """A page that is linked exists, and so does each of our own commands."""
    links = set(re.findall(r"\]\((docs/[^)#]+)", WAY))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert set(re.findall(r"skyfleet (\w+) --stack", WAY)) <= set(COMMANDS)
