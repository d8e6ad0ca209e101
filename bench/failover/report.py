"""docs/benchmarks/failover.md and its plots, made from bench/results/failover.json and nothing else.

Rule: every number and every verdict is computed here; only what the words around them explain is typed.
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
from bench.failover.goals import OURS, Verdict
from bench.failover.peers import ROUTERS
from bench.failover.peers.base import ATTEMPT_S, CHECK_S, CONNECT_S
from bench.failover.rows import ROWS
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
Line = dict[str, Any]
Lines = Sequence[Line]


def write(root: Path, cache: Path, console: Console) -> None:
    """Draw the plots and write the document."""
    python = environments.ensure(cache / "bench" / "plots", root / "locks" / "bench.txt", os.environ, console)
    script = Path(__file__).with_name("plots.py")
    subprocess.run([python, script, results.FILE, root / PLOTS], check=True)
    (root / DOCUMENT).write_text(document(results.read()), "utf-8")


def document(lines: Lines) -> str:
    """The whole document."""
    found = {router: goals.verdicts(lines, router) for router in OURS}
    parts = [
        "# Failover scoreboard\n",
        (
            "Written by `make bench-failover` (`bench/failover`); nothing here is typed by hand but the "
            "words. It measures emulated targets on one machine: what counts is the comparison, not the "
            "milliseconds.\n"
        ),
        summary.text(lines, found),
        _how(lines),
        "## Floor and goals\n",
        *(_demands(router, found[router]) for router in OURS),
        "## Lost requests, and p99 while the fault lasts\n",
        _matrix(lines),
        *(f"![{name}](plots/failover-{name}.svg)\n" for name in ("lost", "p99", "detection", "recovery")),
        "## Every row\n",
        *(_row(row.fault, row.about, lines) for row in ROWS),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _how(lines: Lines) -> str:
    gone = sorted({f"{line['router']}: {line['reason']}" for line in lines if line.get("reason")})
    here = {line["router"] for line in lines}
    gone += [f"{router.name}: not measured yet" for router in ROUTERS if router.name not in here]
    lag = max((line["lag_ms"] for line in lines if line.get("lag_ms") is not None), default=0.0)
    late = max((line["late_ms"] for line in lines if line.get("late_ms") is not None), default=0.0)
    normal = [
        (name, goals.normal_p99(lines, name)) for name in dict.fromkeys(line["router"] for line in lines)
    ]
    usual = ", ".join(f"{name} {value:.0f} ms" for name, value in normal if value)
    return f"""## How it is measured

- Targets: three processes on loopback that speak OpenAI's chat completions, plain and streaming. Half of the
  replies begin within 50 ms, one in a hundred takes twice as long; the same request takes the same time
  everywhere, and gets the same reply to the byte. That is what lets this router go on with another target's
  stream where one breaks off (`cut`). Agents whose reply follows from the request alone do so too; real models
  often do not, and then this router loses a stream that breaks off after its beginning was passed on. Each
  target notes what arrived and what ran, so that repeats are counted where they do harm.
- Load: {load.RATE:g} requests a second with random gaps, sent at their time whatever the replies do; latency counts
  from that time. {100 * load.REPEATABLE:.0f} % carry an `Idempotency-Key` and may be repeated, the others have a side effect.
  Every third asks for a stream. All wait {load.PATIENCE_S:g} s. The same requests in every row.
- Client: the same for all. It takes the next router instance when one gives no reply, and never repeats
  anything because of a reply.
- A row: 4 s well, the fault until second 10, well until second 18; flapping and cold last longer. Targets and
  router are new processes for each row and warmed up by 30 requests. All routers run one after another within
  a row, so that they share the machine's noise.
- Routers: configs are in `bench/failover/peers`, each line with its reason. All may use {ATTEMPT_S:g} s for an attempt
  that can be repeated, {CONNECT_S:g} s to connect, and check each target every {CHECK_S:g} s if they can (LiteLLM: 5 s,
  since its checks are paid completions; nginx has none). They repeat only what carries a key. Both lines
  of this router run on its production server, three checkers beside it, their minute shortened to 5 s. All
  waiting times are seconds, as the rows are, but for those of the untouched policy.
- Measured on {os.cpu_count()} cores, {platform.system()} {platform.machine()}:
{_versions(lines)}{_durations(lines)}- Trust: the load was sent at most {lag:.0f} ms late (99 of 100 requests, worst run), faults came at most {late:.0f} ms late.
  p99 without a fault: {usual}. A router whose own figure is far above the others' was short of processor.
{"- Absent: " + "; ".join(gone) + "." if gone else ""}

