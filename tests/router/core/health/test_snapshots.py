"""Claims about health documents: folding is a union, verdicts are pure, and nothing unbelievable gets in."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import SnapshotRejected
from router.core.health import snapshots
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.policy import DEFAULT

pytestmark = pytest.mark.pure

NOW = 1_000_000.0
KNOWN = ("aws/a", "gcp/b")

results = st.builds(
    ProbeResult,
    at=st.integers(0, 30).map(lambda age: NOW - age),
    ok=st.booleans(),
    cold=st.booleans(),
    latency_ms=st.sampled_from([-1.0, 5.0]),
    reason=st.sampled_from(["", "x"]),
)


ROUTERS: list[tuple[str, ...]] = [(), ("https://a.example",), ("https://a.example", "http://127.0.0.1:9")]


def document(age: int, seen: list[ProbeResult], routers: tuple[str, ...]) -> Snapshot:
    return Snapshot("aws/a", NOW - age, {"gcp/b": snapshots.keep(seen)}, routers)


documents = st.builds(
    document, st.integers(0, 30), st.lists(results, min_size=1, max_size=12), st.sampled_from(ROUTERS)
)


def looks(*oks: bool) -> list[ProbeResult]:
    return [ProbeResult(NOW - len(oks) + number, good) for number, good in enumerate(oks)]


@given(st.lists(documents, min_size=1, max_size=4))
def test_order_and_repetition_of_documents_change_nothing(several: list[Snapshot]) -> None:
    """Every order, and every document twice, ends in the same view."""
    results = [reduce(snapshots.fold, order, None) for order in permutations(several)]
    results.append(reduce(snapshots.fold, [*several, *several], None))
    assert all(one == results[0] for one in results)


@given(documents, documents)
def test_folding_what_is_known_returns_the_very_same_view(one: Snapshot, two: Snapshot) -> None:
    """So no verdict is made again without news."""
    known = snapshots.fold(one, two)
    assert snapshots.fold(known, one) is known
    assert snapshots.fold(known, two) is known


@given(documents)
def test_what_is_written_is_what_is_read(one: Snapshot) -> None:
    """The stored form and the wire form are one."""
    assert snapshots.parse(json.loads(json.dumps(snapshots.dump(one))), KNOWN, NOW) == one


def test_a_checker_needs_three_failures_or_two_good_answers() -> None:
    """Before that it abstains, and single outliers change nothing."""
    cases: list[tuple[list[bool], bool | None]] = [
        ([], None),
        ([True], None),
        ([False, False], None),
        ([True, True], True),
        ([False, False, False], False),
        ([True, True, False, False], True),
        ([False, False, False, True], False),
        ([False, False, False, True, True], True),
        ([True, False] * 5, None),
    ]
    for oks, expected in cases:
        assert snapshots.verdict(looks(*oks), DEFAULT) is expected, oks


def test_a_cold_answer_is_a_sign_of_life() -> None:
    """Even one that came after the checker's patience."""
    cold = [ProbeResult(NOW + n, ok=False, cold=True) for n in range(3)]
    assert snapshots.verdict(cold, DEFAULT) is True


def test_without_a_fresh_checker_there_is_no_verdict() -> None:
    """Neither up nor down is made up."""
    old = Snapshot("aws/a", NOW - 500, {"gcp/b": (ProbeResult(NOW - 500, False),) * 3})
    assert snapshots.merged([old], "gcp/b", NOW, DEFAULT).up is None
    assert snapshots.merged([], "gcp/b", NOW, DEFAULT).up is None


def test_votes_are_counted_live_and_a_lone_voice_is_marked() -> None:
    """Stale checkers and those without a verdict are not among them."""

    def says(checker: str, *oks: bool, age: float = 0) -> Snapshot:
        return Snapshot(
            checker, NOW, {"gcp/b": tuple(ProbeResult(one.at - age, one.ok) for one in looks(*oks))}
        )

    down, up = (False, False, False), (True, True)
    views = [says("a", *down), says("b", *up), says("c", False), says("d", *down, age=400)]
    votes = snapshots.votes(views, "gcp/b", NOW, DEFAULT)
    assert (votes.ups, len(votes.downs), votes.voters) == (1, 1, 2)
    assert snapshots.merged(views, "gcp/b", NOW, DEFAULT).up is True
    alone = snapshots.merged([views[0], views[2], views[3]], "gcp/b", NOW, DEFAULT)
    assert (alone.up, alone.alone) == (False, True)
    for order in permutations([says("a", *down, age=9), says("b", *up, age=2), says("e", *up, age=5)]):
        assert snapshots.votes(order, "gcp/b", NOW, DEFAULT).at == NOW - 3
    two = snapshots.merged([views[0], says("e", *down)], "gcp/b", NOW, DEFAULT)
    assert (two.up, two.alone) == (False, False)


