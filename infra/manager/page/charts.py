"""The last hour as charts (SVG by pygal) and as a table. Pure, but for a lock.

A chart is an image with an address of its own that has the hash of its numbers: a browser loads it again
when they change, once a minute. As an image it runs no script, and its style sheet is its own, so that the
page's Content-Security-Policy needs no exception. pygal's own script is taken out all the same. The running
minute is left out, since its numbers are too small.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from types import ModuleType
from typing import Protocol, cast
from xml.etree import ElementTree

from htpy import (
    Node,
    caption,
    details,
    div,
    figcaption,
    figure,
    fragment,
    img,
    p,
    summary,
    table,
    tbody,
    td,
    th,
    thead,
    time,
    tr,
)
from markupsafe import Markup

from infra.manager.fleet.picture import Minute, Picture
from infra.manager.page import words

# About as wide as it is shown, so that its text is as large as the page's.
WIDTH, HEIGHT = 380, 190
FONT = "system-ui,sans-serif"
TEXT_PX = 12
# Colours that differ in lightness too, on the page's light and on its dark background.
BLUE, ORANGE, TEAL, VIOLET, RED = (
    ("#1d4ed8", "#93c5fd"),
    ("#c2410c", "#fdba74"),
    ("#0f766e", "#5eead4"),
    ("#7e22ce", "#d8b4fe"),
    ("#b91c1c", "#fb8585"),
)
DASHES = ("none", "6 3", "2 3", "9 3 2 3")
_DRAWING = threading.Lock()
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one kind of bar."""

    name: str
    value: Callable[[Minute], float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. name: in its address. kind: lines, or bars on top of each other. unit: of its numbers.

    colours: of its series, on a light and on a dark page.
    """

    name: str
    title: str
    kind: str
    unit: str
    series: tuple[Series, ...]
    colours: tuple[tuple[str, str], ...]


CHARTS: tuple[Chart, ...] = (
    Chart(
        "latency",
        "Latency",
        "lines",
        "ms",
        (Series("p50", lambda minute: minute.p50_ms), Series("p99", lambda minute: minute.p99_ms)),
        (BLUE, ORANGE),
    ),
    Chart(
        "requests",
        "Requests",
        "bars",
        "a minute",
        (Series("requests", lambda minute: minute.requests),),
        (BLUE,),
    ),
    Chart(
        "trouble",
        "Errors and retries",
        "bars",
        "a minute",
        (
            Series("errors", lambda minute: minute.errors),
            Series("retries", lambda minute: minute.retries),
            Series("hedges", lambda minute: minute.hedges),
            Series("ejections", lambda minute: minute.ejections),
        ),
        (RED, ORANGE, TEAL, VIOLET),
    ),
)
BY_NAME: Mapping[str, Chart] = {chart.name: chart for chart in CHARTS}


class _Pygal(Protocol):
    """What is used of a pygal chart; the library has no types."""

    x_labels: Sequence[str]
    x_labels_major: Sequence[str]

    def add(self, title: str, values: Values) -> None: ...
    def add_xml_filter(self, callback: Callable[[ElementTree.Element], ElementTree.Element]) -> None: ...
    def render(self) -> bytes: ...


def section(picture: Picture | None) -> Node:
    """The charts and the table of the same numbers; which routers are missing in the newest ones."""
    if picture is None:
        return _section(())
    silent = [words.router_name(each) for each in picture.routers if each.problem]
    many = len(silent) > 1
    said = f"{'count' if many else 'counts'} now: {'they do' if many else 'it does'} not answer the manager"
    missing = f"Without what {words.names(silent)} {said}."
    minutes = tuple(words.complete(picture.minutes, picture.at))
    return [silent and p(".quiet")[missing], _section(minutes)]


@lru_cache(maxsize=4)
def _section(minutes: tuple[Minute, ...]) -> Node:
    """Rendered once a minute, and not with each picture: the table is most of the page."""
    if not any(each.requests for each in minutes):
        return p(".quiet")["No request in the last hour. Charts appear with the first complete minute."]
    version = digest(minutes)
    table_of_all = details[summary["The last hour as a table"], _table(minutes)]
    return Markup(fragment[_charts(minutes, version), table_of_all])  # noqa: S704  htpy has escaped it


def _charts(minutes: Sequence[Minute], version: str) -> Node:
    return div(".charts")[
        [
            figure[
                figcaption[chart.title, " ", _unit(chart)],
                img(
                    src=f"/charts/{chart.name}.{version}.svg",
                    alt=description(chart, minutes),
                    width=str(WIDTH),
                    height=str(HEIGHT),
                ),
            ]
            for chart in CHARTS
        ]
    ]


def digest(minutes: Sequence[Minute]) -> str:
    """A hash of the numbers."""
    return hashlib.sha256(repr([astuple(each) for each in minutes]).encode()).hexdigest()[:12]


def description(chart: Chart, minutes: Sequence[Minute]) -> str:
    """A chart in words: the last value and the highest one of each series."""
    said: list[str] = []
    for series in chart.series:
        known = [(value, each.at) for each in minutes if (value := series.value(each)) is not None]
        if known:
            top, at = max(known)
            said.append(
                f"{series.name} {words.number(round(known[-1][0]))} in the last minute, "
                f"at most {words.number(round(top))} at {words.clock(at)[:5]}"
            )
    return f"{chart.title}: {'; '.join(said) or 'nothing known'}."


def render(name: str, minutes: tuple[Minute, ...]) -> bytes:
    """The SVG of a chart. name: of one in CHARTS.

    One is drawn at a time: all open pages ask for the same three at the same moment, each in a thread, and
    the memory that drawing needs would be needed in each of them.
    """
    with _DRAWING:
        return _render(name, minutes)


@lru_cache(maxsize=len(CHARTS))
def _render(name: str, minutes: tuple[Minute, ...]) -> bytes:
    chart = BY_NAME[name]
    drawn = _pygal(chart)
    drawn.x_labels = [words.clock(each.at)[:5] for each in minutes]
    drawn.x_labels_major = [words.clock(each.at)[:5] for each in minutes if each.at % 900 == 0]
    for series in chart.series:
        drawn.add(series.name, [series.value(each) for each in minutes])
    drawn.add_xml_filter(_without_script)
    return drawn.render()


def _library() -> ModuleType:
    """pygal, imported at the first chart (50 ms).

    Its import hook for maps is of a form that Python 3.12 no longer calls, and 3.11 warns of at each import.
    """
    import pygal

    sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return pygal


def _pygal(chart: Chart) -> _Pygal:
    pygal = _library()
    kind = pygal.Line if chart.kind == "lines" else pygal.StackedBar
    made = kind(
        style=pygal.style.Style(
            font_family=FONT,
            label_font_size=TEXT_PX,
            major_label_font_size=TEXT_PX,
            legend_font_size=TEXT_PX,
        ),
        width=WIDTH,
        height=HEIGHT,
        css=(f"inline:{_style(chart.colours)}",),
        js=(),
        no_prefix=True,
        show_dots=False,
        show_legend=len(chart.series) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(chart.series),
        legend_box_size=10,
        show_minor_x_labels=False,
        truncate_legend=-1,
        truncate_label=-1,
        margin=6,
        spacing=8,
        include_x_axis=True,
        max_scale=5,
        value_formatter=_short,
        allow_interruptions=True,
    )
    return cast("_Pygal", made)


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _without_script(root: ElementTree.Element) -> ElementTree.Element:
    """The drawing without pygal's script and tooltips, which nothing could use."""
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.tag).endswith("script"):
                parent.remove(child)
    return root


