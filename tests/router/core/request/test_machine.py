"""Claims about the next step of a request, one attempt after the other (see test_hedges for hedges)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.budget import AttemptReason
from router.core.request.classify import NOT_NOW, ResponseKind
from router.core.request.failures import AttemptError, Fail
from router.core.targets import Choice
from tests.router.core.request.driving import ALL, KEYS, NOW, Driven, choices, limits, reply

pytestmark = pytest.mark.pure

# Nothing is queued where no test is about that.
POLICY = replace(DEFAULT, queue_timeout_s=0.0)
RETRY_B = (a.Send(1, Choice("b"), AttemptReason.RETRY),)
RESET, CONNECT, TRUNCATED = AttemptError.RESET, AttemptError.CONNECT, AttemptError.TRUNCATED


def begun(
    *,
    repeatable: bool = False,
    targets: list[Choice] = ALL,
    affordable: bool = True,
    deadline_s: float = 230.0,
) -> Driven:
    """A request whose first attempt is running."""
    own = limits(policy=POLICY, repeatable=repeatable, deadline_s=deadline_s, budget=min(5, len(targets)))
    one = Driven(own, targets, affordable=affordable)
    assert one.started == (a.Send(0, targets[0], None),)
    return one


def kind_of(status: int) -> ResponseKind:
    if status in NOT_NOW:
        return ResponseKind.NOT_PROCESSED
    return ResponseKind.SERVER_ERROR if status in (500, 502, 504) else ResponseKind.PASS


def head(one: Driven, number: int, status: int) -> a.Actions:
    return one.head(number, status, kind_of(status))


def failed(actions: a.Actions) -> Fail:
    """The one action, an error."""
    (fail,) = actions
    assert isinstance(fail, Fail)
    return fail


@pytest.mark.parametrize("error", sorted(set(AttemptError) - {AttemptError.INVALID}))
def test_a_repeatable_request_is_retried_after_any_error(error: AttemptError) -> None:
    """An idempotent method or an Idempotency-Key: the request may execute twice (test_invalid_responses)."""
    assert begun(repeatable=True).error(0, error) == RETRY_B


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AttemptError.CONNECT, 0),
        (AttemptError.OVERFLOW, 0),
        (AttemptError.RESET, 502),
        (AttemptError.TRUNCATED, 502),
        (AttemptError.UNRESPONSIVE, 504),
    ],
)
def test_any_other_request_is_retried_only_if_it_was_not_sent(error: AttemptError, status: int) -> None:
    """Otherwise the client is told that it may have executed."""
    actions = begun().error(0, error)
    if not status:
        assert actions == RETRY_B
        return
    fail = failed(actions)
    assert (fail.status, fail.code, fail.retry) == (status, "may-have-run", False)


def test_agents_that_declare_themselves_repeatable_allow_retries_among_themselves() -> None:
    """An agent that does not declare it never gets a request that may have executed elsewhere."""
    friendly = choices(*KEYS, repeatable=True)
    assert begun(targets=friendly).error(0, RESET) == (a.Send(1, friendly[1], AttemptReason.RETRY),)
    mixed = begun(targets=[friendly[0], *choices("b", "c")])
    assert failed(mixed.error(0, RESET)).code == "no-target"
    assert mixed.picks[1:] == [("a",), ("a", "b"), ("a", "b", "c")]


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 401, 404, 418, 500, 501, 502, 504])
def test_a_reply_to_a_request_that_must_not_be_repeated_is_forwarded(status: int) -> None:
    """Also an error, after which the agent may have executed."""
    assert head(begun(), 0, status) == (a.Forward(0),)


@pytest.mark.parametrize("status", [429, 503])
def test_a_reply_that_says_nothing_was_done_is_retried(status: int) -> None:
    """For every request."""
    for repeatable in (True, False):
        assert head(begun(repeatable=repeatable), 0, status) == RETRY_B


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_is_retried_if_the_request_may_be_repeated(status: int) -> None:
    """A 501 is not, since the next agent says the same."""
    assert head(begun(repeatable=True), 0, status) == RETRY_B
    assert head(begun(repeatable=True), 0, 501) == (a.Forward(0),)


@pytest.mark.parametrize("kind", [ResponseKind.BUFFER, ResponseKind.STREAM])
def test_a_good_reply_is_held_until_it_can_be_forwarded_safely(kind: ResponseKind) -> None:
    """Until it is complete or has its first event, if the request may be repeated."""
    one = begun(repeatable=True)
    assert one.head(0, 200, kind) == ()
    assert one.fork().ready(0) == (a.Forward(0),)
    assert one.truncated(0) == RETRY_B


def test_the_head_and_the_end_of_a_small_reply_may_be_one_event() -> None:
    """Its only attempt is forwarded as after both; one that is not running is a mistake of the driver."""
    for repeatable in (True, False):
        one, two = begun(repeatable=repeatable), begun(repeatable=repeatable)
        whole = reply(ResponseKind.BUFFER)
        assert one.run(one.machine.on_whole(0, 200, whole, NOW), NOW) == (a.Forward(0),)
        assert two.head(0, 200, ResponseKind.BUFFER) == ()
        assert two.ready(0) == (a.Forward(0),)
        assert (one.due_s, one.machine.over) == (two.due_s, two.machine.over)
    failed_once = begun(repeatable=True)
    failed_once.error(0, AttemptError.RESET)
    with pytest.raises(ValueError, match="not running"):
        failed_once.machine.on_whole(0, 200, reply(ResponseKind.BUFFER), NOW)


def test_a_small_reply_is_whole_or_an_error_if_the_request_must_not_be_repeated() -> None:
    """SDKs repeat a request whose reply breaks off; an error tells them not to. An event stream is forwarded
    at once, since it can end with an error."""
    one = begun()
    assert one.head(0, 200, ResponseKind.BUFFER) == ()
    assert one.fork().ready(0) == (a.Forward(0),)
    fail = failed(one.truncated(0))
    assert (fail.status, fail.code, fail.retry) == (502, "may-have-run", False)
    assert begun().head(0, 200, ResponseKind.STREAM) == (a.Forward(0),)


def test_a_small_reply_that_stops_is_awaited_if_the_request_must_not_be_repeated() -> None:
    """Its target is alive, so the rest may come until the deadline."""
    one = begun()
    assert one.head(0, 200, ResponseKind.BUFFER) == ()
    assert one.time(2.0) == (a.Probe(0),)
    assert one.probe_ok(0, 2.1) == ()
    assert one.fork().ready(0, 9.0) == (a.Forward(0),)
    fail = failed(one.time(230.0)[1:])
    assert (fail.status, fail.code, fail.retry) == (504, "deadline", False)


def test_a_rejection_by_a_front_end_is_retried_and_never_forwarded() -> None:
    """The agent did not execute, so this holds for every request; the last resort is an error of the
    router."""
    one = begun()
    for number, key in enumerate(("b", "c"), 1):
        expected = (a.Send(number, Choice(key), AttemptReason.RETRY),)
        assert one.head(number - 1, 403, ResponseKind.FRONTEND) == expected
    fail = failed(one.head(2, 401, ResponseKind.FRONTEND))
    assert (fail.status, fail.code, fail.retry) == (503, "no-target", True)
    assert "c: status 401, not from its agent" in fail.reason


def test_after_a_reply_of_an_unknown_component_the_agent_may_have_executed() -> None:
    """Retried if a repeat is harmless; otherwise the client is told. The reply is never forwarded."""
    assert begun(repeatable=True).head(0, 200, ResponseKind.UNKNOWN) == RETRY_B
    fail = failed(begun().head(0, 202, ResponseKind.UNKNOWN))
    assert (fail.status, fail.code) == (502, "may-have-run")
    assert "status 202, not from its agent" in fail.reason


@pytest.mark.parametrize(
    ("statuses", "best"),
    [((429, 500, 502), 0), ((500, 503, 429), 2), ((503, 500, 500), 0), ((500, 502, 504), 2)],
)
def test_if_all_replies_are_errors_the_best_is_forwarded(statuses: tuple[int, ...], best: int) -> None:
    """429 and 503 before others, then the latest; the others are closed."""
    one = begun(repeatable=True)
    *_, actions = [head(one, number, status) for number, status in enumerate(statuses)]
    unused = [a.Abandon(number, a.Abandoned.UNUSED) for number in range(3) if number != best]
    assert actions == (*unused, a.Forward(best))


def test_a_kept_reply_that_was_truncated_is_not_forwarded() -> None:
    """Another one is, or an error of the router."""
    one = begun(repeatable=True)
    head(one, 0, 503)
    head(one, 1, 500)
    assert one.truncated(0) == ()
    assert head(one.fork(), 2, 500)[-1] == a.Forward(2)
    assert one.fork().error(2, RESET)[-1] == a.Forward(1)
    assert one.truncated(1) == ()
    assert failed(one.error(2, RESET)).code == "no-target"


def test_a_503_is_not_forwarded_after_an_attempt_that_may_have_executed() -> None:
    """It would invite the client to repeat the request."""
    one = begun()
    assert head(one, 0, 503) == RETRY_B
    assert failed(one.error(1, RESET)).code == "may-have-run"


def test_if_no_target_is_reachable_the_client_gets_a_503_with_retry_after() -> None:
    """The reason names every target and its error."""
    one = begun()
    *_, actions = [one.error(number, CONNECT) for number in range(3)]
    fail = failed(actions)
    assert (fail.status, fail.code, fail.retry) == (503, "no-target", True)
    assert all(f"{key}: connect-failure" in fail.reason for key in KEYS)
    assert "Nothing could be sent" in fail.reason


@pytest.mark.parametrize("errors", [(RESET, TRUNCATED, RESET), (CONNECT, RESET, AttemptError.OVERFLOW)])
def test_the_503_says_whether_anything_was_sent(errors: tuple[AttemptError, ...]) -> None:
    """One attempt that was sent is enough: agents may have been at work."""
    one = begun(repeatable=True)
    *_, actions = [one.error(number, error) for number, error in enumerate(errors)]
    fail = failed(actions)
    assert (fail.status, fail.code) == (503, "no-target")
    assert "It was sent, but no agent gave a whole reply (a: " in fail.reason


def test_a_stall_leads_to_a_probe_and_pauses_grow() -> None:
    """2 s, then after each answer 4, 8, 16, 30, 30 s."""
    one, at = begun(deadline_s=1000.0), 2.0
    pauses: list[float] = []
    for _ in range(5):
        assert one.due_s == at
        assert one.time(at) == (a.Probe(0),)
        assert one.due_s == at + 2
        assert one.probe_ok(0, at) == ()
        pauses.append(one.due_s - at)
        at = one.due_s
    assert pauses == [4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("errors", "status", "code"),
    [
        ((RESET, AttemptError.UNRESPONSIVE, TRUNCATED), 504, "no-answer"),
        ((AttemptError.UNRESPONSIVE, RESET, RESET), 504, "no-answer"),
        ((RESET, TRUNCATED, RESET), 503, "no-target"),
    ],
)
def test_an_unresponsive_target_makes_it_a_504(
    errors: tuple[AttemptError, ...], status: int, code: str
) -> None:
    """One is enough."""
    one = begun(repeatable=True)
    *_, actions = [one.error(number, error) for number, error in enumerate(errors)]
    fail = failed(actions)
    assert (fail.status, fail.code, fail.retry) == (status, code, True)


def test_a_probe_without_an_answer_cancels_the_attempt() -> None:
    """At its time, counted from when the shared probe began."""
    one = begun(repeatable=True)
    one.time(2)
    one.machine.on_probe_joined(0, 1.5, NOW + 2)
    assert one.due_s == 2.5
    (cancel, *more) = one.time(2.5)
    assert isinstance(cancel, a.Cancel)
    assert (cancel.number, cancel.error) == (0, AttemptError.UNRESPONSIVE)
    assert tuple(more) == RETRY_B


def test_a_failed_probe_ends_a_request_that_must_not_be_repeated() -> None:
    """With a 504: it may have executed."""
    one = begun()
    one.time(2)
    cancel, fail = one.probe_failed(0, 3)
    assert isinstance(cancel, a.Cancel)
    assert isinstance(fail, Fail)
    assert (fail.status, fail.code) == (504, "may-have-run")


@pytest.mark.parametrize(("repeatable", "timeout_s"), [(False, 30), (True, 2)])
def test_a_target_that_may_be_cold_gets_the_cold_timeout(repeatable: bool, timeout_s: float) -> None:
    """30 s instead of 2, but only for a request that must not be repeated."""
    one = begun(repeatable=repeatable, targets=choices(*KEYS, warm=False))
    one.time(2)
    assert one.due_s == 2 + timeout_s


def test_a_stream_that_sends_comments_is_forwarded_when_it_stalls() -> None:
    """Its target lives, and the comments keep the client's connection open."""
    one = begun(repeatable=True)
    one.head(0, 200, ResponseKind.STREAM)
    one.time(2)
    assert one.probe_ok(0, 2, heartbeat=True) == (a.Forward(0),)


