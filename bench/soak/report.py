"""The page docs/benchmarks/soak.md, and the file bench/results/soak.json that it is written from.

Rule: the file has the newest run of each duration, so a run of ten minutes does not replace that of an hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from bench.soak.faults import FAULTS
from bench.soak.judge import Bound, median
from bench.soak.run import Soak

FILE: Final = Path(__file__).resolve().parents[1] / "results" / "soak.json"
_PAGE: Final = Path("docs") / "benchmarks" / "soak.md"
_PARTS: Final = 6
_HEAD: Final = """<!-- Written by `make soak`; change bench/soak/report.py instead. -->

# Soak

A long run finds what grows. `make soak` runs ten minutes, `make soak SECONDS=3600` an hour. It ends with exit
code 1 when a bound below is broken.

- One router with the default policy and the server that it has on AWS, three checkers, three targets, one
  client: all on one machine. The router has one thing more than a deployed one: a timer that counts its
  asyncio tasks.
- The load is half of what all of them together bear on that machine, as measured at the start of the run.
  Most of the work is that of the client and the targets, which are Python programs too, so the router
  itself is far from its limit.
- Each minute one target has a fault for 20 s ([those of the scoreboard](failover.md)), and 20 clients
  leave in the middle of a stream. Eight of ten requests may be repeated, every third is a stream.
- Growth of memory is judged at the end of each minute, when its fault is over: the median of the last
  third of the minutes against that of the first third, without the first two minutes. It may be 2 MB, or
  5 % if that is more.
- Descriptors, sockets, tasks and active requests are compared in idle: the least of 12 s before the load
  with that of 12 s after it. Four descriptors more (a probe of each target and a checker) and one task
  more are allowed.
- Under load nearly all sockets are connections of the client. Its pool (aiohttp) takes the one that was idle
  for the longest time, so the connections that a slow moment opened stay in use until the load ends.
"""


def entry(soak: Soak, bounds: Sequence[Bound], about: Mapping[str, object]) -> dict[str, Any]:
    """A run as JSON. about: when and where it was."""
    return {
        **about,
        "rate": round(soak.rate, 1),
        "bounds": [{**asdict(one), "holds": one.holds} for one in bounds],
        "minutes": [asdict(one) for one in soak.minutes],
        "parts": list(_parts(soak)),
        "cpu_us": round(1e6 * (soak.samples[-1].cpu_s - soak.samples[0].cpu_s) / _sent(soak), 1),
        "attempts": soak.status["attempts"],
    }


def _sent(soak: Soak) -> int:
    return max(1, sum(one.sent for one in soak.minutes))


def _parts(soak: Soak) -> Iterator[dict[str, float]]:
    """Medians of equal parts of the run."""
    size = max(1, len(soak.samples) // _PARTS)
    for begin in range(0, size * _PARTS, size):
        part = soak.samples[begin : begin + size]
        if part:
            yield {
                "until_min": round(part[-1].at_s / 60, 1),
                **{
                    name: round(median([float(getattr(one, name)) for one in part]), 1)
                    for name in ("rss_mb", "descriptors", "sockets", "tasks", "inflight")
                },
            }


def read() -> dict[str, dict[str, Any]]:
    """The stored runs by their seconds."""
    return cast("dict[str, dict[str, Any]]", json.loads(FILE.read_text())) if FILE.is_file() else {}


def keep(found: dict[str, Any]) -> None:
    """Store a run in place of the last one of the same duration."""
    runs = {**read(), str(found["seconds"]): found}
    part = FILE.with_suffix(".part")
    part.write_text(json.dumps(dict(sorted(runs.items(), key=lambda one: int(one[0]))), indent=1) + "\n")
    part.replace(FILE)


def write(root: Path, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page."""
    (root / _PAGE).write_text(page(runs))


def page(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The page about these runs."""
    return _HEAD + "".join(_run(one) for one in runs.values())


def _run(one: Mapping[str, Any]) -> str:
    minutes: Sequence[Mapping[str, Any]] = one["minutes"]
    note = f" {one['note']}" if one["note"] else ""
    retried: int = one["attempts"]["retried"]
    sent, broken = _sum(minutes, "sent"), _sum(minutes, "lost_unrepeatable")
    lines = [
        f"\n## {len(minutes)} minutes\n",
        f"- {one['at']}, {one['machine']}, Python {one['python']}.{note}",
        f"- Load average of the machine: {one['load_before']} before the run, {one['load_after']} after it.",
        f"- {one['rate']:g} requests a second, {sent:,} in all.",
        f"- {one['cpu_us']:g} us of the router's CPU for each, probes and status included.",
        f"- {retried:,} retries; {broken:,} requests that must not be repeated were broken.\n",
        *_table("bound | found | allowed | ", (_bound(found) for found in one["bounds"])),
        "\nMedians of the parts of the run, under load and faults:\n",
        *_table(
            "until minute | memory MB | descriptors | sockets | tasks | active requests",
            (" | ".join(f"{value:g}" for value in part.values()) for part in one["parts"]),
        ),
        "",
        *_table("fault | minutes | sent | lost | lost, not repeatable | p50 ms | p99 ms", _faults(minutes)),
    ]
    return "\n".join(lines) + "\n"


def _table(head: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"| {head} |"
    yield f"|{' --- |' * (head.count('|') + 1)}"
    yield from (f"| {row} |" for row in rows)


def _bound(found: Mapping[str, Any]) -> str:
    verdict = "holds" if found["holds"] else "**broken**"
    return f"{found['name']} | {found['found']:g} | {found['allowed']:.4g} | {verdict}"


def _sum(minutes: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(int(one[name]) for one in minutes)


def _faults(minutes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for fault in FAULTS:
        those = [one for one in minutes if one["fault"] == fault.name]
        if those:
            sums = (f"{_sum(those, name):,}" for name in ("sent", "lost", "lost_unrepeatable"))
            times = (f"{median([one[name] for one in those]):.0f}" for name in ("p50_ms", "p99_ms"))
            yield f"{fault.name} | {len(those)} | {' | '.join((*sums, *times))}"
