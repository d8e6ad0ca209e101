"""Tests of the simulation: its clock, its targets, the rules of the baselines, its figures."""

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


def test_events_run_in_order_of_time_and_then_of_scheduling() -> None:
    """The order depends on the seed alone."""
    loop, seen = Loop(), list[str]()
    loop.at(2.0, lambda: seen.append("later"))
    loop.at(1.0, lambda: seen.append("first"))
    loop.at(1.0, lambda: seen.append("second"))
    loop.run(until=3.0)
    assert seen == ["first", "second", "later"]
    assert loop.now == 3.0


def test_a_cancelled_event_does_not_run_and_an_overdue_event_runs_now() -> None:
    """The clock of the simulation never goes backwards."""
    loop, seen = Loop(5.0), list[float]()
    loop.at(6.0, lambda: seen.append(-1.0)).cancel()
    loop.at(1.0, lambda: seen.append(loop.now))
    loop.run(until=9.0)
    assert seen == [5.0]


# Targets.


def test_a_target_without_a_sandbox_answers_after_a_cold_start() -> None:
    """Its reply is marked as a cold start."""
    loop = Loop()
    target = agent(loop, AWS, warm=0)
    ends = sent(target)
    loop.run(until=60.0)
    assert ends == [End.COLD]
    assert target.warm == 1


def test_a_full_target_refuses_or_queues_as_its_vendor_does() -> None:
    """AWS answers 429, and Azure queues the request."""
    loop = Loop()
    lambdas, functions = agent(loop, AWS), agent(loop, AZURE)
    both = [sent(lambdas) for _ in range(2)]
    many = [sent(functions) for _ in range(AZURE.slots + 1)]
    loop.run(until=60.0)
    assert both == [[End.GOOD], [End.FULL]]
    assert many == [[End.GOOD]] * (AZURE.slots + 1)


def test_a_silent_target_never_answers_and_a_refusing_target_resets() -> None:
    """This includes active requests."""
    loop = Loop()
    silent, refusing = agent(loop, AWS), agent(loop, AWS)
    ends = [sent(silent), sent(refusing)]
    silent.set_fault(Fault(silent=True))
    refusing.set_fault(Fault(refusing=True))
    ends += [sent(silent), sent(refusing)]
    loop.run(until=60.0)
    assert ends == [[], [End.RESET], [], [End.REFUSED]]
    assert silent.busy == refusing.busy == 0


def test_a_client_that_gives_up_frees_its_slot_only_where_the_vendor_notices() -> None:
    """A Lambda function continues to run and is billed."""
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


# Baselines.


def test_weighted_takes_turns() -> None:
    """With equal weights each target is picked equally often."""
    rule = Weighted(KEYS, random.Random(1))
    chosen = [choice.key for _ in range(6) if (choice := rule.choose(()))]
    assert sorted(chosen) == sorted(KEYS * 2)


@pytest.mark.parametrize("make", [LeastRequest, PowerOfTwo])
def test_the_busier_of_two_is_not_chosen(make: type[LeastRequest] | type[PowerOfTwo]) -> None:
    """The rule compares the active requests of this client."""
    rule = make(KEYS[:2], random.Random(1))
    rule.sent(KEYS[0])
    assert {choice.key for _ in range(20) if (choice := rule.choose(()))} == {KEYS[1]}
    rule.settled(KEYS[0])
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS[:2])


def test_an_excluded_target_is_not_picked() -> None:
    """The pick is None when all targets are excluded, as with the router's own strategies."""
    rule = LeastRequest(KEYS, random.Random(1))
    choice = rule.choose(KEYS[:2])
    assert choice is not None
    assert choice.key == KEYS[2]
    assert rule.choose(KEYS) is None


def test_envoy_ejects_after_five_failures_in_a_row_for_30_s() -> None:
    """Envoy's defaults: consecutive_5xx of 5 and base_ejection_time of 30 s."""
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


def test_envoy_ejects_at_most_ten_percent_but_always_one() -> None:
    """Of three hosts only one is ejected although two fail."""
    now = [0.0]
    rule = Envoy(KEYS, random.Random(1), clock_of(now))
    for key in KEYS[:2]:
        for _ in range(5):
            rule.record(key, Outcome.FAILURE, None)
    assert list(rule.open()) == [KEYS[1], KEYS[2]]


def test_envoys_success_rate_needs_five_hosts_with_a_hundred_requests() -> None:
    """The same error rate causes an ejection with six hosts and none with three."""
    for keys, ejected in ((KEYS, False), (tuple(f"aws/r{number}" for number in range(6)), True)):
        now = [0.0]
        rule = Envoy(keys, random.Random(1), clock_of(now))
        for key in keys:
            for number in range(100):
                bad = key == keys[0] and number % 3 == 0
                rule.record(key, Outcome.FAILURE if bad else Outcome.SUCCESS, None)
        now[0] = 10.0
        assert (keys[0] not in rule.open()) is ejected


def test_prequal_picks_the_fastest_cold_target_and_avoids_the_hot_one() -> None:
    """A target is hot above the quantile of active requests."""
    keys = tuple(f"aws/r{number}" for number in range(24))
    answers = {key: (1, 20.0 + number) for number, key in enumerate(keys)} | {keys[0]: (50, 1.0)}
    now = [0.0]
    rule = Prequal(keys, random.Random(1), clock_of(now), lambda key, answer: answer(*answers[key]))
    for _ in range(30):
        rule.choose(())
    chosen = [choice.key for _ in range(100) if (choice := rule.choose(()))]
    assert keys[0] not in chosen
    assert chosen.count(keys[1]) > chosen.count(keys[23])


