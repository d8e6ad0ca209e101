"""`make bench-router`: this router and its peers under the same load; writes docs/benchmarks/router.md.

    python -m bench.router [--quick] [--only skyfleet-aws,nginx] [--with litellm]

`--quick` and `--only` print the table and write nothing: a short run or a part of one is no result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.failover.choice import chosen, names
from bench.failover.peers.base import Absent, Bench
from bench.router import contestants as c
from bench.router import imports, load, report
from bench.router.run import FULL, QUICK, Length, cores, measure, staged
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console


def install(asked: Sequence[c.Contestant], bench: Bench) -> tuple[dict[str, c.Installed], dict[str, str]]:
    """Those that can be started, and a word about every one: its version, or why it is absent."""
    there: dict[str, c.Installed] = {}
    words: dict[str, str] = {}
    for one in asked:
        try:
            there[one.name] = one.install(bench)
            words[one.name] = there[one.name].version
        except Absent as reason:
            words[one.name] = f"absent: {reason}"
            bench.console.line(f"absent: {one.name}: {reason}")
    return there, words


def samples(there: Mapping[str, c.Installed], length: Length, bench: Bench, folder: Path) -> dict[str, Any]:
    """Everything that is measured."""
    streaming = [one.name for one in c.CONTESTANTS if one.streams and one.name in there]
    python = c.environment(bench, "router-aws")
    with staged(there, streaming, c.nginx(bench), load.wrk(bench), folder, ROOT) as stage:
        found = measure(stage, length, bench.console.line)
        found |= json.loads(imports.calls(python, ROOT, stage.ports["direct"]))
    pyc = bench.cache / "bench" / "router-pyc"
    found["imports"] = imports.measure(python, ROOT, pyc, length.imports)
    return found | {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "pinned": bool(cores()[0]),
        "rounds": length.rounds,
        "streams_s": length.streams_s,
    }


def main(arguments: Sequence[str]) -> int:
    """Parse, install, measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.router",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = {one.name: one for one in c.CONTESTANTS}
    parser.add_argument("--quick", action="store_true", help="a short run")
    parser.add_argument("--only", default="", help=f"of {', '.join(every)}")
    parser.add_argument("--with", dest="more", default="", help="also those that run on demand: litellm")
    told = parser.parse_args(arguments)
    try:
        asked = list(chosen("contestant", names(told.only), every))
        wanted = {*names(told.only), *(one.name for one in chosen("contestant", names(told.more), every))}
    except KeyError as error:
        parser.error(str(error.args[0]))
    asked = [one for one in asked if not one.on_demand or (told.more + told.only and one.name in wanted)]
    console = Console(sys.stderr)
    cache = cache_folder(os.environ)
    (cache / "bench").mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-router-"))
    bench = Bench(ROOT, cache, os.environ, console)
    try:
        with exclusive(cache / "bench", lambda: console.line("another run is measuring: waiting for it")):
            there, words = install(asked, bench)
            found = samples(there, QUICK if told.quick else FULL, bench, folder) | {"versions": words}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.table(found))
    if not (told.quick or told.only):
        (ROOT / "docs" / "benchmarks").mkdir(exist_ok=True)
        (ROOT / "docs" / "benchmarks" / "router.md").write_text(report.document(found))
        (ROOT / "bench" / "results" / "router.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("bench: stopped.")
