"""Simulate the router's core and the baselines: how the defaults were chosen.

    make bench-simulate       (or: .venv/bin/python -m bench.simulate [--quick])

Writes `bench/results/simulation.json`, the plots in `docs/benchmarks/plots` and the generated part of
`docs/benchmarks/simulation.md`. Seeds are fixed: the same sources give the same figures. `--quick` runs a few
small topologies, prints their figures and writes no file.
"""

from __future__ import annotations

import argparse
import time

from bench.simulation import results
from bench.simulation.study import attribution, batch


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the router's core and its baselines.")
    parser.add_argument(
        "--quick", action="store_true", help="few small topologies, 1 to 3 minutes, no file written"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--draw", action="store_true", help="draw the plots and write the page from the stored figures"
    )
    parser.add_argument(
        "--attribution", action="store_true", help="only the study that asks whose fault an error is"
    )
    options = parser.parse_args()
    began = time.perf_counter()
    if options.attribution:
        results.write_attribution(attribution.study(options.jobs))
        results.document()
        return
    if not options.draw:
        found = batch.study(quick=options.quick, jobs=options.jobs)
        if options.quick:
            print(results.table(found.rows))
        else:
            results.write(found)
    if not options.quick:
        results.draw()
        results.document()
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
