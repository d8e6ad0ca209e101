"""`skyfleet create` and `skyfleet delete`: clients of a manager over fakes."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.change import follow
from infra.cli.commands.create import options
from infra.cli.output.job_progress import closing, showing
from infra.manager.access.tokens import Role
from infra.manager.jobs.model import Change, Job, State
from infra.manager.stream import Listeners
from infra.operations.errors import CommandFailed
from infra.operations.json_access import JsonObject
from infra.operations.manager import client as clients
from infra.operations.manager import process
from infra.operations.manager.client import Client
from infra.operations.paths import STACK, Layout
from tests.infra.manager.fakes import NOW, FakeJobs, Setup
from tests.infra.manager.serving import running


@dataclass(slots=True)
class QuickJobs(FakeJobs):
    """Jobs that have ended when they are submitted."""

    state: State = State.DONE
    result: str = "aws/us-east-1 serves"

    async def submit(self, change: Change, by: str) -> Job:
        job = await FakeJobs.submit(self, change, by)
        self.say(job.id, "checks the stack config", percent=5)
        self.say(job.id, "created \x1b[31maws:lambda:Function", "resource", 70)
        self.finish(job.id, self.state, self.result)
        return job


@pytest.fixture
def jobs() -> QuickJobs:
    """What the manager does."""
    return QuickJobs()


@pytest.fixture
def setup(tmp_path: Path, jobs: QuickJobs) -> Generator[Setup]:
    """A manager whose file is in the checkout tmp_path."""
    layout = Layout(tmp_path)
    layout.manager().mkdir(parents=True)
    one = Setup(layout.manager(), jobs=jobs)
    with running(tmp_path, one) as served:
        note(layout, served.url)
        yield one


def note(layout: Layout, url: str) -> None:
    """Have a manager at `url`: this process."""
    ticks = process.start_ticks(os.getpid())
    assert ticks is not None
    process.write(layout, STACK, process.ManagerInfo(url, os.getpid(), NOW, ticks, ""))


def run(folder: Path, *arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, arguments, obj=Layout(folder), env={clients.TOKEN: None, **variables})


def test_a_create_shows_its_progress_and_its_result(tmp_path: Path, setup: Setup) -> None:
    """Each event on stderr with its percent, without control characters; the result on stdout."""
    done = run(tmp_path, "create", "aws", "us-east-1", "--weight", "2", "--memory-mb", "512")
    assert done.exit_code == 0, done.output
    assert done.stdout == "done: aws/us-east-1 serves\n"
    assert "job j1: create aws/us-east-1" in done.stderr
    assert "  5 % checks the stack config" in done.stderr
    assert " 70 % created \ufffd[31maws:lambda:Function" in done.stderr
    assert setup.jobs.known["j1"].change == Change(
        "create", "aws", "us-east-1", {"weight": 2, "memoryMb": 512}
    )


def test_a_delete_may_be_forced_previewed_and_printed_as_json(tmp_path: Path, setup: Setup) -> None:
    """--json prints the job."""
    done = run(tmp_path, "delete", "aws", "eu-west-1", "--force", "--preview", "--json")
    assert done.exit_code == 0, done.output
    job = json.loads(done.stdout)
    assert (job["state"], job["change"]["force"], job["change"]["preview"]) == ("done", True, True)
    assert "preview of delete aws/eu-west-1" in done.stderr


def test_a_target_may_be_named_as_the_status_prints_it(tmp_path: Path, setup: Setup) -> None:
    """`aws/us-east-1` is `aws us-east-1`."""
    done = run(tmp_path, "create", "aws/us-east-1")
    assert done.exit_code == 0, done.output
    assert setup.jobs.known["j1"].change == Change("create", "aws", "us-east-1")


@pytest.mark.parametrize("command", ["create", "delete"])
@pytest.mark.parametrize("words", [("aws",), ("aws/",), ("aws", "us-east-1", "us-east-2"), ("aws/a/b",)])
def test_what_is_no_target_is_wrong_usage(command: str, words: tuple[str, ...], tmp_path: Path) -> None:
    """With the form and an example."""
    done = run(tmp_path, command, *words)
    assert done.exit_code == 2
    assert f"expected CLOUD REGION, such as aws us-east-1, found {' '.join(words)!r}" in done.output


def test_a_failed_job_is_exit_code_1(tmp_path: Path, setup: Setup, jobs: QuickJobs) -> None:
    """With the reason."""
    jobs.state, jobs.result = State.FAILED, "aws: quota exceeded; rolled back"
    done = run(tmp_path, "create", "aws", "us-east-1")
    assert (done.exit_code, done.stdout) == (1, "failed: aws: quota exceeded; rolled back\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("delete", "azure", "westeurope"), "There is no target azure/westeurope. Known: aws/eu-west-1"),
        (("create", "asw", "us-east-1"), "Did you mean aws?"),
        (("create", "aws", "eu-west-1", "--weight", "0"), "Weight 0 for every target."),
    ],
)
def test_a_refusal_is_said_in_the_managers_words(
    arguments: tuple[str, ...], said: str, tmp_path: Path, setup: Setup
) -> None:
    """With what is known."""
    done = run(tmp_path, *arguments)
    assert done.exit_code == 1
    assert said in done.output


def test_a_wrong_number_is_said_without_the_names_of_the_fields(tmp_path: Path, setup: Setup) -> None:
    """A value is wrong, and no name."""
    done = run(tmp_path, "create", "aws", "us-east-1", "--memory-mb", "1")
    assert done.output == "Error: memoryMb: got 1; expected at least 128.\n"


def test_without_a_manager_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    """Also when one has run, or does not answer."""
    none = run(tmp_path, "create", "aws", "us-east-1")
    assert "`skyfleet manager` or `make up` starts it" in none.output
    real = run(tmp_path, "create", "aws", "us-east-1", "--stack", "me/prod")
    assert "`skyfleet manager --stack me/prod` starts it" in real.output
    layout = Layout(tmp_path)
    layout.home.mkdir()
    note(layout, "http://127.0.0.1:1")
    gone = run(tmp_path, "create", "aws", "us-east-1")
    assert "does not answer (ConnectionError)" in gone.output
    assert {one.exit_code for one in (none, real, gone)} == {1}


def test_a_token_comes_from_the_environment(tmp_path: Path, setup: Setup) -> None:
    """A wrong one is refused with where it is looked for; a viewer's is too weak."""
    viewer = setup.access.tokens.create("eva", Role.VIEWER, NOW, None)
    wrong = run(tmp_path, "create", "aws", "us-east-1", **{clients.TOKEN: "x"})
    weak = run(tmp_path, "create", "aws", "us-east-1", **{clients.TOKEN: viewer})
    assert "unknown or was revoked" in wrong.output
    assert clients.TOKEN in wrong.output
    assert "role viewer" in weak.output
    assert viewer not in weak.output


