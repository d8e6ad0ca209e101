"""The API's routes over fakes: what scripts rely on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.manager.errors import Conflict
from infra.manager.jobs.model import Change, State
from infra.manager.metrics import exposition
from tests.infra.manager.fakes import NOW, VERSION, Setup, picture, unavailable

CREATE = {"cloud": "aws", "region": "us-east-1", "weight": 1}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """The manager of a local stack."""
    return Setup(tmp_path)


async def test_a_create_is_accepted_as_a_job(setup: Setup) -> None:
    """202 with the id, and the job has what was asked."""
    body = {**CREATE, "minInstances": 1, "maxInstances": 20, "memoryMb": 512, "concurrency": 4}
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", json={**body, "version": VERSION})
        job = (await client.get(reply.headers["location"])).json()
    assert (reply.status_code, reply.json()) == (202, {"job": "j1"})
    assert (job["state"], job["by"], job["change"]["cloud"]) == ("queued", "local", "aws")
    assert setup.jobs.known["j1"].change == Change(
        "create",
        "aws",
        "us-east-1",
        {"weight": 1, "minInstances": 1, "maxInstances": 20, "memoryMb": 512, "concurrency": 4},
        version=VERSION,
    )


async def test_a_delete_has_a_body_and_may_be_forced(setup: Setup) -> None:
    """DELETE with cloud, region and force."""
    async with setup.client() as client:
        body = {"cloud": "aws", "region": "eu-west-1", "force": True}
        reply = await client.request("DELETE", "/api/delete-resource?preview=true", json=body)
    assert reply.status_code == 202
    assert setup.jobs.known["j1"].change == Change("delete", "aws", "eu-west-1", force=True, preview=True)


async def test_a_delete_of_what_is_not_there_names_what_is(setup: Setup) -> None:
    """404 with `known`."""
    async with setup.client() as client:
        reply = await client.request(
            "DELETE", "/api/delete-resource", json={"cloud": "azure", "region": "westeurope"}
        )
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["known"] == ["aws/eu-west-1", "gcp/europe-west1"]


async def test_the_second_of_two_operators_sees_the_first(setup: Setup) -> None:
    """409 with the present version."""
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", json={**CREATE, "version": "ffffffffffff"})
    assert (reply.status_code, reply.json()["version"]) == (409, VERSION)


async def test_a_lock_of_a_live_pulumi_is_named(setup: Setup) -> None:
    """409 with its pid and since when."""
    setup.jobs.broken = Conflict("Another Pulumi works on the stack.", pid=42, since="2026-11-27T10:00:00Z")
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", json=CREATE)
    assert reply.status_code == 409
    assert reply.json() | {"pid": 42, "since": "2026-11-27T10:00:00Z"} == reply.json()


async def test_the_status_is_the_picture(setup: Setup) -> None:
    """GET /api/status has routers, targets, checkers and minutes; 503 before the first picture."""
    async with setup.client() as client:
        reply = await client.get("/api/status")
        setup.fleet.broken = unavailable()
        without = await client.get("/api/status")
    assert [one["state"] for one in reply.json()["targets"]] == ["healthy", "down"]
    assert reply.json()["version"] == VERSION
    assert (without.status_code, without.json()["title"]) == (503, "Unavailable")


async def test_metrics_are_the_picture_for_prometheus(setup: Setup) -> None:
    """Prometheus' own parser reads them; what is not known is absent."""
    async with setup.client() as client:
        reply = await client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }
    assert found["skyfleet_target_state", ("gcp", "europe-west1", "down")] == 1
    assert found["skyfleet_target_latency_seconds", ("aws", "eu-west-1")] == 0.12
    assert found["skyfleet_router_up", ("aws", "eu-west-1")] == 0
    assert found["skyfleet_problems", ()] == 1
    assert not [name for name, _ in found if name.startswith("skyfleet_minute")]  # it is not complete

    complete = replace(picture(), at=NOW + 60)
    after = {one.name: one.samples for one in text_string_to_metric_families(exposition(complete).decode())}
    assert after["skyfleet_minute_requests"][0].value == 600
    assert after["skyfleet_minute_p99_seconds"][0].value == 0.48


async def test_history_is_newest_first_and_without_events(setup: Setup) -> None:
    """GET /api/jobs, bounded by `limit`."""
    async with setup.client() as client:
        for _ in range(3):
            await client.post("/api/create-resource", json=CREATE)
        setup.jobs.say("j3", "deploys")
        found = (await client.get("/api/jobs?limit=2")).json()["jobs"]
    assert [(job["id"], job["events"]) for job in found] == [("j3", []), ("j2", [])]


async def test_a_job_is_cancelled_once(setup: Setup) -> None:
    """202, then 409; 404 for an unknown one."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=CREATE)
        first = await client.post("/api/jobs/j1/cancel")
        second = await client.post("/api/jobs/j1/cancel")
        unknown = await client.post("/api/jobs/none/cancel")
    assert [first.status_code, second.status_code, unknown.status_code] == [202, 409, 404]
    assert first.json()["state"] == "cancelled"


async def test_strategy_and_drain_reach_the_fleet(setup: Setup) -> None:
    """Both answer with a sentence for each router."""
    async with setup.client() as client:
        strategy = await client.post("/api/strategy", json={"name": "latency"})
        drain = await client.post("/api/drain", json={"target": "aws/eu-west-1"})
        undo = await client.post("/api/drain", json={"target": "aws/eu-west-1", "undo": True, "force": True})
    assert strategy.json() == {"routers": ["aws/eu-west-1: latency"]}
    assert (drain.status_code, undo.status_code) == (200, 200)
    assert setup.fleet.orders == [
        ("strategy", "latency"),
        ("drain", "aws/eu-west-1", "False"),
        ("undo", "aws/eu-west-1", "True"),
    ]


async def test_a_jobs_progress_arrives_as_events(setup: Setup) -> None:
    """Past events with their ids, those to come, and `end` with the job."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=CREATE)
        setup.jobs.say("j1", "deploys", percent=20)
        setup.jobs.say("j1", "aws:lambda:Function created", "resource", 60)
        setup.jobs.finish("j1")
        whole = (await client.get("/api/jobs/j1/events")).text
        rest = (await client.get("/api/jobs/j1/events", headers={"last-event-id": "1"})).text
        over = await client.get("/api/jobs/j1/events", headers={"last-event-id": "3"})
    events = [block for block in whole.split("\n\n") if block.startswith("id:")]
    assert [block.splitlines()[:2] for block in events] == [
        ["id: 1", "event: step"],
        ["id: 2", "event: resource"],
        ["id: 3", "event: end"],
    ]
    assert json.loads(events[-1].partition("data: ")[2])["result"] == "serves"
    assert "id: 1\n" not in rest
    assert "id: 2\n" in rest
    assert over.status_code == 204


async def test_a_failed_job_ends_its_stream_with_its_state(setup: Setup) -> None:
    """`end` says that it failed, and why."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=CREATE)
        setup.jobs.finish("j1", State.FAILED, "aws refused the region")
        text = (await client.get("/api/jobs/j1/events")).text
    final = json.loads(text.rpartition("data: ")[2])
    assert (final["state"], final["result"]) == ("failed", "aws refused the region")


async def test_a_head_of_a_stream_ends(setup: Setup) -> None:
    """With the headers of the stream; it takes no listener's place."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=CREATE)
        reply = await client.head("/api/jobs/j1/events")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert "content-length" not in reply.headers
    assert setup.listeners.open == 0
