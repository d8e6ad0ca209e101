"""Claims about what a request does next, one attempt after the other (hedges: test_hedge)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request import machine as p
from router.core.request.budget import Extra
from router.core.request.failures import GiveUp
from router.core.request.machine import Ask, Choice, Drop, Failure, Means, PassOn, Plan, Terms, Try, Worth

pytestmark = pytest.mark.pure

NOW = 100.0
KEYS = ("a", "b", "c")


def means(*keys: str, repeatable: bool = False, warm: bool = True, rich: bool = True) -> Means:
    def choose(tried: Collection[str]) -> Choice | None:
        return next((Choice(key, repeatable, warm=warm) for key in keys if key not in tried), None)

    def afford(choice: Choice, extra: Extra) -> bool:
        return rich

    return Means(choose, afford)


ALL = means(*KEYS)


def begun(
    *, repeatable: bool = False, targets: Means = ALL, count: int = len(KEYS), deadline_s: float = 230.0
) -> Plan:
    terms = Terms(DEFAULT, min(DEFAULT.attempts, count), NOW + deadline_s, repeatable)
    plan, actions = p.begin(terms, targets, NOW)
    (action,) = actions
    assert isinstance(action, Try)
    assert (action.number, action.extra) == (0, None)
    return plan


def replied(plan: Plan, number: int, status: int, targets: Means = ALL) -> tuple[Plan, p.Action]:
    undone, broken = status in p.UNDONE, status in p.BROKEN
    worth = Worth.UNDONE if undone else Worth.BROKEN if broken else Worth.ANSWER
    plan, (action,) = p.replied(plan, number, status, worth, targets, NOW)
    return plan, action


def failed(plan: Plan, number: int, failure: Failure, targets: Means = ALL) -> tuple[Plan, p.Action]:
    plan, (action,) = p.failed(plan, number, failure, targets, NOW)
    return plan, action


RETRY_B = Try(1, Choice("b"), Extra.RETRY)


def test_what_may_be_repeated_is_repeated_after_anything() -> None:
    """An idempotent method or an Idempotency-Key: the request may run twice."""
    for failure in Failure:
        assert failed(begun(repeatable=True), 0, failure)[1] == RETRY_B


def test_anything_else_is_repeated_only_when_it_surely_did_not_run() -> None:
    """Not sent: the next cloud. Otherwise the caller is told."""
    for failure in (Failure.NOT_SENT, Failure.FULL):
        assert failed(begun(), 0, failure)[1] == RETRY_B
    for failure, status in (
        (Failure.RESET, 502),
        (Failure.CUT, 502),
        (Failure.NO_ANSWER, 504),
        (Failure.TIMEOUT, 504),
    ):
        _, action = failed(begun(), 0, failure)
        assert isinstance(action, GiveUp)
        assert (action.status, action.code, action.again) == (status, "may-have-run", False)


def test_an_agent_that_declares_itself_repeatable_allows_repeats() -> None:
    """Among its like; one that does not declare it is not sent what may have run elsewhere."""
    friendly = means(*KEYS, repeatable=True)
    _, action = failed(begun(targets=friendly), 0, Failure.RESET, friendly)
    assert isinstance(action, Try)
    plan, action = failed(begun(targets=friendly), 0, Failure.RESET, ALL)
    assert isinstance(action, GiveUp)
    assert plan.tried == ("a",)


def test_replies_are_passed_on_unless_they_say_that_nothing_was_done() -> None:
    """429 and 503 go elsewhere for all, 500, 502, 504 only for what may be repeated."""
    for status in (200, 201, 204, 301, 400, 401, 404, 418, 500, 501, 502, 504):
        assert replied(begun(), 0, status)[1] == PassOn(0)
    for status in (429, 503):
        assert replied(begun(), 0, status)[1] == RETRY_B
    for status in (500, 502, 504, 429, 503):
        assert replied(begun(repeatable=True), 0, status)[1] == RETRY_B
    assert replied(begun(repeatable=True), 0, 501)[1] == PassOn(0)


def test_an_answer_that_may_be_repeated_is_held_until_it_is_safe_to_pass_on() -> None:
    """A short one until it is whole, a stream until its first event; what must not run twice at once."""
    for worth in (Worth.WHOLE, Worth.EVENTS):
        plan, actions = p.replied(begun(repeatable=True), 0, 200, worth, ALL, NOW)
        assert actions == ()
        assert p.ready(plan, 0)[1] == (PassOn(0),)
        assert failed(plan, 0, Failure.CUT)[1] == RETRY_B
        assert p.replied(begun(), 0, 200, worth, ALL, NOW)[1] == (PassOn(0),)


def test_turned_away_before_the_agent_goes_on_and_is_never_passed_on() -> None:
    """It surely did not run, so any request goes to the next; at the end the error is ours."""
    plan = begun()
    for number, key in enumerate(("b", "c"), 1):
        plan, actions = p.replied(plan, number - 1, 403, Worth.AWAY, ALL, NOW)
        assert actions == (Try(number, Choice(key), Extra.RETRY),)
    _, (action,) = p.replied(plan, 2, 401, Worth.AWAY, ALL, NOW)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code, action.again) == (503, "no-target", True)
    assert "c: status 401, not from its agent" in action.reason


def test_a_strangers_answer_is_nobodys_and_the_agent_may_have_run() -> None:
    """Elsewhere if a repeat is harmless, otherwise the caller is told; the page is never passed on."""
    assert p.replied(begun(repeatable=True), 0, 200, Worth.STRANGE, ALL, NOW)[1] == (RETRY_B,)
    _, (action,) = p.replied(begun(), 0, 202, Worth.STRANGE, ALL, NOW)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code) == (502, "may-have-run")
    assert "status 202, not from its agent" in action.reason


@pytest.mark.parametrize(
    ("statuses", "best"),
    [((429, 500, 502), 0), ((500, 503, 429), 2), ((503, 500, 500), 0), ((500, 502, 504), 2)],
)
def test_when_all_reply_badly_the_best_reply_is_passed_on(statuses: tuple[int, ...], best: int) -> None:
    """429 and 503 first, the later before the earlier."""
    plan, action = begun(repeatable=True), None
    for number, status in enumerate(statuses):
        plan, action = replied(plan, number, status)
    assert action == PassOn(best)


def test_a_kept_reply_that_was_cut_is_not_passed_on() -> None:
    """Another one is, or an error of our own."""
    plan, _ = replied(begun(repeatable=True), 0, 503)
    plan, _ = replied(plan, 1, 500)
    assert replied(p.cut(plan, 0), 2, 500)[1] == PassOn(2)
    assert failed(p.cut(plan, 0), 2, Failure.RESET)[1] == PassOn(1)
    _, action = failed(p.cut(p.cut(plan, 0), 1), 2, Failure.RESET)
    assert isinstance(action, GiveUp)


def test_a_503_is_not_passed_on_after_an_attempt_that_may_have_run() -> None:
    """It would invite the caller to repeat what may have happened."""
    plan, action = replied(begun(), 0, 503)
    assert isinstance(action, Try)
    _, action = failed(plan, 1, Failure.RESET)
    assert isinstance(action, GiveUp)
    assert action.code == "may-have-run"


def test_nobody_reached_is_a_503_with_retry_after() -> None:
    """The reason names every target and what was wrong with it."""
    plan, action = begun(), None
    for number in range(3):
        plan, action = failed(plan, number, Failure.NOT_SENT)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code, action.again) == (503, "no-target", True)
    assert all(f"{key}: not-sent" in action.reason for key in KEYS)
    assert "Nothing could be sent" in action.reason


def test_sent_everywhere_without_a_whole_reply_is_the_same_503_and_says_so() -> None:
    """One attempt that was sent is enough for it: who reads it knows that agents may have been at work."""
    mixed = (Failure.NOT_SENT, Failure.RESET, Failure.FULL)
    for failures in ((Failure.RESET, Failure.CUT, Failure.RESET), mixed):
        plan, action = begun(repeatable=True), None
        for number, failure in enumerate(failures):
            plan, action = failed(plan, number, failure)
        assert isinstance(action, GiveUp)
        assert (action.status, action.code) == (503, "no-target")
        assert "It was sent, but no agent gave a whole reply (a: " in action.reason


def test_a_stall_asks_and_pauses_grow() -> None:
    """2 s, then after each answer 4, 8, 16, 30, 30 s."""
    plan, now = begun(deadline_s=1000.0), NOW
    assert p.due(plan) == NOW + 2
    pauses: list[float] = []
    for _ in range(5):
        now = p.due(plan)
        plan, actions = p.passed(plan, ALL, now)
        assert actions == (Ask(0),)
        assert p.due(plan) == now + 2
        plan, actions = p.lives(plan, 0, now)
        assert actions == ()
        pauses.append(p.due(plan) - now)
    assert pauses == [4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [
        ((Failure.RESET, Failure.NO_ANSWER, Failure.CUT), 504, "no-answer"),
        ((Failure.TIMEOUT, Failure.RESET, Failure.RESET), 504, "no-answer"),
        ((Failure.RESET, Failure.CUT, Failure.RESET), 503, "no-target"),
    ],
)
def test_silence_among_the_failures_is_a_504(failures: tuple[Failure, ...], status: int, code: str) -> None:
    """One that ended in silence is enough."""
    plan = begun(repeatable=True)
    ends: list[p.Action] = []
    for number, failure in enumerate(failures):
        plan, end = failed(plan, number, failure)
        ends.append(end)
    assert isinstance(ends[-1], GiveUp)
    assert (ends[-1].status, ends[-1].code, ends[-1].again) == (status, code, True)


def test_no_answer_to_the_question_drops_the_attempt() -> None:
    """At its time, counted from when the question was first asked by anybody."""
    plan, _ = p.passed(begun(repeatable=True), ALL, NOW + 2)
    plan = p.waited(plan, 0, 1.5, NOW + 2)
    assert p.due(plan) == NOW + 2.5
    _, actions = p.passed(plan, ALL, NOW + 2.5)
    assert actions == (Drop(0, Failure.NO_ANSWER), RETRY_B)
    plan, _ = p.passed(begun(), ALL, NOW + 2)
    _, (drop, end) = p.silent(plan, 0, ALL, NOW + 3)
    assert drop == Drop(0, Failure.NO_ANSWER)
    assert isinstance(end, GiveUp)
    assert (end.status, end.code) == (504, "may-have-run")


def test_a_target_that_may_be_cold_is_given_time_when_the_request_cannot_move() -> None:
    """30 s instead of 2, but only for what must not be repeated."""
    cold = means(*KEYS, warm=False)
    for repeatable, patience_s in ((False, 30), (True, 2)):
        plan, _ = p.passed(begun(repeatable=repeatable, targets=cold), cold, NOW + 2)
        assert p.due(plan) == NOW + 2 + patience_s


def test_a_stream_that_sends_comments_is_passed_on_when_it_stalls() -> None:
    """It lives, and the comments are there to keep the caller's connection open."""
    plan, _ = p.replied(begun(repeatable=True), 0, 200, Worth.EVENTS, ALL, NOW)
    plan, _ = p.passed(plan, ALL, NOW + 2)
    assert p.lives(plan, 0, NOW + 2, beating=True)[1] == (PassOn(0),)