class Recorder:
    """Takes what is shown."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, event: JsonObject) -> None:
        self.said.append(str(event["text"]))

    def say(self, text: str) -> None:
        self.said.append(text)


class Interrupted(Client):
    """A client in which Ctrl-C is pressed: `times` times, each after one more event."""

    times = 0
    cancelled = 0

    def follow(self, job: str, after: int = 0) -> Generator[JsonObject]:
        yield {"number": after + 1, "text": f"event {after + 1}"}
        if type(self).times:
            type(self).times -= 1
            raise KeyboardInterrupt

    def cancel(self, job: str) -> str:
        type(self).cancelled += 1
        return "cancelling"


@pytest.fixture
def interrupted() -> type[Interrupted]:
    """A class of its own for each test."""

    class Own(Interrupted):
        """Counts for one test."""

    return Own


def test_ctrl_c_cancels_and_goes_on_to_the_end(interrupted: type[Interrupted]) -> None:
    """After the event that was seen last."""
    interrupted.times, shown = 1, Recorder()
    follow(interrupted("http://x"), "j1", shown)
    assert shown.said == ["event 1", "cancelling", "event 2"]
    assert interrupted.cancelled == 1


def test_a_second_ctrl_c_leaves_the_job_to_itself(interrupted: type[Interrupted]) -> None:
    """And says where its state is."""
    interrupted.times, shown = 2, Recorder()
    with pytest.raises(Exception, match="130"):
        follow(interrupted("http://x"), "j1", shown)
    assert shown.said[-1] == "left to itself; its state: http://x/api/jobs/j1"
    assert interrupted.cancelled == 1


def test_a_manager_that_comes_back_is_followed_on(tmp_path: Path) -> None:
    """The stream is taken up after the last event; without a manager it ends with a reason."""
    jobs = QuickJobs()
    setup = Setup(tmp_path, jobs=jobs)
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds * 50

    client = Client("http://127.0.0.1:1", sleep=sleep, clock=lambda: now)
    with pytest.raises(CommandFailed, match=r"has not answered for 120 s \(ConnectionError\)"):
        list(client.follow("j1"))
    with running(tmp_path, setup) as served:
        client = Client(served.url)
        assert client.change(
            "POST", "/api/create-resource", {"cloud": "aws", "region": "us-east-1"}, preview=False
        )
        assert [event["number"] for event in client.follow("j1")] == [1, 2]
        assert [event["number"] for event in client.follow("j1", 1)] == [2]
        assert list(client.follow("j1", 3)) == []
        assert client.cancel("j1") == "The job j1 has ended (done)."


def test_a_stream_that_is_refused_for_now_is_tried_again(tmp_path: Path) -> None:
    """As many listeners as there may be are no reason to lose sight of a job."""
    setup = Setup(tmp_path, jobs=QuickJobs(), listeners=Listeners(most=0))
    with running(tmp_path, setup) as served:

        def sleep(_seconds: float) -> None:
            setup.listeners.most = 1

        client = Client(served.url, sleep=sleep)
        client.change("POST", "/api/create-resource", {"cloud": "aws", "region": "us-east-1"}, preview=False)
        assert [event["number"] for event in client.follow("j1")] == [1, 2]


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events above it, without markup or control characters, and the percent."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with showing("create [aws]/x") as shown:
        shown.event({"kind": "step", "text": "deploys [bold]\x1b[2J", "percent": 40})
        shown.event({"kind": "message", "text": "waits"})
        shown.say("cancelling")
    printed = terminal.getvalue()
    for text in ("create [aws]/x", "deploys [bold]\ufffd[2J", "waits", "cancelling", "40 %"):
        assert text in printed


def test_a_reader_that_has_gone_does_not_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe loses lines only."""

    class Closed(io.StringIO):
        """A pipe without a reader."""

        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    with showing("create") as shown:
        shown.say("lost")
        shown.event({"text": "lost too"})
    assert closing({"state": "done", "result": "", "plan": ["create x"]}) == "  create x\ndone"


