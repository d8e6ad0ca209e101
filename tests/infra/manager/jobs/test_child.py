"""The process of a job: when a cancel interrupts it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from infra.manager.jobs import child
from infra.manager.jobs.child import Interrupt
from infra.manager.jobs.journal import ROLLBACK, Journal, Request
from tests.infra.manager.jobs.fakes import CREATE, NOW


@pytest.mark.parametrize("rolls_back", [False, True])
def test_a_cancel_interrupts_a_deployment_and_not_its_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rolls_back: bool
) -> None:
    """A cancel may be stored in the moment in which the deployment fails."""
    sent: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))

    monkeypatch.setattr(child.os, "kill", kill)
    journal = Journal.create(tmp_path / "job", Request("job", CREATE, "ann", NOW))
    journal.cancel("bob")
    if rolls_back:
        journal.write(ROLLBACK, "{}")
    interrupt = Interrupt(journal)
    interrupt.arm()
    interrupt._watch()  # pyright: ignore[reportPrivateUsage]
    assert sent == ([] if rolls_back else [(os.getpid(), signal.SIGTERM)])
