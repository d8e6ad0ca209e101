"""A simulated agent function: sandboxes with cold starts, limited capacity, latency under load, and faults.

Rules
- A request takes a free slot. Without one it joins a cold start with a free slot, else it begins a cold
  start. At full capacity it is queued or answered with 429, as the vendor does.
- Work is billed for its duration. Where the vendor notices that the client left, the work ends then.
- Latency grows with load: a fully used target takes twice as long as an idle one.
- `/health` does no work, so a gray failure does not affect it.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from bench.simulation.events import Event, Loop
from bench.simulation.fleet.shapes import COLD_CAP_S, Shape

# Queued requests at a full target for each of its slots.
_QUEUE = 2
# Retry-After of a throttled target, and the share of its usual load that it still serves.
RETRY_AFTER_S = 5.0
_THROTTLED_SHARE = 0.2
# Weight of the newest reply in a target's own estimate of its latency.
_NEWEST = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of a target; none by default.

    slow: factor of the work's duration. errors: share of requests answered with 500, in a third of the time.
    silent: packets are dropped. refusing: connections are refused. throttled: a fifth of the usual load is
    served.
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
    """How a request ended at the target.

    ERROR: the agent's own 500. RATE_LIMITED has a Retry-After, FULL has none. LOST: no reply."""

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
    """One request at the target.

    done: called with its end. came, began: times (s) of arrival and of the work. doomed: the agent fails for
    this request, at each target.
    """

    done: Callable[[End], object]
    came: float
    doomed: bool = False
    cold: bool = False
    working: bool = False
    over: bool = False
    began: float = 0.0
    ending: Event | None = None


@dataclass(slots=True)
class Bill:
    """What is billed for a target: its requests, and seconds of work."""

    attempts: int = 0
    seconds: float = 0.0

    def usd(self, shape: Shape) -> float:
        return self.attempts * shape.per_million / 1e6 + self.seconds * shape.per_s


@dataclass
class Agent:
    """One target. warm, most: sandboxes now and at most. usual: request rate (1/s) that it is sized for."""

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
        """The utilisation in its load report: mean number of active requests in a sandbox."""
        return self.busy / max(1, self.warm)

    @property
    def waiting(self) -> int:
        """Requests that no sandbox works on yet."""
        return len(self._queue) + sum(len(share) for share in self._shares)

    def take(self, job: Job) -> None:
        """Take a request that has arrived."""
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
        """End a request whose client has closed the connection."""
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
        """Set the fault from now on; an unreachable target loses its active requests."""
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
        """Remove every idle sandbox; a busy one is not used again."""
        self.warm = 0

    def _may_pass(self) -> bool:
        now, rate = self.loop.now, self.usual * _THROTTLED_SHARE
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
        elif job.doomed or (fault.errors and self.draw.random() < fault.errors):
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
    """Ignore the end of an abandoned request."""
