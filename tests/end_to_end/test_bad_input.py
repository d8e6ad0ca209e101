"""Mistakes and hard times on a running fleet: each gets a clear answer and nothing that ran is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.end_to_end.fleet import Fleet, wait_for_descendant

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-2"), pytest.mark.timeout(600)]


@contextmanager
def changed(path: Path, text: str) -> Generator[None]:
    """The file holds `text` inside the block and its old text after it."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def answers(fleet: Fleet) -> bool:
    reply = requests.post(f"{fleet.url}/invoke", json={"input": "reverse abc"}, timeout=30)
    return reply.status_code == 200 and "cba" in reply.text


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    [
        ("async def agent(request:\n", "was never closed", 1),
        (
            "import json\nimport nosuchmodule\n\nasync def agent(request):\n    return 'x'\n",
            "nosuchmodule",
            2,
        ),
        ("async def agnet(request):\n    return 'x'\n", "agent", None),
    ],
    ids=["does-not-parse", "does-not-import", "has-no-entry"],
)
def test_a_broken_agent_stops_the_deploy_and_the_old_one_answers_on(
    fleet: Fleet, source: str, reason: str, line: int | None
) -> None:
    """The deploy fails, names file, line and reason, and what ran before keeps running."""
    with changed(fleet.root / "functions" / "agent.py", source):
        printed = fleet.run("up", code=1)
    assert "agent.py" in printed
    assert reason in printed
    assert line is None or f"agent.py:{line}" in printed or f"line {line}" in printed
    assert answers(fleet)


def test_all_mistakes_of_the_stack_config_are_told_at_once(fleet: Fleet) -> None:
    """An unknown cloud, an unknown region, a weight below 0 and an unknown strategy come in one message."""
    config = fleet.root / "Pulumi.local.yaml"
    text = config.read_text()
    wrong = (
        text.replace("azure:", "azur:", 1)
        .replace("europe-west1", "europe-west99", 1)
        .replace("weight: 3", "weight: -3")
        .replace("strategy: weighted", "strategy: heaviest")
    )
    with changed(config, wrong):
        printed = fleet.run("up", code=1)
    for word in ("azur", "europe-west99", "-3", "heaviest"):
        assert word in printed, printed
    assert answers(fleet)


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/invoke", b'{"input": ', 400, "JSON"),
        ("/invoke", b"\xff\xfe", 400, "JSON"),
        ("/invoke", b'{"inputs": "x"}', 400, "input"),
        ("/nosuch", b"{}", 404, "/invoke"),
        ("/invoke", b'{"input": "' + b"x" * (6 * 1024 * 1024) + b'"}', 413, "6291456"),
    ],
    ids=["cut-json", "not-text", "wrong-key", "unknown-path", "too-large"],
)
def test_a_callers_mistake_gets_an_answer_that_names_it(
    fleet: Fleet, path: str, body: bytes, status: int, word: str
) -> None:
    """A 4xx in JSON that says what was found and what to do."""
    headers = {"content-type": "application/json"}
    reply = requests.post(fleet.url + path, data=body, headers=headers, timeout=30)
    assert reply.status_code == status, reply.text
    assert word in reply.json()["error"]["message"]


def test_an_unsigned_call_to_an_agent_is_refused_without_detail(fleet: Fleet) -> None:
    """Only the router's signature gets in; `/health` alone is open."""
    for agent in fleet.facts("outputs")["agents"]:
        url = str(agent["url"]).rstrip("/")
        reply = requests.post(f"{url}/invoke", json={"input": "reverse abc"}, timeout=30)
        assert reply.status_code == 401
        assert reply.json()["error"]["code"] == "unauthorized"
        assert requests.get(f"{url}/health", timeout=30).status_code == 200


def test_every_cloud_reports_the_same_build(fleet: Fleet) -> None:
    """Identical is checked: the build id of sources and locks is one for the three clouds."""
    agents = fleet.facts("outputs")["agents"]
    builds = {requests.get(f"{str(a['url']).rstrip('/')}/health", timeout=30).json()["build"] for a in agents}
    assert len(builds) == 1


def test_a_misspelt_agent_stops_the_deploy_before_anything_changes(fleet: Fleet) -> None:
    """The message names the module that is missing."""
    config = fleet.root / "Pulumi.local.yaml"
    with changed(config, config.read_text().replace("functions.agent:agent", "functions.mnie:agent")):
        assert "no module 'functions.mnie'" in fleet.run("up", code=1)
        assert answers(fleet)


def test_a_typo_in_chaos_names_what_was_meant(fleet: Fleet) -> None:
    """An unknown cloud or fault is a usage error with a suggestion."""
    assert "azure" in fleet.run("chaos", "azur", "kill", code=2)
    assert "blackhole" in fleet.run("chaos", "azure", "blakchole", code=2)


def test_an_old_build_fails_the_deploy_and_a_later_one_passes(fleet: Fleet) -> None:
    """`up` compares the build that each cloud reports with the one it deployed, and ends with what runs where
    and how to get back."""
    fleet.run("chaos", "azure", "stale")
    agent = fleet.root / "functions" / "agent.py"
    agent.write_text(agent.read_text() + "\n# a new build\n")
    printed = fleet.run("up", code=1)
    state, way = printed.rstrip().splitlines()[-2:]
    assert "The agents now: " in state
    assert "; azure/westeurope runs build " in state
    assert "To go back to build " in way
    assert "agents differ: azure/westeurope runs build" in fleet.run("status")
    fleet.heal()
    fleet.run("up")  # a cloud that was only slow passes at the next one, without another change
    assert answers(fleet)


@contextmanager
def taken(port: int) -> Generator[None]:
    """Another process listens on the port inside the block."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(300):  # the killed daemon's children let go of it a moment later
            try:
                squatter.bind(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.1)
        squatter.listen()
        yield


def test_any_subset_of_the_clouds_deploys_also_after_a_killed_up_and_a_taken_port(fleet: Fleet) -> None:
    """kill -9 of `pulumi` leaves a lock and half a deploy. The next `up` clears both and goes on: it takes
    down a cloud that the config names no longer. The emulator keeps its ports. `up` names one that another
    process holds, and works once it is free: it brings the cloud back."""
    agent, config = fleet.root / "functions" / "agent.py", fleet.root / "Pulumi.local.yaml"
    agent.write_text(agent.read_text() + "\n# another build\n")
    without = "\n".join(line for line in config.read_text().splitlines() if "westeurope" not in line)
    with changed(config, without.replace("[gcp, aws, azure]", "[gcp, aws]") + "\n"):
        process = fleet.start("up")
        try:
            pulumi = wait_for_descendant(process.pid, "pulumi", "up", seconds=200)
            time.sleep(1.5)  # not for luck: any moment of the deploy will do, and this one is inside it
            os.kill(pulumi, signal.SIGKILL)
        finally:
            process.communicate(timeout=120)
        assert process.returncode != 0
        fleet.run("up")
        assert {agent["cloud"] for agent in fleet.facts("outputs")["agents"]} == {"aws", "gcp"}
        assert answers(fleet)
    port = int(fleet.url.rsplit(":", 1)[1])
    fleet.shell(f"kill -9 {fleet.emulator['pid']}")
    with taken(port):
        assert str(port) in fleet.run("up", code=1)
    fleet.run("up")
    assert {agent["cloud"] for agent in fleet.facts("outputs")["agents"]} == {"aws", "azure", "gcp"}
    assert answers(fleet)
