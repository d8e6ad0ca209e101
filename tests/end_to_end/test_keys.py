"""Keys of a running fleet: two rotations under load, and what an agent that leaks between them gives away.

One deployment rotates the keys and brings the leaking agent, the next one rotates them and takes it away.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from skyfleet.keys import CheckerKeys, Roots, derived
from skyfleet.signing import Keys, Verifier
from tests.end_to_end.fleet import Call, Fleet, Json, failures, steady
from tests.end_to_end.ingress import Target, places, signed, statuses
from tests.thief import chosen, forgeries, loot, snapshot

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-2"), pytest.mark.timeout(600)]

SNAPSHOTS = "/_skyfleet/health"
ASK = b'{"input": "[]"}'
DEFAULT = "functions.agent:agent"
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
    if not request.input.startswith("["):
        return "an answer under load"
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


def opened(agent: Target, roots: Roots) -> set[int]:
    """What an agent answers to a request signed with what derives from these roots."""
    return statuses(agent.url, "/invoke", ASK, [tuple(signed(roots.keys("agent", agent.place), ASK))])


def refusals(logs: Path) -> list[str]:
    """Signatures that agents refused since the fleet began, out of their logs."""
    lines = [line for path in logs.rglob("*.log") for line in path.read_text(errors="replace").splitlines()]
    return [line for line in lines if re.search(r"refused \S+ /invoke: (?!missing-header)", line)]


@contextmanager
def load(url: str) -> Generator[list[Call]]:
    """Ten calls a second inside the block; the list has them all after it."""
    calls, ended = list[Call](), threading.Event()

    def call() -> None:
        while not ended.is_set():
            calls.extend(asyncio.run(steady(url, rate=10, seconds=2)))

    with ThreadPoolExecutor(1) as beside:
        calling = beside.submit(call)
        try:
            yield calls
        finally:
            ended.set()
            calling.result()


@dataclass(frozen=True, slots=True)
class Rotations:
    """What two rotations under load left.

    first: the generation before both. old: its signing root, and before: what agents answered to it then.
    calls: all under load; refused: signatures that agents refused meanwhile. Between the two, roots: all root
    keys; said: what each cloud's leaking agent said of itself; replies: its own through the first router.
    daemons: the pids of the emulator before and after.
    """

    first: int
    old: Roots
    before: Mapping[str, set[int]]
    calls: Sequence[Call]
    refused: Sequence[str]
    roots: Mapping[str, str]
    said: Mapping[str, Json]
    replies: Sequence[requests.Response]
    daemons: tuple[object, object]


@dataclass(frozen=True, slots=True)
class Leaks:
    """The leaking agent of a fleet, and its two deployments."""

    fleet: Fleet
    plain: str
    first: int

    def deploy(self, agent: str, generation: int) -> None:
        """Deploy an agent and a generation of keys."""
        config, module = self.fleet.root / "Pulumi.local.yaml", self.fleet.root / "functions" / "leaks.py"
        text = self.plain.replace("config:\n", f"config:\n  skyfleet:keyGeneration: {generation}\n")
        config.write_text(text.replace(DEFAULT, agent))
        if agent == DEFAULT:
            module.unlink()
        else:
            module.write_text(LEAKS)
        self.fleet.run("up")

    def said(self, roots: Roots) -> dict[str, Json]:
        """What each cloud's agent says of itself when it is tricked into it."""
        body = json.dumps({"input": json.dumps([*amazons_secrets(self.fleet).values()])}).encode()
        said: dict[str, Json] = {}
        for cloud, agent in places(self.fleet, "agents").items():
            headers = {k.decode(): v.decode() for k, v in signed(roots.keys("agent", agent.place), body)}
            reply = requests.post(f"{agent.url}/invoke", data=body, headers=headers, timeout=60)
            assert reply.status_code == 200, reply.text
            said[cloud] = reply.json()
        return said


def replies_of_all_clouds(url: str) -> list[requests.Response]:
    """Replies of the leaking agent beside the load, until each cloud gave one; at most 60."""
    replies, found = list[requests.Response](), set[str]()
    while len(found) < 3 and len(replies) < 60:
        replies.append(requests.post(f"{url}/invoke", json={"input": "[]"}, timeout=30))
        found.add(replies[-1].headers.get("x-skyfleet-target", "").partition("/")[0])
    return replies


@pytest.fixture(scope="module")
def rotations(fleet: Fleet) -> Rotations:
    """Two rotations under load: the first brings a leaking agent, the second takes it away."""
    text, logs = (fleet.root / "Pulumi.local.yaml").read_text(), fleet.root / ".skyfleet" / "logs"
    found = re.search(r"skyfleet:keyGeneration: (\d+)", text)
    first = int(found[1]) if found else 1
    leaks = Leaks(fleet, text if found is None else text.replace(f"  {found[0]}\n", ""), first)
    old = Roots.parse(json.dumps({f"k{first}": fleet.roots()[f"k{first}"]}))
    before = {cloud: opened(agent, old) for cloud, agent in places(fleet, "agents").items()}
    known, url, daemon = len(refusals(logs)), fleet.url, fleet.emulator["pid"]
    with load(url) as calls:
        try:
            leaks.deploy("functions.leaks:agent", first + 1)
            roots = fleet.roots()
            said = leaks.said(Roots.parse(json.dumps(roots)))
            replies = replies_of_all_clouds(url)
        finally:
            leaks.deploy(DEFAULT, first + 2)
    refused = refusals(logs)[known:]
    fleet.wait_for(lambda states: set(states.values()) == {"healthy"}, seconds=60)
    daemons = daemon, fleet.emulator["pid"]
    return Rotations(first, old, before, calls, refused, roots, said, replies, daemons)


