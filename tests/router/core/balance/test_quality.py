"""Claims about `adaptive`, the default: a small world in which a balancer chooses and the targets answer."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.balance.balancer import Balancer
from router.core.balance.metrics import NOTHING, Traffic, saw
from router.core.balance.quality import MIN_SHARE, Known, base_weights, qualities, settled, shares
from router.core.balance.strategies import Candidate
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.targets import Origin, Target
from skyfleet.contract import Strategy

pytestmark = pytest.mark.pure

# What a target does with a request: (latency in ms, whether it fails), given its number and how many it has.
Behaviour = Callable[[int, int], tuple[float, bool]]


class World:
    """One instance's balancer and targets that behave in some way; time passes only by requests."""

    def __init__(
        self,
        weights: Sequence[float],
        *,
        strategy: Strategy = Strategy.ADAPTIVE,
        prices: Sequence[float] | None = None,
        per_s: float = 50.0,
        seed: int = 1,
    ) -> None:
        self.now, self.per_s = 1_000_000.0, per_s
        self.source = random.Random(seed)
        prices = prices or [0.2] * len(weights)
        origin = Origin(False, "127.0.0.1", 9)
        targets = tuple(
            Target("aws", f"r{number}", "http://127.0.0.1:9", origin, weight, True, price)
            for number, (weight, price) in enumerate(zip(weights, prices, strict=True))
        )
        self.keys = [target.key for target in targets]
        self.balancer = Balancer(targets, strategy, DEFAULT, lambda: self.now, self.source.random)
        self.running: list[tuple[float, int, str, float, bool]] = []
        self.sent = 0

    def noise(self) -> float:
        """As of real latencies: half as long now and then, five times in a hundredth of all cases."""
        return 5.0 if self.source.random() < 0.01 else self.source.lognormvariate(0, 0.25)

    def serve(self, requests: int, behave: Behaviour) -> Counter[int]:
        """So many requests; how many of them each target got."""
        counted: Counter[int] = Counter()
        for _ in range(requests):
            self.advance(self.now + 1 / self.per_s)
            choice = self.balancer.choose(())
            assert choice is not None
            number = self.keys.index(choice.key)
            counted[number] += 1
            ms, fails = behave(number, self.balancer.inflight[choice.key])
            self.sent += 1
            self.balancer.start(choice.key, self.sent)
            heapq.heappush(self.running, (self.now + ms / 1000, self.sent, choice.key, ms, fails))
        return counted

    def advance(self, until: float) -> None:
        while self.running and self.running[0][0] <= until:
            self.now, token, key, ms, fails = heapq.heappop(self.running)
            self.balancer.end(key, token)
            if not fails:
                self.balancer.report(key, Outcome.NEUTRAL, first_event_ms=ms, load=None, cold=False)
            self.balancer.report(key, Outcome.FAILURE if fails else Outcome.SUCCESS)
        self.now = until

    def steady(self, ms: float = 20.0) -> Behaviour:
        return lambda number, inflight: (ms * self.noise(), False)

    def heavy(self) -> Behaviour:
        return lambda number, inflight: (50 * self.source.lognormvariate(0, 1), False)


@pytest.mark.parametrize("count", [1, 2, 3, 5, pytest.param(30, marks=pytest.mark.long)])
def test_noise_moves_nobodys_part_by_much(count: int) -> None:
    """Alike targets keep their parts, whatever spikes there are."""
    world = World([1.0] * count)
    world.serve(1000, world.steady())
    counted = world.serve(4000, world.steady())
    assert max(counted.values()) <= 1.35 * 4000 / count
    assert min(counted.values()) >= 0.65 * 4000 / count


@pytest.mark.parametrize(("per_s", "part"), [(10, 0.95), (200, 0.85)])
def test_a_heavy_tail_does_not_throw_parts_about(per_s: float, part: float, long: bool) -> None:
    """Sigma 1: one reply in a hundred takes ten times the median. Averages of likes are then twice as far
    apart by chance, and most looks still find no target below half of its share or half above it."""
    looks: list[float] = []
    for seed in range(4 if long else 2):
        world = World([1, 1, 1], per_s=per_s, seed=seed)
        world.serve(300, world.heavy())
        for _ in range(60):
            world.serve(15, world.heavy())
            looks += world.balancer.shares().values()
    assert sum(1 / 6 < one < 1 / 2 for one in looks) > part * len(looks)


def test_a_band_for_heavy_tails_excuses_no_target_that_is_ten_times_as_slow() -> None:
    """A target twice as slow is alike where one reply in twenty takes three times the usual; no tail
    of its own makes it so."""

    def quality(slow_ms: float, tail: float, own_tail: float) -> float:
        seen = {
            key: Traffic(1.0, ms, usual_ms=50, samples=100, p95_ms=50 * times, timed_at=1.0)
            for key, ms, times in (("a", 50, tail), ("b", 50, tail), ("c", slow_ms, own_tail))
        }
        candidates = [Candidate(key, 1) for key in seen]
        return qualities(candidates, Known(seen, dict.fromkeys(seen, 0.2)), 1.0)["c"].quality

    assert quality(100, 3, 3) == 1
    assert 0.5 < quality(100, 1.7, 1.7) < 0.7
    assert quality(100, 1.7, 9) == quality(100, 1.7, 1.7)
    assert quality(500, 3, 3) == pytest.approx(quality(500, 1.7, 1.7), rel=0.1)


