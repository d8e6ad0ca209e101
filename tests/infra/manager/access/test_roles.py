"""Tokens and roles: each route for a viewer, an operator, no token, an expired and a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from infra.manager.access.tokens import Role
from tests.infra.manager.fakes import NOW, Setup

CREATE = {"cloud": "aws", "region": "us-east-1"}
READS = ("/metrics", "/api/status", "/api/jobs", "/api/jobs/j1")
WRITES: dict[tuple[str, str], dict[str, str] | None] = {
    ("POST", "/api/create-resource"): CREATE,
    ("DELETE", "/api/delete-resource"): {"cloud": "aws", "region": "eu-west-1"},
    ("POST", "/api/strategy"): {"name": "latency"},
    ("POST", "/api/drain"): {"target": "aws/eu-west-1"},
    ("POST", "/api/jobs/j1/cancel"): None,
}
OPEN = ("/health", "/api/openapi.json", "/login")
ROUTES = [*(("GET", path) for path in READS), *WRITES, *(("GET", path) for path in OPEN)]


class Tokens:
    """A manager of a real stack with a token of each kind."""

    def __init__(self, folder: Path) -> None:
        self.setup = Setup(folder, is_local=False)
        store = self.setup.access.tokens
        self.secrets = {
            "viewer": store.create("eva", Role.VIEWER, NOW, None),
            "operator": store.create("ole", Role.OPERATOR, NOW, None),
            "expired": store.create("old", Role.OPERATOR, NOW - 86_400, 0.5),
            "wrong": "skyfleet_" + "x" * 43,
        }

    async def send(self, method: str, path: str, kind: str, body: object = None) -> httpx.Response:
        """A request with a token of a kind; `none` for no token."""
        headers = {"authorization": f"Bearer {self.secrets[kind]}"} if kind in self.secrets else {}
        async with self.setup.client(**headers) as client:
            return await client.request(method, path, json=body)


@pytest.fixture
async def tokens(tmp_path: Path) -> Tokens:
    """The manager, with the job j1 of the operator."""
    made = Tokens(tmp_path)
    assert (await made.send("POST", "/api/create-resource", "operator", CREATE)).status_code == 202
    return made


def expected_status(method: str, path: str, kind: str) -> int:
    """What a route answers to a kind of token."""
    if path in OPEN:
        return 200
    if kind in ("expired", "wrong", "none"):
        return 401
    if (method, path) not in WRITES:
        return 200
    if kind == "viewer":
        return 403
    return 200 if path in ("/api/strategy", "/api/drain") else 202


@pytest.mark.parametrize("kind", ["viewer", "operator", "expired", "wrong", "none"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_route_serves_the_roles_that_it_is_for(
    method: str, path: str, kind: str, tokens: Tokens
) -> None:
    """A viewer reads, an operator writes too; without a valid token only the open paths answer."""
    reply = await tokens.send(method, path, kind, WRITES.get((method, path)))
    assert reply.status_code == expected_status(method, path, kind)
    if reply.status_code == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")
    if reply.status_code in (401, 403):
        assert reply.headers["content-type"] == "application/problem+json"
        assert len(tokens.setup.jobs.known) == 1
        assert not tokens.setup.fleet.orders


async def test_an_unknown_path_tells_nothing_without_a_token(tokens: Tokens) -> None:
    """401, as a known one; 404 with a token."""
    assert (await tokens.send("GET", "/api/nothing", "none")).status_code == 401
    assert (await tokens.send("GET", "/api/nothing", "viewer")).status_code == 404


@pytest.mark.parametrize(
    "field", ["Basic eDp5", "Bearer", "Bearer ", "bearer\tx", "Token x", "", "Bearer \xe9"]
)
async def test_a_malformed_authorization_is_401(field: str, tokens: Tokens) -> None:
    """Never an error of the server."""
    async with tokens.setup.client() as client:
        reply = await client.get("/api/status", headers=[(b"authorization", field.encode("latin-1"))])
    assert reply.status_code == 401


async def test_two_authorizations_are_refused(tokens: Tokens) -> None:
    """A valid one does not make up for the other."""
    valid = f"Bearer {tokens.secrets['operator']}".encode()
    async with tokens.setup.client() as client:
        fields = [(b"authorization", valid), (b"authorization", b"Bearer x")]
        reply = await client.get("/api/status", headers=fields)
    assert reply.status_code == 401


async def test_a_revoked_token_is_refused_at_its_next_request(tokens: Tokens) -> None:
    """Also when another process revoked it: the file is what counts."""
    assert (await tokens.send("GET", "/api/status", "operator")).status_code == 200
    other = Setup(tokens.setup.folder, is_local=False)
    assert other.access.tokens.revoke("ole")
    assert (await tokens.send("GET", "/api/status", "operator")).status_code == 401


async def test_a_token_expires_while_the_manager_runs(tmp_path: Path) -> None:
    """At its second."""
    setup = Setup(tmp_path, is_local=False)
    secret = setup.access.tokens.create("eva", Role.VIEWER, NOW, 1)
    async with setup.client(authorization=f"Bearer {secret}") as client:
        setup.clock.now = NOW + 86_399
        assert (await client.get("/api/status")).status_code == 200
        setup.clock.now = NOW + 86_400
        reply = await client.get("/api/status")
    assert reply.status_code == 401
    assert "'eva' has expired" in reply.json()["detail"]


async def test_damaged_tokens_let_nothing_in(tokens: Tokens) -> None:
    """503 for every request that needs one, not an open door."""
    (tokens.setup.folder / "tokens.json").write_text('{"tokens": [{"name": "x"}]}')
    assert (await tokens.send("GET", "/api/status", "operator")).status_code == 503
    assert (await tokens.send("GET", "/health", "none")).status_code == 200


async def test_the_local_stack_needs_no_token_but_counts_one(tmp_path: Path) -> None:
    """Without a token the operator is `local`; a viewer's token is a viewer's, a wrong one is refused."""
    setup = Setup(tmp_path)
    viewer = {"authorization": f"Bearer {setup.access.tokens.create('eva', Role.VIEWER, NOW, None)}"}
    async with setup.client() as client:
        plain = await client.post("/api/create-resource", json=CREATE)
        as_viewer = await client.post("/api/create-resource", json=CREATE, headers=viewer)
        wrong = await client.get("/api/status", headers={"authorization": "Bearer x"})
    assert (plain.status_code, setup.jobs.known["j1"].by) == (202, "local")
    assert (as_viewer.status_code, wrong.status_code) == (403, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "fleet.example"},
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"via": "1.1 proxy"},
        {"x-forwarded-proto": "https"},
        {"x-real-ip": "203.0.113.9"},
    ],
)
async def test_what_comes_through_a_proxy_needs_a_token_for_the_local_stack_too(
    headers: dict[str, str], tmp_path: Path
) -> None:
    """The machine of the sender is another one."""
    setup = Setup(tmp_path, hosts=("fleet.example",))
    token = {"authorization": f"Bearer {setup.access.tokens.create('eva', Role.VIEWER, NOW, None)}"}
    async with setup.client(**headers) as client:
        without = await client.get("/api/status")
        with_token = await client.get("/api/status", headers=token)
    assert (without.status_code, with_token.status_code) == (401, 200)


async def test_each_change_and_each_refusal_is_logged_without_secrets(tokens: Tokens) -> None:
    """Name, action, target, status, job: and no token, body or header."""
    await tokens.send("POST", "/api/drain", "viewer", {"target": "aws/eu-west-1"})
    await tokens.send("POST", "/api/drain", "operator", {"target": "azure/westeurope"})
    await tokens.send("GET", "/api/status", "wrong")
    await tokens.send("GET", "/api/status", "operator")
    lines = [json.loads(line) for line in tokens.setup.audited().splitlines()]
    told = [(one["by"], one.get("action", ""), one.get("target", ""), one["status"]) for one in lines]
    assert told == [
        ("ole", "create", "aws/us-east-1", 202),
        ("eva", "", "", 403),
        ("ole", "drain", "azure/westeurope", 404),
        ("", "", "", 401),
    ]
    assert lines[0]["job"] == "j1"
    assert lines[0]["at"].startswith("2026-")
    for secret in tokens.secrets.values():
        assert secret not in tokens.setup.audited()
    assert (tokens.setup.folder / "audit.jsonl").stat().st_mode & 0o77 == 0


async def test_a_flood_is_limited_and_says_when_to_come_back(tmp_path: Path) -> None:
    """429 with Retry-After; writes are stricter than reads, and each operator has a limit of his own."""
    setup = Setup(tmp_path, is_local=False, limits=True)
    secrets = [setup.access.tokens.create(name, Role.OPERATOR, NOW, None) for name in ("ole", "eva")]
    async with setup.client() as client:

        async def write(secret: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {secret}"}
            return await client.post("/api/strategy", json={"name": "cost"}, headers=headers)

        replies = [await write(secrets[0]) for _ in range(31)]
        read = await client.get("/api/status", headers={"authorization": f"Bearer {secrets[0]}"})
        other = await write(secrets[1])
        setup.clock.now += int(replies[-1].headers["retry-after"])
        again = await write(secrets[0])
    assert [one.status_code for one in replies] == [200] * 30 + [429]
    assert (read.status_code, other.status_code, again.status_code) == (200, 200, 200)


async def test_refused_tokens_are_limited_and_valid_ones_pass(tmp_path: Path) -> None:
    """401 becomes 429, and the log does not grow with the flood."""
    setup = Setup(tmp_path, is_local=False, limits=True)
    valid = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client() as client:
        statuses = [
            (await client.get("/api/status", headers={"authorization": f"Bearer {number}"})).status_code
            for number in range(40)
        ]
        passed = await client.get("/api/status", headers={"authorization": f"Bearer {valid}"})
    assert statuses == [401] * 10 + [429] * 30
    assert passed.status_code == 200
    assert len(setup.audited().splitlines()) == 10
