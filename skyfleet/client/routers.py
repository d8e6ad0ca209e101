"""Which router a client uses next, and when it leaves a silent one: pure decisions over what it has seen.

Rules
- Routers are used in the order of their list. One that failed rests: 1 s, then twice as long at each further
  failure, 30 s at most. A reply ends that.
- After its rest a router is half-open: one request asks its `/health` first. For the others it rests
  meanwhile, as after a further failure.
- Resting routers come last, silent ones behind the others, then by the end of their rest: none is left out
  for good. The last one that a request can use is used without a question.
- A router is asked for its `/health` when nothing came from it for `SILENCE_S`, neither to a request that
  waits nor to any other: a reply to one request shows that the router is there for all. One question at a
  time is enough for all requests. Its pauses grow with the time that the request takes anyway.
- A router that did not answer is silent until something comes from it. A request that has a reply does not
  go on to it, to wait there for its own timeout: a refusal for now is better. Nor does it leave one silent
  router for another, since its own may be busy rather than lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

REST_S: Final = 1.0
MOST_REST_S: Final = 30.0
# A question follows a silence of so long, and has so long. Together they are less than a second.
SILENCE_S: Final = 0.4
PROBE_S: Final = 0.5
# A router that was not heard for a while may start cold, which is not down: its question has so long. It is
# taken for warm as long as a router takes a target for warm (`router.core.policy.WARM_S`).
COLD_PROBE_S: Final = 3.0
WARM_S: Final = 120.0
# A time-out shows a little late; requests that wait for the same answer do not ask again meanwhile.
_LATE_S: Final = 0.05
# Later the silence may be an eighth of what the request has taken so far, up to a limit: in a request of a
# minute a second more is not noticed, and each question is an invocation of the router's function.
_PART: Final = 8.0
MOST_SILENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Failed:
    """failures: in a row. until: when its rest ends, in seconds of a clock that never goes back."""

    failures: int
    until: float


@dataclass(frozen=True, slots=True)
class Choice:
    """index: of the router. ask: its `/health` first. last: the request can use no other one after it."""

    index: int
    ask: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """What a request does while its router is silent: look again after wait_s, or at once ask for `/health`
    with ask_s for its answer, or leave for the next router."""

    wait_s: float = 0.0
    ask_s: float = 0.0
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Routers:
    """What a client knows of `count` routers. failed: by index; the others are in use. heard: when the newest
    reply came. asked: until when an answer of `/health` may come. silent: when that question failed last."""

    count: int
    failed: Mapping[int, Failed] = field(default_factory=dict[int, Failed])
    heard: Mapping[int, float] = field(default_factory=dict[int, float])
    asked: Mapping[int, float] = field(default_factory=dict[int, float])
    silent: Mapping[int, float] = field(default_factory=dict[int, float])

    def choose(self, tried: Collection[int], now: float) -> tuple[Routers, Choice | None]:
        """The next router for a request, and what is known then; None: it has tried all of them."""
        left = [index for index in range(self.count) if index not in tried]
        if not left:
            return self, None
        index = min(left, key=lambda one: self._rank(one, now))
        last, mark = len(left) == 1, self.failed.get(index)
        if mark is None or last or now < mark.until:
            return self, Choice(index, ask=False, last=last)
        return self._fail(index, mark.failures + 1, now), Choice(index, ask=True, last=False)

    def watch(
        self, index: int, since: float, now: float, *, tried: Collection[int], may_leave: bool
    ) -> tuple[Routers, Watch]:
        """For a request that waits for router `index` since `since`. tried: the routers that it has used.
        may_leave: a second execution does no harm."""
        heard = max(since, self.heard.get(index, since))
        if index in self.silent and self.silent[index] >= heard:
            leave = may_leave and self.has_other(tried)
            return self, Watch(leave=True) if leave else Watch(REST_S)
        due = max(heard + silence_s(heard - since), self.asked.get(index, heard))
        if now < due:
            return self, Watch(due - now)
        warm = index in self.heard and now - self.heard[index] < WARM_S
        ask_s = PROBE_S if warm else COLD_PROBE_S
        return replace(self, asked={**self.asked, index: now + ask_s + _LATE_S}), Watch(ask_s=ask_s)

    def has_other(self, tried: Collection[int]) -> bool:
        """Whether a request can use a further router that is not silent."""
        return any(not self._is_silent(one) for one in range(self.count) if one not in tried)

    def lost(self, index: int, now: float) -> Routers:
        """A router failed. What fails while it rests already is the same failure."""
        mark = self.failed.get(index)
        if mark is not None and now < mark.until:
            return self
        return self._fail(index, 1 if mark is None else mark.failures + 1, now)

    def replied(self, index: int, now: float) -> Routers:
        """A router replied."""
        failed = self.failed
        if index in failed:
            failed = {one: mark for one, mark in failed.items() if one != index}
        return replace(self, failed=failed, heard={**self.heard, index: now})

    def answered(self, index: int, now: float, *, good: bool, full: bool) -> Routers:
        """What came of a question for `/health`. full: the platform is at its limit."""
        if good:
            return self.replied(index, now)
        found = self.lost(index, now)
        return found if full else replace(found, silent={**self.silent, index: now})

    def _rank(self, index: int, now: float) -> tuple[bool, bool, float, int]:
        if self._rests(index, now):
            return True, self._is_silent(index), self.failed[index].until, index
        return False, False, 0.0, index

    def _is_silent(self, index: int) -> bool:
        return index in self.silent and self.silent[index] > self.heard.get(index, float("-inf"))

    def _rests(self, index: int, now: float) -> bool:
        mark = self.failed.get(index)
        return mark is not None and now < mark.until

    def _fail(self, index: int, failures: int, now: float) -> Routers:
        rest_s = min(REST_S * 2.0 ** min(failures - 1, 10), MOST_REST_S)
        return replace(self, failed={**self.failed, index: Failed(failures, now + rest_s)})


def silence_s(age_s: float) -> float:
    """How long a router may be silent before it is asked. age_s: of the request, when something was heard."""
    return min(max(SILENCE_S, age_s / _PART), MOST_SILENCE_S)
