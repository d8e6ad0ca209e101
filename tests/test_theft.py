"""What can be forged with what a function knows: its whole environment, as the program deploys it, is stolen.

The thief signs with every text that it finds, under every id that there is, and sends that to every agent and
every router. What is let in must be this table and nothing else:

    stolen from   agents that let it in   snapshots that routers take
    agent         itself                  none
    checker       none                    its own
    router        all                     of all
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from functions import app as agents
from infra.config.model import CLOUDS
from router import app as routers
from tests.asgi import App, Reply, call
from tests.infra.fleet import FUNCTIONS, environment
from tests.infra.recorded import of_type, recorded, settings_for
from tests.infra.stored_secrets import place, stored
from tests.thief import claims, forgeries, loot, snapshot

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

PLACES = {cloud: place(cloud) for cloud in CLOUDS}
HOLDERS = [(role, cloud) for role in ("agent", "checker", "router") for cloud in CLOUDS]
ASK = b'{"input": "reverse abc"}'
SNAPSHOTS = "/_skyfleet/health"


@dataclass(frozen=True)
class Fleet:
    """What each function is given, and a running instance of each that listens."""

    environments: Mapping[tuple[str, str], Mapping[str, str]]
    agents: Mapping[str, App]
    router: App


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Three clouds, deployed under Pulumi's mocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG", json.dumps({"skyfleet:modelApiKey": "the-models-own-key"}))
        resources = recorded(settings_for(*CLOUDS), tmp_path_factory.mktemp("packages"))
    environments: dict[tuple[str, str], Mapping[str, str]] = {}
    for cloud in CLOUDS:
        secrets = stored(resources, cloud)
        for function in of_type(resources, FUNCTIONS[cloud]):
            role = function.labels["skyfleet-role"]
            # Without the bucket: what is let in would be kept there.
            plain = {k: v for k, v in environment(function).items() if k != "SKYFLEET_BUCKET"}
            environments[role, cloud] = {**plain, **secrets[role]}
    return Fleet(
        environments,
        {cloud: agents.create(environments["agent", cloud]) for cloud in CLOUDS},
        routers.create(environments["router", "gcp"]),  # all routers hold the same roots
    )


async def posted(app: App, path: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> Reply:
    return await call(app, "POST", path, headers=headers, body=body)


@pytest.mark.parametrize(("role", "cloud"), HOLDERS)
def test_what_a_function_leaks_opens_its_own_door_only(fleet: Fleet, role: str, cloud: str) -> None:
    """The table above: refusals are all one 401, and what is let in shows that the thief signs rightly."""
    found = loot(fleet.environments[role, cloud])
    ids = claims(PLACES.values(), (1, 2, 3))

    async def run() -> tuple[set[str], set[str]]:
        now, opened, heard = time.time(), set[str](), set[str]()
        for forgery in forgeries(found, ids, "/invoke", ASK, now):
            for name, agent in fleet.agents.items():
                reply = await posted(agent, "/invoke", forgery.headers, ASK)
                assert reply.status in (200, 401), reply.body
                opened |= {name} if reply.status == 200 else set()
        for claimed in PLACES.values():
            body = snapshot(claimed, now)
            for forgery in forgeries(found, ids, SNAPSHOTS, body, now):
                reply = await posted(fleet.router, SNAPSHOTS, forgery.headers, body)
                assert reply.status in (200, 400, 401), reply.body
                heard |= {claimed} if reply.status == 200 else set()
        return opened, heard

    opened, heard = asyncio.run(run())
    everywhere, every_place = {*CLOUDS}, {*PLACES.values()}
    assert opened == {"agent": {cloud}, "checker": set[str](), "router": everywhere}[role]
    assert heard == {"agent": set[str](), "checker": {PLACES[cloud]}, "router": every_place}[role]


@pytest.mark.parametrize(("role", "cloud"), HOLDERS)
async def test_no_function_holds_a_callers_key(fleet: Fleet, role: str, cloud: str) -> None:
    """Every text of every environment, sent as an API key: the router knows a hash, and that is no key."""
    for text in loot(fleet.environments[role, cloud]):
        try:
            key = b"Bearer " + text.encode("latin-1")
        except UnicodeEncodeError:
            continue
        reply = await call(fleet.router, "GET", "/api/status", headers=[(b"authorization", key)])
        assert reply.status == 401


def test_the_environments_are_what_a_fleet_has(fleet: Fleet) -> None:
    """The test above would find nothing in empty ones."""
    assert {(role, cloud) for role, cloud in fleet.environments} == set(HOLDERS)
    for (role, _), environ in fleet.environments.items():
        wanted = {"agent": "SKYFLEET_SIGNING_KEYS", "checker": "SKYFLEET_SIGNING_KEYS"}
        assert len(json.loads(environ[wanted.get(role, "SKYFLEET_ROOT_KEYS")])) == 2
