"""Tests of the state that a killed Pulumi leaves: locks, pending operations, damaged checkpoints."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.operations.errors import PulumiFailed, StackLocked
from infra.operations.paths import Layout
from infra.operations.stack.recovery import (
    check_lock,
    check_state,
    is_pulumi,
    release_stale_lock,
    unfinished_operations,
)
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import (
    LockStatus,
    has_resources,
    locks_named,
    parse_lock,
    pending_operations,
    resources_of,
    still_running,
    strongest_lock,
)
from tests.infra.cli.fakes import script
from tests.infra.fleet import FUNCTIONS


def lock(pid: int, host: str = "here") -> str:
    """A lock file of Pulumi's file backend."""
    return json.dumps({"pid": pid, "username": "me", "hostname": host, "timestamp": "2026-11-22T10:00:00Z"})


def lives(*pids: int) -> Callable[[int], bool]:
    """A machine on which only these processes run."""
    return lambda pid: pid in pids


@pytest.mark.parametrize(
    ("notes", "status"),
    [
        ([], LockStatus.FREE),
        ([lock(5)], LockStatus.STALE),
        ([lock(7)], LockStatus.HELD),
        ([lock(5, "there")], LockStatus.FOREIGN),
        ([lock(5), lock(7)], LockStatus.HELD),
        ([lock(5), lock(9, "there")], LockStatus.FOREIGN),
        ([lock(7)[:20]], LockStatus.STALE),
        (["[]"], LockStatus.STALE),
    ],
)
def test_a_lock_is_stale_only_if_its_process_has_ended(notes: list[str], status: LockStatus) -> None:
    """A running holder comes before an unknown one, and both before an ended one. A partial file is stale."""
    assert strongest_lock(map(parse_lock, notes), "here", lives(7)).status is status


def test_the_locks_are_read_from_what_pulumi_says_of_them() -> None:
    """The text is that of Pulumi's own backends (pkg/backend/diy/lock.go); other lines name none."""
    place = "s3://state/.pulumi/locks/organization/skyfleet/prod/22d8693a.json"
    said = (
        "error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or "
        "delete the lock file with `pulumi cancel`.\n"
        f"  {place}: created by root@build-7.example (pid 285) at 2026-11-22T10:00:00Z\n"
        f"  {place}: created by @host (pid 1) at 2026-11-22T10:00:01+01:00\n"
    )
    first, second = locks_named(said)
    assert (first.user, first.host, first.pid, first.since) == (
        "root",
        "build-7.example",
        285,
        "2026-11-22T10:00:00Z",
    )
    assert (second.user, second.host, second.pid) == ("", "host", 1)
    assert locks_named("created by a@b (pid 1) at noon") == locks_named("") == []


