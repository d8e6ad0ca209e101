"""Clients, routers and targets as one drawing: the width of a line is its share of the traffic. Pure.

Two sizes of the same drawing, of which the style sheet shows one: the text of a wide drawing would be too
small on a phone. No element has an id: htmx would move those that match into the wrong XML namespace. The
drawing is an image for a screen reader, described by one sentence; the cards below have the same facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htpy import Element, Node, g, line, path, rect, svg, text, tspan

from infra.manager.fleet.picture import Picture, RouterView, TargetView
from infra.manager.page import words

MARGIN = 5.0
HEADING = 22.0
THINNEST = 1.5
VARYING = 4.0


@dataclass(frozen=True, slots=True)
class Size:
    """Where things are, in units of the drawing. columns: left edge and width of clients, routers, targets.

    row: height of a row. box: of a box in it. band: width of the line that has all the traffic. letter: width
    of a bold letter, at most. is_narrow: for a phone, with a line more in each box.
    """

    name: str
    width: float
    columns: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    row: float
    box: float
    band: float
    letter: float
    is_narrow: bool


WIDE = Size("wide", 960, ((8, 126), (340, 216), (690, 262)), 62, 50, 40, 8.3, is_narrow=False)
NARROW = Size("narrow", 344, ((2, 50), (82, 108), (222, 120)), 74, 62, 34, 6.9, is_narrow=True)


@dataclass(frozen=True, slots=True)
class Link:
    """One line from the right edge of a box to the left edge of another.

    width: 0 without traffic. tone: of its end. varies: it carries a part that is not known beforehand.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    tone: str
    varies: bool = False


def drawing(picture: Picture, size: Size) -> Element:
    """The drawing of one size."""
    rows = max(len(picture.routers), len(picture.targets), 1)
    height = rows * size.row + 2 * MARGIN + HEADING
    routers = _middles(len(picture.routers), size, height)
    targets = _middles(len(picture.targets), size, height)
    return svg(
        f".picture-{size.name}",
        viewBox=f"0 0 {size.width:g} {height:g}",
        role="img",
        aria_label=description(picture),
    )[
        _headings(size),
        g(".links")[[_link(each) for each in links(picture, size, height)]],
        _clients(picture, size, _centre(height)),
        [_router(each, size, y) for each, y in zip(picture.routers, routers, strict=True)],
        [_target(each, size, y) for each, y in zip(picture.targets, targets, strict=True)],
    ]


def description(picture: Picture) -> str:
    """The drawing in words."""
    shares = [f"{each.key} {words.percent(each.share)}, {each.state}" for each in picture.targets] or [
        "no target"
    ]
    count = words.plural(len(picture.routers), "router")
    return f"Traffic from clients through {count} to {'; '.join(shares)}."


def router_shares(routers: Sequence[RouterView]) -> list[float]:
    """The fraction of the requests of each router in the last minute; equal parts where there was none."""
    counts = [0 if each.problem else each.requests or 0 for each in routers]
    answering = sum(not each.problem for each in routers)
    if total := sum(counts):
        return [count / total for count in counts]
    return [0.0 if each.problem else 1 / answering for each in routers]


def links(picture: Picture, size: Size, height: float) -> list[Link]:
    """All lines. Those that meet at a box lie side by side, so that widths add up."""
    (client_x, client_w), (router_x, router_w), (target_x, _) = size.columns
    routers = _middles(len(picture.routers), size, height)
    targets = _middles(len(picture.targets), size, height)
    entering = router_shares(picture.routers)
    found: list[Link] = []
    start = _centre(height) - size.band / 2
    arriving = [
        y - (each.share or 0) * size.band / 2 for each, y in zip(picture.targets, targets, strict=True)
    ]
    for router, share, y in zip(picture.routers, entering, routers, strict=True):
        width = share * size.band
        tone = "bad" if router.problem else "good"
        found.append(Link(client_x + client_w, start + width / 2, router_x, y, width, tone))
        start += width
        leaving = y - width / 2
        for number, target in enumerate(picture.targets):
            part = width * (target.share or 0)
            here = Link(
                router_x + router_w,
                leaving + part / 2,
                target_x,
                arriving[number] + part / 2,
                part,
                words.look(target.state).tone,
                varies=target.share is None and width > 0 and target.state != "unknown",
            )
            if not router.problem:
                found.append(here)
            leaving += part
            arriving[number] += part
    return found


