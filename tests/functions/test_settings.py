"""Tests of the settings of a function: environment and package."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.errors import SetupError
from functions.settings import Settings, read_package
from tests.functions.support import ENVIRON, KEYS_JSON


def test_settings_report_every_problem_at_once(tmp_path: Path) -> None:
    """A user can correct all of them before the next deploy."""
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(SetupError) as raised:
        Settings.from_env({}, tmp_path)
    assert "SKYFLEET_SIGNING_KEYS is not set" in str(raised.value)
    assert "names no build" in str(raised.value)
    with pytest.raises(SetupError, match=r"SKYFLEET_SIGNING_KEYS: .*not JSON"):
        Settings.from_env({"SKYFLEET_SIGNING_KEYS": "oops"})


def test_the_agents_environment_has_no_signing_keys() -> None:
    """All other variables are passed to the agent."""
    settings = Settings.from_env({**ENVIRON, "OTHER": "x"})
    assert settings.environ["OTHER"] == "x"
    assert "SKYFLEET_SIGNING_KEYS" not in settings.environ
    assert "secret" not in repr(settings)


def test_the_build_id_comes_from_the_package(tmp_path: Path) -> None:
    """A checkout has the build id `dev`, a package that of its build.json."""
    assert read_package(tmp_path).build == "dev"
    (tmp_path / "build.json").write_text('{"build": "0123456789abcdef", "kind": "agent", "repeatable": true}')
    assert read_package(tmp_path).build == "0123456789abcdef"


def test_the_name_of_the_agent_comes_from_the_package(tmp_path: Path) -> None:
    """Settings and packages reach a cloud separately, so a name in the environment may belong to another
    package. A checkout uses the environment."""
    environ = {**ENVIRON, "SKYFLEET_AGENT": "from.outside:agent"}
    assert Settings.from_env(environ, tmp_path).agent == "from.outside:agent"
    assert Settings.from_env(ENVIRON, tmp_path).agent == "functions.agent:agent"
    (tmp_path / "build.json").write_text('{"build": "0123456789abcdef", "agent": "mine:app"}')
    assert Settings.from_env(environ, tmp_path).agent == "mine:app"


def test_the_repr_of_the_settings_contains_no_key() -> None:
    """Settings may be logged."""
    assert "older-made-up-secret" not in repr(Settings.from_env({"SKYFLEET_SIGNING_KEYS": KEYS_JSON}))
