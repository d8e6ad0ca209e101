"""The manager's picture for a terminal: what `skyfleet top` shows.

Pure; the replies of the manager are arguments. Figures stand in tables, sentences below them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cli.output.status_view import COLOURS, percent
from infra.cli.output.tables import ResponsiveTable
from infra.operations import json_access
from infra.operations.json_access import JsonObject

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

# Eight heights of a bar, as sparklines have them.
BARS = "▁▂▃▄▅▆▇█"
SHARE_CELLS = 10
SPARK_MINUTES = 30
STATES = {"running": "cyan", "queued": "dim", "done": "green", "failed": "red", "cancelled": "yellow"}


def render(picture: JsonObject, jobs: Iterable[JsonObject], lost: str = "") -> list[RenderableType]:
    """Tables and lines, in the order of printing. lost: why the manager does not answer; empty if it does."""
    from rich.markup import escape

    picture = json_access.as_object(json_access.printable(picture))
    at = json_access.number(picture.get("at")) or 0.0
    title = f"[bold]{escape(json_access.string(picture.get('stack')))}[/bold]  {clock(at)}"
    shown: list[RenderableType] = [title]
    if lost:
        shown.append(f"[bold red]disconnected[/]: {escape(lost)}. This is the picture of {clock(at)}.")
    shown += [
        f"[yellow]{escape(problem)}[/yellow]" for problem in json_access.strings(picture.get("problems"))
    ]
    targets = json_access.objects(picture.get("targets"))
    shown.append(_routers(json_access.objects(picture.get("routers"))))
    shown.append(_targets(targets))
    told = [one for one in targets if one.get("sentence") or one.get("planned")]
    shown += [f"[bold]{json_access.place(one)}[/bold] {escape(_told(one))}" for one in told]
    shown += _minutes(json_access.objects(picture.get("minutes")), at)
    shown += [_job(json_access.as_object(json_access.printable(job))) for job in jobs]
    return shown


def clock(at: float) -> str:
    """A time of the local day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def _told(target: JsonObject) -> str:
    parts = (json_access.string(target.get("sentence")), json_access.string(target.get("planned")))
    return " ".join(part for part in parts if part)


def _routers(routers: Iterable[JsonObject]) -> ResponsiveTable:
    from rich.markup import escape

    rows = [
        (
            json_access.place(router),
            f"[red]{escape(problem)}[/red]"
            if (problem := json_access.string(router.get("problem")))
            else "[green]yes[/green]",
            json_access.string(router.get("strategy")),
            _figure(router.get("requests"), "{:.0f}"),
            _figure(router.get("failed"), "{:.0f}"),
        )
        for router in routers
    ]
    figures = ("requests", "errors")
    return ResponsiveTable(("router", "answers", "strategy", *figures), rows, figures, ("strategy", *figures))


def _targets(targets: Iterable[JsonObject]) -> ResponsiveTable:
    rows = [
        (
            json_access.place(target),
            _state(target),
            _share(target),
            _bar(target),
            _figure(target.get("latency_ms"), "{:.0f} ms"),
            _errors(target),
            _figure(target.get("inflight"), "{:.0f}"),
            _figure(target.get("instances"), "{:.0f}"),
        )
        for target in targets
    ]
    figures = ("latency", "errors", "in flight", "instances")
    return ResponsiveTable(
        ("target", "state", "share", "", *figures),
        rows,
        ("share", *figures),
        ("instances", "in flight", "errors", "latency", "", "share"),
    )


def _state(target: JsonObject) -> str:
    state = json_access.string(target.get("state"), "unknown")
    return f"[{COLOURS.get(state, 'default')}]{state}[/]"


def _share(target: JsonObject) -> str:
    share = json_access.number(target.get("share"))
    return "-" if share is None else percent(share)


def _bar(target: JsonObject) -> str:
    """The share as a bar; a terminal that is too narrow for it has the figure."""
    share = json_access.number(target.get("share"))
    if share is None:
        return ""
    full = round(share * SHARE_CELLS)
    return f"{'█' * full}{'·' * (SHARE_CELLS - full)}"


def _errors(target: JsonObject) -> str:
    errors = json_access.number(target.get("errors"))
    if errors is None:
        return ""
    return f"[red]{percent(errors)}[/red]" if errors else "0%"


def _minutes(minutes: list[JsonObject], at: float) -> list[RenderableType]:
    """Requests, errors and p99 of the last half hour as sparklines; the present minute is not over."""
    whole = [one for one in minutes if (json_access.number(one.get("at")) or 0.0) + 60 <= at][-SPARK_MINUTES:]
    if not whole:
        return []
    lines: list[RenderableType] = []
    for key, name, form in (
        ("requests", "requests/min", "{:.0f}"),
        ("errors", "errors/min", "{:.0f}"),
        ("p99_ms", "p99", "{:.0f} ms"),
    ):
        values = [json_access.number(one.get(key)) for one in whole]
        last = values[-1]
        lines.append(Sparkline(f"{name:13}", values, f" {'-' if last is None else form.format(last)}"))
    return lines


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line with as many of the newest values as fit into the terminal."""

    name: str
    values: Sequence[float | None]
    last: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[str]:
        cells = options.max_width - len(self.name) - len(self.last)
        yield f"{self.name}{sparkline(self.values[-cells:] if cells > 0 else ())}{self.last}"


def sparkline(values: Iterable[float | None]) -> str:
    """One bar for each value, relative to the largest; a space for an unknown one."""
    known = list(values)
    most = max((value for value in known if value is not None), default=0.0)
    if not most:
        return "".join(" " if value is None else BARS[0] for value in known)
    top = len(BARS) - 1
    return "".join(" " if value is None else BARS[round(value / most * top)] for value in known)


def _job(job: JsonObject) -> str:
    from rich.markup import escape

    change = json_access.as_object(job.get("change"))
    state = json_access.string(job.get("state"))
    verb = f"{'preview of ' if change.get('preview') else ''}{json_access.string(change.get('action'))}"
    result = json_access.string(job.get("result"))
    text = f"{verb} {json_access.place(change)} by {json_access.string(job.get('by'))}"
    text += f": {result}" if result else ""
    return f"[{STATES.get(state, 'default')}]{state}[/] {escape(text)}"


def _figure(value: object, form: str) -> str:
    number = json_access.number(value)
    return "" if number is None else form.format(number)
