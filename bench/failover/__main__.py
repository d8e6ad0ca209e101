"""Measure the failover scoreboard and write docs/benchmarks/failover.md: `make bench-failover`.

    python -m bench.failover [--scenarios kill,slow] [--routers skyfleet,nginx] [--report]

Entries of scenarios and routers that are not run stay as they were measured before. Each entry has the time
of its measurement, and the page has that of each router. `--report` writes the page from the stored entries
and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.failover import report, results
from bench.failover.choice import chosen, names
from bench.failover.peers import ROUTERS
from bench.failover.peers.base import Absent, Bench, Installed, Router
from bench.failover.run import run
from bench.failover.scenarios import SCENARIOS, Scenario
from bench.failover.topology import NotStarted, Workspace
from bench.processes import Processes
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console


def install(routers: Sequence[Router], bench: Bench) -> tuple[dict[str, Installed], dict[str, str]]:
    """Install the routers; returns those that can be started, and for the others the reason."""
    there: dict[str, Installed] = {}
    absent: dict[str, str] = {}
    for router in routers:
        try:
            there[router.name] = router.install(bench)
        except Absent as reason:
            absent[router.name] = str(reason)
            bench.console.line(f"absent: {router.name}: {reason}")
    return there, absent


async def measure(scenarios: Sequence[Scenario], there: Mapping[str, Installed], folder: Path) -> None:
    """Measure every router in every scenario, one after another, and store each entry at once."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _current().cancel)
    async with Processes() as processes:
        for scenario in scenarios:
            for name, installed in there.items():
                workspace = Workspace(
                    processes, ROOT, folder / f"{scenario.name}-{name}", os.environ.get("PATH", "")
                )
                began = time.monotonic()
                try:
                    entry = await run(scenario, name, installed, workspace)
                except NotStarted as error:
                    entry = results.absent(scenario.name, name, str(error))
                took_s = round(time.monotonic() - began, 1)
                entry |= {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "version": installed.version}
                entry |= {"took_s": took_s}
                results.keep([entry])
                print(f"{took_s:5.1f} s  {results.as_text(entry)}", flush=True)


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("called outside of a task")
    return task


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments, measure, write the page; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenarios",
        default="",
        help=f"of {', '.join(scenario.name for scenario in SCENARIOS)} (default: all)",
    )
    parser.add_argument(
        "--routers", default="", help=f"of {', '.join(router.name for router in ROUTERS)} (default: all)"
    )
    parser.add_argument("--report", action="store_true", help="only write the page from the stored entries")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder with logs, journals and outcomes"
    )
    options = parser.parse_args(arguments)
    try:
        scenarios = chosen(
            "scenario", names(options.scenarios), {scenario.name: scenario for scenario in SCENARIOS}
        )
        routers = chosen("router", names(options.routers), {router.name: router for router in ROUTERS})
    except KeyError as error:
        parser.error(str(error.args[0]))
    if not options.report:
        _measure(scenarios, routers, keep=options.keep)
    report.write(ROOT, cache_folder(os.environ), Console(sys.stderr))
    return 0


def _measure(scenarios: Sequence[Scenario], routers: Sequence[Router], *, keep: bool) -> None:
    console = Console(sys.stderr)
    console.line(results.announcement(results.read(), scenarios, [router.name for router in routers]))
    cache = cache_folder(os.environ)
    (cache / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-failover-"))
    try:
        with exclusive(cache / "bench", lambda: console.line("waiting for another run of the bench")):
            there, absent = install(routers, Bench(ROOT, cache, os.environ, console))
            results.keep(
                [
                    results.absent(scenario.name, name, why)
                    for scenario in scenarios
                    for name, why in absent.items()
                ]
            )
            asyncio.run(measure(scenarios, there, folder))
    finally:
        if keep:
            print(f"logs and journals: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("bench: stopped. The entries measured so far are stored.")
