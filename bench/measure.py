"""Measure the main job on this machine and write `docs/benchmarks/measurements.md`.

    make bench            (or: .venv/bin/python -m bench.measure [--cold])

The measured fleet is a copy of the checkout with an emulator of its own. Each figure is min / median / max of
the runs of one call of this command. Machines differ and drift, so compare figures of one call only. `--cold`
also measures a first `make up` with empty caches (wheels, Pulumi CLI), which takes minutes. Without it that
measurement is kept from the last such call.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.end_to_end.fleet import Fleet

CHECKOUT = Path(__file__).resolve().parents[1]
CLOUDS = ("aws", "azure", "gcp")
RUNTIMES = {"aws": "AWS Lambda", "azure": "Azure Functions", "gcp": "Google Cloud Functions"}
WARM_CALLS = 300
RESULTS = CHECKOUT / "bench" / "results" / "measurements.json"
COLD = "first `make up` of a fresh clone, every cache empty (builds the Pulumi CLI)"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured quantity: its samples in `unit`."""

    name: str
    unit: str
    samples: Sequence[float]

    @property
    def cells(self) -> str:
        low, middle, high = min(self.samples), statistics.median(self.samples), max(self.samples)
        digits = 0 if low >= 100 else 1 if low >= 10 else 2
        return f"{low:.{digits}f} / **{middle:.{digits}f}** / {high:.{digits}f} {self.unit}"


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def deploys(fleet: Fleet, runs: int) -> list[Measurement]:
    """Measure `up` after `down`, and `up` without a change; the fleet is up at the end."""
    fresh: list[float] = []
    for _ in range(runs):
        fleet.run("down")
        fresh.append(timed(lambda: fleet.run("up")))
    again = [timed(lambda: fleet.run("up")) for _ in range(runs)]
    return [
        Measurement("`make up` after `make down` (caches warm)", "s", fresh),
        Measurement("`make up`, no change", "s", again),
    ]


