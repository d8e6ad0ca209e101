"""Bad requests: each gets its status and a problem document that says what was found and what to do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.manager import bodies
from infra.manager.errors import BadRequest
from tests.infra.manager.fakes import Setup

JSON = {"content-type": "application/json"}
GOOD = {"cloud": "aws", "region": "us-east-1"}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """The manager of a local stack."""
    return Setup(tmp_path)


def problem(reply: httpx.Response) -> dict[str, Any]:
    """The problem document of a reply, which has all that RFC 9457 asks for."""
    assert reply.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = reply.json()
    assert found["type"] == "about:blank"
    assert found["status"] == reply.status_code
    assert found["title"]
    assert found["detail"]
    return found


FIELDS = {
    "unknown cloud": (
        {**GOOD, "cloud": "aws2"},
        "/cloud",
        "expected one of aws, azure, gcp. Did you mean aws?",
    ),
    "no cloud": ({"region": "us-east-1"}, "/cloud", "missing"),
    "cloud of another type": ({**GOOD, "cloud": 7}, "/cloud", "got 7; expected one of"),
    "region with capitals": ({**GOOD, "region": "US-EAST-1"}, "/region", "expected a form such as us-east-1"),
    "region that is a path": ({**GOOD, "region": "../../etc"}, "/region", "got"),
    "empty region": ({**GOOD, "region": ""}, "/region", "got"),
    "region of another type": ({**GOOD, "region": ["us-east-1"]}, "/region", "expected a string"),
    "negative weight": ({**GOOD, "weight": -1}, "/weight", "got -1; expected at least 0"),
    "weight as text": ({**GOOD, "weight": "1"}, "/weight", 'got "1"; expected a number'),
    "weight as flag": ({**GOOD, "weight": True}, "/weight", "got true"),
    "half an instance": ({**GOOD, "minInstances": 0.5}, "/minInstances", "got 0.5; expected a whole number"),
    "no instance at most": ({**GOOD, "maxInstances": 0}, "/maxInstances", "expected at least 1."),
    "too many instances": ({**GOOD, "maxInstances": 5000}, "/maxInstances", "expected at most 1000."),
    "little memory": ({**GOOD, "memoryMb": 1}, "/memoryMb", "got 1"),
    "mistyped field": ({**GOOD, "wieght": 2}, "/wieght", "Did you mean weight?"),
    "field in another spelling": ({**GOOD, "min_instances": 1}, "/min_instances", "minInstances"),
    "field that another request has": ({**GOOD, "force": True}, "/force", "unknown field"),
    "field with a slash": ({**GOOD, "a/b~": 1}, "/a~1b~0", "unknown field"),
    "version of another form": (
        {**GOOD, "version": "latest"},
        "/version",
        "expected a form such as 3f0c9a7be215",
    ),
}


@pytest.mark.parametrize("case", FIELDS)
async def test_a_wrong_field_is_named(case: str, setup: Setup) -> None:
    """400 with a pointer to the field, what was found, and the known fields."""
    body, pointer, said = FIELDS[case]
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", content=json.dumps(body), headers=JSON)
    found = problem(reply)
    assert reply.status_code == 400
    assert [one["pointer"] for one in found["errors"]] == [pointer]
    assert said in found["errors"][0]["detail"]
    assert "region" in found["known"]
    assert not setup.jobs.known


async def test_every_mistake_is_named_at_once(setup: Setup) -> None:
    """Not only the first."""
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", json={"cloud": "x", "weight": "y", "z": 1})
    assert {one["pointer"] for one in problem(reply)["errors"]} == {"/cloud", "/region", "/weight", "/z"}


TEXTS = {
    "nothing": (b"", "not JSON"),
    "half": (b'{"cloud": "aws"', "not JSON"),
    "text": (b"cloud=aws", "not JSON"),
    "not UTF-8": (b'{"cloud": "\xff"}', "not UTF-8 (byte 11)"),
    "a list": (b"[]", "an array"),
    "a number": (b"1", "a number"),
    "null": (b"null", "null"),
    "NaN": (b'{"cloud": "aws", "region": "us-east-1", "weight": NaN}', "NaN"),
    "infinity": (b'{"cloud": "aws", "region": "us-east-1", "weight": 1e999}', "weight"),
    "a key twice": (b'{"cloud": "aws", "cloud": "gcp", "region": "us-east-1"}', "'cloud' stands in it twice"),
    "nested deeply": (b"[" * 8000, "nested too deeply"),
    "a long number": (b'{"weight": ' + b"9" * 5000 + b"}", "not JSON"),
    "half a character": (b'{"cloud": "aws", "region": "\\ud800"}', "surrogate"),
    "a name of half a character": (b'{"\\ud800": 1}', "surrogate"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
}


@pytest.mark.parametrize("case", TEXTS)
async def test_a_malformed_body_is_refused(case: str, setup: Setup) -> None:
    """400 with the place or the reason."""
    content, said = TEXTS[case]
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", content=content, headers=JSON)
    assert reply.status_code == 400
    assert said in problem(reply)["detail"]


async def test_an_oversized_body_is_refused(setup: Setup) -> None:
    """413, by its Content-Length or once too much has come; the limit itself is read."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1024

    whole = json.dumps(GOOD).encode()
    async with setup.client() as client:
        declared = await client.post("/api/create-resource", content=b" " * 20_000, headers=JSON)
        streamed = await client.post("/api/create-resource", content=chunks(), headers=JSON)
        padded = whole + b" " * (bodies.MOST_BYTES - len(whole))
        longest = await client.post("/api/create-resource", content=padded, headers=JSON)
    assert [problem(one)["limit"] for one in (declared, streamed)] == [bodies.MOST_BYTES] * 2
    assert [one.status_code for one in (declared, streamed, longest)] == [413, 413, 202]


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_another_media_type_is_refused(media_type: str, setup: Setup) -> None:
    """415: a form of another page can send only these (CORS-safelisted types of the Fetch standard)."""
    async with setup.client() as client:
        reply = await client.post(
            "/api/create-resource", content=json.dumps(GOOD), headers={"content-type": media_type}
        )
        known = await client.post(
            "/api/create-resource",
            content=json.dumps(GOOD),
            headers={"content-type": "Application/JSON; charset=utf-8"},
        )
    assert (reply.status_code, problem(reply)["accept"]) == (415, "application/json")
    assert known.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/create-resource", {"POST"}),
        ("POST", "/api/delete-resource", {"DELETE"}),
        ("DELETE", "/api/create-resource", {"POST"}),
        ("POST", "/api/status", {"GET", "HEAD"}),
        ("PUT", "/api/jobs", {"GET", "HEAD"}),
        ("DELETE", "/api/jobs/j1", {"GET", "HEAD"}),
        ("OPTIONS", "/api/drain", {"POST"}),
        ("PATCH", "/api/strategy", {"POST"}),
    ],
)
async def test_another_method_is_refused_with_those_that_are_taken(
    method: str, path: str, allowed: set[str], setup: Setup
) -> None:
    """405 with Allow (RFC 9110, section 15.5.6)."""
    async with setup.client() as client:
        reply = await client.request(method, path)
    assert reply.status_code == 405
    assert {one.strip() for one in reply.headers["allow"].split(",")} == allowed
    problem(reply)


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/status/", "/api/job", "/nothing", "//api/status", "/api/jobs/a/b"]
)
async def test_an_unknown_path_is_404(path: str, setup: Setup) -> None:
    """A path has one spelling, and the answer says where the list of paths is."""
    async with setup.client() as client:
        reply = await client.get(f"http://127.0.0.1:8700{path}")
    assert reply.status_code == 404
    assert "/api/openapi.json" in problem(reply)["detail"]