def test_a_checker_that_has_seen_a_target_alive_dissents_before_it_has_a_verdict() -> None:
    """Against `down` only: one good probe may be the last one, so it brings no target up either."""

    def says(checker: str, *oks: bool) -> Snapshot:
        return Snapshot(checker, NOW, {"gcp/b": tuple(looks(*oks))})

    faulty = says("a", False, False, False)
    for first_step in ((True,), (True, False), (False, True), (True, False, False), (True, False) * 5):
        assert snapshots.merged([faulty, says("b", *first_step)], "gcp/b", NOW, DEFAULT).up is None
    for pending in ((False,), (False, False)):
        assert snapshots.merged([faulty, says("b", *pending)], "gcp/b", NOW, DEFAULT).up is False
    two = [faulty, says("b", False, False, False), says("c", True)]
    assert snapshots.merged(two, "gcp/b", NOW, DEFAULT).up is False
    stale = Snapshot("b", NOW, {"gcp/b": (ProbeResult(NOW - 200, True), ProbeResult(NOW, False))})
    assert snapshots.merged([faulty, stale], "gcp/b", NOW, DEFAULT).up is False
    cold = Snapshot("b", NOW, {"gcp/b": (ProbeResult(NOW, ok=False, cold=True),)})
    assert snapshots.merged([faulty, cold], "gcp/b", NOW, DEFAULT).up is None
    assert snapshots.merged([says("b", True)], "gcp/b", NOW, DEFAULT).up is None


@given(st.lists(st.lists(results, min_size=1, max_size=12), min_size=1, max_size=4))
def test_one_checker_alone_never_outvotes_another_that_has_seen_the_target_alive(
    several: list[list[ProbeResult]],
) -> None:
    """Whatever the others saw: where one of them saw it alive lately, down needs two verdicts."""
    views = [Snapshot(f"v{n}", NOW, {"gcp/b": snapshots.keep(seen)}) for n, seen in enumerate(several)]
    faulty = Snapshot("faulty", NOW, {"gcp/b": tuple(looks(False, False, False))})
    verdicts = [snapshots.verdict(one.results["gcp/b"], DEFAULT) for one in views]
    alive = any(look.alive for one in views for look in one.results["gcp/b"])
    if alive and False not in verdicts:
        assert snapshots.merged([*views, faulty], "gcp/b", NOW, DEFAULT).up is not False


@pytest.mark.parametrize("ahead", [61.0, 3_600.0, 1e9])
def test_a_checker_that_speaks_from_the_future_has_no_say(ahead: float) -> None:
    """Nor is it fresh; what two good clocks may differ by is no future."""
    said = Snapshot("a", NOW + ahead, {"gcp/b": tuple(ProbeResult(NOW + ahead + n, False) for n in range(3))})
    assert snapshots.merged([said], "gcp/b", NOW, DEFAULT).up is None
    assert not snapshots.is_fresh(said, NOW, DEFAULT)
    near = Snapshot("a", NOW + 59, {"gcp/b": tuple(ProbeResult(NOW + 57 + n, False) for n in range(3))})
    assert snapshots.merged([near], "gcp/b", NOW, DEFAULT).up is False
    assert snapshots.is_fresh(near, NOW, DEFAULT)


def test_what_a_clock_in_the_future_left_behind_is_not_believed() -> None:
    """After the clock was set back: the whole document, or only the looks that lie ahead."""
    ahead = Snapshot("aws/a", NOW + 3_600, {"gcp/b": (ProbeResult(NOW, True),)})
    assert snapshots.believable(ahead, NOW) is None
    assert snapshots.believable(ahead, NOW + 3_600) is ahead
    mixed = Snapshot("aws/a", NOW, {"gcp/b": (ProbeResult(NOW, True), ProbeResult(NOW + 3_600, False))})
    left = snapshots.believable(mixed, NOW)
    assert left is not None
    assert left.results == {"gcp/b": (ProbeResult(NOW, True),)}


def test_only_the_last_ten_observations_are_kept() -> None:
    """By their own time, not by arrival."""
    many = [ProbeResult(NOW - age, True) for age in range(25)]
    kept = snapshots.keep(many)
    assert [one.at for one in kept] == [NOW - age for age in range(9, -1, -1)]


