"""Claims about the simulation itself: its time, its targets, the baselines' rules, its figures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.simulation import results, study
from bench.simulation.agents import Agent, End, Fault, Job
from bench.simulation.baselines import LeastRequest, PowerOfTwo, Weighted
from bench.simulation.callers import Told
from bench.simulation.envoy import Envoy
from bench.simulation.events import Loop
from bench.simulation.figures import figures, oscillation, poisson_difference
from bench.simulation.grid import FEW, Parameter, cells, setup_of
from bench.simulation.plots import tick
from bench.simulation.prequal import Prequal
from bench.simulation.runs import Run
from bench.simulation.shapes import AWS, AZURE, Shape
from bench.simulation.sweeps import SWEEPS
from bench.simulation.topologies import Topology
from router.core.health.fleet import Outcome

pytestmark = pytest.mark.pure

KEYS = ("aws/r0", "azure/r1", "gcp/r2")
# A topology that takes a tenth of a second.
TINY = Topology(3, 2, rate=10.0, fault_s=30.0, heal_s=50.0, end_s=80.0)


def agent(loop: Loop, shape: Shape, *, warm: int = 1, most: int = 1) -> Agent:
    return Agent(loop, shape, warm, most, 10.0, random.Random(1))


def sent(target: Agent) -> list[End]:
    """Send one request; the list gets its end."""
    ends: list[End] = []
    target.take(Job(ends.append, target.loop.now))
    return ends


def clock_of(times: list[float]) -> Callable[[], float]:
    return lambda: times[0]


# Time.


def test_events_happen_in_the_order_of_their_time_and_then_of_asking() -> None:
    """So a seed decides everything."""
    loop, seen = Loop(), list[str]()
    loop.at(2.0, lambda: seen.append("later"))
    loop.at(1.0, lambda: seen.append("first"))
    loop.at(1.0, lambda: seen.append("second"))
    loop.run(until=3.0)
    assert seen == ["first", "second", "later"]
    assert loop.now == 3.0


def test_a_cancelled_event_does_not_happen_and_a_late_one_happens_now() -> None:
    """Time never goes back."""
    loop, seen = Loop(5.0), list[float]()
    loop.at(6.0, lambda: seen.append(-1.0)).cancel()
    loop.at(1.0, lambda: seen.append(loop.now))
    loop.run(until=9.0)
    assert seen == [5.0]


# Targets.


def test_a_target_without_a_sandbox_answers_after_a_cold_start() -> None:
    """And says that it was one."""
    loop = Loop()
    target = agent(loop, AWS, warm=0)
    ends = sent(target)
    loop.run(until=60.0)
    assert ends == [End.COLD]
    assert target.warm == 1


def test_a_full_target_throttles_or_queues_as_its_vendor_does() -> None:
    """AWS says 429, Azure lets wait."""
    loop = Loop()
    lambdas, functions = agent(loop, AWS), agent(loop, AZURE)
    both = [sent(lambdas) for _ in range(2)]
    many = [sent(functions) for _ in range(AZURE.slots + 1)]
    loop.run(until=60.0)
    assert both == [[End.GOOD], [End.FULL]]
    assert many == [[End.GOOD]] * (AZURE.slots + 1)


def test_what_becomes_silent_never_answers_again_and_who_refuses_resets() -> None:
    """Requests in work included."""
    loop = Loop()
    silent, refusing = agent(loop, AWS), agent(loop, AWS)
    ends = [sent(silent), sent(refusing)]
    silent.set_fault(Fault(silent=True))
    refusing.set_fault(Fault(refusing=True))
    ends += [sent(silent), sent(refusing)]
    loop.run(until=60.0)
    assert ends == [[], [End.RESET], [], [End.REFUSED]]
    assert silent.busy == refusing.busy == 0


def test_a_caller_who_leaves_frees_the_slot_only_where_the_vendor_notices() -> None:
    """Lambda works on and is billed."""
    loop = Loop()
    for shape, busy in ((AWS, 1), (AZURE, 0)):
        target, ends = agent(loop, shape), list[End]()
        job = Job(ends.append, loop.now)
        target.take(job)
        target.leave(job)
        assert target.busy == busy, shape
        loop.run(until=loop.now + 60.0)
        assert target.busy == 0
        assert not ends


# Rivals.


def test_weighted_takes_turns() -> None:
    """Equal weights, exactly."""
    rule = Weighted(KEYS, random.Random(1))
    chosen = [choice.key for _ in range(6) if (choice := rule.choose(()))]
    assert sorted(chosen) == sorted(KEYS * 2)


@pytest.mark.parametrize("make", [LeastRequest, PowerOfTwo])
def test_the_busier_of_two_is_not_chosen(make: type[LeastRequest] | type[PowerOfTwo]) -> None:
    """By own requests in flight."""
    rule = make(KEYS[:2], random.Random(1))
    rule.sent(KEYS[0])
    assert {choice.key for _ in range(20) if (choice := rule.choose(()))} == {KEYS[1]}
    rule.settled(KEYS[0])
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS[:2])


def test_a_tried_target_is_left_out_until_nobody_is_left() -> None:
    """As our own rules do it."""
    rule = LeastRequest(KEYS, random.Random(1))
    choice = rule.choose(KEYS[:2])
    assert choice is not None
    assert choice.key == KEYS[2]
    assert rule.choose(KEYS) is None


def test_envoy_ejects_after_five_in_a_row_and_takes_back_at_a_sweep_after_30_s() -> None:
    """Its consecutive rule and its base ejection time."""
    now = [0.0]
    rule = Envoy(KEYS, random.Random(1), clock_of(now))
    for _ in range(4):
        rule.record(KEYS[0], Outcome.FAILURE, None)
    assert KEYS[0] in rule.open()
    rule.record(KEYS[0], Outcome.FAILURE, None)
    assert KEYS[0] not in rule.open()
    now[0] = 29.0
    assert KEYS[0] not in rule.open()
    now[0] = 30.0
    assert KEYS[0] in rule.open()


def test_envoy_ejects_a_tenth_at_most_but_one_always() -> None:
    """Of three the second stays in, though it fails as much."""
    now = [0.0]
    rule = Envoy(KEYS, random.Random(1), clock_of(now))
    for key in KEYS[:2]:
        for _ in range(5):
            rule.record(key, Outcome.FAILURE, None)
    assert list(rule.open()) == [KEYS[1], KEYS[2]]


def test_envoys_success_rate_needs_five_hosts_with_a_hundred_requests() -> None:
    """The same share of errors ejects at six hosts and not at three."""
    for keys, ejected in ((KEYS, False), (tuple(f"aws/r{number}" for number in range(6)), True)):
        now = [0.0]
        rule = Envoy(keys, random.Random(1), clock_of(now))
        for key in keys:
            for number in range(100):
                bad = key == keys[0] and number % 3 == 0
                rule.record(key, Outcome.FAILURE if bad else Outcome.SUCCESS, None)
        now[0] = 10.0
        assert (keys[0] not in rule.open()) is ejected


def test_prequal_takes_the_fastest_cold_probe_and_leaves_the_hot_one() -> None:
    """Hot is above the quantile of requests in flight."""
    keys = tuple(f"aws/r{number}" for number in range(24))
    answers = {key: (1, 20.0 + number) for number, key in enumerate(keys)} | {keys[0]: (50, 1.0)}
    now = [0.0]
    rule = Prequal(keys, random.Random(1), clock_of(now), lambda key, answer: answer(*answers[key]))
    for _ in range(30):
        rule.choose(())
    chosen = [choice.key for _ in range(100) if (choice := rule.choose(()))]
    assert keys[0] not in chosen
    assert chosen.count(keys[1]) > chosen.count(keys[23])


def test_prequal_without_fresh_probes_draws_by_lot() -> None:
    """Answers older than a second say nothing."""
    now = [0.0]
    rule = Prequal(KEYS, random.Random(1), clock_of(now), lambda key, answer: None)
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS)


# Figures.


def told(at: float, key: str, *, took_s: float = 0.1, good: bool = True) -> Told:
    return Told(at, took_s, good, 1, key)


def test_turns_do_not_oscillate_and_chance_is_one() -> None:
    """0 is perfectly even, 1 what independent draws show, and swinging together is far above."""
    draw = random.Random(1)
    even = [[told(0.0, key) for key in KEYS * 40] for _ in range(20)]
    at_random = [
        [told(0.0, draw.choice(KEYS)) for _ in range(int(120 + draw.gauss(0, 11)))] for _ in range(300)
    ]
    swinging = [[told(0.0, KEYS[number % 2])] * 120 for number in range(20)]
    assert oscillation(even) == 0.0
    assert oscillation(at_random) == pytest.approx(1.0, abs=0.1)
    assert oscillation(swinging) > 5


def test_the_difference_of_two_poisson_counts_is_known() -> None:
    """Exact for small means and close to the normal limit where that begins."""
    assert poisson_difference(0.0) == 0.0
    assert poisson_difference(29.9) == pytest.approx(poisson_difference(30.1), rel=0.01)


def test_settling_and_recovery_are_taken_from_windows() -> None:
    """10 s of failures after the fault; the share of the healed target is back 15 s after the heal."""
    topology = replace(TINY, instances=1)
    asked: list[Told] = []
    for tenth in range(800):
        at = tenth / 10
        out = 30 <= at < 65
        key = KEYS[tenth % 3] if not out else KEYS[tenth % 2]
        asked.append(told(at, key, good=not (30 <= at < 40 and tenth % 3 == 0)))
    found = figures(topology, asked, len(asked), 0.0, frozenset({KEYS[2]}))
    assert found.settled_s == 10.0
    assert found.recovered_s == 15.0
    assert found.errors == pytest.approx(1 / 6, abs=0.01)
    assert found.extra == 0.0


# Runs.


@pytest.mark.parametrize(
    "rule",
    [
        "ours/adaptive",
        "envoy",
        *(
            pytest.param(rule, marks=pytest.mark.long)
            for rule in (*FEW, "ours/cost", "least-request")
            if rule not in ("ours/adaptive", "envoy")
        ),
    ],
)
def test_the_same_seed_gives_the_same_figures(rule: str) -> None:
    """With any rule, on a scenario with a fault; another seed gives others."""
    setup = setup_of(TINY, "gray", rule)
    assert Run(setup).go() == Run(setup).go()
    assert Run(replace(setup, seed=2)).go() != Run(setup).go()


def test_without_a_fault_nobody_fails() -> None:
    """Whatever the rule."""
    for rule in FEW:
        assert Run(setup_of(TINY, "normal", rule)).go().errors == 0.0, rule


def test_the_hedge_of_a_rule_is_part_of_its_name() -> None:
    """So that rows tell them apart."""
    setup = setup_of(TINY, "normal", "ours/adaptive unhedged")
    assert setup.policy.hedge == "off"
    assert study.row_of(setup, Run(setup).go())["rule"] == "ours/adaptive unhedged"


def test_a_quick_study_is_a_small_part() -> None:
    """Three targets only, and few requests."""
    quick = cells(quick=True)
    assert {setup.topology.targets for setup in quick} == {3}
    assert len(quick) * 4 < len(cells(quick=False))


def test_a_dial_turns_a_constant_only_for_a_while() -> None:
    """Every parameter of the sweeps names a number that exists."""
    for sweep in SWEEPS:
        before = sweep.parameter.default()
        with sweep.parameter.turned(before * 2):
            turned = sweep.parameter.default()
        assert sweep.parameter.default() == before
        assert (turned == before) is (sweep.parameter.where == "core.policy")
    assert Parameter("core.policy", "failures").policy(5.0).failures == 5


def test_the_default_of_each_sweep_is_one_of_its_values() -> None:
    """Or the plot could not mark it."""
    for sweep in SWEEPS:
        assert sweep.parameter.default() in sweep.values, sweep.name


def test_each_swept_default_names_its_plot() -> None:
    """In the comment beside the number."""
    for sweep in SWEEPS:
        text = (results.ROOT / "router" / f"{sweep.parameter.where.replace('.', '/')}.py").read_text("utf-8")
        assert f"docs/benchmarks/plots/{sweep.name}.svg" in text, sweep.name
        assert len(sweep.says) > 20, sweep.name


def test_the_values_of_each_dial_have_room_on_the_axis() -> None:
    """Or they are written over each other."""
    for sweep in SWEEPS:
        assert all(len(tick(value)) <= 6 for value in sweep.values), sweep.name
    assert [tick(0.0009765625), tick(0.0625), tick(0.25), tick(0.03), tick(1000.0)] == [
        "1/1024",
        "1/16",
        "0.25",
        "0.03",
        "1000",
    ]


def test_the_docs_show_what_the_file_of_figures_says() -> None:
    """The generated part of docs/benchmarks/simulation.md is fresh."""
    text = results.DOCS.read_text("utf-8")
    part = text.partition(results.BEGIN)[2].partition(results.END)[0].strip()
    assert part == results.section(results.read()).strip()
