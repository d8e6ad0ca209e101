"""Keys of a running fleet rotate, and no request notices."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skyfleet.keys import Roots
from tests.end_to_end.fleet import Call, Fleet, failures, steady
from tests.end_to_end.ingress import Target, places, signed, statuses

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("rotation"), pytest.mark.timeout(600)]

ASK = b'{"input": "reverse abc"}'


def opened(agent: Target, roots: Roots) -> set[int]:
    """What an agent answers to a request signed with what derives from these roots."""
    return statuses(agent.url, "/invoke", ASK, [tuple(signed(roots.keys("agent", agent.place), ASK))])


def refusals(logs: Path) -> list[str]:
    """Signatures that agents refused since the fleet began, out of their logs."""
    lines = [line for path in logs.rglob("*.log") for line in path.read_text(errors="replace").splitlines()]
    return [line for line in lines if re.search(r"refused \S+ /invoke: (?!missing-header)", line)]


def test_keys_rotate_twice_under_load_and_no_request_is_refused(fleet: Fleet) -> None:
    """Two generations further: every call is answered, no agent refused a signature of a router on the way,
    and what was signed with the first generation opens nothing any more."""
    config, logs = fleet.root / "Pulumi.local.yaml", fleet.root / ".skyfleet" / "logs"
    text = config.read_text()
    found = re.search(r"skyfleet:keyGeneration: (\d+)", text)
    first = int(found[1]) if found else 1
    plain = text if found is None else text.replace(f"  {found[0]}\n", "")
    old = Roots.parse(json.dumps({f"k{first}": fleet.roots()[f"k{first}"]}))
    agents = places(fleet, "agents")
    for agent in agents.values():
        assert statuses(agent.url, "/invoke", ASK, [tuple(signed(old.keys("agent", agent.place), ASK))]) == {
            200
        }
    before, calls = len(refusals(logs)), list[Call]()

    def rotate() -> None:
        for generation in (first + 1, first + 2):
            config.write_text(
                plain.replace("config:\n", f"config:\n  skyfleet:keyGeneration: {generation}\n")
            )
            fleet.run("up")

    url = fleet.url
    with ThreadPoolExecutor(1) as beside:
        rotating = beside.submit(rotate)
        while not rotating.done():
            calls += asyncio.run(steady(url, rate=10, seconds=2))
        rotating.result()
    assert failures(calls) == []
    assert refusals(logs)[before:] == []
    assert sorted(fleet.roots()) == [f"k{first + more}" for more in (1, 2, 3)]
    for agent in agents.values():
        assert statuses(agent.url, "/invoke", ASK, [tuple(signed(old.keys("agent", agent.place), ASK))]) == {
            401
        }
    assert len(refusals(logs)) == before + len(agents), "agents say in their logs what they refuse"
    fleet.wait_for(lambda states: set(states.values()) == {"healthy"}, seconds=60)
