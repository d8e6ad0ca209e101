"""`Idempotency-Key` in the three clouds: real packages under the vendors' runtimes, each cloud's own bucket.

The default agent does the same in every run; what tells two runs apart is the completion's id, which follows
from the id of the request: another request id in a second run would be another reply.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from emulator.desired.model import CLOUDS, Bucket, Cloud, DesiredState, Grant
from emulator.runtime.instances import environment
from emulator.runtime.instances.environment import Place
from skyfleet.keys import Roots
from skyfleet.signing import Keys, sign
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.kit import CHECKOUT, Lab, lab, target
from tests.over_http import send

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-2"), pytest.mark.timeout(600)]

CHAT = "/v1/chat/completions"
WHAT_IS_84: dict[str, Any] = {
    "model": "skyfleet",
    "messages": [{"role": "user", "content": "what is 12 * (3 + 4)?"}],
}


class Agent:
    """One cloud's agent, asked directly as a router asks it; each request has an id of its own."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.url, self._keys = url, keys

    def ask(self, key: str, body: bytes, path: str = CHAT) -> tuple[int, dict[str, str], bytes]:
        signature = sign(self._keys, "POST", path, b"", body, now=time.time(), nonce=secrets.token_hex(16))
        headers = [
            (b"content-type", b"application/json"),
            (b"idempotency-key", key.encode()),
            (b"x-request-id", secrets.token_hex(8).encode()),
            *signature,
        ]
        reply = send(self.url, "POST", path, headers, body)
        return reply.status, dict(reply.headers), reply.body


@pytest.fixture(scope="module")
def agents(fleet: Fleet) -> dict[str, Agent]:
    """By cloud."""
    roots = Roots.parse(json.dumps(fleet.roots()))
    return {
        a["cloud"]: Agent(str(a["url"]), roots.keys("agent", f"{a['cloud']}/{a['region']}"))
        for a in fleet.facts("outputs")["agents"]
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_two_equal_requests_run_once_in_a_cloud(
    cloud: Cloud, stream: bool, fleet: Fleet, agents: dict[str, Agent]
) -> None:
    """The second gets the first one's bytes, a whole stream too; another request with the key is refused."""
    key = secrets.token_hex(16)
    body = json.dumps({**WHAT_IS_84, "stream": stream}).encode()
    status, headers, first = agents[cloud].ask(key, body)
    assert (status, "idempotency-replayed" in headers) == (200, False)
    status, headers, again = agents[cloud].ask(key, body)
    assert (status, headers.get("idempotency-replayed")) == (200, "true")
    assert again == first
    assert b"84" in first or stream
    assert agents[cloud].ask(secrets.token_hex(16), body)[2] != first
    status, _, other = agents[cloud].ask(key, body.replace(b"12", b"13"))
    assert (status, json.loads(other)["error"]["code"]) == (422, "idempotency-key-reused")
    logs = fleet.run("logs", cloud, code=None)
    assert key not in logs


def thrice(url: str, key: str) -> tuple[str, list[requests.Response]]:
    """Three equal calls with a key, and the cloud that answered them all."""
    replies = [
        requests.post(f"{url}{CHAT}", json=WHAT_IS_84, headers={"idempotency-key": key}, timeout=30)
        for _ in range(3)
    ]
    assert {reply.status_code for reply in replies} == {200}
    (cloud,) = {reply.headers["x-skyfleet-target"].partition("/")[0] for reply in replies}
    return cloud, replies


def test_a_repeat_meets_the_cloud_that_kept_its_reply(healed: Fleet) -> None:
    """Of three equal calls one runs; keys are shared by the clouds.

    How many keys that takes is chance, and a cloud may be at the begin of its slow start."""
    clouds: set[str] = set()
    for _ in range(60):
        cloud, replies = thrice(healed.url, secrets.token_hex(16))
        assert [reply.headers.get("idempotency-replayed") for reply in replies] == [None, "true", "true"]
        assert len({reply.content for reply in replies}) == 1
        clouds.add(cloud)
        if len(clouds) > 1:
            break
    assert len(clouds) > 1


def test_with_its_cloud_lost_a_key_runs_once_more_elsewhere(healed: Fleet) -> None:
    """And repeats meet that one from then on: those before the loss is known, and those after."""
    of_cloud: dict[str, list[str]] = {cloud: [] for cloud in CLOUDS}
    while max(len(keys) for keys in of_cloud.values()) < 4:
        key = secrets.token_hex(16)
        of_cloud[thrice(healed.url, key)[0]].append(key)
    lost, keys = max(of_cloud.items(), key=lambda one: len(one[1]))
    healed.run("chaos", lost, "kill")
    for key in keys:
        elsewhere, replies = thrice(healed.url, key)
        assert elsewhere != lost
        assert [reply.headers.get("idempotency-replayed") for reply in replies] == [None, "true", "true"]


def test_a_run_whose_instance_was_killed_does_not_run_again(healed: Fleet, agents: dict[str, Agent]) -> None:
    """Its claim is in the bucket: the repeat is told so, and starts nothing."""
    key, said = secrets.token_hex(16), dict[str, Any]()
    body = b'{"input": "wait 20 seconds"}'
    folder = healed.root / ".skyfleet"
    before = set(folder.rglob("replies/*/claim"))

    def first() -> None:
        try:
            said["first"] = agents["gcp"].ask(key, body, "/invoke")[0]
        except httpx.HTTPError as error:
            said["first"] = type(error).__name__

    thread = threading.Thread(target=first)
    thread.start()
    end = time.monotonic() + 30
    while not (made := set(folder.rglob("replies/*/claim")) - before):
        assert time.monotonic() < end, "no claim was made"
        threading.Event().wait(0.05)
    (claim,) = made
    healed.run("chaos", "gcp", "kill")
    thread.join(60)
    assert said["first"] != 200
    healed.run("chaos", "gcp", "heal")
    status, headers, reply = agents["gcp"].ask(key, body, "/invoke")
    assert (status, json.loads(reply)["error"]["code"]) == (409, "still-running")
    assert headers["retry-after"]
    assert [path.name for path in claim.parent.iterdir()] == ["claim"]


# The client of buckets as an agent opens it, in a child with nothing but an agent's environment and grants.
JOURNEY = """
import asyncio, json, os, sys
sys.path.insert(0, os.environ["CHECKOUT"])
from functions.idempotency.middleware import IdempotencyMiddleware
from skyfleet.objects import BucketError
async def run():
    bucket, said = IdempotencyMiddleware.for_url(os.environ["SKYFLEET_BUCKET"], None).bucket, {}
    create = lambda name, data: bucket.put_if_unchanged(name, data, None)
    said["missing"] = await bucket.get("replies/a/claim")
    said["create"] = [await create("replies/a/claim", d) for d in (b"one", b"two")]
    found = await bucket.get("replies/a/claim")
    said["read"] = found.data.decode()
    replace = lambda data: bucket.put_if_unchanged("replies/a/claim", data, found)
    said["replace"] = [await replace(data) for data in (b"three", b"four")]
    said["now"] = await create("replies/a/run-now", b"")
    said["in time"] = 0 <= (await bucket.get("replies/a/run-now")).modified - found.modified < 60
    said["at last"] = (await bucket.get("replies/a/claim")).data.decode()
    said["many"] = sorted(await asyncio.gather(*(create("replies/b/claim", b"x") for _ in range(8))))
    try: said["outside"] = await create("health/x.json", b"x")
    except BucketError as error: said["outside"] = "failed"
    print(json.dumps(said), flush=True)
asyncio.run(run())
# Threads of the store that still answer to an interpreter which is at its end make it abort now and then.
os._exit(0)
"""
URLS: dict[Cloud, str] = {"aws": "s3://bkt", "azure": "az://account/replies", "gcp": "gs://bkt"}
# On Azure roles end at containers: an agent's holds its replies and nothing else.
GRANTED: dict[Cloud, str] = {
    "aws": "bkt/replies/*",
    "azure": "account/replies/replies/*",
    "gcp": "bkt/replies/*",
}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Lab]:
    async with lab(tmp_path) as running:
        yield running