def test_the_deadline_is_due_before_a_question_or_a_pause_that_would_outlast_it() -> None:
    """A caller that set three seconds hears after three, not when the next question is over."""
    asked, _ = p.passed(begun(deadline_s=3.0), ALL, NOW + 2)
    assert asked.runs[0].due > NOW + 3
    assert p.due(asked) == NOW + 3
    paused, _ = p.lives(asked, 0, NOW + 2.5)
    assert paused.runs[0].due > NOW + 3
    assert p.due(paused) == NOW + 3


def test_the_deadline_ends_everything_with_a_504() -> None:
    """Nothing is due after it, nothing begins after it, and who must not repeat is warned."""
    plan = begun(deadline_s=1.0)
    assert p.due(plan) == NOW + 1
    _, (action,) = p.passed(plan, ALL, NOW + 1)
    assert isinstance(action, GiveUp)
    assert (action.status, action.code) == (504, "deadline")
    assert "may have run" in action.reason
    _, (action,) = p.passed(begun(repeatable=True, deadline_s=1.0), ALL, NOW + 1)
    assert isinstance(action, GiveUp)
    assert "may have run" not in action.reason
    _, (action,) = p.begin(Terms(DEFAULT, 3, NOW, True), ALL, NOW)
    assert isinstance(action, GiveUp)
    assert action.code == "deadline"


