"""The parts of the page that change, each under the id of its element. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from htpy import Node, fragment

from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Job
from infra.manager.page import charts, jobs, sections

IDS = ("verdict", "activity", "problems", "figures", "picture", "age", "targets", "routers", "charts", "jobs")


def render(picture: Picture | None, recent: Sequence[Job], now: float) -> Mapping[str, str]:
    """The HTML inside of each element, by its id. picture: None before the first. now: Unix seconds."""
    nodes: dict[str, Node] = {
        "verdict": sections.verdict(picture),
        "activity": sections.activity(recent, now),
        "problems": sections.problems(picture, recent, now),
        "figures": sections.figures(picture),
        "picture": sections.live(picture),
        "age": sections.age(picture),
        "targets": sections.targets(picture, now),
        "routers": sections.routers(picture),
        "charts": charts.section(picture),
        "jobs": jobs.sections(recent, now),
    }
    return {name: str(fragment[nodes[name]]) for name in IDS}


def message(changed: Mapping[str, str]) -> str:
    """What htmx swaps: it morphs each part into the element of its id, so that focus and scrolling stay."""
    return "".join(
        f'<hx-partial hx-target="#{name}" hx-swap="innerMorph strip:false">{html}</hx-partial>'
        for name, html in changed.items()
    )
