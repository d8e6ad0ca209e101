"""Claims about the router's own paths, its keys, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.app import App, create
from router.core.errors import SettingsError
from skyfleet.asgi import Message
from tests.asgi import call
from tests.router.snapshots import PATH, send, snapshot
from tests.router.support import (
    API_KEY,
    CALM,
    QUICK,
    Mortal,
    Peer,
    Received,
    ok,
    router,
    settings,
    upstream,
)


async def test_health_is_open_and_names_this_router() -> None:
    """No key is needed, no target is asked."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        reply = await front.client.get("/health")
        assert reply.json() == {
            "status": "ok",
            "cloud": "gcp",
            "region": "r2",
            "build": "b1",
            "fleet": "",
            "role": "router",
        }
        assert up.received == []
        wrong = await front.client.delete("/health")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method-not-allowed")
        assert wrong.headers["allow"] == "GET, HEAD"


async def test_without_the_key_nothing_is_served_or_told() -> None:
    """401 as JSON for calls and status; the key works in both fields and is not passed on."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        for path in ("/invoke", "/api/status"):
            for headers in (
                {},
                {"x-api-key": "no"},
                {"authorization": "Bearer no"},
                {"authorization": ""},
            ):
                reply = await front.client.get(path, headers=headers)
                assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized")
                assert reply.headers["www-authenticate"].startswith("Bearer ")
        assert up.received == []
        bearer = {"authorization": f"Bearer {API_KEY}"}
        assert (await front.client.get("/invoke", headers=bearer)).status_code == 200
        assert "authorization" not in up.received[-1].headers
        both = {"x-api-key": API_KEY, "authorization": "Bearer for-the-agent"}
        assert (await front.client.get("/invoke", headers=both)).status_code == 200
        assert "x-api-key" not in up.received[-1].headers
        assert up.received[-1].headers["authorization"] == "Bearer for-the-agent"


def test_open_counts_only_when_every_target_is_loopback() -> None:
    """One target elsewhere, and the key is needed again; without a key the router does not start."""
    everywhere = ["http://127.0.0.1:9", "https://agent.example.net"]
    assert settings(everywhere[:1]).api_key_sha256 is None
    assert settings(["http://x.lambda-url.eu-west-1.on.aws.localhost:9"]).api_key_sha256 is None
    assert settings(["https://localhost.example.net"]).api_key_sha256 is not None
    assert settings(everywhere).api_key_sha256 is not None
    with pytest.raises(SettingsError, match="counts only when every target URL is loopback"):
        settings(everywhere, SKYFLEET_API_KEY_SHA256="")


def test_all_mistakes_of_the_environment_are_reported_at_once() -> None:
    """Each with its key, what was found and what was expected; no secret among them."""
    with pytest.raises(SettingsError) as caught:
        create(
            {
                "SKYFLEET_CLOUD": "AWS!",
                "SKYFLEET_TARGETS": '[{"cloud": "aws", "region": "x", "url": "ftp://h", "weight": -1}, 3]',
                "SKYFLEET_ROOT_KEYS": "hush",
                "SKYFLEET_STRATEGY": "best",
                "SKYFLEET_BUCKET": "file:///x",
                "SKYFLEET_POLICY": '{"probeAfterS": 0, "fall": 2.5, "speed": 1}',
            }
        )
    text = str(caught.value)
    for found in (
        "AWS!",
        "REGION",
        "ftp://h",
        "weight: got -1",
        "[1]",
        "STRATEGY",
        "BUCKET",
        "probeAfterS",
        "speed",
    ):
        assert found in text
    assert "fall: got 2.5" in text
    assert "hush" not in text
    assert len(caught.value.mistakes) == 12


async def test_snapshots_change_what_the_router_thinks() -> None:
    """Three failures seen by a checker take a target out, without any traffic; two successes ease it in."""
    one = Mortal(well=False)
    async with (
        upstream(one) as up,
        upstream(ok) as other,
        router([up.url, other.url], policy=QUICK) as front,
    ):
        now = time.time()
        reply = await send(front, json.dumps(snapshot(False, False, False, at=now - 20)).encode())
        assert (reply.status_code, reply.json()) == (200, {"accepted": True, "stored": False})
        target = await front.target("aws/r0")
        assert target["state"] == "down"
        assert "aws/r0: r" in target["reason"]
        for _ in range(5):
            assert (await front.client.get("/")).headers["x-skyfleet-target"] == "azure/r1"
        one.well = True
        await send(front, json.dumps(snapshot(True, True, at=now)).encode())
        target = await front.target("aws/r0")
        assert target["state"] == "slow-start"
        assert target["effective_weight"] == pytest.approx(1.8)
        checkers = (await front.status())["checkers"]
        assert [(one["checker"], one["fresh"]) for one in checkers] == [("aws/r0", True)]


async def test_unsigned_wrongly_signed_late_and_replayed_snapshots_are_all_the_same_401() -> None:
    """The refusal does not say why."""
    async with router(["http://127.0.0.1:9"]) as front:
        now = time.time()
        body = json.dumps(snapshot(False, False, False, at=now)).encode()
        first = await send(front, body, at=now, nonce="ab" * 16)
        assert first.status_code == 200
        refused = [
            await front.client.post(PATH, content=body),
            await send(front, body, roots='{"k1": "another made-up secret"}'),
            await send(front, body, at=now - 301),
            await send(front, body, at=now, nonce="ab" * 16),
        ]
        assert {reply.status_code for reply in refused} == {401}
        assert len({reply.content for reply in refused}) == 1
        assert refused[0].json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_no_server_in_front_brings_a_method_that_is_not_served(method: str) -> None:
    """As the router's own server does; Azure's host passes on each method (RFC 9110, section 9.3.8)."""
    async with upstream(ok) as up:
        reply = await call(App(settings([up.url])), method, "/invoke")
        assert (reply.status, reply.json["error"]["code"]) == (501, "not-implemented")
        assert up.received == []


async def test_a_body_above_six_megabytes_is_refused_before_it_is_read() -> None:
    """413 by the announced length, and by counting when there is none."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b"x" * 1024 * 1024

    async with upstream(ok) as up, router([up.url]) as front:
        for content in (b"x" * (6 * 1024 * 1024 + 1), pieces()):
            reply = await front.client.post("/invoke", content=content)
            assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body-too-large")
        assert up.received == []