@pytest.mark.parametrize(
    ("headed_s", "heard_s", "stopped"), [(0.0, 0.0, True), (1.0, 1.0, False), (0.0, 1.0, False)]
)
def test_a_small_reply_that_stops_is_retried_although_its_target_lives(
    headed_s: float, heard_s: float, stopped: bool
) -> None:
    """An agent that announced a length has made the reply: what is missing after `probe_after_s` is lost. One
    that still arrives is waited for."""
    one = begun(repeatable=True)
    one.head(0, 200, ResponseKind.BUFFER, headed_s)
    one.time(2)
    actions = one.probe_ok(0, 2.1, heard=heard_s)
    if stopped:
        assert isinstance(actions[0], a.Cancel)
        assert actions[0].error is TRUNCATED
        assert actions[1:] == RETRY_B
    else:
        assert actions == ()


def test_the_deadline_comes_before_a_probe_or_a_pause_that_outlasts_it() -> None:
    """A client that set three seconds hears after three."""
    one = begun(deadline_s=3.0)
    one.time(2)
    assert one.machine.active[0].wake_at > NOW + 3
    assert one.due_s == 3
    one.probe_ok(0, 2.5)
    assert one.due_s == 3


@pytest.mark.parametrize("repeatable", [True, False])
def test_the_deadline_ends_the_request_with_a_504(repeatable: bool) -> None:
    """The running attempt is abandoned, and a client that must not repeat the request is warned."""
    one = begun(repeatable=repeatable, deadline_s=1.0)
    assert one.due_s == 1
    abandon, fail = one.time(1)
    assert abandon == a.Abandon(0, a.Abandoned.CLIENT_GONE)
    assert isinstance(fail, Fail)
    assert (fail.status, fail.code) == (504, "deadline")
    assert ("may have run" in fail.reason) is not repeatable


