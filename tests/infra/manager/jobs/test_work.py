"""A job ends as done, failed or cancelled; config, stack and result agree, also if it is killed anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.manager.jobs.journal import AFTER, BEFORE, ROLLBACK
from infra.manager.jobs.model import Change, State
from infra.manager.jobs.work import DRAIN_S
from infra.operations.errors import (
    DeploymentStopped,
    PartlyDeployed,
    PulumiFailed,
    PulumiKilled,
    SetupFailed,
    StackLocked,
)
from tests.infra.manager.jobs.fakes import CREATE, DELETE, TEXT, WEIGHT, Bench, Killed

DENIED = PulumiFailed(
    "the deployment failed (pulumi ended with 255):\n"
    "  aws:lambda:Function (aws-us-east-1-agent):\n"
    "    error: AccessDenied: the quota of the region is used up"
)


def result(bench: Bench) -> tuple[State, str]:
    """How the job ended."""
    found = bench.journal.result()
    assert found is not None
    return found.state, found.text


def assert_consistent(bench: Bench, change: Change) -> None:
    """What is deployed is what the file says, and a job that is done has its target, or is rid of it."""
    state, _ = result(bench)
    assert bench.stack.deployed == bench.stack.desired
    assert bench.text in (TEXT, bench.journal.text(AFTER))
    assert bench.stack.draining == []
    if state is State.DONE:
        assert (change.target in bench.stack.deployed) is (change.action != "delete")
    else:
        assert bench.text == TEXT


@pytest.mark.parametrize(
    ("change", "text", "deployed"),
    [
        (
            CREATE,
            "aws/us-east-1 is added and serves",
            {"aws/eu-west-1": 3, "aws/us-east-1": 1, "gcp/europe-west1": 1},
        ),
        (DELETE, "aws/eu-west-1 is removed", {"gcp/europe-west1": 1}),
        (WEIGHT, "aws/eu-west-1 is changed", {"aws/eu-west-1": 5, "gcp/europe-west1": 1}),
    ],
)
def test_a_job_changes_the_config_and_deploys_it(
    tmp_path: Path, change: Change, text: str, deployed: dict[str, float]
) -> None:
    """One deployment, and a result in one sentence; comments of the file stay."""
    bench = Bench(tmp_path, change)
    bench.work()
    assert result(bench) == (State.DONE, text)
    assert bench.stack.deployed == deployed
    assert bench.stack.deployments == 1
    assert "# The team's stack." in bench.text
    assert_consistent(bench, change)


@pytest.mark.parametrize("change", [CREATE, DELETE, WEIGHT], ids=lambda change: change.action)
@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_a_job_that_is_killed_after_any_step_is_finished_by_the_next_process(
    tmp_path: Path, change: Change, fails: bool
) -> None:
    """Before and after each write and each call of a router, and at the begin of a deployment."""
    at = 0
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        bench = Bench(folder, change)
        if fails:
            bench.stack.fails = {change.target: DENIED} if change.action == "create" else {}
            bench.stack.at_deploy = _once(bench, DENIED)
        try:
            bench.work(at)
        except Killed:
            assert bench.text in (TEXT, bench.journal.text(AFTER) or TEXT)
            if bench.journal.result() is None:
                bench.work()
        else:
            break
        assert_consistent(bench, change)
        if fails:
            assert result(bench)[0] in (State.FAILED, State.DONE)
        else:
            assert result(bench)[0] is State.DONE
    assert at > 8


def _once(bench: Bench, failure: Exception) -> Callable[[], None]:
    """Fails the deployment of the changed config, each time; that of the former one works."""

    def fail() -> None:
        if bench.text != TEXT:
            raise failure

    return fail


def test_a_job_that_is_killed_twice_is_finished_by_the_third_process(tmp_path: Path) -> None:
    """Pairs of steps of a create that fails: before, in and after its rollback."""
    for first, second in itertools.product(range(4, 17, 4), range(1, 10, 2)):
        folder = tmp_path / f"{first}-{second}"
        folder.mkdir()
        bench = Bench(folder, CREATE)
        bench.stack.fails = {CREATE.target: DENIED}
        for at in (first, second, 0):
            if bench.journal.result() is None:
                try:
                    bench.work(at)
                except Killed:
                    continue
        assert_consistent(bench, CREATE)
        assert result(bench)[0] is State.FAILED


def test_a_create_that_fails_half_way_is_rolled_back_and_named(tmp_path: Path) -> None:
    """The result has the cloud's resource and its reason; what others run is as before."""
    bench = Bench(tmp_path, CREATE)
    bench.stack.fails = {CREATE.target: DENIED}
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "aws:lambda:Function aws-us-east-1-agent: AccessDenied: the quota of the region is used up" in text
    assert text.endswith("The former config is back and deployed again")
    assert_consistent(bench, CREATE)


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_of_windows_stays_one(tmp_path: Path, fails: bool) -> None:
    """A rollback restores it byte for byte, although a job keeps its text in other files."""
    bench = Bench(tmp_path, CREATE)
    content = TEXT.replace("\n", "\r\n").encode()
    (tmp_path / "Pulumi.dev.yaml").write_bytes(content)
    if fails:
        bench.stack.fails = {CREATE.target: DENIED}
    bench.work()
    after = (tmp_path / "Pulumi.dev.yaml").read_bytes()
    assert result(bench)[0] is (State.FAILED if fails else State.DONE)
    assert after.count(b"\n") == after.count(b"\r\n") == content.count(b"\n")
    assert (after == content) is fails


