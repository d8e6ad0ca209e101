"""The collector: each router on its own, the newest picture for every listener."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import pytest

from infra.manager.errors import NotFound, Unavailable
from infra.manager.fleet import router_fleet
from infra.manager.fleet.fold import Answer, Deployed, Desired
from infra.manager.fleet.picture import Picture
from infra.manager.fleet.router_fleet import RouterFleet, Sources
from infra.operations.errors import NotDeployed
from infra.operations.routers.control import ControlAnswer
from infra.operations.stack.outputs import Outputs

pytestmark = pytest.mark.timeout(60)
URLS = ("http://a.example", "http://b.example")


@dataclass(slots=True)
class World:
    """Routers that answer at once, or hang until `release` is set."""

    urls: tuple[str, ...] = URLS
    hanging: set[str] = field(default_factory=set[str])
    deployed: bool = True
    state: str = "healthy"
    release: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def outputs(self) -> Outputs:
        if not self.deployed:
            raise NotDeployed
        routers = [{"cloud": "aws", "region": f"r{n}", "url": url} for n, url in enumerate(self.urls)]
        agents = [{"cloud": "aws", "region": "r0", "url": "http://agent.example", "weight": 1}]
        first = {"routerUrl": self.urls[0], "routerUrls": list(self.urls)}
        return Outputs({**first, "routers": routers, "agents": agents}, frozenset())

    def ask(self, before: Answer, _key: str) -> Answer:
        self.asked += 1
        if before.url in self.hanging:
            self.release.wait(30)
        target = {"cloud": "aws", "region": "r0", "state": self.state, "inflight": self.asked}
        return replace(before, status={"router": {}, "targets": [target]}, problem="")

    def sources(self) -> Sources:
        return Sources(
            "dev", self.outputs, lambda: Desired("v"), lambda _outputs: Deployed(), self.ask, lambda: 1000.0
        )


@contextlib.asynccontextmanager
async def started(world: World) -> AsyncGenerator[RouterFleet]:
    """A fleet that asks; hanging routers are released at the end."""
    fleet = RouterFleet(world.sources())
    try:
        async with fleet.running():
            yield fleet
    finally:
        world.release.set()


async def until(fleet: RouterFleet, routers: int) -> Picture:
    """The first picture with this many routers."""
    async for picture in fleet.pictures():
        if len(picture.routers) == routers:
            return picture
    raise AssertionError


async def test_each_listener_gets_the_newest_picture_and_later_ones() -> None:
    """A listener that comes later begins with the newest."""
    async with started(World()) as fleet:
        first = await until(fleet, 2)
        assert [one.problem for one in first.routers] == ["", ""]
        late = [picture.targets[0].inflight async for picture in limited(fleet, 3)]
        assert late == sorted(set(late))


async def limited(fleet: RouterFleet, count: int) -> AsyncGenerator[Picture]:
    """The next pictures."""
    async for picture in fleet.pictures():
        yield picture
        count -= 1
        if not count:
            return


async def test_a_router_that_hangs_later_delays_no_picture() -> None:
    """Its last answer stays until its own timeout."""
    world = World()
    async with started(world) as fleet:
        await until(fleet, 2)
        world.hanging.add(URLS[1])
        before = world.asked
        async for picture in fleet.pictures():
            if picture.targets[0].inflight > before + 3:
                break
        assert len(fleet.picture().routers) == 2


async def test_a_router_whose_answer_is_late_as_a_whole_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply of one byte a second never meets the timeout of a read."""
    monkeypatch.setattr(router_fleet, "WHOLE_S", 0.05)
    world = World()
    async with started(world) as fleet:
        await until(fleet, 2)
        world.hanging.add(URLS[1])
        async for picture in fleet.pictures():
            if picture.routers[1].problem:
                assert picture.routers[1].problem == "no whole answer within 0.05 s"
                assert picture.routers[0].problem == ""
                break
        world.hanging.clear()
        world.release.set()
        async for picture in fleet.pictures():
            if not picture.routers[1].problem:
                break