def test_without_money_nothing_is_sent_twice_but_what_was_not_sent_is() -> None:
    """What was not sent cost nothing, so it is no extra attempt."""
    poor = means(*KEYS, rich=False)
    plan, action = failed(begun(), 0, Failure.NOT_SENT, poor)
    assert action == RETRY_B
    _, action = replied(plan, 1, 429, poor)
    assert action == PassOn(1)


def test_a_lone_target_passes_its_bad_reply_on() -> None:
    """There is nobody else to ask."""
    lone = means("a")
    plan = begun(repeatable=True, targets=lone, count=1)
    assert replied(plan, 0, 503, lone)[1] == PassOn(0)


def test_what_was_not_sent_takes_nothing_from_the_budget() -> None:
    """Five targets refuse, the sixth answers; but not hundreds are asked for one request."""
    six = means("a", "b", "c", "d", "e", "f")
    plan, _ = p.begin(Terms(replace(DEFAULT, attempts=1), 1, NOW + 230, repeatable=False), six, NOW)
    for number in range(5):
        plan, action = failed(plan, number, Failure.NOT_SENT, six)
        assert action == Try(number + 1, Choice("abcdef"[number + 1]), Extra.RETRY)
    plan, action = failed(plan, 5, Failure.NOT_SENT, means(*"abcdefghij"))
    assert isinstance(action, GiveUp)