QUERIES = {
    "/api/create-resource?preveiw=true": "Did you mean preview?",
    "/api/create-resource?preview=yes": "expected true or false",
    "/api/create-resource?preview=": "expected true or false",
    "/api/create-resource?preview=true&preview=false": "once",
    "/api/jobs?limit=0": "from 1 to 200",
    "/api/jobs?limit=201": "from 1 to 200",
    "/api/jobs?limit=-1": "from 1 to 200",
    "/api/jobs?limit=%C2%B2": "from 1 to 200",
    "/api/jobs?limit=1&limit=2": "once",
    "/api/jobs?limits=3": "Did you mean limit?",
}


@pytest.mark.parametrize("path", QUERIES)
async def test_a_wrong_parameter_is_named(path: str, setup: Setup) -> None:
    """400, and no job begins: `?preveiw=true` must not deploy."""
    async with setup.client() as client:
        method = "POST" if "create" in path else "GET"
        reply = await client.request(method, path, json=GOOD if method == "POST" else None)
    assert reply.status_code == 400
    assert QUERIES[path] in problem(reply)["detail"]
    assert not setup.jobs.known


CHANGES = {
    "/api/strategy?preview=true": {"name": "latency"},
    "/api/drain?preview=true": {"target": "aws/eu-west-1"},
    "/api/drain?force=true": {"target": "aws/eu-west-1"},
    "/api/jobs/j1/cancel?preview=true": None,
}


