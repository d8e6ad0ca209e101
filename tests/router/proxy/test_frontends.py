"""Claims about replies that no agent made: a platform's 401, 403, 404, a refusal of our signature."""

from __future__ import annotations

import pytest

from functions.app import create
from router.core.request.classify import Responder, is_ordinary, responder
from tests.router.support import (
    QUICK,
    Peer,
    Received,
    Script,
    keys_of,
    ok,
    router,
    served,
    swallows,
    upstream,
)

PAGE = b"<html>this web app is gone</html>"


def says(status: int, *, headers: str = "") -> Script:
    async def script(request: Received, peer: Peer) -> None:
        await peer.reply(status, PAGE, headers=headers)

    return script


@pytest.mark.parametrize("status", [401, 403, 404, 421])
async def test_what_a_platform_refuses_goes_to_another_cloud_whatever_the_agent(status: int) -> None:
    """The agent surely did not run: no client sees the page, and the target is ejected after three."""
    async with (
        upstream(says(status, headers="alt-svc: h3\r\n")) as gone,
        upstream(ok) as other,
        router([gone.url, other.url], repeatable=False) as front,
    ):
        for _ in range(8):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert len(gone.asked) == 3
        target = await front.target("aws/r0")
        assert target["state"] == "ejected"
        assert f"status {status}, not from its agent" in target["reason"]
        assert target["inflight"] == 0


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_the_agent_itself_refuses_is_its_answer(status: int) -> None:
    """A reply with the agent's load is passed on as it is and blames no target."""
    headers = "endpoint-load-metrics: TEXT application_utilization=0\r\nalt-svc: h3\r\n"
    async with (
        upstream(says(status, headers=headers)) as own,
        upstream(ok) as other,
        router([own.url, other.url]) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.content) == (status, PAGE)
        assert "alt-svc" not in reply.headers
        assert other.asked == []
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_refused_everywhere_is_an_error_of_our_own_that_names_the_causes() -> None:
    """No page of a platform ever reaches the caller."""
    async with upstream(says(403)) as a, upstream(says(404)) as b, router([a.url, b.url]) as front:
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")
        assert "aws/r0: status 403, not from its agent" in reply.json()["error"]["message"]
        assert "azure/r1: status 404, not from its agent" in reply.json()["error"]["message"]
        assert "retry-after" in reply.headers


async def test_an_agent_with_other_keys_is_passed_over_and_its_own_401_is_not() -> None:
    """The guard's refusal of our signature is no answer; the same agent with our keys gives its own 404."""
    unknown = create({"SKYFLEET_SIGNING_KEYS": '{"k1": "another made-up secret"}'})
    friend = create({"SKYFLEET_SIGNING_KEYS": keys_of("agent", "azure/r1")})
    async with (
        served(unknown) as theirs,
        served(friend) as ours,
        router([f"http://127.0.0.1:{theirs}", f"http://127.0.0.1:{ours}"], repeatable=False) as front,
    ):
        for _ in range(6):
            reply = await front.client.post("/invoke", json={"input": "6*7"})
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert (await front.target("aws/r0"))["state"] == "ejected"
        reply = await front.client.post("/nosuch", content=b"x")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not-found")


@pytest.mark.parametrize("status", [413, 414, 431])
async def test_what_is_above_one_clouds_own_limit_goes_to_a_cloud_that_takes_it(status: int) -> None:
    """A body, a request line, header fields: the caller does not notice which cloud was chosen, and no health
    suffers."""
    async with (
        upstream(says(status)) as small,
        upstream(ok) as large,
        router([small.url, large.url]) as front,
    ):
        for _ in range(6):
            assert (await front.client.post("/invoke", content=b"x")).status_code == 200
        assert (await front.target("aws/r0"))["state"] == "unknown"
        large.script = says(status)
        assert (await front.client.post("/invoke", content=b"x")).status_code == status


async def test_no_caller_can_put_a_cloud_out_with_odd_requests() -> None:
    """Paths that a runtime keeps or a platform rewrites go elsewhere too, but prove nothing."""
    async with upstream(says(404)) as a, upstream(ok) as b, router([a.url, b.url]) as front:
        for path in ("/runtime/x", "/admin/x", "/a%2fb", "/a//b") * 3:
            assert (await front.client.get(path)).status_code == 200
        assert (await front.client.request("PROPFIND", "/")).status_code == 200
        assert (await front.target("aws/r0"))["state"] == "unknown"


@pytest.mark.parametrize(
    ("clouds", "statuses"), [(("aws", "azure"), {200}), (("aws", "azure", "gcp"), {200, 502})]
)
async def test_a_field_that_azures_host_does_not_pass_on_goes_elsewhere(
    clouds: tuple[str, ...], statuses: set[int]
) -> None:
    """It answers 502 to octets beyond ASCII, and no agent ran. Of another cloud's 502 that is not known, but
    no target is blamed for such a request."""
    name, own = "José".encode(), says(200, headers=MARKED)
    async with upstream(own) as good, upstream(says(502)) as bad:
        urls = [good.url for _ in clouds[1:]] + [bad.url]
        async with router(urls, repeatable=False, SKYFLEET_AGENT_KIND="asgi") as front:
            replies = [
                await front.client.post("/invoke", content=b"x", headers={b"x-name": name}) for _ in range(9)
            ]
            assert {reply.status_code for reply in replies} == statuses
            assert bad.asked
            assert (await front.target(f"{clouds[-1]}/r{len(urls) - 1}"))["state"] == "unknown"