def first_up(folder: Path) -> Measurement:
    """Measure `make up` in a fresh clone with empty caches: venv, Pulumi CLI, wheels, deployment."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(clone)], check=True)
    environment = os.environ | {
        "SKYFLEET_CACHE": str(folder / "cache"),
        "UV_CACHE_DIR": str(folder / "uv"),
        "GOCACHE": str(folder / "go-build"),
        "GOMODCACHE": str(folder / "go-modules"),
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),  # removable afterwards
    }

    def make(target: str) -> None:
        subprocess.run(["make", target], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)

    seconds = timed(lambda: make("up"))
    make("down")
    return Measurement(COLD, "s", [seconds])


def kept(results: Path) -> list[Measurement]:
    """The measurement of the last call with `--cold`. results: the file of figures."""
    if not results.is_file():
        return []
    old = json.loads(results.read_text())
    return [Measurement(COLD, "s", old[COLD]["samples"])] if COLD in old else []


def agent_urls(fleet: Fleet) -> dict[str, str]:
    """URL of the agent in each cloud."""
    return {str(a["cloud"]): str(a["url"]).rstrip("/") for a in fleet.facts("outputs")["agents"]}


def latencies(fleet: Fleet, runs: int) -> list[Measurement]:
    """Measure cold starts (all instances were stopped before) and warm requests, one after another."""
    rows: list[Measurement] = []
    with requests.Session() as session:
        session.trust_env = False
        for cloud, url in agent_urls(fleet).items():
            cold: list[float] = []
            for _ in range(runs):
                fleet.run("chaos", cloud, "cold:0s")
                fleet.run("chaos", cloud, "heal")
                began = time.perf_counter()
                reply = session.get(f"{url}/health", timeout=60)
                cold.append(1e3 * (time.perf_counter() - began))
                if not reply.json()["cold"]:
                    raise SystemExit(f"{url} was warm: another client used it, so nothing is measured")
            warm = [
                1e3 * timed(lambda url=url: session.get(f"{url}/health", timeout=60))
                for _ in range(WARM_CALLS)
            ]
            rows += [
                Measurement(f"{RUNTIMES[cloud]}: cold start", "ms", cold),
                Measurement(f"{RUNTIMES[cloud]}: warm", "ms", warm),
            ]
        router = fleet.url
        invoke: Callable[[], object] = lambda: session.post(  # noqa: E731 - one measured expression
            f"{router}/invoke", json={"input": "reverse abc"}, timeout=60
        )
        rows.append(
            Measurement(
                "through the router: `/invoke`, warm", "ms", [1e3 * timed(invoke) for _ in range(WARM_CALLS)]
            )
        )
    return rows


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory(fleet: Fleet) -> list[Measurement]:
    """Measure the resident memory of the daemon and of the processes of every instance."""
    emulator = fleet.emulator
    status: dict[str, Any] = requests.get(
        f"{emulator['admin']}/v1/status", headers={"authorization": f"Bearer {emulator['token']}"}, timeout=30
    ).json()
    rows = [
        Measurement(
            "daemon (the four providers, ingress, buckets)", "MB", [resident_mb(int(emulator["pid"]))]
        )
    ]
    for cloud in CLOUDS:
        sizes = [
            sum(resident_mb(int(pid)) for pid in instance["pids"])
            for function in status["functions"]
            if function["cloud"] == cloud
            for instance in function["instances"]
        ]
        if sizes:
            rows.append(Measurement(f"{RUNTIMES[cloud]}: one instance", "MB", sizes))
    return rows


def packages(fleet: Fleet) -> list[tuple[str, float, float]]:
    """Name, zipped size and unpacked size (MB) of every package of the stack."""
    found: list[tuple[str, float, float]] = []
    for path in sorted((fleet.root / ".skyfleet" / "packages").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        found.append((path.stem.rpartition("-")[0], path.stat().st_size / 1e6, unpacked / 1e6))
    return found


def table(title: str, rows: Sequence[Measurement]) -> str:
    lines = [f"## {title}", "", "| what | runs | min / **median** / max |", "| --- | --- | --- |"]
    lines += [f"| {row.name} | {len(row.samples)} | {row.cells} |" for row in rows]
    return "\n".join(lines) + "\n"


def report(
    groups: Sequence[tuple[str, Sequence[Measurement]]], sizes: Sequence[tuple[str, float, float]]
) -> str:
    system = f"{platform.system()} {platform.machine()}"
    machine = f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"
    parts = [
        "# Measurements\n",
        (
            "Written by `make bench` (`bench/measure.py`); nothing here is typed by hand. "
            "It measures the *emulated* clouds on one machine: "
            "real clouds add the network and start-up times of their own. "
            "The first row is measured with `--cold` only, and otherwise kept from the last such call.\n"
        ),
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}.\n",
        *(table(title, rows) for title, rows in groups),
        "## Packages\n\n| package | zip, MB | unpacked, MB |\n| --- | --- | --- |\n"
        + "\n".join(f"| {name} | {zipped:.2f} | {unpacked:.2f} |" for name, zipped, unpacked in sizes),
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cold", action="store_true", help="also measure a first `make up` with empty caches"
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each measurement (default 5)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-bench-"))
    try:
        cold = [first_up(folder)] if options.cold else kept(RESULTS)
        (folder / "fleet").mkdir()
        fleet = Fleet.copy(folder / "fleet")
        # No checker may warm functions whose cold start is measured.
        config = fleet.root / "Pulumi.local.yaml"
        config.write_text(config.read_text().replace("minuteS: 5", "minuteS: 3600"))
        try:
            up = deploys(fleet, options.runs)
            fast = latencies(fleet, options.runs)
            held = memory(fleet)
            sizes = packages(fleet)
        finally:
            fleet.run("down", code=None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    groups = [("Deploy", cold + up), ("Latency", fast), ("Memory", held)]
    text = report(groups, sizes)
    (CHECKOUT / "docs" / "benchmarks" / "measurements.md").write_text(text)
    RESULTS.parent.mkdir(exist_ok=True)
    samples = {
        row.name: {"unit": row.unit, "samples": list(row.samples)} for _, rows in groups for row in rows
    }
    RESULTS.write_text(json.dumps(samples, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
