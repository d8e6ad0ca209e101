"""Claims about gray failures: noise is never called one, real ones are noticed within some tens of requests,
and a target is derated in steps and back, not flipped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import pytest

from router.config import Place
from router.core.balance.balancer import Balancer
from router.core.balance.metrics import NOTHING, Traffic, saw
from router.core.health import fleet as f
from router.core.health.fleet import Fleet
from router.core.health.machine import Status
from router.core.health.outlier import FLOOR
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.status import status
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy
from tests.router.core.health.support import targets

pytestmark = pytest.mark.pure

NOW = 1_000_000.0

# Milliseconds of one good reply of the target with this number.
Latency = Callable[[random.Random, int], float]


def spiky(rnd: random.Random, number: int) -> float:
    """8 ms, and 40 ms in one of fifty."""
    return 8 * rnd.lognormvariate(0, 0.2) * (5 if rnd.random() < 0.02 else 1)


def model(rnd: random.Random, number: int) -> float:
    """A language model that thinks for a second, or for ten."""
    return 1000 * rnd.lognormvariate(0, 1)


def distant(rnd: random.Random, number: int) -> float:
    """Regions near and far."""
    return (5, 50, 150, 20, 90)[number % 5] * rnd.lognormvariate(0, 0.4)


def distant_models(rnd: random.Random, number: int) -> float:
    """Both at once, which is the hardest: no other target says what is usual for a far one."""
    return (5, 50, 150, 20, 90)[number % 5] * rnd.lognormvariate(0, 1)


NOISE: tuple[Latency, ...] = (spiky, model, distant, distant_models)


@dataclass
class World:
    """A fleet under traffic whose targets get requests by the shares that the fleet allows."""

    count: int
    latency: Latency
    seed: int
    rate: float

    def __post_init__(self) -> None:
        self.rnd = random.Random(self.seed)
        self.fleet: Fleet = f.start(targets(*[1.0] * self.count), NOW)
        self.traffic: dict[str, Traffic] = {}
        self.slow: dict[int, float] = {}
        self.errors: dict[int, float] = {}
        self.now = NOW
        self.reviewed = NOW
        self.known: Fleet | None = None
        self.numbers: list[int] = []
        self.shares: list[float] = []

    def run(self, requests: int) -> None:
        for _ in range(requests):
            self.now += self.rnd.expovariate(self.rate)
            if self.fleet is not self.known:
                self.known = self.fleet
                tier = f.tier(self.fleet, (), self.now, DEFAULT).candidates
                self.numbers = [int(one.key.removeprefix("aws/r")) for one in tier]
                self.shares = list(accumulate(one.share for one in tier))
            self.request(self.rnd.choices(self.numbers, cum_weights=self.shares)[0])
            if self.now - self.reviewed >= 1:
                self.reviewed = self.now
                self.fleet = f.review(
                    f.settle(self.fleet, self.now, DEFAULT), self.traffic, self.now, DEFAULT
                )

    def request(self, number: int) -> None:
        key = f"aws/r{number}"
        failed = self.rnd.random() < self.errors.get(number, 0)
        latency = -1.0 if failed else self.latency(self.rnd, number) * self.slow.get(number, 1)
        seen = self.traffic.get(key, NOTHING)
        self.traffic[key] = saw(seen, self.now, failed=failed, latency_ms=latency)
        outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
        self.fleet = f.record(self.fleet, key, outcome, self.now, DEFAULT)

    def status(self, number: int = 0) -> Status:
        return self.fleet.health[f"aws/r{number}"].status

    def share(self, number: int = 0) -> float:
        target = self.fleet.targets[number]
        return f.effective_weight(self.fleet, target, self.now, DEFAULT)


def degraded(world: World) -> list[str]:
    return [one.reason for one in world.fleet.health.values() if one.status is Status.DEGRADED]


@pytest.mark.parametrize("latency", NOISE)
def test_a_healthy_noisy_fleet_is_never_derated(latency: Latency, long: bool) -> None:
    """`weighted` promises exact shares, so noise must not cost any: one to five targets, one request in a
    minute to a thousand in a second."""
    for seed in range(500 if long else 30):
        world = World(1 + seed % 5, latency, seed, rate=(1 / 60, 1, 10, 100, 1000, 10)[seed % 6])
        for _ in range(6):
            world.run(50)
            assert degraded(world) == [], (seed, degraded(world))


@pytest.mark.parametrize("latency", NOISE)
def test_a_noisy_fleet_is_not_derated_in_the_long_run_either(latency: Latency, long: bool) -> None:
    """Two in a hundred failing everywhere, for hours."""
    for seed in range(3 if long else 1):
        world = World(3, latency, seed, rate=5)
        world.errors = dict.fromkeys(range(3), 0.02)
        for _ in range(60):
            world.run(100)
            assert degraded(world) == [], (seed, degraded(world))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("latency", [spiky, model])
def test_a_target_ten_times_as_slow_is_noticed_and_no_other(latency: Latency, count: int, long: bool) -> None:
    """Within some tens of its requests, at five a second for each target."""
    for seed in range(20 if long else 3):
        world = World(count, latency, seed, rate=5 * count)
        world.run(100 * count)
        world.slow = {0: 10}
        world.run(45 * count)
        assert world.status() is Status.DEGRADED, seed
        assert "slow" in world.fleet.health["aws/r0"].reason
        assert len(degraded(world)) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_target_that_fails_in_a_third_of_its_requests_is_noticed_and_no_other(
    count: int, long: bool
) -> None:
    """By its share of errors, or by three in a row, whichever comes first."""
    for seed in range(40 if long else 4):
        world = World(count, spiky, seed, rate=5 * count)
        world.run(100 * count)
        world.errors = {0: 0.3}
        seen: set[Status] = set()
        for _ in range(120):
            world.run(count)
            seen.add(world.status())
        assert seen & {Status.DEGRADED, Status.EJECTED}, seed
        assert all(world.status(number) is not Status.DEGRADED for number in range(1, count))


@pytest.mark.parametrize(
    ("fault", "rate"), [("slow", 1 / 5), ("slow", 1), ("errors", 1 / 60), ("errors", 1 / 5), ("errors", 1)]
)
def test_evidence_is_counted_in_requests_also_where_they_are_rare(
    fault: str, rate: float, long: bool
) -> None:
    """One of ten thousand instances sees little; what it sees adds up all the same. Only of what is usual a
    minute between requests says nothing."""
    for seed in range(10 if long else 2):
        world = World(3, spiky, seed, rate)
        world.run(100)
        setattr(world, fault, {0: 12.0} if fault == "slow" else {0: 0.35})
        seen: set[Status] = set()
        for _ in range(100):
            world.run(3)
            seen.add(world.status())
        assert seen - {Status.UNKNOWN, Status.HEALTHY}, seed


def test_two_bad_ones_of_three_are_both_noticed() -> None:
    """What stands for two others is the better one."""
    for fault in ("slow", "errors"):
        world = World(3, spiky, 7, rate=15)
        world.run(300)
        setattr(world, fault, {0: 12, 1: 12} if fault == "slow" else {0: 0.25, 1: 0.25})
        seen: set[int] = set()
        shares: list[tuple[float, float]] = []
        for _ in range(60):
            world.run(10)
            shares.append((world.share(0), world.share(1)))
            seen |= {number for number in (0, 1) if world.status(number) is not Status.UNKNOWN}
            assert world.share(2) == 1
        assert seen == {0, 1}
        assert max(sum(one) / len(shares) for one in zip(*shares, strict=True)) < 0.5


def test_what_is_bad_everywhere_is_nobodys_fault(long: bool) -> None:
    """When all get slow together, or all fail alike, something behind them is to blame."""
    for seed in range(20 if long else 3):
        world = World(3, spiky, seed, rate=15)
        world.run(300)
        world.slow = dict.fromkeys(range(3), 10.0)
        world.run(600)
        assert degraded(world) == []


def test_a_lone_target_is_never_derated() -> None:
    """There is no target to compare it with, and no other to choose."""
    world = World(1, spiky, 1, rate=10)
    world.run(100)
    world.slow, world.errors = {0: 50}, {0: 0.3}
    world.run(500)
    assert world.status() is not Status.DEGRADED


def test_one_is_always_kept_at_its_full_share() -> None:
    """Whatever gets bad after what, traffic is never taken from all."""
    world = World(3, spiky, 3, rate=30)
    world.run(300)
    for moment in range(400):
        world.slow = {number: 30.0 for number in range(3) if (moment // 40 >> number) % 2}
        world.run(10)
        assert max(world.share(number) for number in range(3)) == 1


def test_a_slow_target_is_derated_in_steps_to_the_floor_and_back_when_it_is_well() -> None:
    """Halved and doubled, never flipped, and at the floor it is still asked now and then."""
    world = World(3, spiky, 5, rate=50)
    world.run(500)
    shares = [1.0]
    world.slow = {0: 10}
    for _ in range(600):
        world.run(10)
        if world.share() != shares[-1]:
            shares.append(world.share())
    assert shares[:7] == [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]
    assert min(shares) == FLOOR
    world.slow = {}
    healed = world.now
    back = [world.share()]
    for _ in range(3000):
        world.run(10)
        if world.share() != back[-1]:
            back.append(world.share())
        if back[-1] == 1:
            break
    assert back == sorted(back)
    assert all(after == 2 * before for before, after in pairwise(back))
    assert world.status() is Status.HEALTHY
    assert world.now - healed < 300


def test_a_target_without_traffic_is_tried_again_by_time_alone() -> None:
    """At the floor of a quiet fleet no request would ever reach it otherwise."""
    world = World(3, spiky, 5, rate=50)
    world.run(500)
    world.slow = {0: 10}
    world.run(1500)
    assert world.share() < 0.1
    for second in range(600):
        world.fleet = f.review(world.fleet, world.traffic, world.now + second, DEFAULT)
    assert world.share() == 1


def test_a_target_that_gets_worse_again_waits_longer() -> None:
    """Each relapse makes the next steps up slower, so a target that flaps spends its time derated."""
    world = World(3, spiky, 11, rate=60)
    world.run(600)
    spent: list[float] = []
    for _ in range(4):
        world.slow = {0: 12}
        world.run(900)
        assert world.status() is Status.DEGRADED
        world.slow = {}
        began = world.now
        while world.status() is Status.DEGRADED:
            world.run(20)
        spent.append(world.now - began)
    assert spent[0] < spent[1] < spent[2] < spent[3]
    assert world.fleet.health["aws/r0"].derating.relapses == 3


def test_three_hundred_targets_lose_only_the_bad_ones() -> None:
    """The same rules hold for many: ten slow ones and ten that fail are found, no other is touched."""
    world = World(300, spiky, 2, rate=3000)
    world.run(300 * 20)
    world.slow = dict.fromkeys(range(10), 12.0)
    world.errors = dict.fromkeys(range(10, 20), 0.4)
    world.run(300 * 60)
    assert {number for number in range(300) if world.share(number) < 1} == set(range(20))


def test_a_fleet_without_a_derated_target_is_returned_as_it_is() -> None:
    """So what was prepared for it need not be prepared again."""
    world = World(3, spiky, 1, rate=100)
    world.run(300)
    assert f.review(world.fleet, world.traffic, world.now, DEFAULT) is world.fleet


@dataclass
class Served:
    """A router's balancer under traffic at 30 requests a second."""

    slow: float = 1.0

    def __post_init__(self) -> None:
        self.rnd, self.now = random.Random(4), NOW
        self.balancer = Balancer(
            targets(3, 2, 1), Strategy.WEIGHTED, DEFAULT, lambda: self.now, self.rnd.random
        )

    def run(self, requests: int) -> Counter[str]:
        got: Counter[str] = Counter()
        for _ in range(requests):
            self.now += 1 / 30
            choice = self.balancer.choose(())
            assert choice is not None
            got[choice.key] += 1
            milliseconds = spiky(self.rnd, 0) * (self.slow if choice.key == "aws/r0" else 1)
            self.balancer.report(
                choice.key, Outcome.NEUTRAL, first_event_ms=milliseconds, load=None, cold=False
            )
            self.balancer.report(choice.key, Outcome.SUCCESS)
        return got


def test_weights_stay_exact_in_a_noisy_healthy_fleet() -> None:
    """Reviews and notes between the requests cost no turn: 6,000 at 3/2/1 are 3,000, 2,000 and 1,000."""
    assert Served().run(6_000) == {"aws/r0": 3_000, "aws/r1": 2_000, "aws/r2": 1_000}


def test_the_balancer_derates_a_slow_target_and_its_status_says_so() -> None:
    """Three of six requests become less than one in twenty, with the reason; and three again later."""
    world = Served()
    world.run(600)
    world.slow = 10
    world.run(900)
    keeper = SnapshotStore(None, world.balancer, lambda: world.now)
    targets_told: Any = status(world.balancer, Place("aws", "r0", "b1"), keeper)["targets"]
    assert (targets_told[0]["state"], targets_told[1]["state"]) == ("degraded", "healthy")
    assert targets_told[0]["reason"].startswith("slow: ")
    assert 0 < targets_told[0]["share"] <= 1 / 16
    assert world.run(600)["aws/r0"] < 30
    world.slow = 1
    world.run(9_000)
    assert world.run(600) == {"aws/r0": 300, "aws/r1": 200, "aws/r2": 100}