@pytest.mark.parametrize("path", CHANGES)
async def test_a_change_with_an_unknown_parameter_is_not_made(path: str, setup: Setup) -> None:
    """400: a client that asks for a preview where there is none must not change the fleet."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=GOOD)
        reply = await client.post(path, json=CHANGES[path])
    assert reply.status_code == 400
    assert problem(reply)["known"] == []
    assert not setup.fleet.orders
    assert not setup.jobs.known["j1"].is_final


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "99999999999", "²"])
async def test_a_wrong_last_event_id_is_named(number: str, setup: Setup) -> None:
    """400, not the whole stream again."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=GOOD)
        reply = await client.get("/api/jobs/j1/events", headers=[(b"last-event-id", number.encode())])
    assert reply.status_code == 400
    assert "Last-Event-ID" in problem(reply)["detail"]


async def test_unknown_jobs_and_targets_are_404_with_what_there_is(setup: Setup) -> None:
    """Each with `known`."""
    async with setup.client() as client:
        await client.post("/api/create-resource", json=GOOD)
        job = await client.get("/api/jobs/none")
        events = await client.get("/api/jobs/none/events")
        drain = await client.post("/api/drain", json={"target": "azure/westeurope"})
    assert [problem(one)["known"] for one in (job, events)] == [["j1"], ["j1"]]
    assert problem(drain)["known"] == ["aws/eu-west-1", "gcp/europe-west1"]
    assert {one.status_code for one in (job, events, drain)} == {404}


async def test_weights_that_sum_to_nothing_are_refused(setup: Setup) -> None:
    """What the stack config does not permit comes back as 400."""
    async with setup.client() as client:
        reply = await client.post(
            "/api/create-resource", json={"cloud": "aws", "region": "eu-west-1", "weight": 0}
        )
    assert (reply.status_code, problem(reply)["detail"]) == (400, "Weight 0 for every target.")


@pytest.mark.parametrize(
    ("name", "said"), [("latencey", "Did you mean latency?"), ("", "Known: weighted"), ("x" * 90, "Known")]
)
async def test_an_unknown_strategy_is_named(name: str, said: str, setup: Setup) -> None:
    """400 with the nearest and all known ones."""
    async with setup.client() as client:
        reply = await client.post("/api/strategy", json={"name": name})
    assert reply.status_code == 400
    assert said in problem(reply)["detail"]
    assert not setup.fleet.orders


async def test_a_bug_is_500_without_its_text(setup: Setup) -> None:
    """The client learns nothing of the inside; the server's log has the traceback."""
    setup.jobs.broken = RuntimeError("the secret is hunter2")
    async with setup.client() as client:
        reply = await client.post("/api/create-resource", json=GOOD)
    assert reply.status_code == 500
    assert "hunter2" not in reply.text
    problem(reply)


async def test_a_head_has_no_body(setup: Setup) -> None:
    """HEAD answers as GET does, without content."""
    async with setup.client() as client:
        reply = await client.head("/api/status")
    assert reply.status_code == 200


def test_a_body_is_read_as_it_is_written() -> None:
    """No conversion: an integer weight stays equal, a flag is a flag."""
    body = bodies.parse(b'{"cloud": "gcp", "region": "europe-west1", "weight": 2}', bodies.CreateResource)
    assert body.change(preview=False).options == {"weight": 2}
    with pytest.raises(BadRequest, match="force"):
        bodies.parse(b'{"cloud": "gcp", "region": "europe-west1", "force": 1}', bodies.DeleteResource)
