"""The table of `make bench-router`, and the document with it. All of it is reckoned from the samples.

Rules
- A ratio is of two samples of one round; of the rounds' ratios stand min, **median** and max.
- Added latency is a contestant's minus that of the targets called directly in the same round.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.router import contestants as c
from bench.router.run import DIRECT

Samples = Mapping[str, Any]
# Microseconds that a clock tick may hide.
_LEAST_ADDED: Final = 1.0
# On a quiet machine the rates of one contestant are closer together.
_QUIET: Final = 1.5


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. goal, floor: in words. values: one for each round."""

    name: str
    floor: str
    goal: str
    values: Sequence[float]
    unit: str = "x"

    @property
    def cells(self) -> str:
        if not self.values:
            return "not measured"
        low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
        digits = 3 if high < 1 else 2 if high < 10 else 1
        if low == high:
            return f"**{middle:.{digits}f}** {self.unit}"
        return f"{low:.{digits}f} / **{middle:.{digits}f}** / {high:.{digits}f} {self.unit}"


def _of(samples: Samples, kind: str, name: str, field: str) -> list[float]:
    return [one[field] for one in samples[kind].get(name, [])]


def _ratio(samples: Samples, name: str, other: str, field: str, kind: str = "requests") -> list[float]:
    pairs = zip(_of(samples, kind, name, field), _of(samples, kind, other, field), strict=False)
    return [one / two for one, two in pairs if two]


def _added(samples: Samples, name: str, field: str, kind: str = "requests") -> list[float]:
    pairs = zip(_of(samples, kind, name, field), _of(samples, kind, DIRECT, field), strict=False)
    return [one - two for one, two in pairs]


def _added_ratio(samples: Samples, name: str, field: str, kind: str = "requests") -> list[float]:
    own, peers = _added(samples, name, field, kind), _added(samples, c.NGINX, field, kind)
    # Where a disturbance hid what a contestant adds, the round says nothing of it.
    return [one / two for one, two in zip(own, peers, strict=False) if min(one, two) >= _LEAST_ADDED]


def rows(samples: Samples) -> list[Row]:
    """The figures that count."""
    imports: Mapping[str, list[float]] = samples["imports"]
    net = [one - two for one, two in zip(imports["router"], imports["bare"], strict=True)]
    alone = [one - two for one, two in zip(imports["asyncio"], imports["bare"], strict=True)]
    beyond = [one - two for one, two in zip(imports["router"], imports["asyncio"], strict=True)]
    memory = samples["memory"]
    held = {name: [memory[name]] if name in memory else [] for name in (c.AWS, c.AWS_TLS)}
    return [
        Row("requests/s against nginx, as on AWS", "0.16", "0.25", _ratio(samples, c.AWS, c.NGINX, "per_s")),
        Row(
            "requests/s against nginx, as on Google",
            "0.12",
            "0.18",
            _ratio(samples, c.GOOGLE, c.NGINX, "per_s"),
        ),
        Row("requests/s against a bare ASGI proxy", "0.60", "0.80", _ratio(samples, c.AWS, c.BARE, "per_s")),
        Row(
            "requests/s against functions-framework + requests",
            "10",
            "15",
            _ratio(samples, c.AWS, c.FRAMEWORK, "per_s"),
        ),
        Row(
            "CPU of a request against a bare ASGI proxy, inverse",
            "0.60",
            "0.80",
            _ratio(samples, c.BARE, c.AWS, "cpu_us"),
        ),
        Row(
            "CPU of a request against nginx, inverse",
            "0.16",
            "0.25",
            _ratio(samples, c.NGINX, c.AWS, "cpu_us"),
        ),
        Row("added p50 at one client against nginx's", "2.2", "1.8", _added_ratio(samples, c.AWS, "p50")),
        Row("p99 at one client against nginx's", "4", "2", _ratio(samples, c.AWS, c.NGINX, "p99")),
        Row(
            "TLS to the targets: requests/s against nginx with TLS",
            "0.16",
            "0.25",
            _ratio(samples, c.AWS_TLS, c.NGINX_TLS, "per_s"),
        ),
        Row(
            "1,000 event streams: CPU against nginx",
            "2.0",
            "1.5",
            _ratio(samples, c.AWS, c.NGINX, "cpu", "streams"),
        ),
        Row(
            "1,000 event streams: added p99 against nginx's",
            "1.5",
            "1.2",
            _added_ratio(samples, c.AWS, "p99", "streams"),
        ),
        Row("import of the router, CPU net of bare Python", "asyncio + 30", "asyncio + 15", net, "ms"),
        Row("… of which beyond asyncio", "30", "15", beyond, "ms"),
        Row("… asyncio alone", "", "", alone, "ms"),
        Row("memory after 10,000 requests, as on AWS", "32", "28", held[c.AWS], "MB"),
        Row("memory after 10,000 requests, TLS to the targets", "45", "36", held[c.AWS_TLS], "MB"),
        Row("function calls of one keyless request", "220", "150", [samples["calls"]], ""),
    ]


