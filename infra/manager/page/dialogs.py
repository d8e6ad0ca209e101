"""What an action will do, to be confirmed: the content of the page's one dialog. Pure.

A dialog names the target, what happens to requests, and how to undo it. Adding and removing a region shows
the plan of a preview first. `version` of the desired state goes along, so that a change that another operator
made in the meantime is found when this one is confirmed. What was refused leads back to its form, which has
what the operator has entered, and the present version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from htpy import (
    Element,
    Node,
    button,
    div,
    form,
    h2,
    input,
    label,
    li,
    optgroup,
    option,
    p,
    progress,
    select,
    span,
    ul,
)

from infra.config.regions import REGIONS
from infra.manager.fleet.picture import Picture, TargetView
from infra.manager.jobs.model import Job, State
from infra.manager.page import jobs, words
from skyfleet.contract import Strategy

CONFIGURED = "configured"
STRATEGIES: Mapping[str, str] = {
    Strategy.ADAPTIVE: "learns from latency, errors, load and price",
    Strategy.WEIGHTED: "by weight alone",
    Strategy.ROUND_ROBIN: "each target in turn",
    Strategy.RANDOM: "at random, by weight",
    Strategy.LEAST_LOAD: "the target with the fewest requests in flight",
    Strategy.LATENCY: "the target that answers first",
    Strategy.COST: "the cheapest target that serves",
    CONFIGURED: "what the stack config says",
}
# Optional numbers of a target: name in the config, label, unit.
OPTIONS: Sequence[tuple[str, str, str]] = (
    ("minInstances", "Min. instances", "1"),
    ("maxInstances", "Max. instances", "1"),
    ("memoryMb", "Memory, MB", "1"),
)
Fields = Mapping[str, str]


def weight(view: TargetView, picture: Picture, entered: Fields) -> Node:
    """Another weight for one target. entered: what stands in the form from before."""
    total = sum(each.weight for each in picture.targets)
    now = f"{words.number(view.weight)} of {words.number(total)} in all"
    value = entered.get("weight", f"{view.weight:.15g}")
    return _dialog(
        f"Weight of {view.key}",
        p[f"The weight is {now}. It is changed in the stack config, and a job deploys that."],
        p[f"Requests go on while it runs. A weight of 0 sends {view.key} nothing."],
        _form(
            "weight",
            {"target": view.key, "version": picture.version},
            "Set the weight",
            label["New weight", _number("weight", value, step="any", is_needed=True)],
        ),
    )


def undrain(view: TargetView, _picture: Picture, _entered: Fields) -> Node:
    """End a drain."""
    return _dialog(
        f"End the drain of {view.key}?",
        p["It gets new requests again, beginning with a small share. Routers do so within seconds."],
        _form("drain", {"target": view.key, "undo": "yes"}, "End the drain"),
    )


def drain(view: TargetView, picture: Picture, _entered: Fields) -> Node:
    """Drain a target."""
    others = _serving(picture, view)
    flight = f"{words.plural(view.inflight, 'request')} in flight there may end." if view.inflight else ""
    where = f"go to {words.names(others)}" if others else "have no other target"
    return _dialog(
        f"Drain {view.key}?",
        p[f"New requests {where}. {flight}"],
        p["Routers do so within seconds. Nothing is removed, and the drain can be ended at any time."],
        None if others else p(".error", role="alert")["No other target serves: clients would get errors."],
        _form(
            "drain",
            {"target": view.key, "undo": ""},
            f"Drain {view.key}",
            None if others else _check("force", "Drain it although no other target serves", {}),
            danger=not others,
        ),
    )


def strategy(picture: Picture) -> Node:
    """Another strategy for all routers."""
    now = {each.strategy for each in picture.routers if each.strategy}
    return _dialog(
        "Strategy of the routers",
        p["Each router picks targets by it within seconds. Nothing is deployed, and the stack config stays."],
        _form(
            "strategy",
            {},
            "Change the strategy",
            label[
                "Strategy",
                select(name="name", autofocus=True)[
                    [
                        option(value=name, selected=name in now)[f"{name}: {meaning}"]
                        for name, meaning in STRATEGIES.items()
                    ]
                ],
            ],
        ),
    )


def add(picture: Picture, entered: Fields) -> Node:
    """A new target: cloud and region, weight, and numbers that may stay empty.

    entered: what stands in the form from before.
    """
    known = {each.key for each in picture.targets}
    return _dialog(
        "Add a region",
        p["First you see the plan: what would be created. Nothing changes until you confirm it."],
        _form(
            "plan",
            {"action": "create", "version": picture.version},
            "Show the plan",
            label[
                "Region",
                select(name="target", autofocus=True, required=True)[
                    option(value="")["Choose a region"],
                    [_regions(cloud, known, entered.get("target", "")) for cloud in REGIONS],
                ],
            ],
            div(".fields")[
                label["Weight", _number("weight", entered.get("weight", "1"), step="any")],
                [
                    label[text, _number(name, entered.get(name, ""), step=step)]
                    for name, text, step in OPTIONS
                ],
            ],
            p(".quiet")["An empty field leaves the cloud's own or the stack's default."],
        ),
    )


def remove(view: TargetView, picture: Picture, entered: Fields) -> Node:
    """Remove a target, with the plan first."""
    others = _serving(picture, view)
    where = f"to {words.names(others)}" if others else "nowhere: no other target serves"
    return _dialog(
        f"Remove {view.key}",
        p[
            f"A job drains it, waits for its requests in flight, then removes its resources. Its share of "
            f"{words.percent(view.share)} goes {where}."
        ],
        p["First you see the plan. Nothing changes until you confirm it."],
        _form(
            "plan",
            {"action": "delete", "target": view.key, "version": picture.version},
            "Show the plan",
            _check("force", "Also if a router goes with it, or one cannot be reached", entered),
        ),
    )


def waiting(job: Job, fields: Fields) -> Node:
    """While the plan is made."""
    return _dialog(
        f"Planning: {_what(fields)}",
        p(role="status")["The plan takes a few seconds."],
        poll(job, fields),
        closes=True,
    )


def poll(job: Job, fields: Fields) -> Element:
    """Asks for the plan again, and shows the last line of progress."""
    last = job.events[-1].text if job.events else "Waits for its turn."
    return div(
        {"hx-get": f"/dialog/plan?{urlencode({**fields, 'job': job.id})}", "hx-trigger": "load delay:500ms"},
        hx_swap="outerHTML",
    )[progress(aria_label="Planning"), p(".step")[last]]


def planned(job: Job, fields: Fields) -> Node:
    """The plan, and the question whether it should be carried out."""
    if job.state is not State.DONE:
        return refused(
            f"No plan: {_what(fields)}", job.result or "The plan was cancelled.", form_of("plan", fields)
        )
    is_removal = fields.get("action") == "delete"
    hidden = {name: value for name, value in fields.items() if name != "job"}
    return _dialog(
        f"{'Remove' if is_removal else 'Add'} {fields.get('target', '')}?",
        p(role="status")["This is what the job will do. ", words.sentence(job.result)],
        jobs.plan(job.plan),
        p[
            "Requests that it has may end first; then its resources are gone."
            if is_removal
            else "Routers send it requests as soon as it has passed its checks."
        ],
        _form(
            "change",
            hidden,
            f"{'Remove' if is_removal else 'Add'} {fields.get('target', '')}",
            danger=is_removal,
        ),
    )


def cancel(job: Job) -> Node:
    """End a job that waits or runs."""
    return _dialog(
        "Cancel this job?",
        p[jobs.title(job.change), "."],
        p["The operation under way ends first. The job then says what has been done and what is left."],
        _form("cancel", {"job": job.id}, "Cancel the job", danger=True, keep="Let it run"),
    )


def refused(title: str, reason: str, back: str = "", mistakes: Sequence[str] = ()) -> Node:
    """Why nothing was done. back: the address of the form, if another try may help. mistakes: the parts of a
    reason that has several, with semicolons between."""
    lead = reason.partition(mistakes[0])[0].rstrip(": ") if len(mistakes) > 1 else reason
    return _dialog(
        title,
        div(role="alert")[
            p(".error")[words.sentence(lead)],
            len(mistakes) > 1 and ul[[li[words.sentence(each)] for each in mistakes]],
        ],
        div(".buttons")[
            button(type="button", class_="close", autofocus=not back)["Close"],
            back
            and button(
                type="button", class_="confirm", autofocus=True, hx_get=back, hx_target="#dialog-body"
            )["Back to the form"],
        ],
    )


def form_of(action: str, fields: Fields) -> str:
    """The address of the form of a weight, an addition or a removal, with its fields; empty for others."""
    if action not in ("weight", "plan", "change"):
        return ""
    of_region = "remove" if fields.get("action") == "delete" else "add"
    kept = {key: value for key, value in fields.items() if key not in ("action", "version", "job")}
    return f"/dialog/{'weight' if action == 'weight' else of_region}?{urlencode(kept)}"


def _serving(picture: Picture, but: TargetView) -> list[str]:
    """The other targets that take requests."""
    out = ("down", "ejected", "draining")
    return [each.key for each in picture.targets if each.key != but.key and each.state not in out]


def _what(fields: Fields) -> str:
    return f"{'remove' if fields.get('action') == 'delete' else 'add'} {fields.get('target', '')}"


def _regions(cloud: str, known: set[str], chosen: str) -> Element:
    keys = [f"{cloud}/{region}" for region in sorted(REGIONS[cloud])]  # pyright: ignore[reportArgumentType]
    return optgroup(label=cloud)[
        [option(value=key, selected=key == chosen)[key] for key in keys if key not in known]
    ]


def _dialog(title: str, *content: Node, closes: bool = False) -> Node:
    return [
        h2("#dialog-title")[title],
        content,
        form(".buttons", method="dialog")[button(autofocus=True)["Close"]] if closes else None,
    ]


def _form(
    action: str, hidden: Fields, confirm: str, *fields: Node, danger: bool = False, keep: str = "Cancel"
) -> Element:
    """A form whose button names what it does. keep: the other button."""
    style = "confirm danger" if danger else "confirm"
    is_bare = not any(fields)
    return form({"hx-post": f"/action/{action}", "hx-target": "#dialog-body", "hx-disable": "find .confirm"})[
        [input(type="hidden", name=name, value=value) for name, value in hidden.items()],
        fields,
        div(".buttons")[
            button(type="button", class_="close", autofocus=is_bare)[keep],
            button(type="submit", class_=style)[confirm],
        ],
    ]


def _number(name: str, value: str, *, step: str, is_needed: bool = False) -> Node:
    """A field for a number. is_needed: the only field of its form, which has the focus."""
    return input(
        type="number",
        name=name,
        value=value,
        min="0",
        step=step,
        inputmode="decimal",
        autofocus=is_needed,
        required=is_needed,
    )


def _check(name: str, text: str, entered: Fields) -> Element:
    return label(".check")[
        input(type="checkbox", name=name, value="yes", checked=bool(entered.get(name))), span[text]
    ]
