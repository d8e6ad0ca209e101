"""The work of a job, in its own process: change the config, deploy, and put things back when that fails.

    lock -> drain (delete) -> config -> deploy -> check -> result
                                          fails -> former config -> deploy -> result

Rules
- Each step can be repeated, and the journal says what was begun. So a job whose process was killed is carried
  out again from the start: what is done already changes nothing.
- The config is replaced by a rename, and only if it is as the job has seen it. A change by hand stays.
- A target is called added when the stack's outputs have it, after Pulumi's program has seen it serve.
- A failed or cancelled job puts the former config back and deploys it. What cannot be removed is named.
- A target that is added serves, although a router may still list the drain of a former one of its name.
- A Pulumi that a signal has ended is recovered, and the deployment is repeated once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.manager.desired.change import apply
from infra.manager.desired.stack_file import changed_text, config_of, version
from infra.manager.errors import Conflict, ManagerError
from infra.manager.jobs import words
from infra.manager.jobs.journal import AFTER, BEFORE, DRAINED, ROLLBACK, Journal, Request
from infra.manager.jobs.model import State
from infra.manager.jobs.progress import JobProgress
from infra.manager.jobs.stack import Stack
from infra.operations import json_access
from infra.operations.errors import CommandFailed, DeploymentStopped, PartlyDeployed, PulumiKilled

# Requests of a draining target may take that long; then they are cut as by any deployment.
DRAIN_S: Final = 30.0
# Other instances of a router follow the control document with their next request.
SETTLE_S: Final = 1.0
POLL_S: Final = 0.5


class Cancelled(Exception):
    """The operator cancelled, and Pulumi had not begun."""


@dataclass(slots=True)
class Work:
    """One job. on_line: called with each line of Pulumi while the job may be cancelled."""

    journal: Journal
    stack: Stack
    request: Request
    sleep: Callable[[float], None] = time.sleep
    on_line: Callable[[], None] = lambda: None
    _began: bool = field(default=False, init=False)

    def run(self) -> None:
        """Carry it out and write its result. Raises OSError when that cannot be written."""
        child = self.journal.child()
        if child is not None and child.attempt > 1:
            self._began = self.journal.text(AFTER) is not None
            self.journal.say("the process of this job was ended in the middle: it is carried out again")
        try:
            with self.stack.lock(self._waiting, self._pause):
                self._run()
        except Cancelled:
            left, by = self._undo_drain(), self.journal.cancelled_by()
            self.journal.end(State.CANCELLED, f"cancelled by {by}; nothing was changed{left}")
        except (CommandFailed, ManagerError) as failure:
            left = self._undo_drain()
            self.journal.end(State.FAILED, f"{words.unchanged(failure)}{left}")

    def _run(self) -> None:
        if self.journal.text(ROLLBACK) is not None:
            self._roll_back()
        elif self.request.change.preview:
            self._preview()
        else:
            if self.journal.text(AFTER) is None:
                self._begin()
            try:
                self._write_config()
                note = self._deploy(self.on_line, (self.request.change.cloud,))
                self._check()
            except (CommandFailed, ManagerError, Cancelled) as failure:
                self._fail(failure)
                self._roll_back()
            else:
                self._finish(note)

    def _waiting(self) -> None:
        self.journal.say("another up or down is running in this checkout: waiting for it", "step")

    def _pause(self) -> None:
        self._check_cancelled()
        self.sleep(POLL_S)

    def _check_cancelled(self) -> None:
        if self.journal.cancelled_by():
            raise Cancelled

    def _preview(self) -> None:
        self._check_cancelled()
        before = self.stack.file.text()
        path = self.journal.folder / AFTER
        self.journal.write(AFTER, self._changed(before))
        progress = JobProgress(self.journal, 0)
        try:
            plan = self.stack.preview(path, progress, self.on_line)
        except DeploymentStopped:
            raise Cancelled from None
        said = words.plan(before, path.read_text(), self.stack)
        self.journal.end(State.DONE, words.counted(plan), (*said, *plan))

    def _changed(self, text: str) -> str:
        """The text of the stack's file after the change. Raises BadRequest, NotFound, Conflict."""
        config = config_of(text, self.stack.file.path.name)
        wanted, found = self.request.change.version, version(config)
        if wanted and wanted != found:
            raise Conflict(
                f"the config has version {found} and the change was made for {wanted}: look at it and ask "
                "again",
                version=found,
            )
        return changed_text(text, apply(config, self.request.change, self.stack.name))

    def _begin(self) -> None:
        """Drain a target that is removed, and note the config before and after."""
        self._check_cancelled()
        before = self.stack.file.text()
        self._changed(before)  # refused before anything is drained
        if self.request.change.action == "delete":
            self._drain()
            self._check_cancelled()
            before = self.stack.file.text()
        after = self._changed(before)
        self.journal.write(BEFORE, before)
        self.journal.write(AFTER, after)

    def _drain(self) -> None:
        change = self.request.change
        if change.target not in self.stack.targets():
            return self.journal.say(f"{change.target} is not deployed, so no router sends to it")
        self.journal.say(f"draining {change.target} at all routers", "step", 2)
        if self.journal.text(DRAINED) is None:
            self.journal.write(DRAINED, json.dumps({"before": self.stack.is_draining(change.target)}))
        problems = self.stack.drain(change.target, undo=False)
        for problem in problems:
            self.journal.say(problem)
        if problems and not change.force:
            raise CommandFailed(
                f"{change.target} cannot be drained at every router ({problems[0]}). With force it is "
                "removed all the same"
            )
        self._wait_until_idle(change.target)
        return None

    def _wait_until_idle(self, target: str) -> None:
        waited = 0.0
        while (flight := self.stack.in_flight(target)) or waited < SETTLE_S:
            self._check_cancelled()
            if waited >= DRAIN_S:
                said = f"{flight} requests are still in flight at {target} after {DRAIN_S:.0f} s: going on"
                return self.journal.say(said, "message", 10)
            self.sleep(POLL_S)
            waited += POLL_S
        self.journal.say(f"{target} has no requests in flight", "message", 10)
        return None

    def _write_config(self) -> None:
        """Write the changed config if the file is as the job has seen it."""
        before, after, found = self.journal.text(BEFORE), self.journal.text(AFTER), self.stack.file.text()
        if before is None or after is None or found not in (before, after):
            what = (
                "in the middle: part of its change may be deployed"
                if self._began
                else "before its deployment"
            )
            raise Conflict(f"the job stopped {what}")
        self._check_cancelled()
        if found != after:
            self.stack.file.write(after)
        new = version(config_of(after, self.stack.file.path.name))
        self.journal.say(f"the stack config has version {new}", "step", 12)

    def _deploy(self, on_line: Callable[[], None], required: Sequence[str] = ()) -> str:
        """Deploy; a note about other clouds that were left out. Raises CommandFailed."""

        def line() -> None:
            self._began = True
            on_line()

        for last in (False, True):
            expected = words.expected(self.stack, self.request.change) if required else 0
            try:
                self.stack.deploy(JobProgress(self.journal, expected), line, required)
            except PulumiKilled as killed:
                if last:
                    raise
                self.journal.say(
                    f"{words.short(killed).partition(';')[0]}; the deployment is repeated", "step"
                )
            except PartlyDeployed as partly:
                if self.request.change.cloud in partly.clouds:
                    raise
                return f"; not deployed: {'; '.join(f'{c}: {why}' for c, why in partly.clouds.items())}"
            else:
                return ""
        raise AssertionError

    def _check(self) -> None:
        change, targets = self.request.change, self.stack.targets()
        self.journal.say("checking the outputs of the stack", "step", 95)
        if (change.target in targets) is (change.action == "delete"):
            found = "still has" if change.action == "delete" else "does not have"
            raise CommandFailed(f"the deployment ended, and the stack {found} {change.target}")

    def _finish(self, note: str) -> None:
        change, before = self.request.change, self.journal.text(BEFORE) or ""
        if change.action == "delete":
            self._undo_drain(drop=True)
        elif not words.had(change, before, self.stack) and self.stack.is_draining(change.target):
            note += self._end_drain()
        self.journal.say("done", "step", 100)
        self.journal.end(State.DONE, words.done(change, before, self.stack) + note)

    def _fail(self, failure: Exception) -> None:
        """Note why the job is rolled back, before anything is."""
        stopped = isinstance(failure, Cancelled | DeploymentStopped) and self.journal.cancelled_by()
        state = State.CANCELLED if stopped else State.FAILED
        reason = f"cancelled by {self.journal.cancelled_by()}" if stopped else words.short(failure)
        if isinstance(failure, CommandFailed):
            self.journal.say(failure.message)
        self.journal.write(ROLLBACK, json.dumps({"state": state, "reason": reason, "deploy": self._began}))

    def _roll_back(self) -> None:
        noted = json_access.as_object(json_access.parse(self.journal.text(ROLLBACK) or ""))
        reason = json_access.string(noted.get("reason"))
        state = State(json_access.string(noted.get("state"), State.FAILED))
        self.journal.say(f"rolling back: {reason}", "step")
        before, after, found = self.journal.text(BEFORE), self.journal.text(AFTER), self.stack.file.text()
        if before is None or found not in (before, after):
            kept = f"{self.stack.file.path.name} was changed by hand meanwhile, so it was left as it is"
            return self.journal.end(State.FAILED, f"{reason}. {kept}{self._undo_drain()}")
        if found != before:
            self.stack.file.write(before)
        told = ["The former config is back"]
        if noted.get("deploy"):
            told.append(self._deploy_former())
        left = self._undo_drain()
        return self.journal.end(state, f"{reason}. {' '.join(told)}{left}")

    def _deploy_former(self) -> str:
        """Deploy the former config; how that ended, in a sentence."""
        change, name = self.request.change, self.stack.file.path.name
        try:
            note = self._deploy(lambda: None)
        except CommandFailed as failure:
            self.journal.say(failure.message)
            left = self.stack.resources(change.cloud, change.region)
            there = change.target in words.targets(self.journal.text(BEFORE) or "", name, self.stack.name)
            return words.not_rolled_back(change, words.short(failure), [] if there else left)
        return f"and deployed again{note}"

    def _undo_drain(self, *, drop: bool = False) -> str:
        """End the drain of this job; what is left, for its result. drop: also one that was there before,
        since its target is gone."""
        noted = json_access.as_object(json_access.parse(self.journal.text(DRAINED) or ""))
        return "" if not noted or (noted.get("before") and not drop) else self._end_drain()

    def _end_drain(self) -> str:
        """End the drain of the target; what is left, for the result."""
        target = self.request.change.target
        try:
            problems = self.stack.drain(target, undo=True)
        except CommandFailed as failure:
            problems = [failure.message]
        for problem in problems:
            self.journal.say(f"the drain could not be ended: {problem}")
        return words.still_draining(target, problems)
