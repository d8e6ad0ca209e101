"""What a leaking agent of a running fleet gives away: all that it knows is tried on every other function."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import requests

from skyfleet.keys import Roots, derived
from skyfleet.signing import Keys
from tests.end_to_end.fleet import Fleet, Json
from tests.end_to_end.ingress import places, signed, statuses
from tests.thief import forgeries, loot, snapshot

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("keys"), pytest.mark.timeout(600)]

SNAPSHOTS = "/_skyfleet/health"
ASK = b'{"input": "[]"}'
# Says all that its process knows: its environment, now and as the kernel keeps it from the start; what its
# request holds; keys in its memory; and what Secrets Manager tells it of each secret it is asked for.
LEAKS = """
import gc, json, os, time

from functions.runtimes.errors import SecretNotRead
from functions.runtimes.secrets_manager import read_secret
from skyfleet.signing import Keys


def asked(arn):
    try:
        return read_secret(arn, os.environ, time.time, lambda _: None)
    except SecretNotRead as error:
        return f"refused: {error}"


async def agent(request):
    with open("/proc/self/environ", "rb") as kept:
        start = kept.read().decode("utf-8", "replace").split("\\0")
    keys = [one for one in gc.get_objects() if isinstance(one, Keys)]
    return {
        "now": dict(os.environ),
        "start": [pair.partition("=")[2] for pair in start],
        "request": dict(request.environ),
        "memory": {name: secret.decode() for one in keys for name, secret in one.secrets.items()},
        "asked": {arn: asked(arn) for arn in json.loads(request.input)},
    }
"""


def amazons_secrets(fleet: Fleet) -> dict[str, str]:
    """The ARN of each role's secret, as an operator sees it."""
    exported = json.loads(fleet.shell("pulumi stack export 2>/dev/null"))
    resources: list[Json] = exported["deployment"]["resources"]
    found = [one for one in resources if one["type"] == "aws:secretsmanager/secret:Secret"]
    return {str(one["urn"]).rpartition("-")[2]: str(one["outputs"]["arn"]) for one in found}


@pytest.fixture(scope="module")
def leaking(fleet: Fleet) -> Iterator[dict[str, Json]]:
    """What each cloud's agent says of itself when it is tricked into it. Its file is named as Google's entry
    file."""
    config, module = fleet.root / "Pulumi.local.yaml", fleet.root / "main.py"
    before = config.read_text()
    module.write_text(LEAKS)
    try:
        config.write_text(before.replace("functions.agent:agent", "main:agent"))
        fleet.run("up")
        roots = Roots.parse(json.dumps(fleet.roots()))
        body = json.dumps({"input": json.dumps([*amazons_secrets(fleet).values()])}).encode()
        said: dict[str, Json] = {}
        for cloud, agent in places(fleet, "agents").items():
            headers = {k.decode(): v.decode() for k, v in signed(roots.keys("agent", agent.place), body)}
            reply = requests.post(f"{agent.url}/invoke", data=body, headers=headers, timeout=60)
            assert reply.status_code == 200, reply.text
            said[cloud] = reply.json()
        yield said
    finally:
        config.write_text(before)
        module.unlink()
        fleet.run("up")


def test_another_agent_takes_over_on_a_running_stack(fleet: Fleet, leaking: dict[str, Json]) -> None:
    """A module that no cloud has yet, named in the config: all three run it after one `up`. `main.py` is no
    exception."""
    url = f"{fleet.url}/invoke"
    replies = [requests.post(url, json={"input": "[]"}, timeout=30) for _ in range(6)]
    assert all(reply.json().keys() == leaking["gcp"].keys() for reply in replies)
    asked = {reply.headers["x-skyfleet-target"].partition("/")[0] for reply in replies}
    assert asked == {"aws", "azure", "gcp"}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_leaking_agent_is_refused_by_every_other_agent_by_routers_and_as_a_checker(
    fleet: Fleet, leaking: dict[str, Json], cloud: str
) -> None:
    """It signs with all that it finds, under the receiver's ids and those of every checker. Only its own door
    opens, which shows that the thief signs rightly."""
    found, now = loot(leaking[cloud]), time.time()
    agents, routers, roots = places(fleet, "agents"), places(fleet, "routers"), [*fleet.roots()]
    for name, agent in agents.items():
        ids = [f"{root}:agent:{agent.place}" for root in roots]
        every = [one.headers for one in forgeries(found, ids, "/invoke", ASK, now)]
        assert len(every) > 50
        assert statuses(agent.url, "/invoke", ASK, every) == ({200, 401} if name == cloud else {401})
    router = routers[cloud]
    for checker in routers.values():
        body = snapshot(checker.place, now)
        ids = [f"{root}:checker:{checker.place}" for root in roots]
        every = [one.headers for one in forgeries(found, ids, SNAPSHOTS, body, now)]
        assert statuses(router.url, SNAPSHOTS, body, every) == {401}
    own = leaking[cloud]["memory"]
    as_a_router = signed(Keys({k: v.encode() for k, v in own.items()}, next(iter(own))), ASK)
    assert statuses(router.url, "/invoke", ASK, [tuple(as_a_router)]) == {421}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_running_agent_has_no_key_in_its_environment(
    fleet: Fleet, leaking: dict[str, Json], cloud: str
) -> None:
    """Neither in the process's nor in its request's; what the kernel keeps is at most its own, and on AWS not
    even that. No root is anywhere."""
    roots = fleet.roots()
    own = {*derived(roots, "agent", places(fleet, "agents")[cloud].place).values()}
    said = leaking[cloud]
    assert not own & (loot(said["now"]) | loot(said["request"]))
    assert own == {*said["memory"].values()}
    assert bool(own & loot(said["start"])) is (cloud != "aws")
    everything = json.dumps(said)
    assert not any(root in everything for root in roots.values())


def test_an_agents_identity_reads_its_own_secret_alone(fleet: Fleet, leaking: dict[str, Json]) -> None:
    """On AWS, where a function fetches it: the secrets of router and checker are denied."""
    answers = {role: leaking["aws"]["asked"][arn] for role, arn in amazons_secrets(fleet).items()}
    assert sorted(answers) == ["agent", "checker", "router"]
    assert "SKYFLEET_SIGNING_KEYS" in answers["agent"]
    for role in ("checker", "router"):
        assert answers[role].startswith("refused: ")
        assert "status 400" in answers[role]
