"""The output of `skyfleet status`: a JSON value for programs, tables for people.

Rules
- Pure; the replies of routers and of the emulator are arguments.
- Readable at 60 columns, and whole at 80: figures in one table, sentences in another below it.
- The data that a router keeps instead of a rejected document is named only if it has such data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from infra.cli.output.tables import ResponsiveTable
from infra.loopback import plain_all
from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.routers.client import RouterAnswer
from infra.operations.routers.control import strategy_differences
from infra.operations.routers.draining import draining_differences
from infra.operations.routers.explain import outage, router_warnings, why

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {
    "healthy": "green",
    "slow-start": "cyan",
    "cold": "blue",
    "degraded": "yellow",
    "draining": "yellow",
    "unknown": "dim",
    "ejected": "red",
    "down": "bold red",
}


def assemble(
    routers: Sequence[RouterAnswer], places: Mapping[str, str], world: JsonObject | None, python: str
) -> JsonObject:
    """The value of `status --json`; targets and checkers are as the first router sees them that says it.

    places: `cloud/region` of the routers by URL."""
    first = next((router for router in routers if router.status), None)
    status = first.status if first else {}
    return {
        "router": {"url": first.url, **json_access.as_object(status.get("router"))} if first else None,
        "routers": [router.as_json(places.get(router.url, "")) for router in routers],
        "targets": json_access.objects(plain_all(status.get("targets"))),
        "checkers": json_access.objects(status.get("checkers")),
        "emulator": None if world is None else emulator_summary(world, python),
    }


def emulator_summary(world: JsonObject, python: str) -> JsonObject:
    """The emulated clouds in short: Python and adapter, injected faults, counts of instances."""
    functions = json_access.objects(world.get("functions"))
    instances = [json_access.objects(function.get("instances")) for function in functions]
    return {
        "python": json_access.string(world.get("python"), python),
        "adapter": json_access.string(world.get("adapter"), "stand-in"),
        "faults": world.get("faults") or [],
        "functions": len(functions),
        "instances": sum(len(each) for each in instances),
    }


def render(status: JsonObject, repair: str = "make up") -> list[RenderableType]:
    """Tables and lines for a terminal, in the order of printing. repair: the command that deploys again."""
    from rich.markup import escape

    # Parts of it are texts of agents, whose code may be tricked.
    status = json_access.as_object(json_access.printable(status))
    routers = json_access.objects(status.get("routers"))
    shown = _titled("Routers, in the order clients try them", _routers(routers))
    strategies = {
        _name(one): json_access.string(one.get("strategy")) for one in routers if one.get("strategy")
    }
    if differ := strategy_differences(strategies):
        shown.append(f"[yellow]{differ}[/yellow]")
    draining = [json_access.strings(one["draining"]) for one in routers if "draining" in one]
    if differ := draining_differences(draining):
        shown.append(f"[yellow]{differ}[/yellow]")
    shown.extend(f"[yellow]{escape(line)}[/yellow]" for one in routers for line in router_warnings(one))
    asked = json_access.as_object(status.get("router"))
    if targets := json_access.objects(status.get("targets")):
        seen_by = json_access.place(asked) or "the first router that answers"
        if out := outage(targets, json_access.number(asked.get("queue_timeout_s"))):
            shown.append(f"[red]{out}[/red]")
        shown += _titled(f"Targets, as {seen_by} sees them", _targets(targets, bad=bool(out)))
        shown.append(_reasons(targets))
    elif not asked:
        shown.append("[red]no router answers, so the health of the targets is unknown[/red]")
    if differing := differences(json_access.objects(status.get("agents"))):
        shown.append(
            f"[red]agents differ[/red]: {escape(differing)}. `{repair}` deploys one build, or says why not."
        )
    if checkers := json_access.objects(status.get("checkers")):
        shown += _titled("Checkers, and when each last reported", _checkers(checkers))
    elif asked:
        warning = f"{_name(asked)} has heard of no checker yet, so it decides by its own traffic alone."
        shown.append(f"[yellow]{warning}[/yellow]")
    if emulator := json_access.as_object(status.get("emulator")):
        shown.extend(_emulator_lines(emulator))
    return shown


def differences(agents: Iterable[JsonObject]) -> str:
    """Which agent runs which build, empty while all run the same; a deploy that failed midway leaves two."""
    places: dict[str, list[str]] = {}
    for agent in agents:
        where = (
            f"{json_access.string(agent.get('cloud'), '?')}/{json_access.string(agent.get('region'), '?')}"
        )
        places.setdefault(json_access.string(agent.get("build"), "?"), []).append(where)
    if len(places) < 2:
        return ""
    fewest = sorted(places.items(), key=lambda item: len(item[1]))  # the odd one out comes first
    return "; ".join(
        f"{' and '.join(where)} {'runs' if len(where) == 1 else 'run'} build {build}"
        for build, where in fewest
    )


def _titled(title: str, table: ResponsiveTable) -> list[RenderableType]:
    return [f"[bold]{title}[/bold]", table]  # a table's own title is folded to the table's width


def _name(facts: JsonObject) -> str:
    return json_access.place(facts) or json_access.string(facts.get("url"), "?")


def _routers(routers: Iterable[JsonObject]) -> ResponsiveTable:
    from rich.markup import escape

    rows = [
        (
            json_access.place(router) or "?",
            json_access.string(router.get("url")),
            json_access.string(router.get("strategy")),
            "[green]yes[/green]"
            if router.get("ok")
            else f"[red]{escape(json_access.string(router.get('reason'), 'no'))}[/red]",
        )
        for router in routers
    ]
    return ResponsiveTable(("router", "url", "strategy", "answers"), rows, spare=("strategy", "url"))


def _targets(targets: Iterable[JsonObject], *, bad: bool) -> ResponsiveTable:
    """bad: none of them serves as it should."""
    rows = [
        (
            _name(target),
            _state(target),
            _share(target, bad),
            _figure(target.get("weight"), "{:g}"),
            _figure(target.get("latency_ms"), "{:.1f} ms"),
            _figure(target.get("inflight"), "{:.0f}"),
        )
        for target in targets
    ]
    figures = ("share", "weight", "latency", "in flight")
    return ResponsiveTable(("target", "state", *figures), rows, figures, ("in flight", "weight", "latency"))


def _share(target: JsonObject, bad: bool) -> str:
    """The share of a target; *first* for the one tried first while none serves well."""
    share = json_access.number(target.get("share"))
    if share is None:
        return "-" if "share" in target else ""
    return "[yellow]first[/yellow]" if share and bad else percent(share)


def percent(part: float) -> str:
    """Of the turns; a target that has some never shows none."""
    return f"{part:.0%}" if part == 0 or part >= 0.095 else f"{part:.1%}"


def _state(target: JsonObject) -> str:
    state = json_access.string(target.get("state"), "unknown")
    shown = f"[{COLOURS.get(state, 'default')}]{state}[/]"
    if target.get("cold") is True and state != "cold":
        shown += ", [blue]cold[/blue]"
    if target.get("failing") is True:
        shown += ", [red]fails[/red]"
    if (ejected := json_access.number(target.get("ejected_s")) or 0.0) > 0:
        shown += f", {max(ejected, 1):.0f} s left"
    backoff = json_access.number(target.get("backoff_s")) or 0.0
    return f"{shown}, [yellow]backoff {max(backoff, 1):.0f} s[/yellow]" if backoff > 0 else shown


def _reasons(targets: Iterable[JsonObject]) -> ResponsiveTable:
    from rich.markup import escape

    return ResponsiveTable(("target", "why"), [(_name(target), escape(why(target))) for target in targets])


def _checkers(checkers: Iterable[JsonObject]) -> ResponsiveTable:
    rows = [
        (
            json_access.string(checker.get("checker")),
            _figure(checker.get("age_s"), "{:.0f} s"),
            "[green]yes[/green]" if checker.get("fresh") else "[yellow]no[/yellow]",
        )
        for checker in checkers
    ]
    return ResponsiveTable(("checker", "age", "fresh"), rows, ("age",))


def _emulator_lines(emulator: JsonObject) -> list[RenderableType]:
    functions, instances = (
        json_access.number(emulator.get("functions")) or 0,
        json_access.number(emulator.get("instances")) or 0,
    )
    lines: list[RenderableType] = [
        (
            f"Emulated clouds: {functions:.0f} functions, {instances:.0f} running instances, "
            f"on Python {json_access.string(emulator.get('python'), 'unknown')}, {_adapter(emulator)}"
        )
    ]
    for fault in json_access.objects(emulator.get("faults")):
        where = f"{json_access.string(fault.get('cloud'))} ({json_access.string(fault.get('scope'))})"
        heal = f"skyfleet chaos {json_access.string(fault.get('cloud'))} heal"
        lines.append(
            f"[red]fault[/red] {where}: {json_access.string(fault.get('fault'))}   to end it: {heal}"
        )
    return lines


def _adapter(emulator: JsonObject) -> str:
    """With what emulated Lambda functions are driven."""
    real = json_access.string(emulator.get("adapter"), "stand-in") != "stand-in"
    return "the real Lambda Web Adapter" if real else "a stand-in for the Lambda Web Adapter"


def _figure(value: object, form: str) -> str:
    number = json_access.number(value)
    return "" if number is None else form.format(number)