def test_names_of_numbers_are_the_apis() -> None:
    """Absent ones stay as they are."""
    assert options({"weight": 1.0, "min_instances": 0, "memory_mb": None}) == {
        "weight": 1.0,
        "minInstances": 0,
    }


@pytest.mark.parametrize("weight", ["nan", "inf", "-inf"])
def test_a_weight_that_json_cannot_say_is_refused_at_once(weight: str, tmp_path: Path, setup: Setup) -> None:
    """It is not blamed on the manager, which is not asked."""
    said = run(tmp_path, "create", "aws", "us-east-1", "--weight", weight)
    assert (said.exit_code, "--weight" in said.output) == (2, True)
    assert "create" not in setup.audited()


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """The secret is printed once and is on stdout alone."""
    made = run(tmp_path, "manager", "token", "create", "ole", "--role", "operator", "--days", "7")
    secret = made.stdout.strip()
    assert (made.exit_code, secret[:9], len(secret.splitlines())) == (0, "skyfleet_", 1)
    twice = run(tmp_path, "manager", "token", "create", "ole", "--role", "viewer")
    listed = run(tmp_path, "manager", "token", "list")
    facts = json.loads(run(tmp_path, "manager", "token", "list", "--json").stdout)
    gone = run(tmp_path, "manager", "token", "revoke", "ole")
    again = run(tmp_path, "manager", "token", "revoke", "ole")
    empty = run(tmp_path, "manager", "token", "list")
    assert "there is a token 'ole' already" in twice.output
    assert listed.stdout.startswith("ole  operator  until ")
    assert [(one["name"], one["role"]) for one in facts] == [("ole", "operator")]
    assert secret not in listed.output
    assert gone.stdout == "ole is revoked.\n"
    assert "there is no token 'ole'. Known: none." in again.output
    assert empty.stdout == "There is no token.\n"
    assert (twice.exit_code, again.exit_code) == (1, 1)


def test_tokens_of_a_real_stack_are_kept_apart(tmp_path: Path) -> None:
    """`make down` removes .skyfleet/, and they are not in it."""
    run(tmp_path, "manager", "token", "create", "ole", "--role", "viewer", "--stack", "me/prod")
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("tokens.json")] == [
        ".skyfleet-stacks/me+prod/manager/tokens.json"
    ]


def test_a_manager_of_a_real_stack_needs_a_token(tmp_path: Path) -> None:
    """It does not start without one."""
    refused = run(tmp_path, "manager", "--stack", "prod")
    assert refused.exit_code == 1
    assert "skyfleet manager token create NAME --role operator --stack prod" in refused.output