async def test_a_platform_that_answers_health_with_a_page_is_not_alive() -> None:
    """The question of a stalled request is to the agent; 404 at /health is as good as silence."""

    async def stuck(request: Received, peer: Peer) -> None:
        await (peer.reply(404, PAGE) if request.target == "/health" else swallows(request, peer))

    async with (
        upstream(stuck) as dead,
        upstream(ok) as other,
        router([dead.url, other.url], policy=QUICK) as front,
    ):
        reply = await front.client.post("/invoke", content=b"x")
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "azure/r1")
        assert (await front.target("aws/r0"))["state"] == "ejected"


MARKED = "endpoint-load-metrics: TEXT application_utilization=0.5\r\n"


@pytest.mark.parametrize("status", [200, 202, 302])
async def test_a_platforms_page_is_no_answer_from_the_first_request_on(status: int) -> None:
    """Its 'your app is up' page or its redirect to a login goes elsewhere and counts against the target."""
    async with (
        upstream(says(status, headers="location: https://login.example.net/\r\n")) as page,
        upstream(says(200, headers=MARKED)) as agent,
        router([page.url, agent.url], SKYFLEET_AGENT_KIND="asgi") as front,
    ):
        seen = [(await front.client.post("/invoke")).headers["x-skyfleet-target"] for _ in range(12)]
        assert set(seen) == {"azure/r1"}
        target = await front.target("aws/r0")
        assert target["state"] == "ejected"
        assert f"status {status}, not from its agent" in target["reason"]


async def test_a_page_in_place_of_an_answer_is_not_repeated_when_the_agent_may_have_run() -> None:
    """A redirect says that nothing was done; a 202 of another source says nothing."""
    async with (
        upstream(says(200, headers=MARKED)) as first,
        upstream(says(200, headers=MARKED)) as second,
        router([first.url, second.url], repeatable=False, SKYFLEET_AGENT_KIND="asgi") as front,
    ):
        await front.client.post("/invoke")
        first.script = second.script = says(202)
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "may-have-run")
        assert PAGE.decode() not in reply.text
        first.script = second.script = says(302)
        reply = await front.client.post("/invoke")
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no-target")


async def test_a_fleet_whose_mark_is_lost_on_the_way_is_served_all_the_same() -> None:
    """Where no reply has it, its absence says nothing."""
    async with upstream(ok) as up, router([up.url]) as front:
        for _ in range(3):
            assert (await front.client.post("/invoke")).json() == {"output": "fine"}
        assert (await front.target("aws/r0"))["state"] == "healthy"


async def test_a_page_at_health_is_no_sign_of_life_where_agents_have_a_mark() -> None:
    """A platform answers 200 for a function that is gone; the stalled request goes elsewhere."""

    async def stuck(request: Received, peer: Peer) -> None:
        await (peer.reply(200, PAGE) if request.target == "/health" else swallows(request, peer))

    agent = says(200, headers=MARKED)
    async with (
        upstream(agent) as a,
        upstream(agent) as b,
        router([a.url, b.url], policy=QUICK, SKYFLEET_AGENT_KIND="asgi") as front,
    ):
        assert (await front.client.post("/invoke")).headers["x-skyfleet-target"] == "aws/r0"
        await front.client.post("/invoke")
        a.script = stuck
        replies = [await front.client.post("/invoke") for _ in range(3)]
        assert {reply.status_code for reply in replies} == {200}
        assert "2" in {reply.headers["x-skyfleet-attempts"] for reply in replies}
        assert (await front.target("aws/r0"))["state"] == "ejected"


def test_the_status_names_the_source_of_a_reply_without_the_mark() -> None:
    """Denials and the limit always, redirects, pages and a platform's errors only where agents do send it."""
    for strict in (False, True):
        assert {responder(status, identified=strict) for status in (401, 403, 404)} == {Responder.FRONTEND}
        assert responder(413, identified=strict) is Responder.LIMIT
        refused = {responder(status, identified=strict) for status in (400, 405)}
        assert refused == {Responder.LIMIT if strict else Responder.AGENT}
        assert responder(429, identified=strict) is Responder.AGENT
        assert responder(503, identified=strict, later=True) is Responder.AGENT
        assert responder(503, identified=strict) is (Responder.FRONTEND if strict else Responder.AGENT)
        broken = {responder(status, identified=strict) for status in (500, 502, 504)}
        assert broken == {Responder.UNKNOWN if strict else Responder.AGENT}
        assert responder(302, identified=strict) is (Responder.FRONTEND if strict else Responder.AGENT)
        assert responder(200, identified=strict) is (Responder.UNKNOWN if strict else Responder.AGENT)
    assert is_ordinary("POST", b"/invoke?q=%20//")
    assert not is_ordinary("POST", b"/x/../invoke")
