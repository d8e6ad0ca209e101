"""The parts of the page about the fleet: verdict, problems, figures, targets, routers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from htpy import (
    Element,
    Node,
    a,
    article,
    button,
    code,
    dd,
    div,
    dl,
    dt,
    h2,
    h3,
    li,
    p,
    span,
    strong,
    table,
    tbody,
    td,
    th,
    thead,
    time,
    tr,
    ul,
)

from infra.manager.fleet.picture import CheckerView, Picture, RouterView, TargetView
from infra.manager.jobs.model import Job, State
from infra.manager.page import diagram, jobs, runbook, words

# A picture that is older was not renewed: no router answers the manager.
OLD_S = 15.0
# Of more targets that are not well the cards say why.
REASONS = 3
SEVERITY: Sequence[words.Tone] = ("bad", "warn", "idle", "good")
# So long the page says above everything else that the newest job has failed.
FAILED_S = 3600.0


def verdict(picture: Picture | None) -> Node:
    """The fleet in one sentence, then why of each target that is not well, the worst first.

    A screen reader reads the first sentence when it changes. The reasons may count seconds.
    """
    found = words.verdict(picture)
    said = sorted(
        (each for each in picture.targets if each.sentence) if picture is not None else (),
        key=lambda each: SEVERITY.index(words.look(each.state).tone),
    )
    left = len(said) - REASONS
    return [
        div(role="status")[p(class_=f"verdict tone-{found.tone}")[found.sentence]],
        [
            p(".reason")[a(href=f"#{_card_id(each)}")[each.key], ": ", prose(each.sentence)]
            for each in said[:REASONS]
        ],
        left > 0 and p(".reason")[f"The cards below say why of {left} more."],
    ]


def prose(sentence: str) -> Node:
    """A sentence in which `a command` is shown as code."""
    return [code[part] if number % 2 else part for number, part in enumerate(sentence.split("`"))]


def activity(recent: Sequence[Job], now: float) -> Node:
    """The job that runs, or the newest one if it has failed lately: it is seen without scrolling."""
    changes = [each for each in recent if not each.change.preview]
    running = next((each for each in recent if each.state is State.RUNNING), None)
    if running is not None:
        done = jobs.percent(running)
        return p(".activity")["Running: ", _job_link(running), f", {done} %" if done is not None else None]
    if not changes or changes[0].state is not State.FAILED or now - (changes[0].ended or now) > FAILED_S:
        return None
    return p(".activity.tone-bad")[
        f"✕ Failed at {words.clock(changes[0].ended or now)[:5]} UTC: ", _job_link(changes[0])
    ]


def _job_link(job: Job) -> Element:
    return a(href=f"#job-{quote(job.id, safe='')}")[jobs.title(job.change)]


def problems(picture: Picture | None, recent: Sequence[Job], now: float) -> Node:
    """What is wrong with the fleet as a whole; nothing where nothing is."""
    if picture is None:
        return None
    said = [*picture.problems, *_not_deployed(picture, recent)]
    if now - picture.at > OLD_S:
        said.insert(
            0, f"What is below is from {words.clock(picture.at)}: the manager has read no router since."
        )
    if not said:
        return None
    # A sentence may count seconds, so only the heading is told when it changes.
    return div(".problems")[
        h2[span(role="status")[words.plural(len(said), "problem"), " of the fleet"]],
        ul[[li[prose(each)] for each in said]],
    ]


def _not_deployed(picture: Picture, recent: Sequence[Job]) -> list[str]:
    """What a change of the stack config by hand leads to. A job that is under way deploys its own."""
    waits = any(not each.is_final and not each.change.preview for each in recent)
    planned = [f"{each.key}: {each.planned.rstrip('.')}" for each in picture.targets if each.planned]
    if waits or not planned:
        return []
    what = f"The stack config has changed and is not deployed ({'; '.join(planned)})."
    return [f"{what} The next job deploys it too, and so does `pulumi up`."]


def figures(picture: Picture | None) -> Node:
    """The last complete minute in numbers."""
    if picture is None:
        return None
    minutes = words.complete(picture.minutes, picture.at)
    last = minutes[-1] if minutes else None
    failed = last.errors / last.requests if last and last.requests else None
    shown: list[tuple[str, str]] = [
        ("Requests", words.number(last.requests) if last else words.DASH),
        ("Errors", words.percent(failed)),
        ("p50", words.milliseconds(last.p50_ms if last else None)),
        ("p99", words.milliseconds(last.p99_ms if last else None)),
        ("Retries", words.number(last.retries) if last else words.DASH),
        ("Hedges", words.number(last.hedges) if last else words.DASH),
    ]
    when = (
        f"The minute from {words.clock(last.at)[:5]} UTC, of all routers. Their instances add their counts "
        "once a minute, so it may still grow."
        if last
        else ""
    )
    return [dl(".figures")[[div[dt[name], dd[value]] for name, value in shown]], when and p(".quiet")[when]]


def live(picture: Picture | None) -> Node:
    """The drawing, in two sizes of which the style sheet shows one."""
    if picture is None:
        return p(".quiet")["The picture appears when the first router has answered."]
    return [
        diagram.drawing(picture, diagram.WIDE),
        diagram.drawing(picture, diagram.NARROW),
    ]


def age(picture: Picture | None) -> Node:
    """When the routers answered: a part of its own, since it changes each second and the drawing does not."""
    if picture is None:
        return None
    at = time(datetime=words.iso(picture.at))[words.clock(picture.at)]
    if words.is_silent(picture):
        return p(".quiet")["No router answered at ", at, " UTC. Numbers below are older."]
    return p(".quiet")["As of ", at, " UTC. The width of a line is its share of the requests."]


def targets(picture: Picture | None, now: float) -> Node:
    """A card for each target."""
    if picture is None:
        return None
    is_silent = words.is_silent(picture)
    return [target(each, now, is_silent=is_silent) for each in picture.targets]


def _card_id(view: TargetView) -> str:
    return f"target-{view.cloud}-{view.region}"


def target(view: TargetView, now: float, *, is_silent: bool = False) -> Element:
    """One card: what it is, its state, why, what to do, numbers, actions. is_silent: no router answers."""
    look = words.look(view.state)
    name = _card_id(view)
    return article(class_=f"card tone-{look.tone}", id=name, aria_labelledby=f"{name}-name")[
        div(".card-head")[
            h3(id=f"{name}-name")[view.cloud, " ", span(".region")[view.region]],
            strong(class_=f"state tone-{look.tone}")[words.marked(view)],
        ],
        p(".why")[prose(view.sentence or words.meaning(view, is_silent=is_silent)), _since(view, now)],
        look.tone in ("bad", "warn") and p(".todo")[strong["What to do: "], prose(runbook.todo(view.state))],
        view.planned and p(".planned")[prose(words.sentence(view.planned))],
        dl(".numbers")[[div[dt[label], dd[value]] for label, value in numbers(view)]],
        div(".actions")[_actions(view)],
    ]


def numbers(view: TargetView) -> list[tuple[str, str]]:
    """The labelled numbers of a card."""
    found = [
        ("Share", words.percent(view.share)),
        ("Weight", words.number(view.weight)),
        ("Latency", words.milliseconds(view.latency_ms)),
        ("Errors", words.percent(view.errors)),
        ("In flight", words.number(view.inflight)),
    ]
    bounds = _bounds(view)
    if view.instances is not None or bounds:
        count = words.number(view.instances)
        found.append(("Instances", f"{count} ({bounds})" if bounds else count))
    return found


def _bounds(view: TargetView) -> str:
    """The numbers of instances that the config allows; empty for any."""
    low, high = words.number(view.min_instances or 0), words.number(view.max_instances)
    if view.max_instances is None:
        return f"{low} or more" if view.min_instances else ""
    return f"{low} to {high}"


def routers(picture: Picture | None) -> Node:
    """Routers and checkers, and the strategy that routers use."""
    if picture is None:
        return None
    strategies = sorted({each.strategy for each in picture.routers if each.strategy})
    return [
        p(".strategy")[
            "Strategy: ",
            strong[words.names(strategies) or words.DASH],
            " ",
            _button("Change strategy…", "strategy", "the strategy of the routers"),
        ],
        _router_table(picture.routers),
        _checker_table(picture.checkers),
    ]


def _router_table(views: Sequence[RouterView]) -> Node:
    heads = (("Router", ""), ("State", ""), ("Requests/min", "number"), ("Failed", "number"))
    return div(".scroll", tabindex="0", role="region", aria_label="Routers")[
        table[
            thead[tr[[th(scope="col", class_=style or None)[name] for name, style in heads]]],
            tbody[
                [
                    tr[
                        th(scope="row")[words.router_name(each)],
                        td(class_=f"tone-{'bad' if each.problem else 'good'}")[
                            f"✕ {each.problem}" if each.problem else "✓ answers"
                        ],
                        td(".number")[words.number(each.requests)],
                        td(".number")[words.number(each.failed)],
                    ]
                    for each in views
                ]
            ],
        ]
    ]


def _checker_table(views: Sequence[CheckerView]) -> Node:
    if not views:
        return None
    return div(".scroll", tabindex="0", role="region", aria_label="Checkers")[
        table[
            thead[tr[[th(scope="col")[each] for each in ("Checker", "Last snapshot")]]],
            tbody[
                [
                    tr[
                        th(scope="row")[each.checker],
                        td(class_=f"tone-{'good' if each.fresh else 'warn'}")[_snapshot(each)],
                    ]
                    for each in views
                ]
            ],
        ]
    ]


def _snapshot(view: CheckerView) -> str:
    if view.age_s is None:
        return "! none yet"
    return "✓ fresh" if view.fresh else f"! {words.duration(view.age_s)} old, not used any more"


def _since(view: TargetView, now: float) -> Node:
    if view.since is None or view.state == "healthy":
        return None
    return [
        " Since ",
        time(datetime=words.iso(view.since))[words.day_and_clock(view.since, now)],
        f" ({words.duration(now - view.since)}).",
    ]


def _actions(view: TargetView) -> Node:
    drain, dialog = ("End drain…", "undrain") if view.draining else ("Drain…", "drain")
    return [
        _button("Weight…", "weight", f"the weight of {view.key}", target=view.key),
        not words.is_undeployed(view) and _button(drain, dialog, view.key, target=view.key),
        _button("Remove…", "remove", view.key, target=view.key),
        # Last, since it comes and goes with an instance that follows late: no other button moves.
        view.undrained and _button("Drain again…", "drain", view.key, target=view.key),
    ]


def _button(label: str, dialog: str, what: str, **query: str) -> Element:
    """A button that opens a dialog. what: of the action, for a screen reader's list of buttons."""
    address = f"/dialog/{dialog}" + (f"?{urlencode(query)}" if query else "")
    return button(
        ".action",
        type="button",
        aria_label=f"{label.rstrip('…')}: {what}",
        hx_get=address,
        hx_target="#dialog-body",
    )[label]


def add_button() -> Element:
    """Opens the dialog that adds a region."""
    return _button("Add a region…", "add", "a new target")