| figure | meaning |
| --- | --- |
{chr(10).join(f"| {name} | {meaning} |" for name, meaning in scoring.MEANINGS.items())}
"""  # noqa: E501 - prose


def _versions(lines: Lines) -> str:
    """What was measured and when, so that lines of different runs do not pass for one."""
    times: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        if line["sent"] and line.get("version"):
            times.setdefault((line["router"], line["version"]), []).append(line.get("at") or "-")
    return "".join(
        f"  - {name}: {version}; {len(at)} rows, {min(at)} to {max(at)}\n"
        for (name, version), at in sorted(times.items())
    )


def _durations(lines: Lines) -> str:
    """How long a row takes; nothing of lines that were measured before this was noted."""
    took: dict[str, list[Line]] = {}
    for line in lines:
        if line.get("took_s"):
            took.setdefault(line["router"], []).append(line)
    if not took:
        return ""

    def usual(own: Lines, name: str) -> str:
        return f"{statistics.median(line[name] for line in own):.0f} s"

    said = [f"{router} {usual(own, 'took_s')} ({usual(own, 'ready_s')})" for router, own in took.items()]
    minutes = sum(line["took_s"] for own in took.values() for line in own) / 60
    return (
        f"- Time: the lines took {minutes:.0f} min. The usual row, and until all its processes were "
        f"ready: {', '.join(said)}.\n"
    )


def _demands(router: str, found: Sequence[Verdict]) -> str:
    title = f"### {router}: {KINDS[router]}\n"
    if not found:
        return f"{title}\nNot measured yet.\n"
    by = {(v.fault, v.demand): v for v in found}
    faults = list(dict.fromkeys(v.fault for v in found))
    head = ["| row | " + " | ".join(DEMANDS.values()) + " |", "| --- |" + " --- |" * len(DEMANDS)]
    lines = [
        f"| {fault} | " + " | ".join(_verdict(by[fault, demand]) for demand in DEMANDS) + " |"
        for fault in faults
    ]
    return "\n".join([title, *head, *lines]) + "\n"


def _verdict(verdict: Verdict) -> str:
    word = {True: "met", False: "**not met**", None: "-"}[verdict.met]
    return f"{word}: {verdict.says}" if verdict.met is not None else word


def _matrix(lines: Lines) -> str:
    routers = list(dict.fromkeys(line["router"] for line in lines))
    by = {(line["fault"], line["router"]): line for line in lines}
    head = ["| row | " + " | ".join(routers) + " |", "| --- |" + " ---: |" * len(routers)]
    body = [
        f"| {row.fault} | " + " | ".join(_pair(by.get((row.fault, name))) for name in routers) + " |"
        for row in ROWS
        if any((row.fault, name) in by for name in routers)
    ]
    return "Lost / p99 in ms.\n\n" + "\n".join([*head, *body]) + "\n"


def _pair(line: Mapping[str, Any] | None) -> str:
    if line is None or not line["sent"]:
        return "absent" if line else "-"
    return f"{line['lost']} / {_figure(line['p99_ms'])}"


def _row(fault: str, about: str, lines: Lines) -> str:
    own = [line for line in lines if line["fault"] == fault]
    if not own:
        return ""
    head = ["| " + " | ".join(_TABLE.values()) + " |", "| --- |" + " ---: |" * (len(_TABLE) - 1)]
    body = [_cells(line) for line in own]
    sent = next((line["sent"] for line in own if line["sent"]), 0)
    return (
        f"### {fault}\n\n{about[0].upper()}{about[1:]}. {sent} requests.\n\n"
        + "\n".join([*head, *body])
        + "\n"
    )


def _cells(line: Mapping[str, Any]) -> str:
    if not line["sent"]:
        reason = str(line.get("reason", "")).splitlines()[0][:120]
        return f"| {line['router']} | absent: {reason} |" + " |" * (len(_TABLE) - 2)
    extra = {"extra_share": f"{100 * line['extra_share']:.1f}"}
    # What an older line does not have was not counted then, which is not "never".
    return "| " + " | ".join(_texts({**line, **extra}.get(name, "-") for name in _TABLE)) + " |"


def _texts(values: Iterable[object]) -> list[str]:
    return [value if isinstance(value, str) else _figure(value) for value in values]


def _figure(value: object) -> str:
    """A figure as people read it; what never came is a word."""
    if value is None:
        return "never"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
