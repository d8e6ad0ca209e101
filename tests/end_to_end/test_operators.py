"""Operators' commands for a stack of their own backend, driven by plain Pulumi.

A stack on real accounts cannot exist here, so it is the emulator's own one under another name, in another
backend: to `skyfleet --stack` it looks like any other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cli.environment import LOCAL_PASSPHRASE, backend_url
from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("operators")]

CLOUDS = {"aws", "azure", "gcp"}


@pytest.fixture(scope="module")
def operated(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, pulumi_path: str) -> Iterator[Fleet]:
    """The fleet, as an operator with a stack `prod` in a backend of their own meets it."""
    folder = tmp_path_factory.mktemp("backend")
    fleet.shell(f"pulumi stack export --show-secrets --stack local --file {folder}/local.json")
    state = (folder / "local.json").read_text()
    (folder / "prod.json").write_text(state.replace("urn:pulumi:local::", "urn:pulumi:prod::"))
    own = {
        "PULUMI_BACKEND_URL": backend_url(folder),
        "PULUMI_CONFIG_PASSPHRASE": LOCAL_PASSPHRASE,
        "PULUMI_HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}:{pulumi_path}:{fleet.environment()['PATH']}",
    }
    operator = Fleet(fleet.root, own)
    (fleet.root / "Pulumi.prod.yaml").write_text((fleet.root / "Pulumi.local.yaml").read_text())
    exports = "".join(f"export {name}='{value}'; " for name, value in own.items())
    made = f"pulumi stack init prod && pulumi stack import --stack prod --file {folder}/prod.json"
    fleet.shell(f"{exports} {made}")
    yield operator
    (fleet.root / "Pulumi.prod.yaml").unlink()


def facts(fleet: Fleet, *words: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(fleet.run(*words, "--stack", "prod", "--json"))


def test_status_shows_routers_targets_and_checkers(operated: Fleet) -> None:
    """And nothing of the emulator, which an operator's stack has not."""
    status = facts(operated, "status")
    assert {target["cloud"] for target in status["targets"]} == CLOUDS
    assert {router["cloud"] for router in status["routers"]} == CLOUDS
    assert len(status["checkers"]) == 3
    assert status["emulator"] is None


def test_the_agent_is_called_and_routers_are_told_how_to_choose(operated: Fleet) -> None:
    """With the key out of the stack's own outputs."""
    assert facts(operated, "invoke", "what is 12 * (3 + 4)?")["status"] == 200
    assert {router["effective"] for router in facts(operated, "strategy", "latency")} == {"latency"}
    assert {router["effective"] for router in facts(operated, "strategy", "configured")} == {"weighted"}


def test_outputs_hide_secrets_until_asked(operated: Fleet) -> None:
    """As Pulumi does."""
    assert facts(operated, "outputs")["apiKey"] == "[secret]"
    assert facts(operated, "outputs", "--show-secrets")["apiKey"].startswith("sf-")


def test_a_stack_of_another_name_does_not_touch_the_emulators_files(operated: Fleet) -> None:
    """Its outputs are not kept beside the local stack's."""
    kept = Path(operated.root, ".skyfleet", "outputs.json")
    before = kept.read_bytes() if kept.exists() else b""
    facts(operated, "outputs")
    assert (kept.read_bytes() if kept.exists() else b"") == before


def test_a_local_stack_in_a_plain_shell_is_not_deployed(operated: Fleet) -> None:
    """Plain Pulumi without the emulator's providers: the program ends before it asks or creates anything."""
    exports = "".join(f"export {name}='{value}'; " for name, value in operated.variables.items())
    said = operated.shell(f"unset PULUMI_DEBUG_PROVIDERS; {exports} pulumi preview --stack prod", code=None)
    assert "Preflight failed; nothing was deployed" in said
    assert "does not name aws, azure-native, gcp" in said


def test_a_real_stack_in_the_emulators_shell_is_not_deployed(fleet: Fleet) -> None:
    """After `eval "$(skyfleet env)"`: the emulator would take it, and `make down` its state."""
    config = fleet.root / "Pulumi.real.yaml"
    config.write_text((fleet.root / "Pulumi.example.yaml").read_text())
    try:
        said = fleet.shell("pulumi stack init real; pulumi preview --stack real", code=None)
    finally:
        fleet.shell("pulumi stack rm real --yes")
        config.unlink(missing_ok=True)
    assert "Preflight failed; nothing was deployed" in said
    assert "the stack real is for real accounts" in said
    assert "Open a new shell" in said


def test_preflight_names_the_accounts_of_the_emulator(fleet: Fleet) -> None:
    """The same questions as on real accounts, and nothing in the way."""
    said = fleet.run("preflight", "--json")
    report = json.loads(said[said.index("{") :])  # after the progress, which goes to stderr
    assert set(report["accounts"]) == CLOUDS
    assert report["stops"] == []
