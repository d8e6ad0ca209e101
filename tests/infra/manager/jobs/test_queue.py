"""The queue: what is refused at once, one job at a time, and jobs that outlive their processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.manager.desired.stack_file import StackFile
from infra.manager.errors import BadRequest, Conflict, NotFound, Unavailable
from infra.manager.jobs import queue
from infra.manager.jobs.journal import Child, Journal
from infra.manager.jobs.model import Change, Job, State
from infra.manager.jobs.processes import is_alive
from infra.manager.jobs.queue import ATTEMPTS, JobQueue, Means
from infra.operations.errors import StackLocked
from tests.infra.manager.jobs.fakes import CREATE, DELETE, NOW, QUIET, TEXT, WEIGHT, FakeStack

pytestmark = pytest.mark.anyio

CHECKOUT = Path(__file__).resolve().parents[4]
ENOUGH_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Exit:
    """A process that has ended."""

    code: int | None

    def poll(self) -> int | None:
        return self.code


@dataclass
class Jobs:
    """Queues over one folder. processes: children that were started."""

    root: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    ticks: Iterator[int] = field(default_factory=itertools.count)
    locked: StackLocked | None = None
    spawn: Callable[[Path], queue.Process] | None = None
    clock: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        (self.root / "Pulumi.dev.yaml").write_text(TEXT)
        FakeStack(self.root).deploy(QUIET, lambda: None)

    @property
    def file(self) -> StackFile:
        return StackFile(self.root / "Pulumi.dev.yaml")

    def hold(self) -> None:
        """Deployments wait from now on."""
        (self.root / "hold").touch()

    def release(self) -> None:
        """Deployments go on."""
        (self.root / "hold").unlink()

    def queue(self) -> JobQueue:
        """A manager's queue."""
        means = Means(
            "dev",
            self.file,
            self.spawn or self._spawn,
            is_alive,
            self._check_lock,
            self.clock or (lambda: NOW + next(self.ticks) / 1000),
            0.01,
        )
        return JobQueue(self.root / "jobs", means)

    def _check_lock(self) -> None:
        if self.locked:
            raise self.locked

    def _spawn(self, folder: Path) -> subprocess.Popen[bytes]:
        module = "tests.infra.manager.jobs.fake_child"
        started = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), str(self.root)], cwd=CHECKOUT, start_new_session=True
        )
        self.processes.append(started)
        return started

    def end(self) -> None:
        """End what a test has left."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    found = Jobs(tmp_path)
    yield found
    found.end()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(ENOUGH_S):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(jobs: JobQueue, job: Job) -> Job:
    """The job when it has ended."""
    async with asyncio.timeout(ENOUGH_S):
        async for _ in jobs.events(job.id):
            pass
    return jobs.get(job.id)


def deploys(jobs: JobQueue, job: Job) -> Callable[[], bool]:
    """Whether the deployment of a job has begun."""
    return lambda: any("version" in event.text for event in jobs.get(job.id).events)


async def test_a_child_process_carries_out_a_job(jobs: Jobs) -> None:
    """Its events come in order and without gaps, and the percentage ends with 100."""
    manager = jobs.queue()
    async with manager.running():
        job = await manager.submit(CREATE, "ann")
        assert job.state is State.QUEUED
        done = await ended(manager, job)
    assert (done.state, done.result) == (State.DONE, "aws/us-east-1 is added and serves")
    assert [event.number for event in done.events] == list(range(1, len(done.events) + 1))
    assert done.events[-1].percent == 100
    assert jobs.queue().get(job.id) == done


async def test_a_manager_that_is_started_again_goes_on_with_a_job_that_runs(jobs: Jobs) -> None:
    """The child knows nothing of the manager."""
    jobs.hold()
    first = jobs.queue()
    async with first.running():
        job = await first.submit(CREATE, "ann")
        await until(deploys(first, job))
    second = jobs.queue()
    assert second.get(job.id).state is State.RUNNING
    async with second.running():
        jobs.release()
        done = await ended(second, job)
    assert done.state is State.DONE
    assert len(jobs.processes) == 1


async def test_a_killed_child_is_started_again(jobs: Jobs) -> None:
    """It says so, and ends the job."""
    jobs.hold()
    manager = jobs.queue()
    async with manager.running():
        job = await manager.submit(CREATE, "ann")
        await until(deploys(manager, job))
        jobs.processes[0].send_signal(signal.SIGKILL)
        jobs.processes[0].wait()
        jobs.release()
        done = await ended(manager, job)
    assert done.state is State.DONE
    assert "the process of this job was ended in the middle: it is carried out again" in [
        event.text for event in done.events
    ]
    assert FakeStack(jobs.root).deployed == FakeStack(jobs.root).desired


async def test_child_and_manager_killed_together_are_no_loss(jobs: Jobs) -> None:
    """The next manager finds a dead child without a result."""
    jobs.hold()
    first = jobs.queue()
    async with first.running():
        job = await first.submit(CREATE, "ann")
        await until(deploys(first, job))
    jobs.processes[0].kill()
    jobs.processes[0].wait()
    jobs.release()
    second = jobs.queue()
    async with second.running():
        assert (await ended(second, job)).state is State.DONE


async def test_a_child_that_always_dies_is_given_up(jobs: Jobs) -> None:
    """After some attempts, with what may be left."""
    (jobs.root / "dies").touch()
    manager = jobs.queue()
    async with manager.running():
        failed = await ended(manager, await manager.submit(CREATE, "ann"))
    assert failed.state is State.FAILED
    assert failed.result.startswith(f"its process ended {ATTEMPTS} times without a result")
    assert "part of it may be deployed: `make up` deploys what the file says" in failed.result
    assert len(jobs.processes) == ATTEMPTS


async def test_a_second_process_of_a_job_ends_at_once(jobs: Jobs) -> None:
    """As when a manager was killed after it had started one."""
    jobs.hold()
    manager = jobs.queue()
    async with manager.running():
        job = await manager.submit(CREATE, "ann")
        await until(deploys(manager, job))
        second = jobs._spawn(jobs.root / "jobs" / job.id)  # pyright: ignore[reportPrivateUsage]
        assert await asyncio.to_thread(second.wait) == 3
        jobs.release()
        assert (await ended(manager, job)).state is State.DONE


async def test_jobs_run_one_at_a_time_in_their_order(jobs: Jobs) -> None:
    """And one that waits can be cancelled."""
    jobs.hold()
    manager = jobs.queue()
    async with manager.running():
        first = await manager.submit(CREATE, "ann")
        second = await manager.submit(DELETE, "bob")
        third = await manager.submit(Change("weight", "gcp", "europe-west1", {"weight": 2}), "eve")
        assert first.id < second.id < third.id
        await until(deploys(manager, first))
        assert manager.get(second.id).state is State.QUEUED
        cancelled = await manager.cancel(second.id, "eve")
        assert (cancelled.state, cancelled.result) == (State.CANCELLED, "cancelled by eve before it began")
        jobs.release()
        assert (await ended(manager, third)).state is State.DONE
    assert manager.get(first.id).state is State.DONE
    assert [job.id for job in manager.recent(2)] == [third.id, second.id]
    assert FakeStack(jobs.root).deployed == {"aws/eu-west-1": 3, "aws/us-east-1": 1, "gcp/europe-west1": 2}


async def test_a_job_that_runs_is_cancelled_and_rolled_back(jobs: Jobs) -> None:
    """A second cancel, and one after the end, are conflicts."""
    jobs.hold()
    manager = jobs.queue()
    async with manager.running():
        job = await manager.submit(CREATE, "ann")
        await until(deploys(manager, job))
        await manager.cancel(job.id, "bob")
        await until((jobs.root / "jobs" / job.id / "rollback.json").exists)
        with pytest.raises(Conflict, match="rolled back already"):
            await manager.cancel(job.id, "bob")
        jobs.release()
        done = await ended(manager, job)
        with pytest.raises(Conflict, match="has ended"):
            await manager.cancel(job.id, "bob")
    assert done.state is State.CANCELLED
    assert done.result.startswith("cancelled by bob. The former config is back")
    assert jobs.file.text() == TEXT


async def test_the_second_of_two_operators_with_one_version_is_refused(jobs: Jobs) -> None:
    """With the job and the operator of the first, and the version to look at."""
    manager, seen = jobs.queue(), jobs.file.version()
    first = await manager.submit(Change("create", "aws", "us-east-1", version=seen), "ann")
    with pytest.raises(Conflict, match=r"by the job \S+ of ann: it has version") as refused:
        await manager.submit(Change("create", "aws", "us-west-2", version=seen), "bob")
    assert refused.value.extra["by"] == "ann"
    assert refused.value.extra["job"] == first.id
    new = str(refused.value.extra["version"])
    second = await manager.submit(Change("create", "aws", "us-west-2", version=new), "bob")
    assert second.state is State.QUEUED


async def test_a_version_that_was_changed_by_hand_is_refused(jobs: Jobs) -> None:
    """The message says so."""
    manager, seen = jobs.queue(), jobs.file.version()
    jobs.file.write(TEXT.replace("weight: 3", "weight: 4"))
    with pytest.raises(Conflict, match="changed by hand"):
        await manager.submit(Change("create", "aws", "us-east-1", version=seen), "ann")


async def test_an_operator_with_the_version_of_a_job_that_was_rolled_back_is_told_of_it(jobs: Jobs) -> None:
    """The config is the former one again, and no hand has changed it."""
    manager, seen = jobs.queue(), jobs.file.version()
    job = await manager.submit(Change("create", "aws", "us-east-1", version=seen), "ann")
    with pytest.raises(Conflict) as refused:
        await manager.submit(Change("create", "aws", "us-west-2", version=seen), "bob")
    during = str(refused.value.extra["version"])
    await manager.cancel(job.id, "ann")
    with pytest.raises(Conflict, match=rf"by the job {job.id} of ann, which was rolled back,") as refused:
        await manager.submit(Change("create", "aws", "us-west-2", version=during), "bob")
    assert refused.value.extra["version"] == seen


async def test_a_change_is_checked_against_the_jobs_that_wait(jobs: Jobs) -> None:
    """A target that a queued job adds can be removed by the next one."""
    manager = jobs.queue()
    removal = Change("delete", "aws", "us-east-1")
    with pytest.raises(NotFound) as refused:
        await manager.submit(removal, "ann")
    assert refused.value.extra["known"] == ["aws/eu-west-1", "gcp/europe-west1"]
    await manager.submit(CREATE, "ann")
    assert (await manager.submit(removal, "ann")).state is State.QUEUED
    with pytest.raises(BadRequest):
        await manager.submit(Change("create", "aws", "us-esat-1"), "ann")
    assert len(manager.recent(10)) == 2


async def test_another_pulumi_on_the_stack_is_a_conflict(jobs: Jobs) -> None:
    """With its pid and since when."""
    jobs.locked = StackLocked("another Pulumi (pid 7, since 10:00) is working on this stack", 7, "10:00")
    with pytest.raises(Conflict) as refused:
        await jobs.queue().submit(CREATE, "ann")
    assert refused.value.extra == {"pid": 7, "since": "10:00"}
    jobs.locked = StackLocked("the stack's lock cannot be read")
    with pytest.raises(Conflict) as refused:
        await jobs.queue().submit(CREATE, "ann")
    assert refused.value.extra == {}


async def test_a_job_that_cannot_be_stored_is_refused(jobs: Jobs) -> None:
    """A folder that is a file stands for a disk that is full: root may write anywhere."""
    (jobs.root / "jobs").write_text("")
    with pytest.raises(Unavailable, match=r"the job cannot be stored in .*/jobs: .* Nothing was changed"):
        await jobs.queue().submit(CREATE, "ann")


async def test_a_process_that_cannot_be_started_fails_the_job(jobs: Jobs) -> None:
    """Nothing was changed."""

    def spawn(_folder: Path) -> queue.Process:
        raise OSError(12, os.strerror(12))

    jobs.spawn = spawn
    manager = jobs.queue()
    async with manager.running():
        failed = await ended(manager, await manager.submit(CREATE, "ann"))
    assert failed.state is State.FAILED
    assert failed.result.startswith("its process cannot be started: Cannot allocate memory")
    assert failed.result.endswith("Nothing was changed")


async def test_the_history_is_bounded(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest jobs go, with their folders."""
    monkeypatch.setattr(queue, "HISTORY", 2)

    def spawn(folder: Path) -> queue.Process:
        Journal(folder, lambda: NOW).end(State.DONE, "done")
        return Exit(0)

    jobs.spawn = spawn
    manager = jobs.queue()
    async with manager.running():
        made = [await manager.submit(CREATE, "ann") for _ in range(4)]
        await ended(manager, made[-1])
        await until(lambda: len(manager.recent(9)) == 2)
    kept = sorted(path.name for path in (jobs.root / "jobs").iterdir())
    assert kept == [job.id for job in made[2:]] == [job.id for job in reversed(jobs.queue().recent(9))]