def test_a_request_that_was_held_does_not_run_again_where_it_ran() -> None:
    """Nor beyond its budget, though somebody came back."""
    plan = begun(repeatable=True)
    plan, _ = failed(plan, 0, Failure.RESET)
    plan, _ = failed(plan, 1, Failure.NOT_SENT)
    plan, action = failed(plan, 2, Failure.NOT_SENT)
    assert isinstance(action, GiveUp)
    plan, actions = p.again(plan, ["a"], ALL, NOW + 1)
    assert actions == (Try(1, Choice("b"), Extra.RETRY),)
    assert plan.paid == 2
    _, (action,) = p.again(plan, list(KEYS), ALL, NOW + 2)
    assert isinstance(action, GiveUp)


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_platform_without_a_running_function_is_like_a_refused_connection(repeatable: bool) -> None:
    """Its 503 costs nothing and is nobody's answer."""
    plan = begun(repeatable=repeatable)
    for number in range(2):
        plan, (action,) = p.replied(plan, number, 503, Worth.AWAY, ALL, NOW)
        assert isinstance(action, Try)
    plan, (action,) = p.replied(plan, 2, 503, Worth.AWAY, ALL, NOW)
    assert isinstance(action, GiveUp)
    assert (action.code, plan.paid) == ("no-target", 0)


@pytest.mark.parametrize(
    ("worth", "status", "free"),
    [
        (Worth.AWAY, 503, True),
        (Worth.AWAY, 500, True),
        (Worth.AWAY, 404, False),
        (Worth.STRANGE, 502, False),
        (Worth.UNDONE, 503, False),
    ],
)
def test_only_what_met_nobody_is_free(worth: Worth, status: int, free: bool) -> None:
    """A platform's 502 may come of an agent that died in the middle of its work."""
    assert p.is_free(worth, status) is free


@pytest.mark.parametrize("why", [{"panic": True}, {"resting": True}])
def test_who_is_out_or_rests_is_asked_for_need_only(why: dict[str, bool]) -> None:
    """No hedge and no copy goes there beside a serving target; a retry does, and copies among its like."""

    def choose(tried: Collection[str]) -> Choice | None:
        left = [Choice("a"), Choice("b", **why), Choice("c", **why)]
        return next((one for one in left if one.key not in tried), None)

    poor = Means(choose, lambda _choice, _extra: True)
    hedged = Terms(DEFAULT, 3, NOW + 230, True, 1, 0.05)
    plan, actions = p.passed(p.begin(hedged, poor, NOW)[0], poor, NOW + 0.05)
    assert actions == ()
    assert p.due(plan) == NOW + 2
    plan, actions = p.failed(plan, 0, Failure.RESET, poor, NOW + 0.05)
    assert actions == (Try(1, Choice("b", **why), Extra.RETRY),)
    copies = Terms(DEFAULT, 3, NOW + 230, True, 2)
    plan, actions = p.begin(copies, poor, NOW)
    assert actions == (Try(0, Choice("a"), None),)
    plan, actions = p.failed(plan, 0, Failure.RESET, poor, NOW)
    assert actions == tuple(Try(at, Choice(key, **why), Extra.RETRY) for at, key in ((1, "b"), (2, "c")))


def test_nobody_is_looked_for_when_nothing_may_run_beside_what_runs() -> None:
    """With hundreds of targets the look at each of them would cost more than the request."""
    looks: list[tuple[str, ...]] = []

    def choose(tried: Collection[str]) -> Choice | None:
        looks.append(tuple(tried))
        return Choice(f"t{len(tried)}") if len(tried) < 300 else None

    terms = Terms(DEFAULT, 3, NOW + 10, repeatable=False, copies=3)
    _, actions = p.begin(terms, Means(choose, lambda _choice, _extra: True), NOW)
    assert len(actions) == 1
    assert looks == [()]
