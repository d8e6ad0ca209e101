"""Run the soak and write docs/benchmarks/soak.md: `make soak`.

    python -m bench.soak [--seconds 3600] [--note TEXT] [--keep]

Exit code 0: all bounds hold; 1: one is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.failover.topology import NotStarted, Workspace
from bench.processes import Processes
from bench.soak import report
from bench.soak.faults import MINUTE_S
from bench.soak.judge import bounds
from bench.soak.run import Soak, load_average, python_version, run
from infra.setup.paths import ROOT


async def _measure(seconds: int, folder: Path) -> Soak:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Processes() as processes:
        workspace = Workspace(processes, ROOT, folder / "run", os.environ.get("PATH", ""))
        return await run(seconds, workspace)


def main(arguments: Sequence[str]) -> int:
    """Run, judge, write; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=600, help="duration, in whole minutes (default: 600)")
    parser.add_argument("--note", default="", help="a remark for the page, such as what else ran")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and journals")
    options = parser.parse_args(arguments)
    if options.seconds < 2 * MINUTE_S:
        parser.error(f"--seconds: got {options.seconds}, expected at least {2 * MINUTE_S:g}, e.g. 600")
    about: dict[str, object] = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
        "seconds": options.seconds,
        "note": options.note,
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": python_version(),
        "load_before": load_average(),
    }
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-soak-"))
    try:
        soak = asyncio.run(_measure(options.seconds, folder))
    except NotStarted as error:
        sys.exit(str(error))
    finally:
        if options.keep:
            print(f"logs and journals: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    counts = {
        "lost": sum(one.lost for one in soak.minutes),
        "wrong_repeats": soak.wrong_repeats,
        "alarms": soak.alarms,
        "restarts": soak.restarts,
    }
    found = bounds(soak.samples, len(soak.minutes), soak.idle, counts)
    report.keep(report.entry(soak, found, {**about, "load_after": load_average()}))
    report.write(ROOT, report.read())
    for one in found:
        print(f"{'holds ' if one.holds else 'BROKEN'} {one.name}: {one.found:g}, allowed {one.allowed:.4g}")
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("soak: stopped; nothing was written.")