@pytest.mark.parametrize("back_s", [0.0, 0.5, 3600.0, 40 * 365 * 86400.0])
async def test_jobs_keep_their_order_when_the_clock_goes_back(jobs: Jobs, back_s: float) -> None:
    """As after a start without a battery for the clock: ids count on from the newest."""
    times = iter([NOW, NOW, *[NOW - back_s] * 8])
    jobs.clock = lambda: next(times)
    manager = jobs.queue()
    made = [await manager.submit(CREATE, "ann") for _ in range(4)]
    ids = [job.id for job in made]
    assert ids == sorted(set(ids))
    assert ids == [f"20260921T141320-{number:03d}" for number in range(4)]
    assert [job.id for job in jobs.queue().recent(9)] == ids[::-1]


async def test_folders_that_are_no_jobs_are_left_alone(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files, copies of jobs, jobs that cannot be read: they are named in the manager's log."""
    job = await jobs.queue().submit(CREATE, "ann")
    folder = jobs.root / "jobs"
    shutil.copytree(folder / job.id, folder / f"{job.id}.old")
    shutil.copytree(folder / job.id, folder / "zzz")
    (folder / "empty").mkdir()
    (folder / "file").write_text("")
    for name, content in (("20200101T000000-000", b""), ("20200101T000000-001", b"\xff{")):
        (folder / name).mkdir()
        (folder / name / "request.json").write_bytes(content)
    manager = jobs.queue()
    assert [one.id for one in manager.recent(9)] == [job.id]
    assert (await manager.submit(DELETE, "ann")).id > job.id
    assert len(list(folder.iterdir())) == 8
    said = capsys.readouterr().err
    assert said.count("is no job that can be read") == 6
    assert "zzz is no job" in said


async def test_a_job_whose_result_cannot_be_read_is_not_carried_out_again(jobs: Jobs) -> None:
    """A result is written as a whole, so its job has ended; its change may have been undone since."""
    job = await jobs.queue().submit(CREATE, "ann")
    (jobs.root / "jobs" / job.id / "result.json").write_text("")
    manager = jobs.queue()
    assert manager.get(job.id).state is State.FAILED
    assert "result.json cannot be read" in manager.get(job.id).result
    async with manager.running():
        other = await ended(manager, await manager.submit(WEIGHT, "ann"))
    assert other.state is State.DONE
    assert FakeStack(jobs.root).deployed == {"aws/eu-west-1": 5, "gcp/europe-west1": 1}
    assert len(jobs.processes) == 1


async def test_events_are_followed_across_a_line_that_cannot_be_read(jobs: Jobs) -> None:
    """The numbers have a gap then, and each of the others comes once."""
    job = await jobs.queue().submit(CREATE, "ann")
    journal = Journal(jobs.root / "jobs" / job.id, lambda: NOW)
    for text in ("one", "two", "three"):
        journal.say(text)
    path = journal.folder / "events.jsonl"
    first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"garbage\n" + third)
    after = Journal(journal.folder, lambda: NOW)
    after.say("four")
    after.end(State.DONE, "done")
    manager = jobs.queue()
    assert [(one.number, one.text) async for one in manager.events(job.id)] == [
        (1, "one"),
        (3, "three"),
        (4, "four"),
    ]
    assert [one.number async for one in manager.events(job.id, 3)] == [4]
    assert [one.number async for one in manager.events(job.id, 99)] == []


async def test_an_unknown_job_is_named(jobs: Jobs) -> None:
    """Also one that looks like a path."""
    for name in ("x", "../../etc", ""):
        with pytest.raises(NotFound):
            jobs.queue().get(name)


def test_a_dead_process_with_a_used_pid_is_not_alive() -> None:
    """The time of its start tells them apart."""
    assert not is_alive(Child(os.getpid(), 1, 1, NOW))
