"""Tests of attribution: which agent errors count against a target, for one to five targets."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.health.attribution import (
    CHANCE,
    CLASSES,
    EVIDENCE_S,
    LATEST,
    MOST,
    NOT_PROVEN,
    WINDOW,
    Evidence,
    Finding,
    Tally,
    asked,
    broke,
    class_of,
    failed,
    is_proven,
    needs_comparison,
    succeeded,
)
from router.core.health.machine import FAILURES

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
# (class, target, whether it failed)
Step = tuple[int, int, bool]
classes = st.integers(0, 2)
sizes = st.integers(1, 5)


def tell(steps: Iterable[Step], evidence: Evidence | None = None) -> tuple[Evidence | None, Counter[str]]:
    """The evidence after these outcomes, and how many errors counted against each target."""
    counted: Counter[str] = Counter()
    for request_class, target, bad in steps:
        if bad:
            evidence, found = failed(evidence, request_class, f"t{target}", NOW)
            counted[f"t{target}"] += found.row + found.earlier
        elif evidence is not None:
            evidence = succeeded(evidence, request_class, f"t{target}", NOW)
    return evidence, +counted


def known(*steps: Step) -> Evidence:
    """The evidence of these outcomes, at least one of which is a failure."""
    evidence, _ = tell(steps)
    assert evidence is not None
    return evidence


def good(request_class: int, target: int, times: int = 1) -> list[Step]:
    return [(request_class, target, False)] * times


@given(st.data(), sizes)
def test_a_class_that_fails_everywhere_counts_against_no_target(data: st.DataObject, size: int) -> None:
    """A poison path, or one client's bug: it fails wherever it is sent, in any order and number, while the
    other classes succeed everywhere."""
    poison = data.draw(classes)
    sent = data.draw(st.lists(st.tuples(classes, st.integers(0, size - 1)), max_size=150))
    _, counted = tell([(one, target, one == poison) for one, target in sent])
    assert not counted


@given(st.lists(st.tuples(classes, st.just(0), st.booleans()), max_size=100))
def test_the_only_target_is_never_at_fault(steps: list[Step]) -> None:
    """Without another target there is nothing to compare."""
    assert not tell(steps)[1]


@pytest.mark.parametrize(("size", "errors"), [(2, 7), (3, 5), (4, 5), (5, 4)])
def test_a_bad_build_at_one_target_is_proven_within_a_few_errors(size: int, errors: int) -> None:
    """It fails all requests, and the others none; all errors until then count at once."""
    seen = 0
    evidence, counted = None, Counter[str]()
    for number in itertools.count():
        evidence, counted = tell([(0, number % size, number % size == 0)], evidence)
        seen += number % size == 0
        if counted:
            break
    assert seen == errors
    assert counted == {"t0": errors}


@pytest.mark.parametrize(("size", "errors"), [(2, 17), (3, 12), (4, 10), (5, 9)])
def test_many_paths_prove_a_bad_build_together(size: int, errors: int) -> None:
    """With a path for each request: the first are told apart, the others are counted with these."""
    for seed in range(20):
        draw, seen = random.Random(seed), 0
        evidence, counted = None, Counter[str]()
        for number in itertools.count():
            step = (draw.getrandbits(60), number % size, number % size == 0)
            evidence, counted = tell([step], evidence)
            seen += step[2]
            if counted:
                break
        assert seen <= errors


@pytest.mark.parametrize(("size", "share", "errors"), [(2, 0.3, 9), (3, 0.3, 6), (3, 0.1, 8), (5, 0.1, 6)])
def test_a_target_that_fails_some_requests_is_found(size: int, share: float, errors: int) -> None:
    """Half of the seeds need at most so many errors."""
    found: list[int] = []
    for seed in range(15):
        draw, seen = random.Random(seed), 0
        evidence, counted = None, Counter[str]()
        for number in range(3_000):
            step = (0, number % size, number % size == 0 and draw.random() < share)
            evidence, counted = tell([step], evidence)
            seen += step[2]
            if counted:
                break
        found.append(seen if counted else 3_000)
    assert statistics.median(found) <= errors


def test_beside_a_bad_build_the_errors_that_all_targets_have_do_not_count() -> None:
    """The proof is of the target; which errors count is still a question of each class."""
    steps = [(number % 2, number // 2 % 3, number % 2 == 1 or number // 2 % 3 == 0) for number in range(120)]
    evidence, counted = tell(steps)
    assert set(counted) == {"t0"}
    assert failed(evidence, 0, "t0", NOW)[1] != NOT_PROVEN
    assert failed(evidence, 1, "t0", NOW)[1] == NOT_PROVEN


@given(st.data(), st.integers(2, 5), st.integers(0, 60))
def test_a_bad_build_is_proven_whatever_came_before(data: st.DataObject, size: int, before: int) -> None:
    """Errors that all targets had alike do not hide it for longer than its window."""
    past = [(0, number % size, data.draw(st.integers(0, 9)) == 0) for number in range(before)]
    evidence, _ = tell(past)
    steps = [(0, number % size, number % size == 0) for number in range(2 * WINDOW * size)]
    assert tell(steps, evidence)[1]["t0"] > 0


def test_bad_requests_among_good_ones_of_their_class_hardly_ever_count() -> None:
    """One bad prompt in so many on the same path, sent to targets at random: the proof is wrong in less than
    one of `1 / CHANCE` errors."""
    errors = proofs = 0
    for size in (2, 3, 5):
        for share in (0.02, 0.1, 0.4, 0.8):
            draw, evidence = random.Random(f"{size} {share}"), None
            for _ in range(3_000):
                step = (0, draw.randrange(size), draw.random() < share)
                evidence, counted = tell([step], evidence)
                errors, proofs = errors + step[2], proofs + bool(counted)
    assert proofs <= CHANCE * errors


@given(st.lists(st.tuples(classes, st.integers(0, 4), st.booleans()), max_size=60), st.randoms())
def test_the_order_of_outcomes_at_other_classes_and_targets_does_not_matter(
    steps: list[Step], shuffle: random.Random
) -> None:
    """Within a window the evidence is a set of counts; only the newest row depends on the order."""
    steps = steps[:WINDOW]
    heads = [(request_class, 0, True) for request_class in range(3)]
    other = shuffle.sample(steps, len(steps))

    def numbers(evidence: Evidence) -> dict[tuple[int, str], tuple[int, int]]:
        return {
            (one, target): (tally.failed, tally.good)
            for one, tallies in evidence.classes.items()
            for target, tally in tallies.items()
        }

    assert numbers(known(*heads, *steps)) == numbers(known(*heads, *other))


counts = st.integers(0, 6)
tables = st.tuples(st.integers(1, 6), counts, counts, counts)


@given(st.lists(tables, min_size=1, max_size=3))
@example([(5, 0, 0, 8)])
@example([(5, 0, 0, 7)])
def test_the_proof_is_fishers_exact_test_over_all_classes(found: list[tuple[int, int, int, int]]) -> None:
    """The tail of the sum of hypergeometric numbers, as exact fractions, gives the same verdict."""
    chances = {0: Fraction(1)}
    for here, good, there, fine in found:
        bad, every = here + there, math.comb(here + good + there + fine, here + there)
        added: dict[int, Fraction] = {}
        for before, chance in chances.items():
            for n in range(max(0, bad - there - fine), min(here + good, bad) + 1):
                ways = math.comb(here + good, n) * math.comb(there + fine, bad - n)
                added[before + n] = added.get(before + n, Fraction(0)) + chance * Fraction(ways, every)
        chances = added
    exact = float(sum(chance for n, chance in chances.items() if n >= sum(table[0] for table in found)))
    classes = {
        number: {"own": Tally(here, good), "other": Tally(there, fine)}
        for number, (here, good, there, fine) in enumerate(found)
    }
    evidence = Evidence(NOW, classes)
    if not math.isclose(exact, CHANCE):
        assert is_proven(evidence, "own") is (exact <= CHANCE)


def test_active_requests_count_as_good_for_their_own_target() -> None:
    """Errors come quickly and replies of minutes late: errors at the slower target then prove nothing."""
    evidence = Evidence(NOW, {0: {"own": Tally(8, 0), "other": Tally(3, 22)}, 1: {"other": Tally(1, 0)}})
    assert is_proven(evidence, "own")
    assert not is_proven(evidence, "own", active=40)
    assert not is_proven(evidence, "other")


def test_with_the_proof_the_earlier_errors_count_too() -> None:
    """Those in a row may eject the target, and the others count in its metrics; each counts once."""
    others = [(0, number % 2 + 1, False) for number in range(24)]
    evidence, counted = tell([(0, 0, True), (0, 0, True), (0, 0, False), *others, (0, 0, True)])
    assert not counted
    evidence, found = failed(evidence, 0, "t0", NOW)
    assert found == Finding(row=2, earlier=2)
    _, found = failed(evidence, 0, "t0", NOW)
    assert found == Finding(row=1)


def test_a_failure_without_an_agents_reply_counts_unless_the_others_fail_too() -> None:
    """At once where no other target is known, or one has no failure; else only with a proof."""
    evidence, alike = broke(None, 0, "t0", NOW)
    assert not alike
    evidence, alike = broke(evidence, 0, "t1", NOW)
    assert alike
    without, _ = tell(good(0, 2), evidence)
    assert not broke(without, 0, "t0", NOW)[1]
    better, _ = tell(good(0, 1, 20), evidence)
    counts: list[bool] = []
    for _ in range(4):
        better, alike = broke(better, 0, "t0", NOW)
        counts.append(not alike)
    assert counts == [False, False, True, True]


def test_a_cloud_that_is_out_is_found_beside_requests_that_kill_the_agent() -> None:
    """One in ten of them fails everywhere; where all fail, each failure counts."""
    past = [(0, number % 3, number % 10 == 0) for number in range(90)]
    evidence, counted = tell(past)
    assert not counted
    for _ in range(WINDOW):
        evidence, _ = broke(evidence, 0, "t0", NOW)
    assert not broke(evidence, 0, "t0", NOW)[1]


def test_an_error_elsewhere_takes_the_proof_back() -> None:
    """What fails alike everywhere later does not count any more."""
    evidence, counted = tell([(0, number % 3, number % 3 == 0) for number in range(30)])
    assert counted
    evidence, _ = tell([(0, number % 2 + 1, True) for number in range(WINDOW)], evidence)
    assert failed(evidence, 0, "t0", NOW)[1] == NOT_PROVEN


def test_without_a_failure_for_a_minute_nothing_is_counted() -> None:
    """Nor with a failure in the future, after the clock was set back. The next failure begins again."""
    evidence, later = known((1, 0, True)), NOW + EVIDENCE_S
    assert succeeded(evidence, 1, "t0", later - 0.1) is not None
    assert succeeded(evidence, 1, "t0", later) is None
    assert succeeded(evidence, 2, "t0", NOW - 1) is None
    assert set(failed(evidence, 2, "t0", later)[0].classes) == {2}
    assert set(broke(evidence, 2, "t0", later)[0].classes) == {2}


def test_a_comparison_is_asked_for_one_request_at_a_time() -> None:
    """Until other targets have as many outcomes as there were errors; only where the class fails."""
    evidence = known((0, 0, True))
    assert needs_comparison(evidence, 0, "t0")
    assert not needs_comparison(evidence, 0, "t1")
    assert not needs_comparison(evidence, 1, "t0")
    assert not needs_comparison(asked(evidence, 0), 0, "t0")
    assert needs_comparison(asked(evidence, 1), 0, "t0")
    assert not needs_comparison(known((0, 0, True), *good(0, 1)), 0, "t0")
    evidence, _ = failed(asked(evidence, 0), 0, "t0", NOW)
    assert needs_comparison(evidence, 0, "t0")


@given(st.lists(st.tuples(st.integers(0, 3 * CLASSES), st.integers(0, 4), st.booleans()), max_size=400))
def test_the_memory_is_bounded(steps: list[Step]) -> None:
    """At most `CLASSES` classes, and a window for each target."""
    evidence = known((0, 0, True), *steps)
    assert len(evidence.classes) <= CLASSES
    for tallies in evidence.classes.values():
        for tally in tallies.values():
            assert tally.failed + tally.good <= 2 * MOST
            assert tally.row <= tally.failed >= tally.held
    assert all(len(latest) <= LATEST for latest in evidence.latest.values())


def test_the_memory_of_a_single_target_is_bounded() -> None:
    """Nothing ends its periods but their length."""
    evidence = known((0, 0, True), *[(0, 0, number % 3 == 0) for number in range(5 * MOST)])
    assert MOST <= evidence.classes[0]["t0"].failed + evidence.classes[0]["t0"].good <= 2 * MOST


def test_many_errors_are_compared_fast_enough() -> None:
    """As far from the mean as in a normal distribution; the exact sum would take as many steps as errors."""
    for bad, proven in ((150, False), (170, True)):
        rows = {"own": Tally(bad, 400 - bad), "other": Tally(130, 270)}
        assert is_proven(Evidence(NOW, dict.fromkeys(range(2), rows)), "own") is proven


def test_an_agent_that_fails_now_and_then_in_each_cloud_is_at_no_targets_fault() -> None:
    """A dependency fails for 20 requests in a row, again and again. The targets have unequal shares, so their
    last outcomes are of different times."""
    for turn in ("0000100002", "00000000000000001", "010010102"):
        targets = itertools.cycle(int(one) for one in turn)
        for seed in range(5):
            draw, bad, evidence = random.Random(seed), 0, None
            for _ in range(2_000):
                bad = bad - 1 if bad else 20 * (draw.random() < 0.015)
                evidence, counted = tell([(0, next(targets), bad > 0)], evidence)
                assert counted.total() < FAILURES


def test_targets_that_are_asked_only_while_errors_come_are_not_worse_for_it() -> None:
    """As `cost` compares: the failing requests of a minute go to both, the good ones to one."""
    evidence: Evidence | None = None
    for _ in range(20):
        evidence, counted = tell([(0, number % 2, True) for number in range(20)], evidence)
        assert not counted
        evidence, counted = tell([(0, 0, False)] * 40, evidence)
        assert not counted
    evidence, counted = tell([(0, number % 2, number % 2 == 1) for number in range(20)], evidence)
    assert set(counted) == {"t1"}


def test_a_target_that_has_failed_is_known_for_it_in_later_periods() -> None:
    """So a request that kills the agent everywhere does not count again after each period."""
    evidence, _ = broke(known((0, 0, True)), 0, "t1", NOW)
    evidence, _ = tell(
        good(0, 0, WINDOW) + good(0, 1, WINDOW) + good(0, 0, WINDOW) + good(0, 1, WINDOW), evidence
    )
    assert evidence is not None
    assert {tally.failed for tally in evidence.classes[0].values()} == {0}
    assert broke(evidence, 0, "t0", NOW)[1]


def test_a_class_differs_by_path_and_client() -> None:
    """The same request is always of the same class."""
    assert class_of("POST", "/crash", b"key") == class_of("POST", "/crash", b"key")
    assert len({class_of("GET", f"/items/{number}") for number in range(1_000)}) == 1_000
    assert len({class_of("GET", "/", f"key {number}".encode()) for number in range(1_000)}) == 1_000


@given(st.lists(st.integers(), min_size=CLASSES, max_size=CLASSES, unique=True), st.integers())
def test_the_first_classes_are_told_apart(first: list[int], later: int) -> None:
    """A busy path never hides the failures of another one. Each later class is counted with one of these."""
    evidence = known((first[0], 0, True), *[(one, 1, False) for one in first[1:]])
    assert set(evidence.classes) == set(first)
    after = succeeded(evidence, later, "t2", NOW)
    assert after is not None
    assert list(after.classes) == first
