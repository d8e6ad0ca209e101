"""Tests of routes.py and feed.py: files that are kept for ever, charts, the stream of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from infra.manager.errors import TooMany
from infra.manager.jobs.model import Change, Job
from infra.manager.page import assets, feed, fragments
from infra.manager.page.feed import Feed
from infra.manager.page.routes import FOR_EVER, routes
from tests.infra.manager.page.fakes import NOW, ScriptedFleet, ScriptedJobs, healthy, killed
from tests.infra.manager.page.markup import parse


@dataclass(slots=True)
class BreakingJobs(ScriptedJobs):
    """Jobs that cannot be read from some moment on."""

    broken: bool = False

    def recent(self, limit: int) -> Sequence[Job]:
        if self.broken:
            raise RuntimeError("the disk is gone")
        return self.jobs[:limit]


def client(fleet: ScriptedFleet | None = None) -> TestClient:
    """The page's routes in an app of their own."""
    made = routes(fleet or ScriptedFleet(), ScriptedJobs(), stack="local", wall=lambda: NOW)
    return TestClient(Starlette(routes=made), base_url="http://127.0.0.1")


def test_the_page_names_files_that_are_there_and_may_be_kept() -> None:
    """Their addresses have the hash of their content; the page itself is not kept."""
    browser = client()
    page = browser.get("/")
    assert page.headers["cache-control"] == "no-store"
    tags = parse(page.text)
    named = [each.attributes["src"] for each in tags.find("script")]
    named += [each.attributes["href"] for each in tags.find("link")]
    assert len(named) == len(assets.all_assets())
    for address in named:
        answer = browser.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, FOR_EVER)
        assert answer.content
    assert browser.get("/static/page.css").status_code == 404
    assert browser.get("/static/page.000000000000.css").status_code == 404


def test_the_documents_of_the_runbook_are_served_as_text_and_no_other_file() -> None:
    """The links of the page work where nothing but the manager is at hand."""
    browser = client()
    links = [each.attributes["href"] for each in parse(browser.get("/").text).find("a")]
    named = [each for each in dict.fromkeys(links) if each.startswith("/runbook/")]
    assert named == ["/runbook/incident.md", "/runbook/dashboard.md"]
    for address in named:
        answer = browser.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("# ")
    assert browser.get("/runbook/upgrade.md").status_code == 404
    assert browser.get("/runbook/..%2F..%2FREADME.md").status_code == 404


def test_a_chart_is_kept_as_long_as_its_numbers_are() -> None:
    """An address of older numbers answers with the present ones, which are not kept."""
    fleet = ScriptedFleet()
    browser = client(fleet)
    address = parse(browser.get("/").text).find("img")[0].attributes["src"]
    answer = browser.get(address)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/svg+xml", FOR_EVER)
    assert "script-src" not in answer.headers["content-security-policy"]
    fleet.current = replace(healthy(), minutes=healthy().minutes[1:])
    assert browser.get(address).headers["cache-control"] == "no-store"
    assert browser.get("/charts/other.000000000000.svg").status_code == 404
    fleet.current = None
    assert browser.get(address).status_code == 404


async def read(stream: AsyncIterator[bytes], until: str) -> list[str]:
    """The events of a stream, up to the first that has this text."""
    found: list[str] = []
    async for chunk in stream:
        found.append(chunk.decode())
        if until in found[-1]:
            break
    return found


async def test_a_viewer_gets_all_parts_and_then_those_that_change() -> None:
    """What is the same is not sent again."""
    fleet, jobs = ScriptedFleet(), ScriptedJobs()
    stream = Feed(fleet, jobs, lambda: NOW).stream()
    async with aclosing(stream):
        beat, first = await read(stream, "hx-partial")
        assert beat == f"event: beat\ndata: {assets.build()}\n\n"
        assert [f'hx-target="#{name}"' in first for name in fragments.IDS] == [True] * len(fragments.IDS)
        fleet.show(killed())
        second = (await read(stream, "hx-partial"))[-1]
        assert 'hx-target="#verdict"' in second
        assert 'hx-target="#charts"' not in second
        await jobs.submit(Change("weight", "aws", "eu-west-1", {"weight": 2}), "eve")
        third = (await read(stream, "hx-partial"))[-1]
        assert "Set the weight of aws/eu-west-1" in third
        assert third.count("<hx-partial") == 1


