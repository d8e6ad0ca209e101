"""Jobs with their progress, newest first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from htpy import (
    Element,
    Node,
    article,
    button,
    details,
    div,
    h3,
    li,
    ol,
    p,
    pre,
    progress,
    span,
    strong,
    summary,
    table,
    tbody,
    td,
    th,
    thead,
    time,
    tr,
)

from infra.manager.jobs.model import Change, Job, State
from infra.manager.page import words
from infra.manager.page.words import Tone

# A job has a line for each operation on a resource: the end of them tells where it is.
LINES = 12
# Ended jobs that are shown whole; of earlier ones a table has the result.
WHOLE = 3
MARKS: dict[State, tuple[str, Tone]] = {
    State.QUEUED: ("… queued", "idle"),
    State.RUNNING: ("▶ running", "warn"),
    State.DONE: ("✓ done", "good"),
    State.FAILED: ("✕ failed", "bad"),
    State.CANCELLED: ("– cancelled", "idle"),  # noqa: RUF001  a dash, as for what is not known
}


def title(change: Change) -> str:
    """What an operator asked for: `Add aws/us-east-1, weight 1`."""
    verb = {"create": "Add or change", "delete": "Remove", "weight": "Set the weight of"}[change.action]
    said = f"{verb} {change.target}"
    if change.options:
        said += ", " + ", ".join(f"{name} {words.number(value)}" for name, value in change.options.items())
    if change.force:
        said += ", forced"
    return f"Plan: {said}" if change.preview else said


def sections(jobs: Sequence[Job], now: float) -> Node:
    """Jobs that are going on with their progress, then the history."""
    shown = [each for each in jobs if not (each.change.preview and each.is_final)]
    if not shown:
        return p(".quiet")["No job yet. A change of the fleet is a job, and is listed here."]
    ended = [each for each in shown if each.is_final]
    whole = [each for each in shown if not each.is_final or each in ended[:WHOLE]]
    return [[job(each, now) for each in whole], _earlier(ended[WHOLE:], now)]


def percent(job: Job) -> int | None:
    """How far a job is, as the last event says that knows it."""
    return next((each.percent for each in reversed(job.events) if each.percent is not None), None)


def job(view: Job, now: float) -> Element:
    """One job: state, progress, result, the last lines."""
    mark, tone = MARKS[view.state]
    name = f"job-{view.id}"
    return article(class_=f"job tone-{tone}", id=name, aria_labelledby=f"{name}-name")[
        div(".card-head")[
            h3(id=f"{name}-name")[title(view.change)],
            strong(class_=f"state tone-{tone}", role="status")[mark],
        ],
        p(".quiet")[_when(view, now)],
        view.result and p(".result")[words.sentence(view.result)],
        None if view.is_final else _progress(view),
        _lines(view),
    ]


def plan(lines: Sequence[str]) -> Node:
    """The plan of a preview."""
    return pre(".plan", tabindex="0", aria_label="Plan")["\n".join(lines) or "Nothing would change."]


def _earlier(ended: Sequence[Job], now: float) -> Node:
    if not ended:
        return None
    return details[
        summary[words.plural(len(ended), "earlier job")],
        div(".scroll", tabindex="0", role="region", aria_label="Earlier jobs")[
            table[
                thead[tr[[th(scope="col")[each] for each in ("When (UTC)", "Job", "State", "By", "Result")]]],
                tbody[[_row(each, now) for each in ended]],
            ]
        ],
    ]


def _row(view: Job, now: float) -> Node:
    mark, tone = MARKS[view.state]
    return tr[
        td[time(datetime=words.iso(view.created))[words.day_and_clock(view.created, now)]],
        th(scope="row")[title(view.change)],
        td(class_=f"tone-{tone}")[mark],
        td[view.by],
        td[words.sentence(view.result)],
    ]


def _when(view: Job, now: float) -> Node:
    at = time(datetime=words.iso(view.created))[words.day_and_clock(view.created, now)]
    if view.started is None:
        return [at, f" UTC by {view.by}"]
    if view.ended is None:
        return [at, f" UTC by {view.by}, running since {words.clock(view.started)}"]
    return [at, f" UTC by {view.by}, took {words.exact(view.ended - view.started)}"]


def _progress(view: Job) -> Node:
    done = percent(view)
    last = view.events[-1].text if view.events else "Waits for its turn."
    bar = progress(max="100", value=str(done) if done is not None else None, aria_label="Progress")
    return [
        div(".progress")[bar, span[f"{done} %" if done is not None else "working"]],
        p(".step")[last],
        button(
            ".action",
            type="button",
            aria_label=f"Cancel: {title(view.change)}",
            hx_get=f"/dialog/cancel?job={quote(view.id, safe='')}",
            hx_target="#dialog-body",
        )["Cancel…"],
    ]


def _lines(view: Job) -> Node:
    if not view.events:
        return None
    left = len(view.events) - LINES
    return details[
        summary[words.plural(len(view.events), "line"), " of progress"],
        left > 0 and p(".quiet")[f"The first {left} are left out; `skyfleet` and the API have them all."],
        ol(".events")[
            [
                li[time(datetime=words.iso(each.at))[words.clock(each.at)], " ", each.text]
                for each in view.events[-LINES:]
            ]
        ],
    ]