@pytest.mark.parametrize("count", [3, *(pytest.param(other, marks=pytest.mark.long) for other in (2, 5))])
def test_a_slow_target_is_derated_within_two_seconds_and_does_not_own_the_p99(count: int) -> None:
    """Ten times as slow: a few requests until it shows, then its floor, which is below one in a hundred; by
    the mean of six worlds, since luck alone moves one by a fifth."""
    counts = [slow_share(count, seed) for seed in range(6)]
    assert all(counts)
    assert sum(counts) <= 6 * 0.01 * 3000


def slow_share(count: int, seed: int) -> int:
    """How many of 3,000 requests the first target gets once it has been ten times as slow for two seconds."""
    world = World([1.0] * count, per_s=100, seed=seed)
    world.serve(1000, world.steady())

    def faulty(number: int, inflight: int) -> tuple[float, bool]:
        return (200 if number == 0 else 20) * world.noise(), False

    world.serve(200, faulty)
    return world.serve(3000, faulty)[0]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_target_that_recovers_is_back_within_half_a_minute(count: int) -> None:
    """Seen by the requests of its floor; the way up is gradual."""
    world = World([1.0] * count, per_s=100)
    world.serve(1000, world.steady())
    world.serve(2000, lambda number, inflight: ((200 if number == 0 else 20) * world.noise(), False))
    world.serve(3000, world.steady())
    assert world.serve(1000, world.steady())[0] >= 0.7 * 1000 / count


def test_errors_move_traffic_before_a_target_is_ejected() -> None:
    """A third of errors, hardly ever three in a row: an eighth of its part and less is left, on average."""

    def served(warm_up: int) -> int:
        world = World([1, 1, 1], per_s=50)
        world.serve(warm_up, world.steady())

        def failing(number: int, inflight: int) -> tuple[float, bool]:
            return 20 * world.noise(), number == 0 and world.source.random() < 0.3

        world.serve(250, failing)
        return world.serve(2000, failing)[0]

    assert fmean(served(500 + more) for more in (0, 3, 6, 9, 12)) <= 2000 / 3 / 8


def test_a_target_that_swallows_requests_is_passed_by_before_any_latency_is_known() -> None:
    """What is in flight shows first: of 100 in a second, it gets a handful."""
    world = World([1, 1, 1], per_s=100)
    world.serve(500, world.steady())
    counted = world.serve(100, lambda number, inflight: (60_000 if number == 0 else 20, False))
    assert counted[0] <= 6


def test_with_a_request_each_minute_a_slow_target_is_avoided_and_tried_again() -> None:
    """Rare traffic learns too: less than half of its part while slow, back after it recovered."""
    world = World([1, 1, 1], per_s=1 / 60)
    world.serve(60, world.steady())
    slow = world.serve(120, lambda number, inflight: (400 if number == 0 else 20, False))
    assert 3 <= slow[0] <= 30
    world.serve(20, world.steady())
    assert world.serve(60, world.steady())[0] >= 15


@pytest.mark.parametrize("strategy", [Strategy.LATENCY, Strategy.COST])
@pytest.mark.parametrize("count", [3, pytest.param(6, marks=pytest.mark.long)])
@pytest.mark.parametrize("per_s", [1 / 60, 1.0, pytest.param(4.0, marks=pytest.mark.long)])
def test_a_target_that_was_slow_when_first_seen_is_tried_again(
    strategy: Strategy, count: int, per_s: float
) -> None:
    """Its baseline is as slow, so it fades to the fastest; back within three quarters of an hour."""
    world = World([1] * count, strategy=strategy, per_s=per_s)
    world.serve(max(30, round(60 * per_s)), lambda number, _: (3_000 if number == 1 else 200, False))
    minutes = 40 + 2 * count / per_s / 60
    world.serve(round(minutes * 60 * per_s), lambda number, inflight: (200, False))
    assert world.serve(40 * count, lambda number, inflight: (200, False))[1] >= 20


def test_a_price_decides_among_likes_only() -> None:
    """Twice the price is two thirds of the part; three times as fast, it gets nearly all."""
    alike = World([1, 1], prices=[0.2, 0.4])
    alike.serve(500, alike.steady())
    assert alike.serve(1000, alike.steady())[1] == pytest.approx(1000 * 0.414, rel=0.1)
    world = World([1, 1], prices=[0.2, 0.4])

    def unlike(number: int, inflight: int) -> tuple[float, bool]:
        return (60 if number == 0 else 20) * world.noise(), False

    world.serve(500, unlike)
    assert world.serve(1000, unlike)[1] >= 780