def child_environment(here: Lab, cloud: Cloud) -> dict[str, str]:
    spec, place, api = here.spec(cloud), Place(here.folder, target()), here.emulator.api[cloud]
    credentials = here.emulator.identities.credentials(cloud, spec.principal)
    match cloud:
        case "aws":
            return dict(environment.aws(spec, place, credentials, api, 1, "x"))
        case "azure":
            return dict(environment.azure(spec, place, credentials, api, "x"))
        case "gcp":
            return dict(environment.gcp(spec, place, credentials, api, 1))


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_an_agents_grants_are_enough_and_no_more(here: Lab, cloud: Cloud) -> None:
    """Reading and writing below `replies/`, without listing: creates and replaces are really conditional.
    Google wants the permission to delete for a replacement too.
    """
    name = URLS[cloud].partition("://")[2]
    bucket = Bucket(cloud, name, here.folder / "buckets" / cloud)
    bucket.folder.mkdir(parents=True)
    may = ("read", "write", "delete") if cloud == "gcp" else ("read", "write")
    grants = tuple(Grant(f"{cloud}-agent", f"object:{can}", GRANTED[cloud]) for can in may)
    await here.deploy(desired=DesiredState(buckets=(bucket,), grants=grants))
    own = child_environment(here, cloud) | {"SKYFLEET_BUCKET": URLS[cloud], "CHECKOUT": str(CHECKOUT)}
    own.pop("PYTHONPATH", None)

    def child() -> str:
        done = subprocess.run(
            [sys.executable, "-c", JOURNEY], env=own, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(await asyncio.to_thread(child)) == {
        "missing": None,
        "create": [True, False],
        "read": "one",
        "replace": [True, False],
        "now": True,
        "in time": True,
        "at last": "three",
        "many": [False] * 7 + [True],
        "outside": "failed",
    }
