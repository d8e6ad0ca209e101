"""Measure the pick of a target: `python -m bench.pick`.

Each strategy is measured with 3, 30 and 300 targets, in four layers:

- `pick`: a pick from a prepared picker.
- `choose`: `Balancer.choose`, with its clock and its random draw.
- `keyed`: `Balancer.choose` with an affinity key, which hashes all targets.
- `prepare`: the preparation of a picker.

A figure is the mean of one batch of calls in CPU time of this thread, so other work on the machine counts
only by its effect on caches and clock rate. The least, median and most of the batches go to
bench/results/pick.json.

Only `pick` has a goal, since it is the work of each request that must not grow with the fleet. The other
layers have none for these reasons. `choose` adds costs that do not depend on the strategy and, up to four
times a second, a preparation, so its mean depends on the rate of calls. `keyed` grows with the number of
targets by design: one hash each. `prepare` is no work of a request: it runs when the candidates change and,
with strategies that learn, up to four times a second.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from router.core.balance.balancer import Balancer
from router.core.balance.picker import Basis, prepare
from router.core.balance.quality import Known
from router.core.balance.strategies import pick
from router.core.health.fleet import tier
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT
from router.core.targets import Origin, Target
from skyfleet.contract import Strategy

RESULTS: Final = Path(__file__).parent / "results" / "pick.json"
SIZES: Final = (3, 30, 300)
# Goals of the layer `pick` in nanoseconds, by number of targets. The least of the batches must meet them.
GOALS_NS: Final = {3: 1000, 30: 2000, 300: 2000}
_BATCHES, _CALLS, _PREPARED = 60, 2_000, 15
_KEYED, _KEYED_CALLS = 15, 100
_COLUMNS: Final = "ns per call, of the batches' means"


def balancer(count: int, strategy: Strategy) -> Balancer:
    """A balancer after some traffic: with latencies, load reports, active requests and two prices."""
    source = random.Random(count)
    origin = Origin(True, "agent.example.net", 443)
    targets = tuple(
        Target("aws", f"r{number}", "https://agent.example.net", origin, 1 + number % 3, True, price)
        for number, price in enumerate(source.choices((0.2, 0.4), k=count))
    )
    now = [1_000_000.0]
    one = Balancer(targets, strategy, DEFAULT, time.time, source.random)
    one.clock = lambda: now[0]
    for key in one.targets:
        around = source.choice((20, 25, 80, 200))
        for _ in range(20):
            now[0] += 0.001
            one.report(
                key,
                Outcome.NEUTRAL,
                first_event_ms=around * source.lognormvariate(0, 0.3),
                load=source.random(),
            )
            one.report(key, Outcome.SUCCESS)
        for _ in range(source.randrange(4)):
            one.start(key, object())
    one.clock = time.time
    return one


def spread(times_ns: Sequence[float]) -> dict[str, float]:
    """Least, median and most of the times (ns)."""
    ordered = sorted(times_ns)
    return {
        "min_ns": round(ordered[0], 1),
        "median_ns": round(ordered[len(ordered) // 2], 1),
        "max_ns": round(ordered[-1], 1),
    }


def timed(call: Callable[[int], object], batches: int, calls: int) -> dict[str, float]:
    """Measure `call`, which gets the number of the call. The loop around it, about 20 ns, is included."""
    found: list[float] = []
    for _ in range(batches):
        before = time.thread_time_ns()
        for number in range(calls):
            call(number)
        found.append((time.thread_time_ns() - before) / calls)
    return spread(found)


def layers(one: Balancer, strategy: Strategy, batches: int) -> dict[str, dict[str, float]]:
    """Measure all layers of one balancer."""
    now = one.clock()
    candidates = tier(one.fleet, (), now, DEFAULT).candidates
    prices = {key: target.price for key, target in one.targets.items()}
    basis = Basis(Known(one.traffic, prices), now, DEFAULT)
    picker = prepare(strategy, candidates, basis)
    busy, draw = one.inflight, 0.37
    return {
        "pick": timed(lambda number: pick(picker, number, busy, draw), batches, _CALLS),
        "choose": timed(lambda number: one.choose(()), batches, _CALLS),
        "keyed": timed(lambda number: one.choose((), affinity_key=b"key-%d" % number), _KEYED, _KEYED_CALLS),
        "prepare": timed(lambda number: prepare(strategy, candidates, basis), _PREPARED, 1),
    }


def rows(batches: int) -> list[dict[str, object]]:
    """Measure all layers, strategies and sizes; returns one row for each. batches: number of them."""
    return [
        {"layer": layer, "strategy": strategy.value, "targets": count, **figures}
        for count in SIZES
        for strategy in Strategy
        for layer, figures in layers(balancer(count, strategy), strategy, batches).items()
    ]


def main(arguments: list[str]) -> int:
    """Measure, print and write all figures; returns 1 when a pick misses its goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batches", type=int, default=_BATCHES, help="batches of each figure")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    options = parser.parse_args(arguments)
    found = rows(options.batches)
    missed = 0
    print(f"{'layer':8} {'strategy':12} {'targets':>7} {'least':>10} {'median':>10} {'most':>10}", _COLUMNS)
    for row in found:
        count, least = int(str(row["targets"])), float(str(row["min_ns"]))
        late = row["layer"] == "pick" and least > GOALS_NS[count]
        missed += late
        line = "{layer:8} {strategy:12} {targets:7} {min_ns:10.0f} {median_ns:10.0f} {max_ns:10.0f}"
        print(line.format(**row), "ns", "MISSED" if late else "")
    options.results.parent.mkdir(exist_ok=True)
    value = {"goals_ns": GOALS_NS, "python": sys.version.split()[0], "rows": found}
    options.results.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
