"""The clouds' schedulers fire the functions, each in its own way."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from emulator.desired.model import DesiredState, Schedule
from emulator.runtime.schedules import Run
from tests.end_to_end.kit import Lab, lab, until

pytestmark = pytest.mark.emulator


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Lab]:
    async with lab(tmp_path) as running:
        yield running


def events(here: Lab, cloud: str) -> list[bytes]:
    path = here.folder / f"{cloud}-events"
    return path.read_bytes().splitlines() if path.exists() else []


def only(runs: list[Run]) -> Run:
    assert len(runs) == 1
    return runs[0]


async def test_eventbridge_posts_its_event_through_the_adapter(here: Lab) -> None:
    """Without an input of its own the target gets the scheduler's event, with one it gets that."""
    spec = here.spec("aws", role="checker")
    schedule = Schedule("aws/here/schedule", "aws", 1, spec.key, None)
    await here.deploy(spec, desired=DesiredState(schedules=(schedule,)))
    run = only(await here.emulator.schedules.run_now("aws"))
    assert run.outcome is not None
    assert run.outcome.ok
    assert json.loads(events(here, "aws")[0])["source"] == "aws.scheduler"
    own = Schedule("aws/here/schedule", "aws", 1, spec.key, None, b'{"mine": 1}')
    await here.deploy(desired=DesiredState(schedules=(own,)))
    await here.emulator.schedules.run_now("aws")
    assert events(here, "aws")[1] == b'{"mine": 1}'


async def test_cloud_scheduler_posts_with_a_token(here: Lab) -> None:
    """The job's request is a POST on `/` of the function."""
    spec = here.spec("gcp", role="checker")
    schedule = Schedule("gcp/job", "gcp", 1, spec.key, None, b"{}")
    await here.deploy(spec, desired=DesiredState(schedules=(schedule,)))
    run = only(await here.emulator.schedules.run_now("gcp"))
    assert run.outcome is not None
    assert run.outcome.status == 200
    assert events(here, "gcp") == [b"{}"]


async def test_azure_finds_its_timers_in_the_code(here: Lab) -> None:
    """No resource names the timer; indexing the app does."""
    spec = here.spec("azure", role="checker", timer=True)
    await here.deploy(spec)
    run = only(await here.emulator.schedules.run_now("azure"))
    assert run.entry.key == f"{spec.key}#check"
    assert run.outcome is not None
    assert run.outcome.ok
    assert json.loads(events(here, "azure")[0]) == {"past_due": False}


async def test_a_short_minute_makes_them_fire_by_themselves(here: Lab) -> None:
    """With an emulated minute of 0.2 s several runs follow."""
    aws, azure = here.spec("aws", role="checker"), here.spec("azure", role="checker", timer=True)
    schedule = Schedule("aws/here/schedule", "aws", 1, aws.key, None)
    here.emulator.set_minute(0.2)
    await here.deploy(aws, azure, desired=DesiredState(schedules=(schedule,)))
    await until(lambda: len(events(here, "aws")) >= 2 and len(events(here, "azure")) >= 2)


async def test_a_refused_schedule_reports_the_reason_and_calls_no_function(here: Lab) -> None:
    """The schedule lacks the permission to call its function."""
    spec = here.spec("gcp", role="checker")
    schedule = Schedule("gcp/job", "gcp", 1, spec.key, "no run.invoker role")
    await here.deploy(spec, desired=DesiredState(schedules=(schedule,)))
    run = only(await here.emulator.schedules.run_now("gcp"))
    assert run.outcome is not None
    assert "no run.invoker role" in run.outcome.text
    assert events(here, "gcp") == []


async def test_a_killed_cloud_fires_in_vain(here: Lab) -> None:
    """Faults hit the scheduler's calls too."""
    from emulator.runtime.faults import Fault, Injected

    spec = here.spec("aws", role="checker")
    schedule = Schedule("aws/here/schedule", "aws", 1, spec.key, None)
    await here.deploy(spec, desired=DesiredState(schedules=(schedule,)))
    await here.emulator.set_faults((Injected("aws", "checkers", Fault("kill")),))
    run = only(await here.emulator.schedules.run_now("aws"))
    assert run.outcome is not None
    assert not run.outcome.ok
    assert events(here, "aws") == []