def _style(colours: Sequence[tuple[str, str]]) -> str:
    """The style sheet of a chart, for a light and a dark page."""
    return (
        f"text{{font:{TEXT_PX}px {FONT};fill:#334155;stroke:none}}"
        ".axis text.major{font-weight:400}"
        ".guide.line{stroke:#94a3b8;stroke-width:.5;fill:none}.axis .line{stroke:#94a3b8;fill:none}"
        ".background{fill:none}.nofill{fill:none}.axis.x text{text-anchor:middle}"
        ".axis.y text{text-anchor:end}"
        ".axis.x .guide.line{opacity:0}.text-overlay,.tooltip{display:none}path.line{stroke-width:2}"
        + _colours([light for light, _ in colours])
        + "@media(prefers-color-scheme:dark){text{fill:#cbd5e1}.guide.line,.axis .line{stroke:#475569}"
        + _colours([dark for _, dark in colours])
        + "}"
    )


def _colours(colours: Sequence[str]) -> str:
    return "".join(
        f".color-{number}{{stroke:{colour};fill:{colour}}}"
        f".color-{number} path.line{{fill:none;stroke-dasharray:{DASHES[number]}}}"
        for number, colour in enumerate(colours)
    )


def _unit(chart: Chart) -> Node:
    return f"({chart.unit})"


def _table(minutes: Sequence[Minute]) -> Node:
    heads = ("Minute (UTC)", "Requests", "Errors", "Retries", "Hedges", "Ejections", "p50 ms", "p99 ms")
    return div(".scroll", tabindex="0", role="region", aria_label="The last hour as a table")[
        table[
            caption["Newest first"],
            thead[
                tr[
                    [
                        th(scope="col", class_="number" if column else None)[each]
                        for column, each in enumerate(heads)
                    ]
                ]
            ],
            tbody[[_row(each) for each in reversed(minutes)]],
        ]
    ]


def _row(minute: Minute) -> Node:
    counts = (minute.requests, minute.errors, minute.retries, minute.hedges, minute.ejections)
    times = [None if value is None else round(value) for value in (minute.p50_ms, minute.p99_ms)]
    return tr[
        th(scope="row")[time(datetime=words.iso(minute.at))[words.clock(minute.at)[:5]]],
        [td(".number")[words.number(each)] for each in (*counts, *times)],
    ]