async def test_hop_by_hop_and_forged_fields_stop_at_the_router_both_ways() -> None:
    """Also those that Connection names, the signature fields and the platform's own credentials."""

    async def talks(request: Received, peer: Peer) -> None:
        fields = "connection: x-private\r\nx-private: 1\r\nserver: secret\r\nx-skyfleet-target: forged\r\n"
        await peer.reply(200, headers=fields + "x-kept: 1\r\n")

    async with upstream(talks) as up, router([up.url]) as front:
        reply = await front.client.post(
            "/",
            content=b"x",
            headers={
                "connection": "keep-alive, X-Mine",
                "x-mine": "1",
                "te": "trailers",
                "proxy-authorization": "Basic x",
                "x-skyfleet-signature": "forged",
                "x-functions-key": "secret",
                "x-ms-client-principal-id": "secret",
                "x-ms-token-aad-access-token": "secret",
                "x-goog-iap-jwt-assertion": "secret",
                "x-arr-ssl": "1",
                "x-original-url": "/",
                "traceparent": "00-1-2-01",
                "x-other": "2",
            },
        )
        sent = up.received[0].headers
        for gone in ("x-mine", "te", "proxy-authorization", "x-functions-key", "connection"):
            assert gone not in sent
        assert not any(name.startswith(("x-ms-", "x-goog-", "x-arr-", "x-original-")) for name in sent)
        assert sent["x-skyfleet-signature"] != "forged"
        assert (sent["traceparent"], sent["x-other"]) == ("00-1-2-01", "2")
        assert sent["x-request-id"] == reply.headers["x-request-id"]
        assert sent["host"] == f"127.0.0.1:{up.port}"
        assert "x-private" not in reply.headers
        assert reply.headers.get_list("x-skyfleet-target") == ["aws/r0"]
        assert "secret" not in str(reply.headers)
        assert reply.headers["x-kept"] == "1"


