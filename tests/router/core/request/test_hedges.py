"""Claims about hedges and redundant sends: several attempts at once, and the first good reply wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.core.policy import DEFAULT
from router.core.request import actions as a
from router.core.request.budget import AttemptReason
from router.core.request.classify import ResponseKind
from router.core.request.failures import AttemptError, Fail
from router.core.targets import Choice
from tests.router.core.request.driving import ALL, KEYS, Driven, choices, limits

pytestmark = pytest.mark.pure

LATER = 0.05
POLICY = replace(DEFAULT, queue_timeout_s=0.0)
RESET = AttemptError.RESET
HEDGE_B = (
    a.MarkSlow(0),
    a.Send(1, Choice("b"), AttemptReason.HEDGE),
)
HEDGE_C = (
    a.MarkSlow(0),
    a.Send(2, Choice("c"), AttemptReason.HEDGE),
)


def hedging(
    *, targets: list[Choice] = ALL, budget: int = 3, repeatable: bool = True, affordable: bool = True
) -> Driven:
    """A request whose first attempt runs, to be hedged after 50 ms."""
    own = limits(policy=POLICY, budget=budget, repeatable=repeatable, hedge_after_s=LATER)
    one = Driven(own, targets, affordable=affordable)
    assert [type(action) for action in one.started] == [a.Send]
    return one


def hedged() -> Driven:
    """Both attempts run."""
    one = hedging()
    assert one.due_s == pytest.approx(LATER)
    assert one.time(LATER) == HEDGE_B
    return one


def test_a_hedge_is_sent_once_after_the_delay() -> None:
    """Not before; and two running attempts are not hedged again."""
    assert hedging().time(LATER - 0.001) == ()
    assert hedged().due_s == 2


def test_only_a_request_that_may_be_repeated_is_hedged() -> None:
    """By the request, or by an agent that declares it, and then only at another such agent."""
    assert hedging(repeatable=False).due_s == 2
    friendly = choices(*KEYS, repeatable=True)
    expected = (
        a.MarkSlow(0),
        a.Send(1, friendly[1], AttemptReason.HEDGE),
    )
    assert hedging(targets=friendly, repeatable=False).time(LATER) == expected
    mixed = hedging(targets=[friendly[0], *choices("b", "c")], repeatable=False)
    assert mixed.time(LATER) == ()
    assert mixed.due_s == 2


def test_a_key_alone_allows_retries_but_no_hedge() -> None:
    """It prevents a second execution in its own cloud only, and a hedge goes to another one without need. An
    agent that declares itself repeatable is hedged with or without a key."""
    keyed = limits(policy=POLICY, repeatable=True, hedge_after_s=LATER, retries_only=True)
    one = Driven(keyed)
    assert one.due_s == 2
    assert one.error(0, RESET) == (a.Send(1, Choice("b"), AttemptReason.RETRY),)
    assert Driven(keyed, choices(*KEYS, repeatable=True)).due_s == pytest.approx(LATER)


@pytest.mark.parametrize(
    ("affordable", "targets", "budget"), [(False, ALL, 3), (True, choices("a"), 3), (True, ALL, 1)]
)
def test_a_hedge_that_cannot_be_sent_is_forgotten(
    affordable: bool, targets: list[Choice], budget: int
) -> None:
    """No money, no other target, no attempt left: the request waits on as if there were no hedges."""
    one = hedging(targets=targets, budget=budget, affordable=affordable)
    assert one.time(LATER) == ()
    assert one.due_s == 2


def test_the_first_attempt_fails_while_the_hedge_runs() -> None:
    """Nothing is sent for it; the hedge is alone now and is hedged after its own delay."""
    one = hedged()
    assert one.error(0, RESET, LATER + 0.01) == ()
    assert one.due_s == pytest.approx(LATER + 0.05)
    assert one.time(LATER + 0.051) == (a.MarkSlow(1), HEDGE_C[-1])


@pytest.mark.parametrize(
    "kind", [ResponseKind.NOT_PROCESSED, ResponseKind.FRONTEND, ResponseKind.SERVER_ERROR]
)
def test_the_hedge_is_rejected_while_the_first_attempt_runs(kind: ResponseKind) -> None:
    """The first has waited long enough already, so the next hedge is due at once."""
    one = hedged()
    assert one.head(1, 429, kind, LATER + 0.01) == ()
    assert one.due_s == pytest.approx(LATER + 0.01)
    assert one.time(LATER + 0.01) == HEDGE_C


def test_both_fail() -> None:
    """The request goes on as without hedges: the next target, in the end the best reply there was."""
    one = hedged()
    one.head(1, 429, ResponseKind.NOT_PROCESSED, LATER)
    assert one.error(0, RESET, LATER + 0.01) == (a.Send(2, Choice("c"), AttemptReason.RETRY),)
    assert one.error(2, RESET, LATER + 0.02)[-1] == a.Forward(1)


def test_the_head_of_a_small_reply_ends_the_wait_for_a_hedge() -> None:
    """Its agent is done; of a stream only the first event counts."""
    one = hedging()
    one.head(0, 200, ResponseKind.BUFFER, 0.01)
    assert one.due_s == 2
    one = hedging()
    one.head(0, 200, ResponseKind.STREAM, 0.01)
    assert one.time(LATER) == HEDGE_B


def test_the_first_complete_reply_wins() -> None:
    """Whichever attempt it is. Only a hedge outruns: a hedge that is slower is just not used."""
    one = hedged()
    assert one.head(1, 200, ResponseKind.STREAM, LATER + 0.01) == ()
    assert one.head(0, 200, ResponseKind.BUFFER, LATER + 0.02) == ()
    assert one.fork().ready(0) == (a.Abandon(1, a.Abandoned.UNUSED), a.Forward(0))
    assert one.fork().ready(1) == (a.Abandon(0, a.Abandoned.OUTRUN), a.Forward(1))
    assert one.truncated(0, LATER + 0.03) == ()
    assert one.ready(1) == (a.Abandon(0, a.Abandoned.UNUSED), a.Forward(1))


def test_two_that_stall_are_both_probed_and_the_unresponsive_one_is_cancelled() -> None:
    """Each has its own time; the other goes on."""
    one = hedged()
    assert one.time(2) == (a.Probe(0),)
    assert one.time(LATER + 2) == (a.Probe(1),)
    one.probe_ok(1, LATER + 2)
    one.affordable = False
    (cancel,) = one.time(4)
    assert isinstance(cancel, a.Cancel)
    assert (cancel.number, cancel.error) == (0, AttemptError.UNRESPONSIVE)
    assert [attempt.number for attempt in one.machine.active] == [1]


def test_comments_of_one_stream_do_not_stop_the_other() -> None:
    """While two run, the first event decides."""
    one = hedged()
    one.head(0, 200, ResponseKind.STREAM, LATER)
    assert one.probe_ok(0, 2, heartbeat=True) == ()


def test_the_deadline_ends_both() -> None:
    """One error names both."""
    own = limits(policy=POLICY, repeatable=True, hedge_after_s=LATER, deadline_s=LATER + 0.1)
    one = Driven(own)
    one.time(LATER)
    *abandoned, fail = one.time(LATER + 0.1)
    assert abandoned == [a.Abandon(number, a.Abandoned.CLIENT_GONE) for number in (0, 1)]
    assert isinstance(fail, Fail)
    assert "a: no reply yet; b: no reply yet" in fail.reason


def test_a_client_that_leaves_abandons_both() -> None:
    """Unless a reply was forwarded already, since that says more of them."""
    one = hedged()
    gone = tuple(a.Abandon(number, a.Abandoned.CLIENT_GONE) for number in (0, 1))
    assert one.fork().machine.on_client_gone() == gone
    one.head(0, 200, ResponseKind.PASS, LATER)
    assert one.machine.on_client_gone() == ()
    assert one.machine.over


def redundant(
    parallel: int, targets: list[Choice] = ALL, *, repeatable: bool = True, budget: int = 3
) -> Driven:
    """A request that is to run so many times at once."""
    own = limits(policy=POLICY, repeatable=repeatable, budget=budget, parallel=parallel)
    return Driven(own, targets)


@pytest.mark.parametrize(("parallel", "budget", "count"), [(2, 3, 2), (3, 3, 3), (3, 2, 2), (3, 1, 1)])
def test_redundant_sends_begin_at_once(parallel: int, budget: int, count: int) -> None:
    """At different targets, within the budget."""
    expected = [
        a.Send(at, Choice(key), AttemptReason.DUPLICATE if at else None) for at, key in enumerate(KEYS)
    ]
    assert list(redundant(parallel, budget=budget).started) == expected[:count]


def test_a_request_that_must_not_be_repeated_is_sent_once() -> None:
    """Unless every agent concerned allows it."""
    assert len(redundant(3, repeatable=False).started) == 1
    assert len(redundant(3, choices(*KEYS, repeatable=True), repeatable=False).started) == 3


def test_without_money_only_one_is_sent() -> None:
    """The first is not extra."""
    own = limits(repeatable=True, parallel=3)
    assert len(Driven(own, affordable=False).started) == 1


def test_a_failed_redundant_send_is_replaced_and_bad_replies_lose_to_good_ones() -> None:
    """Two are to run; the first good reply is forwarded."""
    one = redundant(2)
    assert one.head(0, 500, ResponseKind.SERVER_ERROR) == (a.Send(2, Choice("c"), AttemptReason.RETRY),)
    assert one.error(2, RESET) == ()
    assert one.fork().head(1, 200, ResponseKind.PASS)[-1] == a.Forward(1)
    assert one.error(1, RESET)[-1] == a.Forward(0)


def test_all_redundant_sends_lost_is_one_error() -> None:
    """It names them all."""
    one = redundant(3)
    *_, actions = [one.error(number, RESET) for number in (1, 0, 2)]
    (fail,) = actions
    assert isinstance(fail, Fail)
    assert "b: reset; a: reset; c: reset" in fail.reason