@pytest.fixture
def leaking(rotations: Rotations) -> Mapping[str, Json]:
    """What each cloud's agent said of itself."""
    return rotations.said


def test_keys_rotate_twice_under_load_and_no_request_is_refused(fleet: Fleet, rotations: Rotations) -> None:
    """Two generations further: every call is answered, no agent refused a signature of a router on the way,
    and what was signed with the first generation opens nothing any more."""
    agents, logs = places(fleet, "agents"), fleet.root / ".skyfleet" / "logs"
    assert rotations.before == {cloud: {200} for cloud in agents}
    assert failures([*rotations.calls]) == []
    assert rotations.refused == []
    assert sorted(fleet.roots()) == [f"k{rotations.first + more}" for more in (1, 2, 3)]
    known = len(refusals(logs))
    assert {cloud: opened(agent, rotations.old) for cloud, agent in agents.items()} == {
        cloud: {401} for cloud in agents
    }
    assert len(refusals(logs)) == known + len(agents), "agents say in their logs what they refuse"


def test_another_agent_takes_over_on_a_running_stack(rotations: Rotations) -> None:
    """A module that no cloud has yet, named in the config: all three run it after one `up`. The emulator's
    daemon stays."""
    assert all(reply.json().keys() == rotations.said["gcp"].keys() for reply in rotations.replies)
    asked = {reply.headers["x-skyfleet-target"].partition("/")[0] for reply in rotations.replies}
    assert asked == {"aws", "azure", "gcp"}
    assert rotations.daemons[0] == rotations.daemons[1]


@dataclass(frozen=True, slots=True)
class Doors:
    """The functions of the fleet after both rotations, and its root keys."""

    agents: Mapping[str, Target]
    routers: Mapping[str, Target]
    roots: Mapping[str, str]


@pytest.fixture(scope="module")
def doors(fleet: Fleet, rotations: Rotations) -> Doors:
    """What a thief may knock at."""
    return Doors(places(fleet, "agents"), places(fleet, "routers"), fleet.roots())


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_leaking_agent_is_refused_by_every_other_agent_by_routers_and_as_a_checker(
    doors: Doors, leaking: Mapping[str, Json], cloud: str
) -> None:
    """It signs with all that it finds, under the receiver's ids and those of every checker. Only its own door
    opens, which shows that the thief signs rightly."""
    found, now = loot(leaking[cloud]), time.time()
    roots = Roots.parse(json.dumps({**doors.roots}))
    for name, agent in doors.agents.items():
        ids = [f"{root}:agent:{agent.place}" for root in doors.roots]
        every = [one.headers for one in forgeries(found, ids, "/invoke", ASK, now)]
        assert len(every) > 50
        sent = chosen(Verifier(roots.keys("agent", agent.place)), "/invoke", ASK, every, now)
        assert statuses(agent.url, "/invoke", ASK, sent) == ({200, 401} if name == cloud else {401})
    router = doors.routers[cloud]
    for checker in doors.routers.values():
        body = snapshot(checker.place, now)
        ids = [f"{root}:checker:{checker.place}" for root in doors.roots]
        every = [one.headers for one in forgeries(found, ids, SNAPSHOTS, body, now)]
        sent = chosen(Verifier(CheckerKeys(roots)), SNAPSHOTS, body, every, now)
        assert statuses(router.url, SNAPSHOTS, body, sent) == {401}
    own = leaking[cloud]["memory"]
    as_a_router = signed(Keys({k: v.encode() for k, v in own.items()}, next(iter(own))), ASK)
    assert statuses(router.url, "/invoke", ASK, [tuple(as_a_router)]) == {421}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_a_running_agent_has_no_key_in_its_environment(
    doors: Doors, rotations: Rotations, cloud: str
) -> None:
    """Neither in the process's nor in its request's; what the kernel keeps is at most its own, and on AWS not
    even that. No root is anywhere."""
    roots, said = rotations.roots, rotations.said[cloud]
    own = {*derived(roots, "agent", doors.agents[cloud].place).values()}
    assert not own & (loot(said["now"]) | loot(said["request"]))
    assert own == {*said["memory"].values()}
    assert bool(own & loot(said["start"])) is (cloud != "aws")
    everything = json.dumps(said)
    assert not any(root in everything for root in roots.values())


def test_an_agents_identity_reads_its_own_secret_alone(fleet: Fleet, leaking: Mapping[str, Json]) -> None:
    """On AWS, where a function fetches it: the secrets of router and checker are denied."""
    answers = {role: leaking["aws"]["asked"][arn] for role, arn in amazons_secrets(fleet).items()}
    assert sorted(answers) == ["agent", "checker", "router"]
    assert "SKYFLEET_SIGNING_KEYS" in answers["agent"]
    for role in ("checker", "router"):
        assert answers[role].startswith("refused: ")
        assert "status 400" in answers[role]
