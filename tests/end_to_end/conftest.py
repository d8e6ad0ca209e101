"""Fixtures of the emulator tier: one deployed fleet per test process, left healthy by every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.gallery import deploy
from tests.end_to_end.plugin_list import quick_pip

MINUTE_S = 3.0
RESTING_S = 3600.0


@pytest.fixture(scope="session")
def any_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet on three clouds, deployed by `skyfleet up`; a former file may have left its agent there."""
    fleet = Fleet.copy(tmp_path_factory.mktemp("fleet"))
    fleet.variables["PYTHONPATH"] = os.pathsep.join((str(fleet.root), quick_pip(fleet.root)))
    try:
        fleet.run("up", seconds=550)
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture(scope="module")
def awake(any_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet while a file needs it. After that its schedules rest: its checkers would probe to the end of
    the session, which takes a twentieth of a CPU."""
    any_fleet.set_minute(MINUTE_S)
    yield any_fleet
    any_fleet.set_minute(RESTING_S)


@pytest.fixture(scope="module")
def fleet(awake: Fleet) -> Fleet:
    """The fleet with the agent of its folder."""
    if awake.behind:
        awake.run("up", seconds=550)
    return awake


@pytest.fixture(scope="module")
def examples(awake: Fleet) -> Fleet:
    """The fleet with all examples as its agent."""
    if not awake.gallery:
        deploy(awake)
    return awake


@pytest.fixture
def healed(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet, with no fault before or after."""
    fleet.heal()
    fleet.wait_until_healthy()
    yield fleet
    fleet.heal()