async def test_a_viewer_without_news_gets_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that hears nothing takes its connection for broken."""
    monkeypatch.setattr(feed, "BEAT_S", 0.01)
    stream = Feed(ScriptedFleet(), ScriptedJobs(), lambda: NOW).stream()
    async with aclosing(stream):
        await read(stream, "hx-partial")
        assert (await anext(stream)).startswith(b"event: beat\n")


async def test_viewers_that_come_at_once_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request counts when it is admitted, not when its stream begins."""
    monkeypatch.setattr(feed, "VIEWERS", 2)
    shared = Feed(ScriptedFleet(), ScriptedJobs(), lambda: NOW)
    shared.response()
    shared.response()
    with pytest.raises(TooMany):
        shared.response()


def test_a_head_of_the_stream_ends() -> None:
    """With the headers of the stream; a client that asks for them alone waits for nothing."""
    with client() as http:
        reply = http.head("/events")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_viewers_share_one_task_which_ends_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number is bounded."""
    monkeypatch.setattr(feed, "VIEWERS", 2)
    shared = Feed(ScriptedFleet(), ScriptedJobs(), lambda: NOW)
    before = asyncio.all_tasks()
    first, second = shared.stream(), shared.stream()
    await read(first, "hx-partial")
    shared.response()
    await read(second, "hx-partial")
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks() - before) == 2  # one renders, one waits for pictures
    with pytest.raises(TooMany, match="2 pages are open"):
        shared.response()
    await first.aclose()
    shared.response()
    await second.aclose()
    while asyncio.all_tasks() - before:
        await asyncio.sleep(0)


async def test_a_viewer_that_comes_takes_no_news_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that a new viewer has from the start is sent to the others at once, and not with the next."""
    monkeypatch.setattr(feed, "BEAT_S", 1e6)
    monkeypatch.setattr(feed, "LOOK_S", 1e6)
    fleet = ScriptedFleet()
    shared = Feed(fleet, ScriptedJobs(), lambda: NOW)
    async with aclosing(shared.stream()) as first, aclosing(shared.stream()) as second, asyncio.timeout(20):
        await read(first, "hx-partial")
        waiting = asyncio.ensure_future(read(first, "hx-partial"))
        for _ in range(5):
            await asyncio.sleep(0)
        fleet.show(killed())
        await read(second, "is down")
        assert "is down" in (await waiting)[-1]


async def test_a_fleet_that_fails_does_not_end_the_stream() -> None:
    """The page says that nothing is known, and goes on when there is a picture."""
    fleet = ScriptedFleet(current=None)
    stream = Feed(fleet, ScriptedJobs(), lambda: NOW).stream()
    async with aclosing(stream):
        assert "No router has answered yet." in (await read(stream, "hx-partial"))[-1]
        fleet.show(healthy())
        assert "All 3 targets are healthy." in (await read(stream, "hx-partial"))[-1]


async def test_a_stream_ends_when_rendering_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page then says that it is disconnected, instead of showing an old picture as the newest."""
    jobs = BreakingJobs()
    stream = Feed(ScriptedFleet(), jobs, lambda: NOW).stream()
    monkeypatch.setattr(feed, "BEAT_S", 0.01)
    async with aclosing(stream):
        await read(stream, "hx-partial")
        jobs.broken = True
        with pytest.raises(RuntimeError, match="the disk is gone"):
            await read(stream, "never")


async def test_streams_end_when_the_manager_stops() -> None:
    """So that it need not wait for its viewers."""
    shared = Feed(ScriptedFleet(), ScriptedJobs(), lambda: NOW)
    stream = shared.stream()
    await read(stream, "hx-partial")
    shared.stopping.set()
    assert await read(stream, "never") == []


def test_text_of_several_lines_is_one_event() -> None:
    """Each line is a `data` field; a carriage return ends a line too."""
    assert feed.event("a\nb\r\nc") == b"data: a\ndata: b\ndata: c\n\n"