def test_observations_of_targets_unknown_here_are_left_out() -> None:
    """While a region is being added the others stay judged."""
    one = snapshots.dump(Snapshot("aws/a", NOW, {"gcp/b": tuple(looks(True)), "mars/x": tuple(looks(True))}))
    assert list(snapshots.parse(one, KNOWN, NOW).results) == ["gcp/b"]


fields = st.sampled_from(["version", "checker", "at", "results", "target", "ok"])
leaves = st.none() | st.booleans() | st.floats() | st.text()
anything = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(fields, inner), max_leaves=12)


@given(anything)
def test_whatever_json_comes_it_is_read_or_refused(value: object) -> None:
    """Never another exception."""
    for attempt in (value, {"version": 1, "checker": "aws/a", "at": NOW, "results": [value]}):
        with suppress(SnapshotRejected):
            snapshots.parse(attempt, KNOWN, NOW)


@pytest.mark.parametrize("field", ["ok", "at", "latency_ms", "inflight", "cold"])
def test_a_field_of_the_wrong_type_is_refused(field: str) -> None:
    """A text is not a number, nor true or false."""
    wrong = {"target": "gcp/b", "at": NOW, "ok": True, field: "x"}
    with pytest.raises(SnapshotRejected):
        snapshots.parse({"version": 1, "checker": "aws/a", "at": NOW, "results": [wrong]}, KNOWN, NOW)


@pytest.mark.parametrize("field", ["at", "latency_ms", "inflight"])
@pytest.mark.parametrize(
    "number", [-1, -1e-9, float("nan"), float("inf"), float("-inf"), 1e15, 10**400, True]
)
def test_a_number_that_is_none_is_refused(field: str, number: float) -> None:
    """Counters are never negative, and nothing is beyond what a float holds exactly."""
    wrong = {"target": "gcp/b", "at": NOW, "ok": True, field: number}
    with pytest.raises(SnapshotRejected):
        snapshots.parse({"version": 1, "checker": "aws/a", "at": NOW, "results": [wrong]}, KNOWN, NOW)


def test_the_newer_document_says_which_routers_there_are() -> None:
    """A list is replaced and not folded, so a router can be removed."""
    old, new = Snapshot("aws/a", NOW - 9, {}, ROUTERS[2]), Snapshot("aws/a", NOW, {}, ROUTERS[1])
    for order in ((old, new), (new, old)):
        assert snapshots.fold(*order).routers == ROUTERS[1]


@pytest.mark.parametrize(
    "routers",
    ["https://a.example", [1], ["a.example"], ["https://a@b.example"], ["https://a.example/" + "x" * 300]],
)
def test_a_list_of_routers_that_are_no_urls_is_refused(routers: object) -> None:
    """As every field of the wrong type."""
    value: dict[str, object] = {
        "version": 1,
        "checker": "aws/a",
        "at": NOW,
        "results": [],
        "routers": routers,
    }
    with pytest.raises(SnapshotRejected, match="Its routers have"):
        snapshots.parse(value, KNOWN, NOW)


def test_a_list_of_routers_has_a_limit_and_no_url_twice() -> None:
    """A slash at the end makes no other URL."""
    value: dict[str, object] = {"version": 1, "checker": "aws/a", "at": NOW, "results": []}
    twice = snapshots.parse({**value, "routers": ["https://a.example", "https://A.example/"]}, KNOWN, NOW)
    assert twice.routers == ("https://a.example",)
    many = [f"https://r{number}.example" for number in range(101)]
    with pytest.raises(SnapshotRejected, match="101 routers"):
        snapshots.parse({**value, "routers": many}, KNOWN, NOW)


def test_sizes_have_limits() -> None:
    """Of a list, and of a text that may be shown; and the version is a number."""
    look = {"target": "gcp/b", "at": NOW, "ok": True, "reason": "x" * 10_000, "build": "y" * 10_000}
    written: dict[str, object] = {"version": 1, "checker": "aws/a", "at": NOW, "results": [look] * 3_000}
    (seen,) = snapshots.parse(written, KNOWN, NOW).results["gcp/b"]
    assert (len(seen.reason), len(seen.build)) == (200, 200)
    for wrong in ({"results": [look] * 3_001}, {"version": True}, {"version": "1"}):
        with pytest.raises(SnapshotRejected):
            snapshots.parse({**written, **wrong}, KNOWN, NOW)
