"""The picture as a function of what routers answered, the stack config and the outputs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.manager.fleet.fold import Answer, Deployed, Desired, fold, told_to_drain
from infra.manager.fleet.minutes import RouterMinute
from infra.manager.fleet.picture import Picture
from infra.operations.json_access import JsonObject

NOW = 1_700_000_000.0
AWS, GCP = "aws/eu-west-1", "gcp/europe-west1"
AGENTS: list[JsonObject] = [
    {"cloud": "aws", "region": "eu-west-1", "url": "https://a.example", "weight": 3},
    {"cloud": "gcp", "region": "europe-west1", "url": "https://g.example", "weight": 1},
]


def target(key: str, state: str = "healthy", **more: object) -> JsonObject:
    """A target as a router reports it."""
    cloud, _, region = key.partition("/")
    return {"cloud": cloud, "region": region, "state": state, "weight": 1, "share": 0.5, **more}


def answer(place: str, *targets: JsonObject, requests: int = 0, strategy: str = "adaptive") -> Answer:
    """A router that answers. requests: of the last minute."""
    cloud, _, region = place.partition("/")
    start = int(NOW // 60) * 60
    minutes = (RouterMinute(start, requests, 0, 0, 0, 0, {}),) if requests else ()
    router: JsonObject = {"cloud": cloud, "region": region, "strategy": strategy}
    checkers = [{"checker": AWS, "age_s": 5.0, "fresh": True}]
    status: JsonObject = {"router": router, "targets": list(targets), "checkers": checkers}
    return Answer(f"https://{place}", place, status, answered=NOW, minutes=minutes)


def silent(place: str, answered: float | None = None) -> Answer:
    """A router that does not answer."""
    return Answer(f"https://{place}", place, {}, "no answer within 3 s", answered)


def picture(*answers: Answer, desired: Desired | None = None, deployed: Deployed | None = None) -> Picture:
    """The picture of a stack with two targets."""
    wanted = desired or Desired("abc", {AWS: 3, GCP: 1})
    return fold("dev", answers, wanted, deployed or Deployed(AGENTS), NOW)


def test_a_fleet_without_trouble_has_no_sentence_and_no_problem() -> None:
    """An empty list of problems is what an operator wants to see."""
    found = picture(answer(AWS, target(AWS), target(GCP)), answer(GCP, target(AWS), target(GCP)))
    assert [one.state for one in found.targets] == ["healthy", "healthy"]
    assert [one.sentence for one in found.targets] == ["", ""]
    assert (found.problems, found.version, found.at) == ((), "abc", NOW)


@pytest.mark.parametrize(
    ("first", "second", "worst"),
    [
        ("healthy", "down", "down"),
        ("ejected", "degraded", "ejected"),
        ("slow-start", "healthy", "slow-start"),
        ("unknown", "cold", "cold"),
        ("healthy", "of-another-release", "healthy"),
    ],
)
def test_routers_that_differ_show_the_worst_state_and_name_the_others(
    first: str, second: str, worst: str
) -> None:
    """Each router decides alone."""
    found = picture(answer(AWS, target(AWS, first)), answer(GCP, target(AWS, second))).targets[0]
    other, sees = (GCP, second) if worst == first else (AWS, first)
    assert found.state == worst
    assert f"Other routers see it differently ({other}: {sees})." in found.sentence


def test_a_drain_that_not_all_routers_have_taken_names_both() -> None:
    """The share of the target is then that of the others, so that it does get requests."""
    view = picture(answer(AWS, target(AWS, "draining")), answer(GCP, target(AWS, "degraded"))).targets[0]
    assert (view.state, view.draining, view.undrained) == ("draining", True, (GCP,))
    assert view.sentence == (
        f"An operator drains it at {AWS}. {GCP} has not taken that yet and may send it requests. "
        "If it stays so, drain it again."
    )
    both = picture(answer(AWS, target(AWS, "draining")), answer(GCP, target(AWS, "draining"))).targets[0]
    assert (both.draining, both.undrained) == (True, ())


@pytest.mark.parametrize(
    ("state", "drains", "shown", "since", "sentence"),
    [
        ("healthy", True, "draining", NOW, "It gets no new requests, because an operator drains it."),
        ("draining", True, "draining", NOW - 60, "It gets no new requests, because an operator drains it."),
        (
            "draining",
            False,
            "unknown",
            NOW,
            "The router has no news of it yet and tries it with requests: its drain has ended.",
        ),
        ("healthy", False, "healthy", NOW - 60, ""),
    ],
)
def test_a_router_that_has_been_told_is_shown_as_told(
    state: str, drains: bool, shown: str, since: float, sentence: str
) -> None:
    """State, time and sentence agree, whatever the instance said that answered before."""
    before = answer(AWS, target(AWS, state, since=NOW - 60, reason="draining by order"))
    view = picture(told_to_drain(before, [AWS] if drains else [], NOW)).targets[0]
    assert (view.state, view.since, view.sentence) == (shown, since, sentence)


def test_the_share_counts_routers_by_their_requests() -> None:
    """A router without traffic says nothing about where requests go."""
    busy = answer(AWS, target(AWS, share=0.9), requests=300)
    idle = answer(GCP, target(AWS, share=0.3), requests=100)
    assert picture(busy, idle).targets[0].share == pytest.approx(0.75)
    both_idle = picture(answer(AWS, target(AWS, share=0.9)), answer(GCP, target(AWS, share=0.3)))
    assert both_idle.targets[0].share == pytest.approx(0.6)
    unknown = picture(answer(AWS, target(AWS, share=None)), answer(GCP, target(AWS, share=None)))
    assert unknown.targets[0].share is None


def test_a_silent_router_is_a_problem_and_the_others_tell_the_rest() -> None:
    """What it answered last is not shown as present."""
    found = picture(silent(AWS, NOW - 42), answer(GCP, target(AWS), target(GCP)))
    assert found.routers[0].problem == "no answer within 3 s"
    assert found.problems == (f"The router {AWS} does not answer: no answer within 3 s, for 42 s now.",)
    assert found.targets[0].state == "healthy"
    told = replace(silent(AWS, NOW - 42), problem="HTTP 503: Function host is not running.")
    assert picture(told).problems[0].endswith("HTTP 503: Function host is not running, for 42 s now.")


def test_without_any_router_nothing_is_known_and_nothing_looks_healthy() -> None:
    """The targets are those of the outputs."""
    found = picture(silent(AWS), silent(GCP))
    assert [(one.key, one.state, one.share) for one in found.targets] == [
        (AWS, "unknown", None),
        (GCP, "unknown", None),
    ]
    assert len(found.problems) == 2
    assert "has not since the manager started" in found.problems[0]


@pytest.mark.parametrize(
    ("weights", "planned"),
    [
        ({AWS: 3, GCP: 1}, {AWS: "", GCP: ""}),
        ({AWS: 3, GCP: 2}, {AWS: "", GCP: "weight 2 in the stack config, 1 deployed"}),
        ({AWS: 3}, {AWS: "", GCP: "deployed, no longer in the stack config"}),
        (
            {AWS: 3, GCP: 1, "azure/westeurope": 2},
            {AWS: "", GCP: "", "azure/westeurope": "in the stack config, not deployed"},
        ),
        ({}, {AWS: "", GCP: ""}),
    ],
    ids=["same", "weight", "removed", "added", "unreadable"],
)
def test_a_config_that_is_not_deployed_is_shown_as_planned(
    weights: dict[str, float], planned: dict[str, str]
) -> None:
    """A planned target has no state of its own."""
    found = picture(answer(AWS, target(AWS), target(GCP)), desired=Desired("abc", weights))
    assert {one.key: one.planned for one in found.targets} == planned
    assert all(one.state == "unknown" for one in found.targets if one.key == "azure/westeurope")


def test_problems_of_the_fleet_are_sentences_that_stand_once() -> None:
    """Config, outputs, strategies, buckets, checkers, and a fleet in which nothing serves."""
    one, other = answer(AWS, target(AWS, "down"), strategy="weighted"), answer(GCP, target(AWS, "down"))
    for each in (one, other):
        each.status["store"] = {"state": "down", "reason": "403"}
        each.status["checkers"] = [{"checker": AWS, "age_s": 400.0, "fresh": False}]
    desired = Desired("abc", problem="Pulumi.dev.yaml is not YAML: line 3")
    found = picture(one, other, desired=desired, deployed=Deployed(AGENTS, problem="nothing is up"))
    text = "\n".join(found.problems)
    for words in (
        "not YAML",
        "nothing is up",
        "No target serves",
        "The routers differ",
        "its bucket",
        "snapshot",
    ):
        assert words in text
    assert len(set(found.problems)) == len(found.problems)


def test_checkers_are_told_by_the_router_that_heard_last() -> None:
    """One router may have started a moment ago."""
    fresh = answer(AWS, target(AWS))
    late = answer(GCP, target(AWS))
    late.status["checkers"] = [{"checker": AWS, "age_s": None, "fresh": False}]
    for answers in ((fresh, late), (late, fresh)):
        assert [(one.checker, one.age_s, one.fresh) for one in picture(*answers).checkers] == [
            (AWS, 5.0, True)
        ]


def test_requests_of_the_last_minute_are_those_of_sixty_seconds() -> None:
    """The present minute, and of the one before the part that is not over yet."""
    start = int(NOW // 60) * 60
    minutes = tuple(RouterMinute(at, 60, 6, 0, 0, 0, {}) for at in (start - 120, start - 60, start))
    for since, requests, failed in ((0, 120, 12), (30, 90, 9), (59, 61, 6)):
        found = fold(
            "dev",
            [replace(answer(AWS, target(AWS)), minutes=minutes)],
            Desired("abc", {AWS: 3}),
            Deployed(AGENTS),
            start + since,
        ).routers[0]
        assert (found.requests, found.failed) == (requests, failed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "3", True])
def test_what_is_no_number_is_unknown(value: object) -> None:
    """A router of another release, or a broken one, does not stop the picture."""
    odd = target(AWS, share=value, inflight=value, latency_ms=value, weight=value, since=value)
    found = picture(answer(AWS, odd)).targets[0]
    assert (found.share, found.inflight, found.latency_ms, found.since) == (None, 0, None, None)


def test_a_price_is_the_routers_own() -> None:
    """USD per million requests, by which `cost` and `adaptive` tell targets apart."""
    found = picture(answer(AWS, target(AWS, price=0.2), target(GCP)))
    assert [one.price for one in found.targets] == [0.2, None]


def test_numbers_of_instances_come_from_the_cloud_that_tells_them() -> None:
    """Elsewhere they stay unknown."""
    found = picture(answer(AWS, target(AWS)), deployed=Deployed(AGENTS, {AWS: 2}))
    assert [one.instances for one in found.targets] == [2, None]
