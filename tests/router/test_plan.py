"""Claims about what a request does next."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import plan as p
from router.plan import Ask, Choice, Failure, GiveUp, PassOn, Plan, Try, Wait
from router.policy import DEFAULT

pytestmark = pytest.mark.pure

NOW = 100.0
KEYS = ("a", "b", "c")


def chooser(*keys: str, repeatable: bool = False, warm: bool = True) -> p.Choose:
    def choose(tried: Collection[str]) -> Choice | None:
        return next((Choice(key, repeatable, warm=warm) for key in keys if key not in tried), None)

    return choose


def begun(
    method: str = "POST",
    *,
    keys: tuple[str, ...] = KEYS,
    has_key: bool = False,
    choose: p.Choose | None = None,
) -> Plan:
    plan = p.begin(method, has_key=has_key, targets=len(keys), retry_after_s=7, now=NOW, policy=DEFAULT)
    plan, action = p.attempt(plan, choose or chooser(*keys), NOW)
    assert isinstance(action, Try)
    return plan


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_methods_are_repeated_after_anything(method: str) -> None:
    """They may run twice by definition."""
    for failure in Failure:
        _, action = p.failed(begun(method), failure, chooser(*KEYS), NOW)
        assert action == Try(Choice("b"))


def test_a_post_is_repeated_only_when_it_surely_did_not_run() -> None:
    """Not sent: the next cloud. Anything else: the caller is told."""
    for failure in (Failure.NOT_SENT, Failure.FULL):
        _, action = p.failed(begun(), failure, chooser(*KEYS), NOW)
        assert action == Try(Choice("b"))
    for failure, status in ((Failure.RESET, 502), (Failure.NO_ANSWER, 504), (Failure.TIMEOUT, 504)):
        _, action = p.failed(begun(), failure, chooser(*KEYS), NOW)
        assert isinstance(action, GiveUp)
        assert (action.status, action.code, action.retry_after_s) == (status, "may-have-run", None)


def test_a_key_or_a_repeatable_agent_allows_repeats() -> None:
    """Either is enough."""
    _, action = p.failed(begun(has_key=True), Failure.RESET, chooser(*KEYS), NOW)
    assert isinstance(action, Try)
    friendly = chooser(*KEYS, repeatable=True)
    _, action = p.failed(begun(choose=friendly), Failure.RESET, friendly, NOW)
    assert isinstance(action, Try)


def test_replies_are_passed_on_unless_they_say_that_nothing_was_done() -> None:
    """429 and 503 go elsewhere for all, 500, 502, 504 only for what may be repeated."""
    for status in (200, 201, 204, 301, 400, 401, 404, 418, 500, 501, 502, 504):
        assert p.replied(begun(), status, chooser(*KEYS), NOW)[1] == PassOn(0)
    for status in (429, 503):
        assert isinstance(p.replied(begun(), status, chooser(*KEYS), NOW)[1], Try)
    for status in (500, 502, 504, 429, 503):
        assert isinstance(p.replied(begun("GET"), status, chooser(*KEYS), NOW)[1], Try)
    assert p.replied(begun("GET"), 501, chooser(*KEYS), NOW)[1] == PassOn(0)


def test_turned_away_before_the_agent_goes_on_and_is_never_passed_on() -> None:
    """It surely did not run, so any request goes to the next; at the end the error is ours."""
    plan = begun()
    for key in ("b", "c"):
        plan, action = p.turned_away(plan, 403, chooser(*KEYS), NOW)
        assert action == Try(Choice(key))
    _, action = p.turned_away(plan, 401, chooser(*KEYS), NOW)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code, action.retry_after_s) == (503, "no-target", 7)
    assert "c: status 401, not from its agent" in action.reason


@pytest.mark.parametrize(
    ("statuses", "best"),
    [((429, 500, 502), 0), ((500, 503, 429), 2), ((503, 500, 500), 0), ((500, 502, 504), 2)],
)
def test_when_all_reply_badly_the_best_reply_is_passed_on(statuses: tuple[int, ...], best: int) -> None:
    """429 and 503 first, the later before the earlier."""
    plan, action = begun("GET"), None
    for status in statuses:
        plan, action = p.replied(plan, status, chooser(*KEYS), NOW)
    assert action == PassOn(best)


def test_a_503_is_not_passed_on_after_an_attempt_that_may_have_run() -> None:
    """It would invite the caller to repeat what may have happened."""
    plan, action = p.replied(begun(), 503, chooser(*KEYS), NOW)
    assert isinstance(action, Try)
    _, action = p.failed(plan, Failure.RESET, chooser(*KEYS), NOW)
    assert isinstance(action, GiveUp)
    assert action.code == "may-have-run"


def test_nobody_reached_is_a_503_with_retry_after() -> None:
    """The reason names every target and what was wrong with it."""
    plan, action = begun(), None
    for _ in KEYS:
        plan, action = p.failed(plan, Failure.NOT_SENT, chooser(*KEYS), NOW)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code, action.retry_after_s) == (503, "no-target", 7)
    assert all(f"{key}: not-sent" in action.reason for key in KEYS)


def test_a_stall_asks_and_pauses_grow() -> None:
    """2 s, then after each answer 4, 8, 16, 30, 30 s."""
    plan = begun()
    assert p.first_stall(plan, NOW) == NOW + 2
    pauses: list[float] = []
    for _ in range(5):
        plan, ask = p.stalled(plan, NOW)
        assert ask == Ask("a", NOW + 2)
        plan, wait = p.answered(plan, NOW)
        assert isinstance(wait, Wait)
        pauses.append(wait.until - NOW)
    assert pauses == [4, 8, 16, 30, 30]


def test_a_target_that_may_be_cold_is_given_time_when_the_request_cannot_move() -> None:
    """30 s instead of 2, but only for what must not be repeated."""
    cold = chooser(*KEYS, warm=False)
    assert p.stalled(begun(choose=cold), NOW)[1] == Ask("a", NOW + 30)
    assert p.stalled(begun("GET", choose=cold), NOW)[1] == Ask("a", NOW + 2)


def test_nothing_is_planned_beyond_the_deadline() -> None:
    """Waits and questions end with it, and no attempt begins after it."""
    plan = begun("GET")
    late = plan.deadline - 0.5
    assert p.stalled(plan, late)[1] == Ask("a", plan.deadline)
    assert p.answered(plan, late)[1] == Wait(plan.deadline)
    _, action = p.failed(plan, Failure.TIMEOUT, chooser(*KEYS), plan.deadline)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code) == (504, "no-answer")


events = st.one_of(st.sampled_from(Failure), st.sampled_from([200, 404, 429, 500, 502, 503, 504]))


@given(
    st.sampled_from(["GET", "POST"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
    st.lists(events, min_size=10, max_size=10),
)
def test_every_story_ends_within_the_budget_and_tries_nobody_twice(
    method: str, has_key: bool, repeatable: bool, count: int, story: list[Failure | int]
) -> None:
    """And what may have run is followed by another attempt only if a repeat is allowed."""
    keys = tuple(f"t{number}" for number in range(count))
    choose = chooser(*keys, repeatable=repeatable)
    plan = begun(method, keys=keys, has_key=has_key, choose=choose)
    allowed = method == "GET" or has_key or repeatable
    for event in story:
        if isinstance(event, Failure):
            plan, action = p.failed(plan, event, choose, NOW)
        else:
            plan, action = p.replied(plan, event, choose, NOW)
        if not isinstance(action, Try):
            break
        assert allowed or event in (Failure.NOT_SENT, Failure.FULL, 429, 503)
    else:
        pytest.fail("the plan never ended")
    assert len(plan.tried) == len(set(plan.tried)) <= min(count, 3)
    if isinstance(action, PassOn):
        assert 0 <= action.attempt < len(plan.tried)
