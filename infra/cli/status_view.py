"""What `skyfleet status` says: one plain value for programs, one set of tables for people.

The rule of this file: pure; replies of routers and of the sky come in as they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cli import values
from infra.cli.values import Facts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

COLOURS = {
    "healthy": "green",
    "easing": "cyan",
    "cold": "blue",
    "degraded": "yellow",
    "draining": "yellow",
    "unknown": "dim",
    "ejected": "red",
    "down": "bold red",
}
# On a narrow terminal these columns fold; the others stay whole.
WORDY = ("why", "answers")


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """One router asked: its health, or why it did not answer; the status it gave, if it was asked for it."""

    url: str
    health: Facts | None
    problem: str = ""

    def as_facts(self) -> Facts:
        if self.health is None:
            return {"url": self.url, "ok": False, "reason": self.problem}
        told = {key: self.health.get(key) for key in ("cloud", "region", "build")}
        return {"url": self.url, "ok": True, **told}


def assemble(
    routers: Sequence[RouterAnswer], answered: str | None, status: Facts, world: Facts | None, python: str
) -> Facts:
    """The value of `status --json`. answered: URL of the router whose `/api/status` is in `status`."""
    return {
        "router": {"url": answered, **values.facts(status.get("router"))} if answered else None,
        "routers": [router.as_facts() for router in routers],
        "targets": values.many(status.get("targets")),
        "vantages": values.many(status.get("vantages")),
        "sky": None if world is None else sky_facts(world, python),
    }


def sky_facts(world: Facts, python: str) -> Facts:
    """The emulated clouds in short: who runs the functions, what is broken on purpose, how much runs."""
    functions = values.many(world.get("functions"))
    instances = [values.many(function.get("instances")) for function in functions]
    return {
        "python": values.text(world.get("python"), python),
        "faults": world.get("faults") or [],
        "functions": len(functions),
        "instances": sum(len(each) for each in instances),
    }


def render(status: Facts) -> list[RenderableType]:
    """Tables and lines for a terminal, to be printed one after the other."""
    shown = _titled("Routers, in the order callers try them", _routers(values.many(status.get("routers"))))
    targets = values.many(status.get("targets"))
    if targets:
        shown += _titled("Targets", _targets(targets))
    elif not values.facts(status.get("router")):
        shown.append("[red]no router answers, so nobody can say how the targets are[/red]")
    if differing := disagreement(values.many(status.get("agents"))):
        shown.append(
            f"[red]agents differ[/red]: {differing}. `make up` makes them one again, or says why not."
        )
    if vantages := values.many(status.get("vantages")):
        shown += _titled("Vantages: who checks, and when they last did", _vantages(vantages))
    if sky := values.facts(status.get("sky")):
        shown.extend(_sky_lines(sky))
    return shown


def disagreement(agents: Iterable[Facts]) -> str:
    """Which agent runs which build, empty while all run the same; a deploy that failed midway leaves two."""
    places: dict[str, list[str]] = {}
    for agent in agents:
        where = f"{values.text(agent.get('cloud'), '?')}/{values.text(agent.get('region'), '?')}"
        places.setdefault(values.text(agent.get("build"), "?"), []).append(where)
    if len(places) < 2:
        return ""
    fewest = sorted(places.items(), key=lambda item: len(item[1]))  # the odd one out comes first
    return "; ".join(
        f"{' and '.join(where)} {'runs' if len(where) == 1 else 'run'} build {build}"
        for build, where in fewest
    )


def _titled(title: str, table: Table) -> list[RenderableType]:
    return [f"[bold]{title}[/bold]", table]  # a table's own title is folded to the table's width


def _table(columns: Iterable[str], right: Iterable[str] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        words = column in WORDY
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=not words, overflow="fold" if words else "ellipsis")
    return table


def _routers(routers: Iterable[Facts]) -> Table:
    table = _table(("router", "url", "answers"))
    for router in routers:
        where = f"{values.text(router.get('cloud'), '?')}/{values.text(router.get('region'), '?')}"
        answers = (
            "[green]yes[/green]" if router.get("ok") else f"[red]no[/red] {values.text(router.get('reason'))}"
        )
        table.add_row(where if router.get("ok") else "?", values.text(router.get("url")), answers)
    return table


def _targets(targets: Iterable[Facts]) -> Table:
    numbers = ("weight", "latency", "in flight")
    table = _table(("target", "state", "weight", "latency", "cold", "in flight", "why"), numbers)
    for target in targets:
        state = values.text(target.get("state"), "unknown")
        table.add_row(
            f"{values.text(target.get('cloud'))}/{values.text(target.get('region'))}",
            f"[{COLOURS.get(state, 'default')}]{state}[/]",
            _figure(target.get("weight"), "{:g}"),
            _figure(target.get("latency_ms"), "{:.1f} ms"),
            "yes" if target.get("cold") is True else "",
            _figure(target.get("inflight"), "{:.0f}"),
            values.text(target.get("reason")),
        )
    return table


def _vantages(vantages: Iterable[Facts]) -> Table:
    table = _table(("vantage", "age", "fresh"), ("age",))
    for vantage in vantages:
        fresh = "[green]yes[/green]" if vantage.get("fresh") else "[yellow]no[/yellow]"
        table.add_row(values.text(vantage.get("vantage")), _figure(vantage.get("age_s"), "{:.0f} s"), fresh)
    return table


def _sky_lines(sky: Facts) -> list[RenderableType]:
    functions, instances = values.number(sky.get("functions")) or 0, values.number(sky.get("instances")) or 0
    lines: list[RenderableType] = [
        f"Emulated clouds: {functions:.0f} functions, {instances:.0f} running instances, "
        f"on Python {values.text(sky.get('python'), 'unknown')}"
    ]
    for fault in values.many(sky.get("faults")):
        where = f"{values.text(fault.get('cloud'))} ({values.text(fault.get('scope'))})"
        heal = f"skyfleet chaos {values.text(fault.get('cloud'))} heal"
        lines.append(f"[red]fault[/red] {where}: {values.text(fault.get('fault'))}   to end it: {heal}")
    return lines


def _figure(value: object, form: str) -> str:
    number = values.number(value)
    return "" if number is None else form.format(number)