def test_a_rollback_that_fails_says_what_is_left(tmp_path: Path) -> None:
    """The former config is in the file, and the resources that were created are named."""
    bench = Bench(tmp_path, CREATE)

    def fail() -> None:
        bench.stack._write("deployed", {**bench.stack.deployed, CREATE.target: 1})  # pyright: ignore
        raise DENIED

    bench.stack.at_deploy = fail
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "1 resources of aws/us-east-1 are left: aws:x aws-us-east-1." in text
    assert "The next deployment (`make up`, or a job) puts that right" in text
    assert bench.text == TEXT


def test_what_fails_before_pulumi_needs_no_second_deployment(tmp_path: Path) -> None:
    """The config is put back; nothing was touched."""
    bench = Bench(tmp_path, CREATE)
    locked = StackLocked("another Pulumi (pid 7, since 10:00) is working on this stack", 7, "10:00")
    for failure in (SetupFailed("only 3 MB are free"), locked):
        (tmp_path / "job" / "result.json").unlink(missing_ok=True)
        for name in (BEFORE, AFTER, ROLLBACK):
            (tmp_path / "job" / name).unlink(missing_ok=True)
        before, bench.attempts = bench.stack.deployments, 0

        def refuse(*_: object, failure: Exception = failure) -> None:
            bench.stack.deployments += 1
            raise failure

        bench.stack.deploy = refuse  # pyright: ignore[reportAttributeAccessIssue]
        bench.work()
        assert result(bench) == (State.FAILED, f"{failure}. The former config is back")
        assert bench.stack.deployments == before + 1
        assert bench.text == TEXT


def test_a_killed_pulumi_is_recovered_once(tmp_path: Path) -> None:
    """The second deployment goes on from there."""
    bench = Bench(tmp_path, CREATE)
    failures = [PulumiKilled("the deployment failed: Pulumi was ended by signal 9")]

    def die() -> None:
        if failures:
            raise failures.pop()

    bench.stack.at_deploy = die
    bench.work()
    assert result(bench)[0] is State.DONE
    assert any("signal 9; the deployment is repeated" in said for said in bench.said)
    assert_consistent(bench, CREATE)


