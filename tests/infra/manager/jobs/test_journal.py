"""The journal of a job: whole files, lines that were cut off, a disk that is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.manager.jobs import journal
from infra.manager.jobs.journal import Child, Journal, Request
from infra.manager.jobs.model import State
from tests.infra.manager.jobs.fakes import CREATE, NOW


@pytest.fixture
def made(tmp_path: Path) -> Journal:
    """A queued job."""
    Journal.create(tmp_path / "job", Request("job", CREATE, "ann", NOW, "0123456789ab"))
    return Journal(tmp_path / "job", lambda: NOW)


def test_a_job_is_read_back_as_it_was_written(made: Journal) -> None:
    """Queued, running, ended."""
    job = made.job()
    assert job is not None
    assert (job.state, job.change, job.by) == (State.QUEUED, CREATE, "ann")
    made.write_child(Child(7, 8, 1, NOW + 1))
    made.say("packages", "step", 15)
    made.end(State.DONE, "added", ("create x",))
    job = made.job()
    assert job is not None
    assert (job.state, job.started, job.result, job.plan) == (State.DONE, NOW + 1, "added", ("create x",))
    assert [event.text for event in job.events] == ["packages"]


def test_a_line_that_was_cut_off_is_dropped(made: Journal) -> None:
    """The next process goes on with the number after the last whole one."""
    made.say("one", percent=40)
    with (made.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "at": 1')
    assert len(made.events()[0]) == 1
    after = Journal(made.folder, lambda: NOW)
    after.say("two", percent=30)
    assert [(event.number, event.text, event.percent) for event in after.events()[0]] == [
        (1, "one", 40),
        (2, "two", 40),
    ]


def test_events_are_read_from_an_offset(made: Journal) -> None:
    """Each once."""
    made.say("one")
    first, offset = made.events()
    made.say("two")
    second, end = made.events(offset)
    assert [event.text for event in (*first, *second)] == ["one", "two"]
    assert made.events(end) == ([], end)


def test_a_damaged_file_counts_as_missing(made: Journal) -> None:
    """Of a job without a request nothing is known."""
    (made.folder / "child.json").write_text("{")
    assert made.child() is None
    (made.folder / "request.json").write_bytes(b"\xff")
    assert made.job() is None


def test_an_event_is_lost_on_a_full_disk_and_a_result_is_tried_again(
    made: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work goes on; without a result the process ends with an error."""
    (made.folder / "events.jsonl").mkdir()
    made.say("lost")
    failures = [OSError(28, "No space left on device")] * 2
    write = journal.write_whole

    def full(path: Path, text: str) -> None:
        if failures:
            raise failures.pop()
        write(path, text)

    monkeypatch.setattr(journal, "write_whole", full)
    paused: list[float] = []
    made.sleep = paused.append
    made.end(State.DONE, "added")
    assert len(paused) == 2
    result = made.result()
    assert result is not None
    assert result.text == "added"
    failures += [OSError(28, "No space left on device")] * 9
    with pytest.raises(OSError, match="No space left"):
        made.end(State.DONE, "added")
