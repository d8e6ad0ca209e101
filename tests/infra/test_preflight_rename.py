"""Tests of a changed name: it would replace every resource, so it needs a permission of its own."""

from __future__ import annotations

import pytest

from infra import preflight
from infra.config.model import Cloud, Settings
from infra.preflight import rename
from infra.preflight.findings import Report
from tests.infra.recorded import settings_for


def test_a_changed_name_is_refused_with_the_command_that_permits_it() -> None:
    """Each resource would be replaced, and URLs and stored replies would be lost."""
    (found,) = rename.check(settings_for("aws", name="shop"), "skyfleet-test")
    assert found.stops
    assert "begin with shop-test, those of the deployed fleet begin with skyfleet-test" in found.line
    assert "Every resource of every cloud is created again" in found.line
    assert "`pulumi config set skyfleet:replaces skyfleet-test`" in found.line


@pytest.mark.parametrize("deployed", [None, "", "shop-test", 7])
def test_the_first_deployment_and_an_unchanged_name_pass(deployed: object) -> None:
    """There is nothing to replace."""
    assert rename.check(settings_for("aws", name="shop"), deployed) == ()


@pytest.mark.parametrize(("replaces", "stops"), [("skyfleet-test", False), ("skyfleet-prod", True)])
def test_only_the_deployed_fleet_that_is_named_may_be_replaced(replaces: str, stops: bool) -> None:
    """A forgotten permission for an earlier fleet permits nothing."""
    (found,) = rename.check(settings_for("aws", name="shop", replaces=replaces), "skyfleet-test")
    assert found.stops is stops


def test_a_permitted_replacement_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preview's first lines say what a hundred replaced resources mean."""
    said: list[str] = []
    settings = settings_for("aws", name="shop", replaces="skyfleet-test", emulator={})

    def ask(settings: Settings, cloud: Cloud) -> Report:
        return Report({})

    def deployed(output: str) -> object:
        return {"namePrefix": "skyfleet-test"}[output]

    monkeypatch.setattr(preflight, "ask", ask)
    monkeypatch.setattr(preflight.provider_calls, "deployed", deployed)
    monkeypatch.setattr(preflight.provider_calls, "warn", said.append)
    preflight.require_accounts(settings, {}, {})
    assert len(said) == 1
    assert said[0].startswith("names: ")
