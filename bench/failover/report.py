"""The page docs/benchmarks/failover.md and its plots, made from bench/results/failover.json alone.

Rule: all numbers and verdicts are computed. Only the explanations around them are written by hand.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import environments
from bench.failover import goals, load, results, scoring, summary
from bench.failover.goals import SKYFLEET, Verdict
from bench.failover.peers import ROUTERS
from bench.failover.peers.base import ATTEMPT_S, CHECK_S, CONNECT_S
from bench.failover.scenarios import SCENARIOS, Scenario
from bench.failover.summary import DEMANDS, KINDS
from infra.setup.progress import Console

DOCUMENT: Final = Path("docs") / "benchmarks" / "failover.md"
PLOTS: Final = DOCUMENT.with_name("plots")

_TABLE: Final[Mapping[str, str]] = {
    "router": "router",
    "lost": "lost",
    "lost_unrepeatable": "lost, not repeatable",
    "wrong_repeats": "wrong repeats",
    "keyed_repeats": "keyed repeats",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "detection_ms": "detection, ms",
    "recovery_ms": "recovery, ms",
    "extra_share": "extra, %",
}
# Shown where it was measured.
_KEPT: Final[Mapping[str, str]] = {"wrongly_out_s": "wrongly out, s", "least_share": "least share kept"}
Entry = dict[str, Any]
Entries = Sequence[Entry]


def write(root: Path, cache: Path, console: Console) -> None:
    """Draw the plots and write the page."""
    python = environments.ensure(cache / "bench" / "plots", root / "locks" / "bench.txt", os.environ, console)
    script = Path(__file__).with_name("plots.py")
    subprocess.run([python, script, results.FILE, root / PLOTS], check=True)
    (root / DOCUMENT).write_text(document(results.read()), "utf-8")


def document(entries: Entries) -> str:
    """The text of the page."""
    found = {router: goals.verdicts(entries, router) for router in SKYFLEET}
    parts = [
        "# Failover scoreboard\n",
        (
            "Written by `make bench-failover` (`bench/failover`), numbers and verdicts included. The targets "
            "are emulated on one machine, so compare the routers; the milliseconds differ elsewhere.\n"
        ),
        summary.text(entries, found),
        _how(entries),
        "## Floor and goals\n",
        *(_demands(router, found[router]) for router in SKYFLEET),
        "## Lost requests, and p99 during the fault\n",
        _matrix(entries),
        *(f"![{name}](plots/failover-{name}.svg)\n" for name in ("lost", "p99", "detection", "recovery")),
        "## Scenarios\n",
        *(_scenario(scenario, entries) for scenario in SCENARIOS),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _how(entries: Entries) -> str:
    absent = sorted({f"{entry['router']}: {entry['reason']}" for entry in entries if entry.get("reason")})
    here = {entry["router"] for entry in entries}
    absent += [f"{router.name}: not measured yet" for router in ROUTERS if router.name not in here]
    lag = max((entry["lag_ms"] for entry in entries if entry.get("lag_ms") is not None), default=0.0)
    late = max((entry["late_ms"] for entry in entries if entry.get("late_ms") is not None), default=0.0)
    normal = [
        (name, goals.normal_p99(entries, name))
        for name in dict.fromkeys(entry["router"] for entry in entries)
    ]
    usual = ", ".join(f"{name} {value:.0f} ms" for name, value in normal if value)
    return f"""## How it is measured

- Targets: three processes on loopback with the API of OpenAI's chat completions, with and without streams. The
  median service time is 50 ms, p99 is twice as long. All targets take the same time for the same request and send the
  same bytes. So this router can resume a truncated stream at another target (`cut`). Agents with deterministic replies
  behave like that. Real models often do not; then this router loses a stream that is truncated after its beginning
  was forwarded. The journal of each target has the received and the executed requests, so repeats are counted there.
- Load: {load.RATE:g} requests per second at random intervals, independent of the replies. Latency counts from the scheduled
  time. {100 * load.REPEATABLE:.0f} % have an `Idempotency-Key` and may be repeated, the others have a side effect. A third are
  streams. The client waits {load.PATIENCE_S:g} s. All scenarios have the same requests, a quarter
  of them from a client with a key of its own.
- Requests that fail at each target (*poison*, *tenant-bug*) are in no figure. A router may do with them what it likes;
  judged is what it does to the others, and to targets without a fault of their own.
- Client: the same for all routers. It takes the next router instance when one gives no reply. It repeats no request
  because of a reply.
- Scenario: 4 s without a fault, 6 s with it, 8 s without; flapping and cold last longer. Targets and router are new
  processes in each scenario, after a warm-up of 30 requests. All routers run in turn within a scenario, so that noise
  of the machine affects all.
- Routers: the configs are in `bench/failover/peers`, with a reason for each setting. All have timeouts of {ATTEMPT_S:g} s for
  an attempt that may be repeated and {CONNECT_S:g} s to connect, and active checks every {CHECK_S:g} s where they have them
  (LiteLLM: 5 s, since its checks are paid completions; nginx has none). They repeat only requests with a key. All
  entries of this router run on its production server with three checkers, which run every 5 s instead of every
  minute. All times are seconds, like the scenarios, except those of the default policy.
