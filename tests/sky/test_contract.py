"""One contract, three clouds: the deployed agents under the vendors' runtimes, the same cases over all."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import pytest

from functions.signing import Keys
from tests.contract_cases import CASES, Case, check
from tests.over_http import send
from tests.sky.fleet import Fleet

pytestmark = [pytest.mark.sky, pytest.mark.xdist_group("bad-input"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def keys(fleet: Fleet) -> Keys:
    """The stack's signing keys, as only its operator can read them."""
    exported = json.loads(fleet.shell("pulumi stack export --show-secrets 2>/dev/null"))
    resources: list[dict[str, Any]] = exported["deployment"]["resources"]
    found: dict[str, str] = {
        str(resource["urn"]).rpartition("::signing-key-")[2]: json.loads(
            resource["outputs"]["result"]["plaintext"]
        )
        for resource in resources
        if "::signing-key-" in resource["urn"]
    }
    return Keys.parse(json.dumps(found))


@pytest.fixture(scope="module")
def agents(fleet: Fleet) -> dict[str, str]:
    """Cloud -> the agent's own URL."""
    return {str(agent["cloud"]): str(agent["url"]) for agent in fleet.facts("outputs")["agents"]}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cloud_gives_the_same_reply(case: Case, cloud: str, agents: dict[str, str], keys: Keys) -> None:
    """Same request in: same status, headers and bytes out, and chunks when they are made."""
    headers = case.request_headers(keys, now=time.time(), nonce=secrets.token_hex(16))
    check(case, send(agents[cloud], case.method, case.target, headers, case.body))


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_replayed_or_late_request_is_refused_like_an_unsigned_one(
    cloud: str, agents: dict[str, str], keys: Keys
) -> None:
    """Replayed, late, from the future or unsigned: 401 with one text that helps no attacker."""
    case = next(case for case in CASES if case.status == 200 and case.signed and case.method == "POST")
    headers = case.request_headers(keys, now=time.time(), nonce=secrets.token_hex(16))
    assert send(agents[cloud], case.method, case.target, headers, case.body).status == 200
    replayed = send(agents[cloud], case.method, case.target, headers, case.body)
    bodies = {replayed.body}
    assert replayed.status == 401
    # The window is 300 s; what a loaded machine needs to send it must not bring it back inside.
    for shift in (-330, 330):
        shifted = case.request_headers(keys, now=time.time() + shift, nonce=secrets.token_hex(16))
        reply = send(agents[cloud], case.method, case.target, shifted, case.body)
        assert reply.status == 401
        bodies.add(reply.body)
    unsigned = send(agents[cloud], case.method, case.target, [], case.body)
    assert unsigned.status == 401
    assert len(bodies | {unsigned.body}) == 1