def test_weights_hold_as_long_as_nothing_tells_the_targets_apart() -> None:
    """Exactly, as in `weighted`."""
    world = World([3, 2, 1])
    assert world.serve(600, lambda number, inflight: (20.0, False)) == {0: 300, 1: 200, 2: 100}


@pytest.mark.parametrize("strategy", [Strategy.ADAPTIVE, Strategy.COST])
def test_with_constant_inputs_parts_settle(strategy: Strategy) -> None:
    """After half a minute nothing changes any more: no oscillation of our own making."""
    world = World([1, 1, 1, 1], strategy=strategy, prices=[0.2, 0.4, 0.2, 0.3], per_s=40)

    def constant(number: int, inflight: int) -> tuple[float, bool]:
        return (20.0, 30.0, 45.0, 400.0)[number], False

    world.serve(2000, constant)
    seen = {tuple(world.balancer.shares().items()) for _ in range(20) if world.serve(40, constant)}
    assert len(seen) == 1


def test_many_instances_that_decide_alike_settle_at_what_a_target_can_carry(long: bool) -> None:
    """No herding: 20 instances, and a target that gets slow when it has more than a fifth of all requests.

    All see the same latencies, so all leave and come back together; yet its part ends near what it can carry,
    neither at the floor nor beyond, and swings little."""
    instances = [World([1, 1, 1], per_s=10, seed=seed) for seed in range(20)]
    rate = [0.0, 0.0, 0.0]

    def crowded(world: World) -> Behaviour:
        def behave(number: int, inflight: int) -> tuple[float, bool]:
            over = max(0.0, rate[0] / 40 - 1) if number == 0 else 0.0
            return 20 * (1 + 8 * over) * world.noise(), False

        return behave

    parts_of_first: list[float] = []
    for second in range(90 if long else 60):
        counted: Counter[int] = Counter()
        for world in instances:
            counted += world.serve(10, crowded(world))
        rate = [0.6 * rate[number] + 0.4 * counted[number] for number in range(3)]
        if second >= 30:
            parts_of_first.append(counted[0] / 200)
    mean = sum(parts_of_first) / len(parts_of_first)
    assert 0.15 < mean < 0.30
    # Chance alone swings a fifth of 200 requests by about 0.15.
    assert max(parts_of_first) - min(parts_of_first) < 0.22


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 100),
            st.sampled_from([1.0, 0.5, 0.1]),
            st.none() | st.floats(0.1, 1e5),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_target_starves_and_none_gets_more_than_health_allows(
    listed: list[tuple[float, float, float | None, int]],
) -> None:
    """Each has at least the floor or its whole part, if that is less."""
    candidates = [Candidate(f"t{n}", weight, share) for n, (weight, share, _, _) in enumerate(listed)]
    traffic = {
        f"t{n}": _seen(latency, failures)
        for n, (_, _, latency, failures) in enumerate(listed)
        if latency is not None
    }
    known = Known(traffic, {one.key: 0.2 for one in candidates})
    factors = qualities(candidates, known, 1_000_000.0)
    found = {key: one.quality for key, one in factors.items()}
    assert all(0 < quality <= 1 for quality in found.values())
    wanted = shares(candidates, found)
    whole = sum(one.weight * one.share for one in candidates)
    for one, part in zip(candidates, wanted, strict=True):
        floor = MIN_SHARE * min(1.0, 4 / len(candidates))
        assert part / sum(wanted) >= min(floor, one.weight * one.share / whole) / (1 + 8 * MIN_SHARE) - 1e-9


def _seen(latency: float, failures: int) -> Traffic:
    seen = NOTHING
    for number in range(6):
        seen = saw(seen, 1_000_000.0, failed=number < failures, latency_ms=latency)
    return seen


@given(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)), st.floats(0, 1), st.floats(-10, 1e9))
def test_a_quality_falls_at_once_and_rises_in_time(
    before: dict[str, float], after: float, elapsed: float
) -> None:
    """At most double in each `regain_s`, from the floor at least; a newcomer has its own at once."""
    found = settled(before, {"a": after}, elapsed, {})["a"]
    assert found <= after
    fast = {"a": replace(NOTHING, fast_streak=3)}
    assert settled(before, {"a": after}, elapsed, fast)["a"] == max(found, min(after, 0.6))
    if "a" not in before or after <= before["a"]:
        assert found == after
    elif elapsed <= 0:
        assert found <= max(before["a"], MIN_SHARE)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6) | st.sampled_from([5e-324, 1e-300]), st.sampled_from([1.0, 0.5, 1 / 64])),
        min_size=1,
        max_size=5,
    )
)
@example([(5e-324, 0.5)])
def test_allowances_are_sound_for_every_weight(listed: list[tuple[float, float]]) -> None:
    """Above nothing and at most 1, though a weight times a share may be too small for any float."""
    found = base_weights([Candidate(f"t{n}", weight, share) for n, (weight, share) in enumerate(listed)])
    assert all(0 < one <= 1 for one in found)