def test_prequal_without_fresh_probes_picks_at_random() -> None:
    """Probe results older than a second are ignored."""
    now = [0.0]
    rule = Prequal(KEYS, random.Random(1), clock_of(now), lambda key, answer: None)
    assert {choice.key for _ in range(50) if (choice := rule.choose(()))} == set(KEYS)


# Figures.


def told(at: float, key: str, *, took_s: float = 0.1, good: bool = True) -> Told:
    return Told(at, took_s, good, 1, key)


def test_round_robin_does_not_oscillate_and_random_picks_score_one() -> None:
    """0 is perfectly even, 1 is independent random picks, and synchronised swings score far above."""
    draw = random.Random(1)
    even = [[told(0.0, key) for key in KEYS * 40] for _ in range(20)]
    at_random = [
        [told(0.0, draw.choice(KEYS)) for _ in range(int(120 + draw.gauss(0, 11)))] for _ in range(300)
    ]
    swinging = [[told(0.0, KEYS[number % 2])] * 120 for number in range(20)]
    assert oscillation(even) == 0.0
    assert oscillation(at_random) == pytest.approx(1.0, abs=0.1)
    assert oscillation(swinging) > 5


def test_the_mean_difference_of_two_poisson_counts_is_continuous() -> None:
    """It is exact for small means, and the normal approximation begins without a jump."""
    assert poisson_difference(0.0) == 0.0
    assert poisson_difference(29.9) == pytest.approx(poisson_difference(30.1), rel=0.01)


def test_settling_and_recovery_are_measured_in_windows() -> None:
    """Requests fail for 10 s after the fault, and the healed target has its share 15 s after the heal."""
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
        "skyfleet/adaptive",
        "envoy",
        *(
            pytest.param(rule, marks=pytest.mark.long)
            for rule in (*FEW, "skyfleet/cost", "least-request")
            if rule not in ("skyfleet/adaptive", "envoy")
        ),
    ],
)
def test_the_same_seed_gives_the_same_figures(rule: str) -> None:
    """This holds for any rule in a scenario with a fault; another seed gives other figures."""
    setup = setup_of(TINY, "gray", rule)
    assert Run(setup).go() == Run(setup).go()
    assert Run(replace(setup, seed=2)).go() != Run(setup).go()


def test_without_a_fault_no_request_fails() -> None:
    """This holds for each rule."""
    for rule in FEW:
        assert Run(setup_of(TINY, "normal", rule)).go().errors == 0.0, rule


def test_the_hedge_of_a_rule_is_part_of_its_name() -> None:
    """Rows with and without hedges have different names."""
    setup = setup_of(TINY, "normal", "skyfleet/adaptive unhedged")
    assert setup.policy.hedge == "off"
    assert study.row_of(setup, Run(setup).go())["rule"] == "skyfleet/adaptive unhedged"


def test_a_quick_study_is_a_small_part() -> None:
    """It has three targets and less than a quarter of the cells."""
    quick = cells(quick=True)
    assert {setup.topology.targets for setup in quick} == {3}
    assert len(quick) * 4 < len(cells(quick=False))


def test_a_parameter_changes_a_constant_temporarily() -> None:
    """Every parameter of the sweeps names an existing number, which is restored at the end."""
    for sweep in SWEEPS:
        before = sweep.parameter.default()
        with sweep.parameter.turned(before * 2):
            turned = sweep.parameter.default()
        assert sweep.parameter.default() == before
        assert (turned == before) is (sweep.parameter.where == "policy")
    assert Parameter("policy", "failures").policy(5.0).failures == 5


def test_the_default_of_each_sweep_is_one_of_its_values() -> None:
    """The plot marks the default among the values."""
    for sweep in SWEEPS:
        assert sweep.parameter.default() in sweep.values, sweep.name


def test_each_swept_default_names_its_plot() -> None:
    """The comment at the default has the path of the plot."""
    for sweep in SWEEPS:
        text = (results.ROOT / "router" / "core" / f"{sweep.parameter.where.replace('.', '/')}.py").read_text(
            "utf-8"
        )
        assert f"docs/benchmarks/plots/{sweep.name}.svg" in text, sweep.name
        assert len(sweep.says) > 20, sweep.name


def test_the_values_of_each_parameter_fit_on_the_axis() -> None:
    """Labels of at most six characters do not overlap."""
    for sweep in SWEEPS:
        assert all(len(tick(value)) <= 6 for value in sweep.values), sweep.name
    assert [tick(0.0009765625), tick(0.0625), tick(0.25), tick(0.03), tick(1000.0)] == [
        "1/1024",
        "1/16",
        "0.25",
        "0.03",
        "1000",
    ]


def test_the_docs_show_the_figures_of_the_results_file() -> None:
    """The generated part of docs/benchmarks/simulation.md is up to date."""
    text = results.DOCS.read_text("utf-8")
    part = text.partition(results.BEGIN)[2].partition(results.END)[0].strip()
    assert part == results.section(results.read()).strip()