def test_an_outage_of_another_cloud_does_not_undo_a_change(tmp_path: Path) -> None:
    """It is named; an outage of the target's own cloud is a failure."""
    bench = Bench(tmp_path, CREATE)
    deploy = bench.stack.deploy

    def partly(*arguments: object) -> None:
        deploy(*arguments)  # pyright: ignore[reportArgumentType]
        raise PartlyDeployed("not deployed: gcp: 503", {"gcp": "its API answered 503"})

    bench.stack.deploy = partly  # pyright: ignore[reportAttributeAccessIssue]
    bench.work()
    text = "aws/us-east-1 is added and serves; not deployed: gcp: its API answered 503"
    assert result(bench) == (State.DONE, text)


def test_a_deployment_without_its_target_is_not_called_done(tmp_path: Path) -> None:
    """The outputs of the stack decide."""
    bench = Bench(tmp_path, CREATE)

    def nothing(*_: object) -> None: ...

    bench.stack.deploy = nothing  # pyright: ignore[reportAttributeAccessIssue]
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "the stack does not have aws/us-east-1" in text


def test_a_cancelled_deployment_is_rolled_back(tmp_path: Path) -> None:
    """By the operator's name."""
    bench = Bench(tmp_path, CREATE)

    def stop() -> None:
        if bench.text != TEXT:
            bench.journal.cancel("bob")
            raise DeploymentStopped("stopped")

    bench.stack.at_deploy = stop
    bench.work()
    text = "cancelled by bob. The former config is back and deployed again"
    assert result(bench) == (State.CANCELLED, text)
    assert_consistent(bench, CREATE)


def test_a_cancel_before_the_deployment_changes_nothing(tmp_path: Path) -> None:
    """Not even a drain is left."""
    bench = Bench(tmp_path, DELETE)
    bench.journal.cancel("bob")
    bench.work()
    assert result(bench) == (State.CANCELLED, "cancelled by bob; nothing was changed")
    assert bench.stack.deployments == 0
    assert_consistent(bench, DELETE)


def test_a_config_that_is_changed_by_hand_meanwhile_stays(tmp_path: Path) -> None:
    """It is neither overwritten nor deployed."""
    bench = Bench(tmp_path, CREATE)
    by_hand = TEXT.replace("weight: 3", "weight: 4")
    bench.journal.write(BEFORE, TEXT)
    bench.journal.write(AFTER, TEXT.replace("weight: 3", "weight: 9"))
    (tmp_path / "Pulumi.dev.yaml").write_text(by_hand)
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    hand = "Pulumi.dev.yaml was changed by hand meanwhile, so it was left as it is"
    assert text == f"the job stopped before its deployment. {hand}"
    assert bench.text == by_hand
    assert bench.stack.deployments == 0


def test_a_change_by_hand_after_a_kill_does_not_hide_what_was_deployed(tmp_path: Path) -> None:
    """The job's deployment had begun when its process was killed."""
    bench = Bench(tmp_path, CREATE)

    def die() -> None:
        raise Killed

    bench.stack.at_deploy = die
    with pytest.raises(Killed):
        bench.work()
    by_hand = bench.text.replace("weight: 3", "weight: 4")
    assert by_hand != bench.text
    (tmp_path / "Pulumi.dev.yaml").write_text(by_hand)
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "the job stopped in the middle: part of its change may be deployed." in text
    assert bench.text == by_hand
    assert bench.stack.deployments == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_change_by_hand_during_the_deployment_stays(tmp_path: Path, fails: bool) -> None:
    """A rollback would overwrite it; a job that is done has its target, and the hand's change waits."""
    bench = Bench(tmp_path, CREATE)
    by_hand: list[str] = []

    def edit() -> None:
        by_hand.append(bench.text.replace("# The team's", "# Our"))
        (tmp_path / "Pulumi.dev.yaml").write_text(by_hand[0])
        if fails:
            raise DENIED

    bench.stack.at_deploy = edit
    bench.work()
    assert result(bench)[0] is (State.FAILED if fails else State.DONE)
    assert bench.text == by_hand[0]
    assert bench.stack.deployments == 1
    assert fails is ("changed by hand meanwhile, so it was left as it is" in result(bench)[1])


