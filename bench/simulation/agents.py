"""A simulated agent function: sandboxes that start cold, fill up, slow down under load, and fail on demand.

Rules
- A request takes a free slot; else it starts a sandbox and waits for it; else it shares the wait of one that
  is starting; else, all being full, it queues or is throttled, as its vendor does.
- Work is billed as long as it lasts; where the vendor notices that the caller left, it ends there.
- Load matters smoothly: a target in full use answers in twice the time of an idle one.
- `/health` never works, so no gray fault shows in it.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from bench.simulation.events import Event, Loop
from bench.simulation.shapes import COLD_CAP_S, Shape

# How many may queue at a full target for each of its slots.
_QUEUE = 2
# The Retry-After of a throttled target, and what it still takes: a fifth of its usual load.
RETRY_AFTER_S = 5.0
# Weight of the newest reply in a target's own estimate of its latency.
_NEWEST = 0.1
_THROTTLED_PART = 0.2


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a target: nothing, by default.

    slow: factor on the time of its work. errors: share of requests answered 500, in a third of the time.
    silent: packets are swallowed. refusing: connections are refused. throttled: a fifth of its usual load.
    """

    slow: float = 1.0
    errors: float = 0.0
    silent: bool = False
    refusing: bool = False
    throttled: bool = False

    @property
    def unreachable(self) -> bool:
        return self.silent or self.refusing


class End(Enum):
    """How a request ended at the target. THROTTLED says when to come back, FULL not. LOST: no answer."""

    GOOD = auto()
    COLD = auto()
    ERROR = auto()
    RATE_LIMITED = auto()
    FULL = auto()
    REFUSED = auto()
    RESET = auto()
    LOST = auto()


@dataclass(slots=True)
class Job:
    """One request at the target. done: told how it ended. spent_s: billed time."""

    done: Callable[[End], object]
    came: float
    cold: bool = False
    working: bool = False
    over: bool = False
    began: float = 0.0
    ending: Event | None = None


@dataclass(slots=True)
class Bill:
    """What a target has earned."""

    attempts: int = 0
    seconds: float = 0.0

    def usd(self, shape: Shape) -> float:
        return self.attempts * shape.per_million / 1e6 + self.seconds * shape.per_s


@dataclass
class Agent:
    """One target. warm, most: sandboxes at the start, at most. usual: requests a second it is sized for."""

    loop: Loop
    shape: Shape
    warm: int
    most: int
    usual: float
    draw: random.Random
    fault: Fault = field(default_factory=Fault)
    bill: Bill = field(default_factory=Bill)
    busy: int = 0
    starting: int = 0
    recent_ms: float = 0.0

    def __post_init__(self) -> None:
        self._running: set[int] = set()
        self._jobs: dict[int, Job] = {}
        self._queue: deque[Job] = deque()
        self._shares: list[list[Job]] = []
        self._used = self.loop.now
        self.recent_ms = self.shape.median_s * 1e3
        self._tokens = 0.0
        self._filled = 0.0

    @property
    def utilization(self) -> float:
        """What its replies report: requests in work in a sandbox, on average."""
        return self.busy / max(1, self.warm)

    @property
    def waiting(self) -> int:
        """Requests here that no sandbox works on yet."""
        return len(self._queue) + sum(len(share) for share in self._shares)

    def take(self, job: Job) -> None:
        """A request has arrived."""
        now = self.loop.now
        self._jobs[id(job)] = job
        self.bill.attempts += 1
        if self.fault.refusing:
            self._finish(job, End.REFUSED)
        elif self.fault.silent:
            pass
        elif self.fault.throttled and not self._may_pass():
            self._finish(job, End.RATE_LIMITED)
        else:
            if now - self._used > self.shape.idle_s:
                self.warm = 0
            self._used = now
            self._place(job)

    def leave(self, job: Job) -> None:
        """The caller has closed the connection."""
        if job.over or (job.working and not self.shape.stops):
            job.done = _dropped
            return
        job.over = True
        self._jobs.pop(id(job), None)
        if job.working:
            if job.ending is not None:
                job.ending.cancel()
            self._release(job)

    def set_fault(self, fault: Fault) -> None:
        """From now on; requests in work are cut when it becomes unreachable."""
        self.fault = fault
        if not fault.unreachable:
            return
        waiting = list(self._queue)
        self._queue.clear()
        working = [job for job in self._jobs.values() if job.working]
        for job in working:
            if job.ending is not None:
                job.ending.cancel()
            self._release(job)
        for job in (*working, *waiting):
            self._finish(job, End.RESET if fault.refusing else End.LOST)

    def scale_to_zero(self) -> None:
        """Every sandbox that does nothing is gone; those in work are not used again."""
        self.warm = 0

    def _may_pass(self) -> bool:
        now, rate = self.loop.now, self.usual * _THROTTLED_PART
        self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _place(self, job: Job) -> None:
        slots = self.shape.slots
        if self.busy < self.warm * slots:
            self._work(job)
            return
        if self._shares and len(self._shares[-1]) < slots:
            job.cold = True
            self._shares[-1].append(job)
        elif self.warm + self.starting < self.most:
            job.cold = True
            self._start(job)
        elif self.shape.queues and len(self._queue) < _QUEUE * self.most * slots:
            self._queue.append(job)
        else:
            self._finish(job, End.FULL)

    def _start(self, job: Job) -> None:
        shape = self.shape
        waiting = [job]
        self._shares.append(waiting)
        self.starting += 1
        takes = min(COLD_CAP_S, self.draw.lognormvariate(math.log(shape.cold_s), shape.cold_sigma))
        self.loop.after(takes, lambda: self._started(waiting))

    def _started(self, waiting: list[Job]) -> None:
        self._shares.remove(waiting)
        self.starting -= 1
        self.warm += 1
        for job in waiting:
            if not job.over:
                self._work(job)
        self._next()

    def _work(self, job: Job) -> None:
        shape, fault = self.shape, self.fault
        self.busy += 1
        job.working, job.began = True, self.loop.now
        use = min(1.0, self.busy / max(1, self.most * shape.slots))
        takes = self.draw.lognormvariate(math.log(shape.median_s), shape.sigma) * (1 + use * use) * fault.slow
        end = End.COLD if job.cold else End.GOOD
        if fault.silent:
            end = End.LOST
        elif fault.errors and self.draw.random() < fault.errors:
            end, takes = End.ERROR, takes / 3
        job.ending = self.loop.after(takes, lambda: self._worked(job, end))

    def _worked(self, job: Job, end: End) -> None:
        self.recent_ms += _NEWEST * ((self.loop.now - job.came) * 1e3 - self.recent_ms)
        self._release(job)
        self._finish(job, end)

    def _release(self, job: Job) -> None:
        job.working = False
        self.busy -= 1
        self.bill.seconds += self.loop.now - job.began
        self._next()

    def _next(self) -> None:
        while self._queue and self.busy < self.warm * self.shape.slots:
            job = self._queue.popleft()
            if not job.over:
                self._work(job)

    def _finish(self, job: Job, end: End) -> None:
        job.over = True
        self._jobs.pop(id(job), None)
        if end is not End.LOST:
            job.done(end)


def _dropped(end: End) -> None:
    """The result of an abandoned job is dropped."""
