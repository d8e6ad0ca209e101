"""Tests of config keys with and without the project's namespace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.config.namespace import given_twice
from infra.config.parse import EXAMPLES, parse_settings
from infra.errors import ConfigError

pytestmark = pytest.mark.pure

CLOUDS: Mapping[str, object] = {"aws": {"regions": ["eu-west-1"]}}


def test_a_key_without_a_namespace_is_the_projects() -> None:
    """Pulumi reads it so, and the command line reads the same file."""
    found = parse_settings({"clouds": CLOUDS, "agent": "mine:app", "aws:region": "eu-west-1"}, "dev")
    assert (found.clouds, found.agent) == (("aws",), "mine:app")


def test_an_unknown_key_without_a_namespace_is_refused_as_any_other() -> None:
    """Pulumi hands it to the program, which refuses it; the command line must not pass it before."""
    with pytest.raises(ConfigError, match=r"skyfleet:agnet: got an unknown key; .*did you mean agent"):
        parse_settings({"skyfleet:clouds": CLOUDS, "agnet": "mine:app"}, "dev")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_key_in_both_forms_is_a_mistake_that_names_both(name: str) -> None:
    """Pulumi takes either at random. The values are not shown: one may be a secret."""
    config = {"skyfleet:clouds": CLOUDS, f"skyfleet:{name}": "first-value", name: "second-value"}
    with pytest.raises(ConfigError) as raised:
        parse_settings(config, "dev")
    twice = [mistake for mistake in raised.value.mistakes if "without skyfleet:" in mistake]
    assert len(twice) == 1
    assert twice[0].startswith(f"skyfleet:{name}: got also {name} without skyfleet:")
    assert f"e.g. skyfleet:{name}: " in twice[0]
    assert "second-value" not in str(raised.value)


def test_the_program_finds_keys_in_both_forms_in_the_file(tmp_path: Path) -> None:
    """The engine passes one of the two values, so the program reads the file."""
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text("config:\n  agent: a:b\n  skyfleet:agent: c:d\n  name: x\n  aws:region: eu-west-1\n")
    assert given_twice(path) == {"agent": "a:b"}


@pytest.mark.parametrize("text", [None, "config: [", "config: text", "- x", "", "config:\n  1: 2\n"])
def test_a_file_that_says_nothing_has_no_key_twice(tmp_path: Path, text: str | None) -> None:
    """Pulumi itself reports a file that it cannot read; another one may be named by --config-file."""
    path = tmp_path / "Pulumi.dev.yaml"
    if text is not None:
        path.write_text(text)
    assert given_twice(path) == {}