def table(samples: Samples) -> str:
    """The figures, and every contestant's own."""
    lines = ["| figure | floor | goal | min / **median** / max |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.name} | {row.floor} | {row.goal} | {row.cells} |" for row in rows(samples)]
    lines += [
        "",
        "| contestant | requests/s | CPU us a request | p50 us, one client | p99 us | errors | MB |",
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name, found in samples["requests"].items():
        cells = [
            Row("", "", "", [one[field] for one in found], "").cells
            for field in ("per_s", "cpu_us", "p50", "p99")
        ]
        held = f"{samples['memory'][name]:.0f}" if name in samples["memory"] else ""
        errors = sum(int(one["errors"]) for one in found)
        lines.append(f"| {name} | {' | '.join(cells)} | {errors} | {held} |")
    lines += ["", "| 1,000 event streams | events/s | CPU of a core | p50 us | p99 us | lost |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, found in samples["streams"].items():
        per_s = [one["events"] / samples["streams_s"] for one in found]
        cells = [Row("", "", "", [one[field] for one in found], "").cells for field in ("cpu", "p50", "p99")]
        lost = sum(int(one["lost"]) for one in found)
        lines.append(f"| {name} | {Row('', '', '', per_s, '').cells} | {' | '.join(cells)} | {lost} |")
    return "\n".join(line.replace("  ", " ") for line in lines) + "\n"


_DOCUMENT: Final = """\
# The router's speed

Written by `make bench-router` (`bench/router`); nothing here is typed by hand. {date}, {machine}.

{pinned} Load is wrk with 32 connections, then with one: `POST /invoke`
with 1 kB, a reply of 0.5 kB, no Idempotency-Key. The router has everything on: API key, signed requests,
`adaptive`, health, hedges, deadlines. Every contestant runs as one process and has its turn in each of the
{rounds} rounds, in random order. A ratio is of two figures of one round. Machines differ and drift, so
compare figures of one run only; *floor* and *goal* are what this project asks of itself.

{table}
{versions}

"CPU us a request" is user and system time of the contestant's own processes. Calls are those that Python's
profiler counts for one request without a server (`bench/router/calls.py`).
"""


def document(samples: Samples) -> str:
    """docs/benchmarks/router.md."""
    pinned = (
        "The proxy has one core, targets and load have another."
        if samples["pinned"]
        else ("This machine has one core, which proxies, targets and load share.")
    )
    rates = _of(samples, "requests", c.NGINX, "per_s") or [1.0]
    if max(rates) > _QUIET * min(rates):
        pinned += " Other work ran beside this run: nginx's own rate moved by a factor of "
        pinned += (
            f"{max(rates) / min(rates):.1f}, so CPU time, memory and calls say more than rates and latencies."
        )
    versions = "\n".join(f"- {name}: {version}" for name, version in samples["versions"].items())
    return _DOCUMENT.format(
        date=samples["date"],
        machine=samples["machine"],
        pinned=pinned,
        rounds=samples["rounds"],
        table=table(samples),
        versions=versions,
    )
