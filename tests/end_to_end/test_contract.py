"""One contract, three clouds: the deployed agents under the vendors' runtimes, the same cases over all."""

from __future__ import annotations

import json
import secrets
import time

import pytest

from skyfleet.keys import Roots
from skyfleet.signing import Keys
from tests.asgi import Reply
from tests.contract_cases import CASES, Case
from tests.contract_check import check_over_http
from tests.end_to_end.fleet import Fleet, Json
from tests.over_http import send

# More than the instances that the replays of one client, one after the other, can start.
REPLAYS = 8

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def agents(fleet: Fleet) -> dict[str, Json]:
    """By cloud: its region and the agent's own URL."""
    return {str(agent["cloud"]): agent for agent in fleet.facts("outputs")["agents"]}


@pytest.fixture(scope="module")
def keys(fleet: Fleet, agents: dict[str, Json]) -> dict[str, Keys]:
    """By cloud: what a router signs with for the agent there."""
    roots = Roots.parse(json.dumps(fleet.roots()))
    return {cloud: roots.keys("agent", f"{cloud}/{agent['region']}") for cloud, agent in agents.items()}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cloud_gives_the_same_reply(
    case: Case, cloud: str, agents: dict[str, Json], keys: dict[str, Keys]
) -> None:
    """Same request in: same status, headers and bytes out, and chunks when they are made."""

    def ask() -> Reply:
        headers = case.request_headers(keys[cloud], now=time.time(), nonce=secrets.token_hex(16))
        return send(agents[cloud]["url"], case.method, case.target, headers, case.body)

    check_over_http(case, ask)


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_replayed_or_late_request_is_refused_like_an_unsigned_one(
    cloud: str, agents: dict[str, Json], keys: dict[str, Keys]
) -> None:
    """Replayed, late, from the future or unsigned: 401 with one text that helps no attacker."""
    case = next(case for case in CASES if case.status == 200 and case.signed and case.method == "POST")
    headers = case.request_headers(keys[cloud], now=time.time(), nonce=secrets.token_hex(16))
    assert send(agents[cloud]["url"], case.method, case.target, headers, case.body).status == 200
    # Each instance remembers the nonces that it saw. An instance of Lambda is busy until its runtime asks for
    # the next event, and a replay that comes before that starts another instance.
    url = agents[cloud]["url"]
    replays = (send(url, case.method, case.target, headers, case.body) for _ in range(REPLAYS))
    replayed = next((reply for reply in replays if reply.status != 200), None)
    assert replayed is not None, f"{REPLAYS} replays were accepted"
    assert replayed.status == 401
    bodies = {replayed.body}
    # The window is 300 s; what a loaded machine needs to send it must not bring it back inside.
    for shift in (-330, 330):
        shifted = case.request_headers(keys[cloud], now=time.time() + shift, nonce=secrets.token_hex(16))
        reply = send(agents[cloud]["url"], case.method, case.target, shifted, case.body)
        assert reply.status == 401
        bodies.add(reply.body)
    unsigned = send(agents[cloud]["url"], case.method, case.target, [], case.body)
    assert unsigned.status == 401
    assert len(bodies | {unsigned.body}) == 1