def test_a_reused_pid_is_not_pulumi(tmp_path: Path) -> None:
    """The name of the running program is compared too."""
    for pid, name in ((1, "pulumi\n"), (2, "bash\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(name)
    assert is_pulumi(1, tmp_path)
    assert not is_pulumi(2, tmp_path)
    assert not is_pulumi(3, tmp_path)


def checkpoint(**latest: object) -> str:
    """A checkpoint with these fields in its latest deployment."""
    return json.dumps({"version": 3, "checkpoint": {"stack": "x", "latest": latest}})


def test_pending_operations_are_named() -> None:
    """Each has the resource's name and the kind of operation."""
    urn = "urn:pulumi:local::skyfleet::aws:lambda/function:Function::agent-aws"
    text = checkpoint(pending_operations=[{"type": "creating", "resource": {"urn": urn}}, {}])
    assert pending_operations(text) == ["creating agent-aws", "changing an unknown resource"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"checkpoint": null}', checkpoint()])
def test_a_checkpoint_without_a_deployment_is_not_deployed(text: str) -> None:
    """This is a new stack or a damaged file."""
    assert pending_operations(text) == []
    assert not has_resources(text)


def test_a_checkpoint_with_resources_is_deployed() -> None:
    """Only then does `down` run `pulumi destroy`."""
    assert has_resources(checkpoint(resources=[{"urn": "u"}]))


def test_a_damaged_state_is_reported_with_its_backup(tmp_path: Path) -> None:
    """The error names Pulumi's backup copy if it exists; a valid and a missing state are accepted."""
    layout = Layout(tmp_path)
    check_state(layout)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text(checkpoint())
    check_state(layout)
    layout.checkpoint.write_bytes(b"\xff{")
    with pytest.raises(PulumiFailed, match=r"local\.json is damaged.*: `make down` and `make up`"):
        check_state(layout)
    older = layout.checkpoint.with_name("local.json.bak")
    older.write_text("{")
    with pytest.raises(PulumiFailed, match=r"object\): `make down`"):
        check_state(layout)
    backups = layout.state / ".pulumi" / "backups" / "skyfleet" / "local"
    backups.mkdir(parents=True)
    (backups / "local.1.json").write_text(checkpoint())
    (backups / "local.2.json").write_text("{")
    with pytest.raises(PulumiFailed, match=r"`cp \S+backups/skyfleet/local/local\.1\.json \S+local\.json`"):
        check_state(layout)
    older.write_text(checkpoint())
    with pytest.raises(PulumiFailed, match=r"`cp \S+local\.json\.bak \S+local\.json`"):
        check_state(layout)


def test_a_state_of_a_newer_pulumi_is_refused_by_its_version(tmp_path: Path) -> None:
    """This one would read it wrongly, or not at all."""
    layout = Layout(tmp_path)
    layout.checkpoint.parent.mkdir(parents=True)
    layout.checkpoint.write_text(json.dumps({"version": 4, "checkpoint": {}}))
    check_state(layout)
    layout.checkpoint.write_text(json.dumps({"version": 5, "checkpoint": {}}))
    with pytest.raises(PulumiFailed, match=r"has version 5 .* newer Pulumi; this one reads up to 4"):
        check_state(layout)


def test_the_resources_of_a_region_are_told_by_their_names() -> None:
    """Components of the project are no resources of a cloud."""
    urns = {
        "aws:iam/role:Role": "aws-us-east-1-agent",
        "aws:s3/bucket:Bucket": "aws-us-east-1",
        "skyfleet:aws:Function": "aws-us-east-1-agent",
        "aws:sqs/queue:Queue": "aws-us-east-12-agent",
    }
    resources = [{"type": kind, "urn": f"urn:pulumi:x::y::{kind}::{name}"} for kind, name in urns.items()]
    state = json.dumps({"checkpoint": {"latest": {"resources": resources}}})
    assert resources_of(state, "aws", "us-east-1") == [
        "aws:iam/role:Role aws-us-east-1-agent",
        "aws:s3/bucket:Bucket aws-us-east-1",
    ]
    exported = json.dumps({"version": 3, "deployment": {"resources": resources}})
    assert resources_of(exported, "aws", "us-east-1") == resources_of(state, "aws", "us-east-1")


@pytest.fixture
def locked(tmp_path: Path) -> Layout:
    """A stack with the lock of a process that has ended."""
    layout = Layout(tmp_path)
    layout.stack_locks.mkdir(parents=True)
    (layout.stack_locks / "1.json").write_text(lock(2**22 + 1, socket.gethostname()))
    return layout


def test_a_stale_lock_is_cancelled_and_reported(locked: Layout) -> None:
    """`up` reports that an earlier run was killed and continues."""
    log = locked.root / "log"
    engine = PulumiRunner(
        script(locked.root / "pulumi", f'echo "$@" > {log}'), locked.root, {"PATH": "/usr/bin:/bin"}
    )
    said: list[str] = []
    release_stale_lock(locked, engine, said.append)
    assert log.read_text().startswith("cancel --yes --stack local")
    assert "was killed" in said[0]
    assert list(locked.stack_locks.iterdir()) == []


def test_a_program_that_has_the_pid_of_a_stale_lock_lives_on(locked: Layout) -> None:
    """The kernel gave it the number, and it leads a session: that is not the one of the killed Pulumi."""
    engine = PulumiRunner(script(locked.root / "pulumi", ""), locked.root, {"PATH": "/usr/bin:/bin"})
    other = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    try:
        (locked.stack_locks / "1.json").write_text(lock(other.pid, socket.gethostname()))
        release_stale_lock(locked, engine, lambda text: None)
        assert list(locked.stack_locks.iterdir()) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_lock_of_another_machine_is_kept(locked: Layout) -> None:
    """Its process cannot be checked, so the message tells the user how to remove the lock."""
    (locked.stack_locks / "2.json").write_text(lock(1, "elsewhere"))
    engine = PulumiRunner(locked.root / "never-run", locked.root, {})
    with pytest.raises(StackLocked, match=r"me@elsewhere.*pulumi cancel"):
        release_stale_lock(locked, engine, lambda text: None)
    assert len(list(locked.stack_locks.iterdir())) == 2


def test_a_lock_that_cannot_be_read_is_not_called_stale(locked: Layout) -> None:
    """A folder stands for a file of another user: root may read any."""
    (locked.stack_locks / "2.json").mkdir()
    engine = PulumiRunner(locked.root / "never-run", locked.root, {})
    with pytest.raises(StackLocked, match=r"2\.json cannot be read \(Is a directory\)") as refused:
        release_stale_lock(locked, engine, lambda text: None)
    assert (refused.value.pid, refused.value.since) == (0, "")
    assert len(list(locked.stack_locks.iterdir())) == 2


def test_a_lock_that_is_removed_while_it_is_read_is_none(tmp_path: Path) -> None:
    """Its Pulumi has ended. A link to nothing stands for the moment between listing and reading."""
    layout = Layout(tmp_path)
    layout.stack_locks.mkdir(parents=True)
    (layout.stack_locks / "1.json").symlink_to(tmp_path / "gone")
    assert check_lock(layout).status is LockStatus.FREE


def test_a_pulumi_that_begins_during_the_recovery_keeps_its_lock(locked: Layout) -> None:
    """Only the locks that were found stale are removed."""
    new = locked.stack_locks / "2.json"
    engine = PulumiRunner(
        script(locked.root / "pulumi", f"rm {locked.stack_locks}/1.json; echo '{lock(1)}' > {new}"),
        locked.root,
        {"PATH": "/usr/bin:/bin"},
    )
    release_stale_lock(locked, engine, lambda text: None)
    assert list(locked.stack_locks.iterdir()) == [new]


def test_an_unlocked_stack_needs_no_recovery(tmp_path: Path) -> None:
    """Without a lock and a state Pulumi is not started."""
    layout = Layout(tmp_path)
    release_stale_lock(layout, PulumiRunner(tmp_path / "never-run", tmp_path, {}), lambda text: None)
    assert unfinished_operations(layout) == []


@pytest.mark.parametrize(
    ("types", "said"),
    [
        (None, "Nothing ran before."),
        ([], "Nothing ran before."),
        (["pulumi:pulumi:Stack", "random:index/randomId:RandomId"], "Nothing ran before."),
        *(([type], "What ran before still runs.") for type in FUNCTIONS.values()),
    ],
)
def test_only_a_state_with_a_function_had_something_running(
    tmp_path: Path, types: list[str] | None, said: str
) -> None:
    """A first deployment that failed early leaves the stack itself, its secrets, or no state at all."""
    path = tmp_path / "local.json"
    if types is not None:
        path.write_text(checkpoint(resources=[{"type": type} for type in types]))
    assert still_running(path) == said
