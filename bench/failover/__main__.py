"""`make bench-failover`: measures the scoreboard and writes docs/benchmarks/failover.md.

    python -m bench.failover [--rows kill,slow] [--routers skyfleet,nginx] [--report]

Lines of rows and routers that are not run are kept from the last time, and the document shows old and new
together; every line of the figures, and the document for every router, says when it was measured.
`--report` writes the document from the stored figures and measures nothing.
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
from bench.failover.rows import ROWS, Row
from bench.failover.run import NotStarted, Stage, run
from bench.processes import Processes
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console


def install(routers: Sequence[Router], bench: Bench) -> tuple[dict[str, Installed], dict[str, str]]:
    """Routers that can be started, and why the others cannot."""
    there: dict[str, Installed] = {}
    absent: dict[str, str] = {}
    for router in routers:
        try:
            there[router.name] = router.install(bench)
        except Absent as reason:
            absent[router.name] = str(reason)
            bench.console.line(f"absent: {router.name}: {reason}")
    return there, absent


async def measure(rows: Sequence[Row], there: Mapping[str, Installed], folder: Path) -> None:
    """Run every router through every row, one after another, and keep each line at once."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _current().cancel)
    async with Processes() as processes:
        for row in rows:
            for name, installed in there.items():
                stage = Stage(processes, ROOT, folder / f"{row.fault}-{name}", os.environ.get("PATH", ""))
                began = time.monotonic()
                try:
                    line = await run(row, name, installed, stage)
                except NotStarted as error:
                    line = results.absent(row.fault, name, str(error))
                took_s = round(time.monotonic() - began, 1)
                line |= {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "version": installed.version}
                line |= {"took_s": took_s}
                results.keep([line])
                print(f"{took_s:5.1f} s  {results.shown(line)}", flush=True)


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("called outside of a task")
    return task


def main(arguments: Sequence[str]) -> int:
    """Parse, install, measure, report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rows", default="", help=f"of {', '.join(row.fault for row in ROWS)} (default: all)"
    )
    parser.add_argument(
        "--routers", default="", help=f"of {', '.join(router.name for router in ROUTERS)} (default: all)"
    )
    parser.add_argument(
        "--report", action="store_true", help="only write the document from the stored figures"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and journals")
    asked = parser.parse_args(arguments)
    try:
        rows = chosen("row", names(asked.rows), {row.fault: row for row in ROWS})
        routers = chosen("router", names(asked.routers), {router.name: router for router in ROUTERS})
    except KeyError as error:
        parser.error(str(error.args[0]))
    if not asked.report:
        _measure(rows, routers, keep=asked.keep)
    report.write(ROOT, cache_folder(os.environ), Console(sys.stderr))
    return 0


def _measure(rows: Sequence[Row], routers: Sequence[Router], *, keep: bool) -> None:
    console = Console(sys.stderr)
    console.line(results.ahead(results.read(), rows, [router.name for router in routers]))
    cache = cache_folder(os.environ)
    (cache / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-failover-"))
    try:
        with exclusive(cache / "bench", lambda: console.line("another run is measuring: waiting for it")):
            there, absent = install(routers, Bench(ROOT, cache, os.environ, console))
            results.keep(
                [results.absent(row.fault, name, why) for row in rows for name, why in absent.items()]
            )
            asyncio.run(measure(rows, there, folder))
    finally:
        if keep:
            print(f"logs and journals: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("bench: stopped. The lines that were finished are kept.")