@pytest.mark.parametrize(
    ("method", "raw_path", "headers"),
    [
        ("GET", b"/a\r\nx: y", []),
        ("GET", b"/a b", []),
        ("GET", b"http://elsewhere/", []),
        ("GE T", b"/", []),
        ("GET", b"/", [(b"x", b"a\r\ny: b")]),
        ("GET", b"/", [(b"x: y\r\nz", b"a")]),
        ("GET", b"/", [(b"x", b"a\x00b")]),
    ],
)
async def test_what_could_smuggle_a_second_line_is_a_400(
    method: str, raw_path: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Even when the server in front lets it through, nothing of it is written to a target."""
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def record(message: Message) -> None:
        sent.append(message)

    app = App(settings(["http://127.0.0.1:9"]))
    scope = {"type": "http", "method": method, "path": "/a", "raw_path": raw_path, "headers": headers}
    scope["query_string"] = b""
    await app(scope, receive, record)
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["code"] == "bad-request"
    await app.close()


async def test_status_has_what_the_command_line_needs() -> None:
    """The contract's fields, in JSON, with the router's own latency and counters."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_STRATEGY="round-robin") as front:
        await front.client.get("/x")
        status = await front.status()
        where = {"cloud": "gcp", "region": "r2", "build": "b1", "strategy": "round-robin"}
        assert status["router"] == {**where, "queue_timeout_s": CALM.queue_timeout_s}
        target = status["targets"][0]
        assert target["latency_ms"] > 0
        names = ("cloud", "region", "url", "state", "weight", "latency_ms", "cold", "inflight", "reason")
        assert set(names) <= set(target)
        assert (target["state"], target["inflight"], target["weight"]) == ("healthy", 0, 3.0)
        assert status["store"]["state"] == "off"


async def test_requests_of_the_last_minutes_are_counted_with_their_latency() -> None:
    """An agent's 5xx counts as an error, and each reply has a time."""

    async def fails(request: Received, peer: Peer) -> None:
        await (peer.reply(500, b"{}") if request.target == "/broken" else ok(request, peer))

    async with upstream(fails) as up, router([up.url]) as front:
        for path in ("/x", "/broken"):
            await front.client.post(path)
        minutes = (await front.client.get("/api/minutes")).json()["minutes"]
        told = [sum(minute[name] for minute in minutes) for name in ("requests", "errors")]
        assert told == [2, 1]
        assert sum(sum(minute["latency"]) for minute in minutes) == 2


async def test_the_strategy_is_looked_at_and_changed_while_the_router_runs() -> None:
    """With the key only; an order that is none is a 400, another method a 405."""
    key = {"x-api-key": API_KEY}
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        assert (await front.client.get("/api/control")).status_code == 401
        assert (await front.client.put("/api/control", json={"strategy": "cost"})).status_code == 401
        before = (await front.client.get("/api/control", headers=key)).json()
        assert (before["effective"], before["revision"]) == ("weighted", 0)
        after = await front.client.put("/api/control", json={"strategy": "cost"}, headers=key)
        assert (after.status_code, after.json()["effective"], after.json()["revision"]) == (
            200,
            "cost",
            1,
        )
        assert (await front.client.get("/api/status", headers=key)).json()["router"]["strategy"] == "cost"
        for body in (b"{", b'{"strategy": "best"}', b"[" * 3000):
            reply = await front.client.put("/api/control", content=body, headers=key)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad-control")
        assert (await front.client.put("/api/control", content=b" " * 40_000, headers=key)).status_code == 413
        assert (await front.client.delete("/api/control", headers=key)).status_code == 405
        assert up.received == []


async def test_a_deployed_checker_that_never_reported_is_in_the_status_from_the_start() -> None:
    """Without a time, and not fresh. A checker that was not deployed is rejected, though its target is."""
    async with (
        upstream(ok) as up,
        upstream(ok) as other,
        router([up.url, other.url], SKYFLEET_CHECKERS="aws/r0") as front,
    ):
        missing = {"checker": "aws/r0", "at": None, "age_s": None, "fresh": False}
        assert (await front.status())["checkers"] == [missing]
        body = json.dumps(snapshot(True, True, at=time.time(), checker="azure/r1")).encode()
        reply = await send(front, body, checker="azure/r1")
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "snapshot-rejected")
