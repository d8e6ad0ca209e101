"""The manager on a deployed fleet: a region is added and removed under load; failures and kills in between.

The tests are steps of one story: each leaves the fleet as the next one expects it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import requests

from infra.manager.desired.stack_file import StackFile
from tests.end_to_end.fleet import Call, Fleet, Json, failures, steady, wait_for_descendant

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-2"), pytest.mark.timeout(600)]

NEW = {"cloud": "aws", "region": "us-east-1"}
KEY = "aws/us-east-1"
RATE = 20.0
ENOUGH_S = 150.0


@dataclass
class Manager:
    """The manager of a fleet, asked over HTTP."""

    fleet: Fleet
    process: subprocess.Popen[str] | None = None

    @property
    def info(self) -> Json:
        """What its process has written."""
        return cast("Json", json.loads((self.fleet.root / ".skyfleet" / "manager.json").read_text()))

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        path = self.fleet.root / ".skyfleet" / "manager.json"
        if not (path.exists() and Path(f"/proc/{self.info['pid']}").exists()):
            path.unlink(missing_ok=True)
            self.process = self.fleet.start("manager")
        until(path.exists)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(int(self.info["pid"]), signal.SIGKILL)
        if self.process is not None:
            self.process.communicate(timeout=30)
        until(lambda: not Path(f"/proc/{self.info['pid']}/exe").exists())

    def stop(self) -> None:
        """SIGTERM, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate(timeout=30)

    def ask(self, method: str, path: str, body: Json | None = None) -> requests.Response:
        """One request to the API."""
        return requests.request(method, f"{self.info['url']}{path}", json=body, timeout=30)

    def begin(self, method: str, path: str, body: Json) -> str:
        """Ask for a change; the id of its job."""
        reply = self.ask(method, path, body)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["job"])

    def job(self, job: str) -> Json:
        """One job."""
        reply = self.ask("GET", f"/api/jobs/{job}")
        assert reply.status_code == 200, reply.text
        return cast("Json", reply.json())

    def texts(self, job: str) -> list[str]:
        """What a job has said so far."""
        return [str(event["text"]) for event in self.job(job)["events"]]

    def says(self, job: str, text: str) -> Callable[[], bool]:
        """Whether a job has said something."""
        return lambda: any(text in said for said in self.texts(job)) or self.job(job)["ended"] is not None

    def ended(self, job: str) -> Json:
        """The job when it has ended."""
        until(lambda: self.job(job)["ended"] is not None)
        return self.job(job)

    @property
    def version(self) -> str:
        """The version of the desired state, when the picture has that of the file."""
        file = StackFile(self.fleet.root / "Pulumi.local.yaml")
        until(lambda: self.ask("GET", "/api/status").json().get("version") == file.version())
        return file.version()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + ENOUGH_S
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def manager(fleet: Fleet) -> Iterator[Manager]:
    """The manager of a healthy fleet; the config is as before afterwards, which means the same then."""
    config = fleet.root / "Pulumi.local.yaml"
    before, deployed = config.read_text(), targets(fleet)
    found = Manager(fleet)
    found.start()
    yield found
    found.stop()
    config.write_text(before)
    if targets(fleet) != deployed:
        fleet.run("up")


def targets(fleet: Fleet) -> set[str]:
    """The targets in the outputs of the stack."""
    return {f"{agent['cloud']}/{agent['region']}" for agent in fleet.facts("outputs")["agents"]}


def test_a_create_that_fails_half_way_is_rolled_back_and_named(manager: Manager) -> None:
    """The cloud's management API fails after the first resources."""
    fleet, before = manager.fleet, targets(manager.fleet)
    text = (fleet.root / "Pulumi.local.yaml").read_text()
    job = manager.begin("POST", "/api/create-resource", {**NEW, "weight": 1})
    until(manager.says(job, "created aws:s3:Bucket aws-us-east-1"))
    assert fleet.admin("PUT", "/v1/outages", {"cloud": "aws", "status": 503, "seconds": 60}).ok
    until(manager.says(job, "rolling back"))
    assert fleet.admin("PUT", "/v1/outages", {"cloud": "aws", "status": 503, "seconds": 0}).ok
    ended = manager.ended(job)
    assert ended["state"] == "failed"
    assert "aws:" in ended["result"]
    assert "answered 503" in ended["result"]
    assert ended["result"].endswith("The former config is back and deployed again")
    assert targets(fleet) == before
    assert (fleet.root / "Pulumi.local.yaml").read_text() == text
    state = fleet.shell("pulumi stack export 2>/dev/null")
    assert "aws-us-east-1" not in state


def test_a_region_is_added_although_manager_and_pulumi_are_killed(manager: Manager) -> None:
    """One after the other; a second operator is refused meanwhile; a router sends to the new region."""
    fleet, version = manager.fleet, manager.version
    job = manager.begin("POST", "/api/create-resource", {**NEW, "weight": 2, "version": version})
    refused = manager.ask("POST", "/api/create-resource", {**NEW, "weight": 5, "version": version})
    assert refused.status_code == 409
    assert refused.json()["job"] == job
    until(manager.says(job, "created aws:iam:Role aws-us-east-1-agent"))
    manager.kill()
    child = json.loads((fleet.root / f".skyfleet/manager/jobs/{job}/child.json").read_text())
    pulumi = wait_for_descendant(int(child["pid"]), "pulumi", "up", seconds=30)
    os.kill(pulumi, signal.SIGKILL)
    manager.start()
    ended = manager.ended(job)
    assert ended["state"] == "done", ended["result"]
    assert any("signal 9; the deployment is repeated" in text for text in manager.texts(job))
    numbers = [event["number"] for event in ended["events"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert KEY in targets(fleet)
    until(lambda: KEY in served_by(fleet, 8))


def served_by(fleet: Fleet, calls: int) -> set[str]:
    """The targets that serve calls; each succeeds."""
    replies = [
        requests.post(f"{fleet.url}/invoke", json={"input": "what is 1 + 1?"}, timeout=30)
        for _ in range(calls)
    ]
    assert [reply.status_code for reply in replies] == [200] * calls
    return {reply.headers["x-skyfleet-target"] for reply in replies}


def test_a_region_is_removed_under_load_and_no_request_is_lost(manager: Manager) -> None:
    """It is drained, then destroyed, and gone from the stack."""
    fleet, url = manager.fleet, manager.fleet.url

    async def under_load() -> tuple[list[Call], Json]:
        calls = await steady(url, rate=RATE, seconds=1)
        job = await asyncio.to_thread(manager.begin, "DELETE", "/api/delete-resource", dict(NEW))
        ending = asyncio.create_task(asyncio.to_thread(manager.ended, job))
        while not ending.done():
            calls += await steady(url, rate=RATE, seconds=3)
        return calls, await ending

    calls, ended = asyncio.run(under_load())
    assert ended["state"] == "done", ended["result"]
    assert failures(calls) == []
    assert len(calls) >= RATE * 4
    assert any("draining aws/us-east-1" in event["text"] for event in ended["events"])
    assert KEY not in targets(fleet)
    assert KEY not in served_by(fleet, 8)
    drains = json.loads(fleet.run("drain", "--json"))
    assert [router["draining"] for router in drains] == [[], [], []]