- Measured on {os.cpu_count()} cores, {platform.system()} {platform.machine()}:
{_versions(entries)}{_durations(entries)}- Noise: the load was at most {lag:.0f} ms late (p99 of the worst run), faults at most {late:.0f} ms. p99 without a fault:
  {usual}.
  A router with a much higher p99 than the others had too little CPU time.
{"- Absent: " + "; ".join(absent) + "." if absent else ""}

| figure | meaning |
| --- | --- |
{chr(10).join(f"| {name} | {meaning} |" for name, meaning in scoring.MEANINGS.items())}
"""  # noqa: E501 - prose


def _versions(entries: Entries) -> str:
    """Versions and times of the entries, so that entries of different runs can be told apart."""
    times: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry["sent"] and entry.get("version"):
            times.setdefault((entry["router"], entry["version"]), []).append(entry.get("at") or "-")
    return "".join(
        f"  - {name}: {version}; {len(at)} scenarios, {min(at)} to {max(at)}\n"
        for (name, version), at in sorted(times.items())
    )


def _durations(entries: Entries) -> str:
    """Median duration of a run of each router; empty if no entry has it."""
    took: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.get("took_s"):
            took.setdefault(entry["router"], []).append(entry)
    if not took:
        return ""

    def usual(own: Entries, name: str) -> str:
        return f"{statistics.median(entry[name] for entry in own):.0f} s"

    times = [f"{router} {usual(own, 'took_s')} ({usual(own, 'ready_s')})" for router, own in took.items()]
    minutes = sum(entry["took_s"] for own in took.values() for entry in own) / 60
    return (
        f"- Duration: all runs took {minutes:.0f} min. Median of a run, and of its start: "
        f"{', '.join(times)}.\n"
    )


def _demands(router: str, found: Sequence[Verdict]) -> str:
    title = f"### {router}: {KINDS[router]}\n"
    if not found:
        return f"{title}\nNot measured yet.\n"
    by = {(v.scenario, v.demand): v for v in found}
    names = list(dict.fromkeys(v.scenario for v in found))
    head = ["| scenario | " + " | ".join(DEMANDS.values()) + " |", "| --- |" + " --- |" * len(DEMANDS)]
    body = [
        f"| {name} | " + " | ".join(_verdict(by[name, demand]) for demand in DEMANDS) + " |" for name in names
    ]
    return "\n".join([title, *head, *body]) + "\n"


def _verdict(verdict: Verdict) -> str:
    word = {True: "met", False: "**not met**", None: "-"}[verdict.met]
    return f"{word}: {verdict.explanation}" if verdict.met is not None else word


def _matrix(entries: Entries) -> str:
    routers = list(dict.fromkeys(entry["router"] for entry in entries))
    by = {(entry["scenario"], entry["router"]): entry for entry in entries}
    head = ["| scenario | " + " | ".join(routers) + " |", "| --- |" + " ---: |" * len(routers)]
    body = [
        f"| {scenario.name} | " + " | ".join(_pair(by.get((scenario.name, name))) for name in routers) + " |"
        for scenario in SCENARIOS
        if any((scenario.name, name) in by for name in routers)
    ]
    return "Lost / p99 in ms.\n\n" + "\n".join([*head, *body]) + "\n"


def _pair(entry: Mapping[str, Any] | None) -> str:
    if entry is None or not entry["sent"]:
        return "absent" if entry else "-"
    return f"{entry['lost']} / {_figure(entry['p99_ms'])}"


def _scenario(scenario: Scenario, entries: Entries) -> str:
    name, description = scenario.name, scenario.description
    own = [entry for entry in entries if entry["scenario"] == name]
    if not own:
        return ""
    kept = any(entry.get("wrongly_out_s") is not None for entry in own)
    table = {**_TABLE, **(_KEPT if kept else {})}
    if not scenario.broken:
        del table["recovery_ms"]
    head = ["| " + " | ".join(table.values()) + " |", "| --- |" + " ---: |" * (len(table) - 1)]
    body = [_cells(entry, table) for entry in own]
    sent = next((entry["sent"] for entry in own if entry["sent"]), 0)
    return (
        f"### {name}\n\n{description[0].upper()}{description[1:]}. {sent} requests.\n\n"
        + "\n".join([*head, *body])
        + "\n"
    )


def _cells(entry: Mapping[str, Any], table: Mapping[str, str]) -> str:
    if not entry["sent"]:
        reason = str(entry.get("reason", "")).splitlines()[0][:120]
        return f"| {entry['router']} | absent: {reason} |" + " |" * (len(table) - 2)
    extra = {"extra_share": f"{100 * entry['extra_share']:.1f}"}
    for name in _KEPT:
        if entry.get(name) is not None:
            extra[name] = f"{entry[name]:g}"
    # A figure that an older entry lacks was not counted then, which differs from "never".
    return "| " + " | ".join(_texts({**entry, **extra}.get(name, "-") for name in table)) + " |"


def _texts(values: Iterable[object]) -> list[str]:
    return [value if isinstance(value, str) else _figure(value) for value in values]


def _figure(value: object) -> str:
    """A figure as text; a missing time is "never"."""
    if value is None:
        return "never"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