async def test_a_router_that_hangs_from_the_start_holds_no_picture_back() -> None:
    """It is shown as one that has not answered."""
    async with started(World(hanging={URLS[1]})) as fleet:
        first = await until(fleet, 2)
        assert [one.problem for one in first.routers] == ["", router_fleet.NO_ANSWER_YET]


@dataclass(slots=True)
class Broken(World):
    """A world whose parts fail as no error of ours does, until `broken` is empty."""

    broken: set[str] = field(default_factory=set[str])

    def ask(self, before: Answer, key: str) -> Answer:
        if "ask" in self.broken:
            raise RecursionError
        return World.ask(self, before, key)

    def outputs(self) -> Outputs:
        if "outputs" in self.broken:
            raise OSError(5, "Input/output error")
        return World.outputs(self)

    def sources(self) -> Sources:
        return replace(World.sources(self), deployed=self.found)

    def found(self, _outputs: Outputs) -> Deployed:
        # A value that no fold expects.
        return Deployed(instances=None) if "fold" in self.broken else Deployed()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("part", ["ask", "outputs", "fold"])
async def test_an_unexpected_error_is_a_problem_and_ends_with_its_cause(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No loop of the collector ends."""
    monkeypatch.setattr(router_fleet, "STATE_S", 0.05)
    world = Broken(broken={part})
    async with started(world) as fleet:
        async for picture in fleet.pictures():
            if any("the manager's log says more" in problem for problem in picture.problems):
                break
        world.broken.clear()
        async for picture in fleet.pictures():
            if len(picture.routers) == 2 and not picture.problems:
                break


async def test_before_the_first_answer_there_is_no_picture() -> None:
    """An empty picture would look like a fleet without targets."""
    world = World(hanging=set(URLS))
    async with started(world) as fleet:
        with pytest.raises(Unavailable):
            fleet.picture()
        world.release.set()
        assert await until(fleet, 2)


async def test_a_stack_that_is_not_deployed_is_a_problem_of_the_picture() -> None:
    """Once it is deployed, its routers are asked."""
    world = World(deployed=False)
    async with started(world) as fleet:
        empty = await until(fleet, 0)
        assert "nothing is up" in empty.problems[0]
        with pytest.raises(Unavailable, match="nothing is up"):
            await fleet.set_strategy("adaptive")
        world.deployed = True
        assert await until(fleet, 2)


async def test_a_removed_router_is_asked_no_more() -> None:
    """The outputs say which there are."""
    world = World()
    async with started(world) as fleet:
        await until(fleet, 2)
        world.urls = URLS[:1]
        assert [one.url for one in (await until(fleet, 1)).routers] == [URLS[0]]


async def test_a_change_of_the_config_is_a_new_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the routers hang."""
    monkeypatch.setattr(router_fleet, "STATE_S", 1e6)
    world = World()
    versions = ["v"]
    fleet = RouterFleet(replace(world.sources(), desired=lambda: Desired(versions[-1])))
    async with fleet.running():
        pictures = fleet.pictures()
        assert (await anext(pictures)).version == "v"
        monkeypatch.setattr(router_fleet, "WATCHED_S", 0.01)
        fleet.picture()
        world.hanging = {*URLS}
        versions.append("w")
        async for picture in pictures:
            if picture.version == "w":
                break
        world.release.set()


async def test_an_unknown_target_cannot_drain() -> None:
    """The error names those that can."""
    async with started(World()) as fleet:
        await until(fleet, 2)
        with pytest.raises(NotFound, match="Known: aws/r0") as refused:
            await fleet.drain("aws/r1", undo=False, force=False)
        assert refused.value.extra["known"] == ["aws/r0"]


def drained(outputs: Outputs, target: str, *, undo: bool, force: bool) -> list[ControlAnswer]:
    """The first router takes the change, and the second does not answer."""
    first, *others = outputs.router_urls
    control: dict[str, object] = {"draining": [] if undo else [target]}
    silent = [ControlAnswer(url, {}, "no answer") for url in others]
    return [ControlAnswer(first, control, place="aws/r0"), *silent]


async def test_what_a_router_is_told_is_shown_before_all_its_instances_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here they go on saying that the target is healthy, and later that it drains."""
    monkeypatch.setattr(router_fleet, "_drain", drained)
    world = World()
    async with started(world) as fleet:
        before = await until(fleet, 2)
        assert [one.state for one in before.targets] == ["healthy"]
        said = await fleet.drain("aws/r0", undo=False, force=False)
        assert said == ["aws/r0: draining aws/r0", "http://b.example: no answer"]
        pictures = fleet.pictures()
        shown = [await anext(pictures) for _ in range(3)][1:]
        assert [(one.targets[0].draining, one.targets[0].since) for one in shown] == [(True, 1000.0)] * 2
        assert shown[0].targets[0].undrained == ("aws/r1",)
        world.urls, world.state = URLS[:1], "draining"
        await until(fleet, 1)
        await fleet.drain("aws/r0", undo=True, force=False)
        await anext(pictures)
        shown = [await anext(pictures) for _ in range(2)]
        assert [one.targets[0].state for one in shown] == ["unknown", "unknown"]


def picks(outputs: Outputs, name: str) -> list[ControlAnswer]:
    """The first router takes the strategy, and the second does not answer."""
    first, second = outputs.router_urls
    control: dict[str, object] = {"strategy": None if name == "configured" else name}
    return [ControlAnswer(first, control, place="aws/r0"), ControlAnswer(second, {}, "no answer")]


async def test_a_strategy_is_shown_before_all_instances_of_the_router_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The routers here go on naming none. The configured strategy is not known before they say so."""
    monkeypatch.setattr(router_fleet, "FOLLOWED_S", 1e6)
    monkeypatch.setattr(router_fleet.control, "set_strategy", picks)
    async with started(World()) as fleet:
        await until(fleet, 2)
        await fleet.set_strategy("latency")
        pictures = fleet.pictures()
        shown = [await anext(pictures) for _ in range(3)][1:]
        assert [[one.strategy for one in picture.routers] for picture in shown] == [["latency", ""]] * 2
        await fleet.set_strategy("configured")
        async for picture in pictures:
            if not picture.routers[0].strategy:
                break


async def test_routers_are_asked_more_often_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of their instances follows with a request of its own; the usual pause would add up."""
    monkeypatch.setattr(router_fleet, "_drain", drained)
    monkeypatch.setattr(router_fleet, "WATCHED_S", 1e6)
    monkeypatch.setattr(router_fleet, "FOLLOWED_S", 1e6)
    world = World()
    async with started(world) as fleet:
        pictures = fleet.pictures()
        await anext(pictures)
        await fleet.drain("aws/r0", undo=True, force=False)
        while world.asked < 12:
            await asyncio.sleep(0.01)


async def test_a_router_that_is_being_asked_during_a_change_is_asked_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer may be from before the change, and the next regular question comes too late."""
    monkeypatch.setattr(router_fleet, "_drain", drained)
    monkeypatch.setattr(router_fleet, "WATCHED_S", 1e6)
    world = World()
    async with started(world) as fleet:
        pictures = fleet.pictures()
        await anext(pictures)
        world.hanging = {*URLS}
        await fleet.drain("aws/r0", undo=False, force=False)  # has both asked, and they hang
        while world.asked < 4:
            await asyncio.sleep(0.01)
        await fleet.drain("aws/r0", undo=True, force=False)
        world.release.set()
        async for picture in pictures:
            if world.asked >= 6 and not picture.targets[0].draining:
                break


async def test_nothing_runs_on_after_the_end() -> None:
    """Every task of the collector ends with it."""
    before = asyncio.all_tasks()
    async with started(World()) as fleet:
        await until(fleet, 2)
    assert asyncio.all_tasks() == before
