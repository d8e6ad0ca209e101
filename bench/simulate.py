"""Simulates the router's core and its baselines, and shows how the defaults were chosen.

    make bench-simulate       (or: .venv/bin/python -m bench.simulate [--quick])

Writes `bench/results/simulation.json`, the plots in `docs/benchmarks/plots` and the generated part of
`docs/benchmarks/simulation.md`. Seeds are fixed: the same sources give the same figures. `--quick` runs a few
small topologies and prints the figures without writing a file.
"""

from __future__ import annotations

import argparse
import time

from bench.simulation import results, study


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the router's core and its baselines.")
    parser.add_argument("--quick", action="store_true", help="a few small topologies, in less than a minute")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument(
        "--draw", action="store_true", help="only write plots and document from the stored figures"
    )
    options = parser.parse_args()
    began = time.perf_counter()
    if not options.draw:
        found = study.study(quick=options.quick, jobs=options.jobs)
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
