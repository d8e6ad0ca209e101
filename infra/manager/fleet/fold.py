"""Fold what the routers answered, the desired state and the deployed one into a picture.

Pure. Rules
- Routers decide alone, so they may differ about a target. The picture shows the worst state, and the sentence
  names the routers that see it.
- A router that does not answer is a problem of its own; its last answer is not used, since it may be wrong.
- The share of a target is the mean over the routers, by the requests of each; before any, by none.
- What stands in the stack config and is not deployed is shown as planned, never as a state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.manager.fleet.minutes import MINUTE_S, RouterMinute, last_hour
from infra.manager.fleet.picture import CheckerView, Picture, RouterView, TargetView
from infra.manager.fleet.sentences import sentence
from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.routers.control import strategy_differences
from infra.operations.routers.explain import outage, router_warnings

# The worst first: what an operator must not miss. Unknown states of another release come last.
WORST = ("down", "ejected", "draining", "degraded", "slow-start", "cold", "unknown", "healthy")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one router answered last.

    place: `cloud/region`. status: of `GET /api/status`; empty if it did not answer. problem: why it did not.
    answered: Unix seconds of its last answer; None when it never answered. minutes: of its last
    hour. minutes_at: when they were asked for.
    """

    url: str
    place: str
    status: JsonObject = field(default_factory=JsonObject)
    problem: str = ""
    answered: float | None = None
    minutes: tuple[RouterMinute, ...] = ()
    minutes_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Desired:
    """The stack config. weights: by target. limits: least and most instances by target. problem: why it
    cannot be read."""

    version: str = ""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    limits: Mapping[str, tuple[int | None, int | None]] = field(
        default_factory=dict[str, tuple[int | None, int | None]]
    )
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The outputs of the stack. agents: as exported. instances: by target, where the cloud tells them."""

    agents: Sequence[JsonObject] = ()
    instances: Mapping[str, int] = field(default_factory=dict[str, int])
    problem: str = ""

    @property
    def by_target(self) -> dict[str, JsonObject]:
        """The output of each agent by target."""
        return {json_access.place(agent): agent for agent in self.agents}


def fold(stack: str, answers: Sequence[Answer], desired: Desired, deployed: Deployed, now: float) -> Picture:
    """The picture at `now` (Unix seconds)."""
    return Picture(
        at=now,
        stack=stack,
        version=desired.version,
        routers=tuple(_router(answer, now) for answer in answers),
        targets=_targets(answers, desired, deployed, now),
        checkers=_checkers(answers),
        minutes=last_hour([answer.minutes for answer in answers], now),
        problems=_problems(answers, desired, deployed, now),
    )


def told_to_drain(answer: Answer, targets: Collection[str], at: float) -> Answer:
    """The answer of a router that has been told meanwhile to drain these targets (`cloud/region`), and no
    others: of one whose drain has ended its state is not known yet. at: when it was told, Unix seconds."""

    def told_of(one: JsonObject) -> JsonObject:
        drains = one.get("state") == "draining"
        if json_access.place(one) in targets:
            return one if drains else {**one, "state": "draining", "since": at}
        return {**one, "state": "unknown", "since": at, "reason": "its drain has ended"} if drains else one

    seen = json_access.objects(answer.status.get("targets"))
    told = [told_of(one) for one in seen]
    return replace(answer, status={**answer.status, "targets": told}) if told != seen else answer


def told_strategy(answer: Answer, name: str) -> Answer:
    """The answer of a router that has been told meanwhile to pick by this strategy."""
    router = json_access.as_object(answer.status.get("router"))
    if not answer.status or router.get("strategy") == name:
        return answer
    return replace(answer, status={**answer.status, "router": {**router, "strategy": name}})


def _targets(
    answers: Sequence[Answer], desired: Desired, deployed: Deployed, now: float
) -> tuple[TargetView, ...]:
    seen: dict[str, list[tuple[Answer, JsonObject]]] = {}
    for answer in answers:
        for target in json_access.objects(answer.status.get("targets")):
            seen.setdefault(json_access.place(target), []).append((answer, target))
    keys = dict.fromkeys([*deployed.by_target, *seen, *desired.weights])
    return tuple(_target(key, seen.get(key, []), desired, deployed, now) for key in keys if key)


def _target(
    key: str, seen: Sequence[tuple[Answer, JsonObject]], desired: Desired, deployed: Deployed, now: float
) -> TargetView:
    outputs = deployed.by_target
    cloud, _, region = key.partition("/")
    worst = min((target for _, target in seen), key=_rank, default=JsonObject())
    output = outputs.get(key, {})
    weight = json_access.number(worst.get("weight", output.get("weight", desired.weights.get(key))))
    least, most = desired.limits.get(key, (None, None))
    return TargetView(
        cloud=cloud,
        region=region,
        url=json_access.string(output.get("url")) or json_access.string(worst.get("url")),
        state=json_access.string(worst.get("state"), "unknown"),
        sentence=_sentence(worst, seen),
        since=json_access.number(worst.get("since")),
        weight=weight if weight is not None else 0.0,
        share=_mean(seen, "share", now),
        latency_ms=_mean(seen, "latency_ms", now),
        errors=_mean(seen, "errors", now),
        inflight=sum(int(json_access.number(target.get("inflight")) or 0) for _, target in seen),
        draining=bool(drains := _names(seen, draining=True)),
        undrained=_names(seen, draining=False) if drains else (),
        instances=deployed.instances.get(key),
        min_instances=least,
        max_instances=most,
        planned=_planned(key, outputs, desired),
        price=json_access.number(worst.get("price")),
    )


def _draining(target: JsonObject) -> bool:
    return target.get("state") == "draining"


def _names(seen: Sequence[tuple[Answer, JsonObject]], *, draining: bool) -> tuple[str, ...]:
    """The routers that drain the target, or those that do not."""
    return tuple(answer.place or answer.url for answer, target in seen if _draining(target) is draining)


def _rank(target: JsonObject) -> int:
    state = json_access.string(target.get("state"))
    return WORST.index(state) if state in WORST else len(WORST)


def _sentence(worst: JsonObject, seen: Sequence[tuple[Answer, JsonObject]]) -> str:
    """The sentence of the worst state, and which routers see another one."""
    said = sentence(worst) if worst else ""
    others: dict[str, list[str]] = {}
    for answer, target in seen:
        if target.get("state") != worst.get("state"):
            state = json_access.string(target.get("state"), "unknown")
            others.setdefault(state, []).append(answer.place or answer.url)
    if not others:
        return said
    if _draining(worst):
        ends, sends = _names(seen, draining=True), _names(seen, draining=False)
        has = "has" if len(sends) == 1 else "have"
        return (
            f"An operator drains it at {' and '.join(ends)}. {' and '.join(sends)} {has} not taken that yet "
            "and may send it requests. If it stays so, drain it again."
        )
    told = "; ".join(f"{' and '.join(names)}: {state}" for state, names in others.items())
    return f"{said} Other routers see it differently ({told})."


def _mean(seen: Sequence[tuple[Answer, JsonObject]], key: str, now: float) -> float | None:
    """The mean of a number over the routers that know it, by their requests of the last minutes."""
    known = [
        (value, _requests(answer, now))
        for answer, target in seen
        if (value := json_access.number(target.get(key))) is not None
    ]
    if not known:
        return None
    total = sum(requests for _, requests in known)
    if not total:
        return sum(value for value, _ in known) / len(known)
    return sum(value * requests for value, requests in known) / total


def _requests(answer: Answer, now: float) -> int:
    return sum(minute.requests for minute in answer.minutes if minute.at > now - 3 * MINUTE_S)


def _planned(key: str, outputs: Mapping[str, JsonObject], desired: Desired) -> str:
    if desired.problem or not desired.weights:
        return ""
    if key not in outputs:
        return "in the stack config, not deployed" if key in desired.weights else ""
    if key not in desired.weights:
        return "deployed, no longer in the stack config"
    weight, wanted = json_access.number(outputs[key].get("weight")), desired.weights[key]
    if weight is not None and abs(weight - wanted) > 1e-9:
        return f"weight {wanted:g} in the stack config, {weight:g} deployed"
    return ""


def _router(answer: Answer, now: float) -> RouterView:
    cloud, _, region = answer.place.partition("/")
    requests, failed = _last_minute(answer, now)
    return RouterView(
        cloud=cloud,
        region=region,
        url=answer.url,
        problem=answer.problem,
        strategy=_strategy(answer),
        requests=requests if answer.minutes else None,
        failed=failed if answer.minutes else None,
    )


def _last_minute(answer: Answer, now: float) -> tuple[int, int]:
    """Requests and errors of the last 60 s, by the present minute and a part of the one before."""
    start = int(now // MINUTE_S) * MINUTE_S
    parts = {start: 1.0, start - MINUTE_S: 1 - (now - start) / MINUTE_S}
    weighed = [(minute, parts[minute.at]) for minute in answer.minutes if minute.at in parts]
    requests = sum(minute.requests * part for minute, part in weighed)
    return round(requests), round(sum(minute.errors * part for minute, part in weighed))


def _strategy(answer: Answer) -> str:
    return json_access.string(json_access.as_object(answer.status.get("router")).get("strategy"))


def _checkers(answers: Sequence[Answer]) -> tuple[CheckerView, ...]:
    """Each checker by its newest snapshot at any router."""
    newest: dict[str, CheckerView] = {}
    for answer in answers:
        for one in json_access.objects(answer.status.get("checkers")):
            name, age = json_access.string(one.get("checker")), json_access.number(one.get("age_s"))
            view = CheckerView(name, age, one.get("fresh") is True)
            known = newest.get(name)
            if known is None or known.age_s is None or (age is not None and age < known.age_s):
                newest[name] = view
    return tuple(newest.values())


def _problems(answers: Sequence[Answer], desired: Desired, deployed: Deployed, now: float) -> tuple[str, ...]:
    found: list[str] = [problem for problem in (desired.problem, deployed.problem) if problem]
    for answer in answers:
        if answer.problem:
            name = answer.place or answer.url
            why = answer.problem.rstrip(".")
            found.append(f"The router {name} does not answer: {why}{_silence(answer, now)}.")
    with_status = [answer for answer in answers if answer.status]
    for answer in with_status[:1]:
        queue = json_access.number(json_access.as_object(answer.status.get("router")).get("queue_timeout_s"))
        if out := outage(json_access.objects(answer.status.get("targets")), queue):
            found.append(out)
    if differ := strategy_differences({answer.place: _strategy(answer) for answer in with_status}):
        found.append(differ)
    for answer in with_status:
        identity = json_access.as_object(answer.status.get("router"))
        checkers = json_access.objects(answer.status.get("checkers"))
        views = [json_access.string(one.get("checker")) for one in checkers]
        kept = {key: answer.status.get(key) for key in ("store", "rejected") if answer.status.get(key)}
        found += router_warnings({**identity, **kept, "views": views})
    stale = [view.checker for view in _checkers(answers) if not view.fresh]
    if stale and with_status:
        noun = "checker has" if len(stale) == 1 else "checkers have"
        found.append(f"The {noun} sent no fresh snapshot: {', '.join(stale)}.")
    return tuple(dict.fromkeys(found))


def _silence(answer: Answer, now: float) -> str:
    if answer.answered is None:
        return ", and has not since the manager started"
    return f", for {max(0.0, now - answer.answered):.0f} s now"