def test_nothing_begins_after_the_deadline() -> None:
    """The error is the same."""
    assert failed(Driven(limits(deadline_s=0.0)).started).code == "deadline"


def test_without_money_nothing_is_sent_twice_but_an_unsent_attempt_is_replaced() -> None:
    """It was not charged, so its replacement is not extra."""
    one = begun(affordable=False)
    assert one.error(0, CONNECT) == RETRY_B
    assert head(one, 1, 429)[-1] == a.Forward(1)


def test_a_lone_target_has_its_error_reply_forwarded() -> None:
    """There is no alternative."""
    assert head(begun(repeatable=True, targets=choices("a")), 0, 503) == (a.Forward(0),)


def test_unsent_attempts_take_nothing_from_the_budget_but_are_bounded() -> None:
    """Five targets refuse and the sixth is tried; hundreds are not."""
    keys = "abcdefghij"
    one = Driven(limits(policy=replace(POLICY, attempts=1), budget=1), choices(*keys))
    for number in range(5):
        expected = (a.Send(number + 1, Choice(keys[number + 1]), AttemptReason.RETRY),)
        assert one.error(number, CONNECT) == expected
    assert failed(one.error(5, CONNECT)).code == "no-target"


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_platform_without_a_running_function_is_like_a_refused_connection(repeatable: bool) -> None:
    """Its 503 is not charged and never forwarded."""
    one = begun(repeatable=repeatable)
    for number in range(2):
        assert isinstance(one.head(number, 503, ResponseKind.FRONTEND)[0], a.Send)
    assert failed(one.head(2, 503, ResponseKind.FRONTEND)).code == "no-target"
    assert one.machine.charged == 0


@pytest.mark.parametrize("why", [{"panic": True}, {"in_backoff": True}])
def test_a_target_of_last_resort_is_used_for_retries_only(why: dict[str, bool]) -> None:
    """No hedge and no redundant send goes there beside a serving target; redundant retries may."""
    targets = [Choice("a"), Choice("b", **why), Choice("c", **why)]
    one = Driven(limits(policy=POLICY, repeatable=True, hedge_after_s=0.05), targets)
    assert one.time(0.05) == ()
    assert one.due_s == 2
    assert one.error(0, RESET, 0.05) == (a.Send(1, targets[1], AttemptReason.RETRY),)
    one = Driven(limits(policy=POLICY, repeatable=True, parallel=2), targets)
    assert one.started == (a.Send(0, targets[0], None),)
    expected = tuple(a.Send(at, targets[at], AttemptReason.RETRY) for at in (1, 2))
    assert one.error(0, RESET) == expected


def test_no_target_is_picked_if_nothing_may_run_beside_the_running_attempt() -> None:
    """With hundreds of targets, one pick for each would cost more than the request."""
    one = Driven(limits(deadline_s=10, parallel=3), choices(*(f"t{at}" for at in range(300))))
    assert len(one.started) == 1
    assert one.picks == [()]