def _centre(height: float) -> float:
    return (height + HEADING) / 2


def _headings(size: Size) -> Element:
    """What each column is."""
    return text(".headings")[
        [
            tspan(x=f"{x:g}", y="16")[title]
            for (x, _), title in zip(size.columns, ("Clients", "Routers", "Targets"), strict=True)
        ]
    ]


def _middles(count: int, size: Size, height: float) -> list[float]:
    top = _centre(height) - (count - 1) * size.row / 2
    return [top + number * size.row for number in range(count)]


def _link(link: Link) -> Element:
    bend = (link.x2 - link.x1) / 2
    curve = (
        f"M{link.x1:.1f} {link.y1:.1f}C{link.x1 + bend:.1f} {link.y1:.1f} "
        f"{link.x2 - bend:.1f} {link.y2:.1f} {link.x2:.1f} {link.y2:.1f}"
    )
    carries = link.width > 0 or link.varies
    return path(
        class_=f"link {f'tone-{link.tone}' if carries else 'link-empty'}",
        d=curve,
        stroke_width=f"{(VARYING if link.varies else max(link.width, THINNEST)) if carries else 1:.1f}",
    )


def _box(size: Size, column: int, middle: float, tone: str) -> Node:
    x, width = size.columns[column]
    top = middle - size.box / 2
    return [
        rect(".box", x=f"{x:g}", y=f"{top:g}", width=f"{width:g}", height=f"{size.box:g}", rx="6"),
        line(
            class_=f"edge tone-{tone}",
            x1=f"{x + 2:g}",
            x2=f"{x + 2:g}",
            y1=f"{top + 5:g}",
            y2=f"{top + size.box - 5:g}",
        ),
    ]


def _lines(size: Size, column: int, middle: float, lines: Sequence[tuple[str, Node]]) -> Element:
    """Lines of text in a box, each with its class, centred in its height."""
    x = size.columns[column][0] + (9 if size.is_narrow else 14)
    step = 16 if size.is_narrow else 18
    top = middle - (len(lines) - 1) * step / 2 + 4.5
    return text[
        [
            tspan(class_=name, x=f"{x:g}", y=f"{top + number * step:g}")[content]
            for number, (name, content) in enumerate(lines)
        ]
    ]


def _fit(size: Size, column: int, name: str) -> str:
    """A name that is too long for its box, cut; the card below has all of it."""
    letters = int((size.columns[column][1] - (12 if size.is_narrow else 20)) / size.letter)
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _clients(picture: Picture, size: Size, middle: float) -> Element:
    counts = [each.requests for each in picture.routers if each.requests is not None]
    rate = words.number(sum(counts)) if counts else words.DASH
    lines: list[tuple[str, Node]] = [("strong", rate), ("", "/ min" if size.is_narrow else "requests/min")]
    return g[_box(size, 0, middle, "idle"), _lines(size, 0, middle, lines)]


def _router(router: RouterView, size: Size, middle: float) -> Element:
    tone = "bad" if router.problem else "good"
    state = "✕ no answer" if router.problem else "✓ answers"
    lines: list[tuple[str, Node]]
    if size.is_narrow:
        lines = [("strong", router.cloud), ("", _fit(size, 1, router.region)), (f"tone-{tone}", state)]
    else:
        lines = [("strong", _fit(size, 1, f"{router.cloud} {router.region}")), (f"tone-{tone}", state)]
    return g[_box(size, 1, middle, tone), _lines(size, 1, middle, lines)]


def _target(target: TargetView, size: Size, middle: float) -> Element:
    look = words.look(target.state)
    share, state = words.percent(target.share), words.marked(target)
    lines: list[tuple[str, Node]]
    if size.is_narrow:
        lines = [
            ("strong", f"{target.cloud} {share}"),
            ("", _fit(size, 2, target.region)),
            (f"tone-{look.tone}", state),
        ]
    else:
        lines = [
            ("strong", _fit(size, 2, f"{target.cloud} {target.region}")),
            (f"tone-{look.tone}", [state, tspan(".plain")[f"  {words.share(target)}"]]),
        ]
    return g[_box(size, 2, middle, look.tone), _lines(size, 2, middle, lines)]
