"""`make bench-http`: HTTP/1.1 as this router, nginx and HAProxy speak it; writes docs/benchmarks/http.md.

    python -m bench.http [--only hostile]

The page is a list of sections. Each is a function that measures and returns Markdown. `--only` prints the
named sections and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.failover.choice import names
from bench.failover.peers.base import Bench
from bench.http import differential, hostile
from infra.setup.file_lock import exclusive
from infra.setup.paths import ROOT, cache_folder
from infra.setup.progress import Console

# Each section measures with its own processes in a folder of its own, and returns Markdown with a heading of
# the second level.
SECTIONS: Final[Mapping[str, Callable[[Bench, Path], str]]] = {
    "hostile": hostile.section,
    "differential": differential.section,
}
_PAGE: Final = """\
# HTTP/1.1, byte by byte

Written by `make bench-http` (`bench/http`); nothing here is typed by hand. {date}, {machine}.

{sections}"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print or write."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.http", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help=f"of {', '.join(SECTIONS)}")
    only = names(parser.parse_args(arguments).only)
    if unknown := set(only) - set(SECTIONS):
        parser.error(f"no section is called {', '.join(sorted(unknown))}")
    console, cache = Console(sys.stderr), cache_folder(os.environ)
    (cache / "bench").mkdir(parents=True, exist_ok=True)
    bench, folder = Bench(ROOT, cache, os.environ, console), Path(tempfile.mkdtemp(prefix="skyfleet-http-"))
    parts: list[str] = []
    try:
        with exclusive(cache / "bench", lambda: console.line("another run is measuring: waiting for it")):
            for name, section in SECTIONS.items():
                if not only or name in only:
                    (folder / name).mkdir()
                    parts.append(section(bench, folder / name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    page = _PAGE.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{platform.system()} {platform.machine()}",
        sections="\n".join(parts),
    )
    if only:
        print(page)
    else:
        (ROOT / "docs" / "benchmarks" / "http.md").write_text(page)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("bench: stopped.")