def test_a_change_for_another_version_is_refused(tmp_path: Path) -> None:
    """As when the job before it was rolled back."""
    change = Change("create", "aws", "us-east-1", version="0123456789ab")
    bench = Bench(tmp_path, change)
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "was made for 0123456789ab" in text
    assert bench.text == TEXT


def test_a_target_is_removed_when_its_requests_have_ended(tmp_path: Path) -> None:
    """Or after a time, which is said."""
    bench = Bench(tmp_path, DELETE)
    bench.stack.flight = [3, 2, 0]
    bench.work()
    assert 1 <= bench.slept <= 2
    assert "aws/eu-west-1 has no requests in flight" in bench.said
    (tmp_path / "other").mkdir()
    bench = Bench(tmp_path / "other", DELETE)
    bench.stack.flight = [4] * 1000
    bench.work()
    assert bench.slept == DRAIN_S
    assert "4 requests are still in flight at aws/eu-west-1 after 30 s: going on" in bench.said


@pytest.mark.parametrize("force", [False, True])
def test_a_router_that_cannot_be_told_to_drain_takes_force(tmp_path: Path, force: bool) -> None:
    """It would go on sending to what is removed."""
    bench = Bench(tmp_path, Change("delete", "aws", "eu-west-1", force=force))
    bench.stack.drain_problems = ["gcp/europe-west1: no answer"]
    bench.work()
    state, text = result(bench)
    assert state is (State.DONE if force else State.FAILED)
    assert force or "With force it is removed all the same. Nothing was changed" in text
    assert_consistent(bench, DELETE)


def test_a_target_that_was_draining_goes_on_after_a_failure(tmp_path: Path) -> None:
    """Only the job's own drain is ended."""
    bench = Bench(tmp_path, DELETE)
    bench.stack.drain(DELETE.target, undo=False)
    bench.stack.at_deploy = _once(bench, DENIED)
    bench.work()
    assert result(bench)[0] is State.FAILED
    assert bench.stack.draining == [DELETE.target]


def test_an_added_target_serves_although_its_former_drain_was_left(tmp_path: Path) -> None:
    """A router that was out of reach at the removal still lists it."""
    bench = Bench(tmp_path, CREATE)
    bench.stack.drain(CREATE.target, undo=False)
    bench.work()
    assert result(bench) == (State.DONE, "aws/us-east-1 is added and serves")
    assert bench.stack.draining == []


def test_a_drain_of_an_operator_outlives_a_change_of_its_target(tmp_path: Path) -> None:
    """Only a target that was not there before cannot have been drained for a reason."""
    bench = Bench(tmp_path, WEIGHT)
    bench.stack.drain(WEIGHT.target, undo=False)
    bench.work()
    assert bench.stack.draining == [WEIGHT.target]


def test_a_drain_that_cannot_be_ended_is_part_of_the_result(tmp_path: Path) -> None:
    """With the command that ends it."""
    bench = Bench(tmp_path, Change("delete", "aws", "eu-west-1", force=True))
    bench.stack.drain_problems = ["gcp/europe-west1: no answer"]
    bench.stack.at_deploy = _once(bench, DENIED)
    bench.work()
    state, text = result(bench)
    assert state is State.FAILED
    assert "aws/eu-west-1 still drains at some routers (gcp/europe-west1: no answer)" in text
    assert text.endswith("`skyfleet drain aws/eu-west-1 --undo` ends that")


def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    """Its plan begins with what changes in the config."""
    bench = Bench(tmp_path, Change("create", "aws", "us-east-1", {"weight": 2}, preview=True))
    bench.work()
    found = bench.journal.result()
    assert found is not None
    assert found.state is State.DONE
    assert found.plan == ("add aws/us-east-1 with weight 2", "create aws/us-east-1")
    assert bench.text == TEXT
    assert bench.stack.deployments == 0
