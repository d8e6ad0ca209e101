"""Operators' commands for a stack of their own backend, driven by plain Pulumi.

A stack on real accounts cannot exist here, so it is the emulator's own one under another name, in another
backend: to `skyfleet --stack` it looks like any other.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.operations.stack.environment import LOCAL_PASSPHRASE, backend_url
from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1")]

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


def serving_clouds(session: requests.Session, fleet: Fleet) -> set[str]:
    """The clouds that serve 20 calls made one after the other; each call succeeds."""
    found: set[str] = set()
    for _ in range(20):
        reply = session.post(f"{fleet.url}/invoke", json={"input": "what is 12 * (3 + 4)?"}, timeout=30)
        assert reply.status_code == 200, reply.text
        found.add(reply.headers["x-skyfleet-target"].partition("/")[0])
    return found


def wait_for_clouds(fleet: Fleet, expected: set[str], *, seconds: float = 60) -> None:
    """Calls until only these clouds serve, for other instances of a router follow with a later request."""
    end = time.monotonic() + seconds
    session = requests.Session()
    session.headers["authorization"] = f"Bearer {fleet.facts('outputs', '--show-secrets')['apiKey']}"
    while (found := serving_clouds(session, fleet)) != expected:
        assert time.monotonic() < end, f"{sorted(found)} serve, not {sorted(expected)}"


def test_a_drained_cloud_gets_no_calls_until_it_is_brought_back(operated: Fleet, fleet: Fleet) -> None:
    """No call fails on the way, and the status shows the state."""
    wait_for_clouds(fleet, CLOUDS)
    (aws,) = {target["region"] for target in facts(operated, "status")["targets"] if target["cloud"] == "aws"}
    try:
        drained = facts(operated, "drain", "aws")
        assert [router["draining"] for router in drained] == [[f"aws/{aws}"]] * 3
        assert facts(operated, "drain") == drained
        wait_for_clouds(fleet, CLOUDS - {"aws"})
        status = facts(operated, "status")
        states = {target["cloud"]: target["state"] for target in status["targets"]}
        assert states["aws"] == "draining"
        assert [router["draining"] for router in status["routers"]] == [[f"aws/{aws}"]] * 3
        refused = operated.run("drain", "azure", "gcp", "--stack", "prod", code=1)
        assert "nothing was changed" in refused
    finally:
        undone = facts(operated, "drain", "aws", "--undo")
    assert [router["draining"] for router in undone] == [[]] * 3
    wait_for_clouds(fleet, CLOUDS)


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
