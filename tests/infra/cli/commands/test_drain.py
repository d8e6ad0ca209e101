"""`skyfleet drain`: what drains afterwards, and how each router is asked and changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.operations.manager import process
from infra.operations.paths import STACK, Layout
from infra.operations.routers.control import ControlAnswer
from infra.operations.routers.draining import desired, differences, drains_last, select, sentence
from tests.infra.cli.fakes import Answer, Reply, Request, json_reply, serving

KNOWN = ("aws/eu-west-1", "aws/us-east-1", "azure/westeurope", "gcp/europe-west1")
AWS = KNOWN[:2]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], ()),
        (["aws"], AWS),
        (["gcp", "aws"], (*AWS, "gcp/europe-west1")),
        (["aws/us-east-1"], ("aws/us-east-1",)),
        (["aws/us-east-1", "aws"], AWS),
    ],
)
def test_a_cloud_stands_for_all_its_targets(names: list[str], chosen: tuple[str, ...]) -> None:
    """Each target is chosen once, in the order of the deployment."""
    assert select(names, KNOWN) == chosen


@pytest.mark.parametrize("name", ["aw", "aws/", "aws/eu-west-9", "AWS", "", "westeurope"])
def test_an_unknown_target_is_a_usage_error_with_the_known_ones(name: str) -> None:
    """The whole list, since a key cannot be guessed."""
    with pytest.raises(click.UsageError, match=r"Known: aws, azure, gcp, aws/eu-west-1, .*gcp/europe-west1"):
        select(["gcp", name], KNOWN)


@pytest.mark.parametrize(
    ("before", "chosen", "undo", "wanted"),
    [
        ((), AWS, False, AWS),
        (AWS, AWS, False, AWS),
        (("gcp/europe-west1",), AWS, False, (*AWS, "gcp/europe-west1")),
        (AWS, ("aws/eu-west-1",), True, ("aws/us-east-1",)),
        ((), AWS, True, ()),
        (("aws/removed-1",), ("azure/westeurope",), False, ("azure/westeurope",)),
        (("aws/removed-1",), ("azure/westeurope",), True, ()),
    ],
)
def test_what_drains_afterwards(
    before: tuple[str, ...], chosen: tuple[str, ...], undo: bool, wanted: tuple[str, ...]
) -> None:
    """Targets are added or removed, and keys of removed targets are dropped."""
    assert desired(before, chosen, KNOWN, undo=undo) == wanted


@pytest.mark.parametrize(
    ("before", "wanted", "last"),
    [
        ((), KNOWN, True),
        (AWS, KNOWN, True),
        (AWS, KNOWN[:3], False),
        (KNOWN, KNOWN, False),
        (KNOWN, AWS, False),
    ],
)
def test_the_last_target_is_recognized(before: tuple[str, ...], wanted: tuple[str, ...], last: bool) -> None:
    """A fleet that already drains as a whole has no last target to lose."""
    assert drains_last(before, wanted, KNOWN) is last


def answer(*draining: str, **more: object) -> ControlAnswer:
    """The document of the router aws/r1 with these targets draining."""
    return ControlAnswer("http://r", {"draining": list(draining), **more}, place="aws/r1")


def test_a_line_says_what_drains_and_for_how_long() -> None:
    """Without a bucket the change ends with the instance."""
    assert sentence(answer()) == "aws/r1: no target is draining"
    assert sentence(answer(*AWS)) == "aws/r1: draining aws/eu-west-1, aws/us-east-1"
    assert sentence(answer(kept="instance", revision=1)).endswith(", until this instance ends")
    assert sentence(ControlAnswer("http://r", {}, "HTTP 503: no")) == "http://r: HTTP 503: no"


def test_routers_that_drain_different_targets_are_pointed_out() -> None:
    """The order of a list makes no difference, and a router without an answer neither."""
    assert "differ" in differences([answer(), answer(*AWS)])
    missing_checkers = ControlAnswer("http://r", {}, "no answer")
    assert not differences([answer(*AWS), answer(*reversed(AWS)), missing_checkers])


class Router:
    """A router with a control document; `puts` are the updates that it got."""

    def __init__(self, region: str, *draining: str, revision: int = 4) -> None:
        self.region, self.draining, self.revision = region, list(draining), revision
        self.puts: list[dict[str, object]] = []
        self.moved = 0  # added to the revision between GET and PUT, as another operator does

    def __call__(self, request: Request) -> Reply:
        if request.path == "/health":
            return json_reply({"status": "ok", "cloud": "aws", "region": self.region})
        assert request.path == "/api/control"
        if request.method == "PUT":
            update = json.loads(request.body)
            self.puts.append(update)
            if update["revision"] != self.revision + self.moved:
                return json_reply({"error": {"code": "changed-meanwhile", "message": "Read it again."}}, 409)
            self.draining, self.revision = update["draining"], self.revision + 1
        return json_reply({"draining": self.draining, "revision": self.revision, "effective": "adaptive"})


def outputs(layout: Layout, *urls: str) -> None:
    """Outputs of a stack with the targets KNOWN and these routers."""
    agents = [dict(zip(("cloud", "region"), key.split("/"), strict=True)) for key in KNOWN]
    found = {"routerUrl": urls[0], "routerUrls": list(urls), "agents": agents}
    changed = layout.checkpoint.stat().st_mtime_ns
    layout.outputs.write_text(json.dumps({"changed": changed, "secret": [], "outputs": found}))


def run(layout: Layout, *arguments: str) -> Result:
    """`skyfleet drain` in this process."""
    return CliRunner().invoke(cli, ("drain", *arguments), obj=layout)


def serve(layout: Layout, routers: list[Answer], *arguments: str) -> Result:
    """`skyfleet drain` against one or two routers."""
    with serving(routers[0]) as one, serving(routers[-1]) as two:
        outputs(layout, *[one, two][: len(routers)])
        return run(layout, *arguments)


def test_without_a_target_each_router_says_what_drains(deployed: Layout) -> None:
    """Nothing is changed by looking."""
    one, two = Router("r1", "aws/eu-west-1"), Router("r2")
    result = serve(deployed, [one, two])
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == [
        "aws/r1: draining aws/eu-west-1",
        "aws/r2: no target is draining",
    ]
    assert "The routers differ" in result.output
    assert one.puts == two.puts == []


def test_each_router_gets_its_own_list_and_revision(deployed: Layout) -> None:
    """A router keeps what it drains already."""
    one, two = Router("r1", "gcp/europe-west1", revision=7), Router("r2", revision=0)
    result = serve(deployed, [one, two], "aws")
    assert result.exit_code == 0
    assert one.puts == [{"draining": [*AWS, "gcp/europe-west1"], "revision": 7}]
    assert two.puts == [{"draining": list(AWS), "revision": 0}]


def test_undo_brings_targets_back(deployed: Layout) -> None:
    """A router that does not drain them gets no update."""
    one, two = Router("r1", *AWS, "gcp/europe-west1"), Router("r2")
    result = serve(deployed, [one, two], "aws", "--undo", "--json")
    assert [each["draining"] for each in json.loads(result.stdout)] == [["gcp/europe-west1"], []]
    assert two.puts == []


def test_the_last_target_drains_with_force_only(deployed: Layout) -> None:
    """Not even at the routers that would have another target left."""
    one, two = Router("r1", *KNOWN[1:]), Router("r2")
    refused = serve(deployed, [one, two], "aws/eu-west-1")
    assert refused.exit_code == 1
    assert "nothing was changed: all 4 targets would drain at aws/r1" in refused.output
    assert one.puts == two.puts == []
    assert serve(deployed, [one, two], "aws/eu-west-1", "--force").exit_code == 0
    assert set(one.draining) == set(KNOWN)


def test_a_change_in_between_is_refused_by_the_router(deployed: Layout) -> None:
    """The other routers are changed, and the exit code is 1."""
    one, two = Router("r1"), Router("r2")
    one.moved = 1
    result = serve(deployed, [one, two], "gcp")
    assert result.exit_code == 1
    assert "aws/r1: HTTP 409: Read it again." in result.output
    assert "aws/r2: draining gcp/europe-west1" in result.output
    assert "1 of 2 routers did not apply the change" in result.output


def test_a_router_out_of_reach_is_named(deployed: Layout, no_listener: str) -> None:
    """The router that answers is changed all the same."""
    one = Router("r1")
    with serving(one) as url:
        outputs(deployed, no_listener, url)
        result = run(deployed, "gcp")
    assert result.exit_code == 1
    assert f"{no_listener}: connection refused" in result.output
    assert one.draining == ["gcp/europe-west1"]


@pytest.mark.parametrize("arguments", [("gpc",), ("--undo",)])
def test_a_usage_error_asks_no_router(deployed: Layout, arguments: tuple[str, ...]) -> None:
    """An unknown target, and --undo of nothing."""
    one = Router("r1", revision=1)
    assert serve(deployed, [one], *arguments).exit_code == 2
    assert one.puts == []


def test_without_a_deployment_it_says_what_to_do(tmp_path: Path) -> None:
    """As all commands."""
    result = run(Layout(tmp_path), "aws")
    assert result.exit_code == 1
    assert "make up" in result.output


class Manager:
    """The manager of the stack: notes what is asked of it, and answers each /api/drain with the next status.

    routers: those that take the changes that it answers with 200.
    """

    def __init__(self, *statuses: int, routers: Sequence[Router] = (), **problem: str) -> None:
        self.statuses, self.routers, self.problem = [*statuses], routers, problem
        self.asked: list[dict[str, object]] = []

    def __call__(self, request: Request) -> Reply:
        if request.path == "/health":
            return json_reply({"status": "ok", "stack": STACK})
        assert (request.method, request.path) == ("POST", "/api/drain")
        asked = json.loads(request.body)
        self.asked.append(asked)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            for one in self.routers:
                one.draining, one.revision = [*one.draining, asked["target"]], one.revision + 1
        return json_reply(self.problem or {"routers": []}, status)


def note(layout: Layout, url: str) -> None:
    """Have a manager at `url`: this process."""
    ticks = process.start_ticks(os.getpid())
    assert ticks is not None
    layout.manager().mkdir(parents=True, exist_ok=True)
    process.write(layout, STACK, process.ManagerInfo(url, os.getpid(), 1.0, ticks, ""))


def test_a_change_goes_through_the_manager(deployed: Layout) -> None:
    """Target by target; the routers are only read, before and after."""
    router, manager = Router("r1"), Manager()
    with serving(manager) as url:
        note(deployed, url)
        result = serve(deployed, [router], "aws", "--undo")
    assert result.exit_code == 0
    assert manager.asked == [{"target": key, "undo": True, "force": False} for key in AWS]
    assert result.stdout == "aws/r1: no target is draining\n"
    assert router.puts == []


def test_a_router_that_has_not_taken_the_change_is_asked_directly(deployed: Layout) -> None:
    """The manager answers 200 when one router has taken it; the exit code tells whether all have."""
    took, missed = Router("r1"), Router("r2")
    with serving(Manager(routers=[took])) as url:
        note(deployed, url)
        result = serve(deployed, [took, missed], "gcp")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"aws/{name}: draining gcp/europe-west1" for name in ("r1", "r2")]
    assert took.puts == []
    assert missed.puts == [{"draining": ["gcp/europe-west1"], "revision": 4}]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_both_ways_print_the_same(deployed: Layout, as_json: tuple[str, ...]) -> None:
    """And end with the same exit code, here that of a router which refuses."""
    results: list[tuple[int, str]] = []
    for direct in ((), ("--direct",)):
        router, other = Router("r1"), Router("r2")
        router.moved = 1
        with serving(Manager(routers=[other] if not direct else ())) as manager, serving(router) as one:
            note(deployed, manager)
            with serving(other) as two:
                outputs(deployed, one, two)
                result = run(deployed, "gcp", *direct, *as_json)
        text = result.stdout.replace(one, "ONE").replace(two, "TWO")
        results.append((result.exit_code, text))
    assert results[0] == results[1]
    assert results[0][0] == 1


def test_what_the_manager_refuses_is_not_done_behind_its_back(deployed: Layout) -> None:
    """Such as the change of an operator without a token."""
    router, manager = Router("r1"), Manager(401, detail="There is no token.")
    with serving(manager) as url:
        note(deployed, url)
        result = serve(deployed, [router], "aws")
    assert result.exit_code == 1
    assert "There is no token. SKYFLEET_MANAGER_TOKEN" in result.output
    assert router.puts == []


def test_a_manager_that_does_not_answer_stops_no_drain(deployed: Layout, no_listener: str) -> None:
    """The command says so and asks the routers."""
    router = Router("r1")
    note(deployed, no_listener)
    result = serve(deployed, [router], "gcp")
    assert result.exit_code == 0
    assert "does not answer (ConnectionError)" in result.stderr
    assert "The routers are asked directly." in result.stderr
    assert router.draining == ["gcp/europe-west1"]


def test_a_manager_that_ends_half_way_leaves_the_rest_to_the_routers(deployed: Layout) -> None:
    """The routers are read again: what the manager has changed already has another revision."""
    router = Router("r1")
    manager = Manager(200, 500, routers=[router], detail="An error in the manager.")
    with serving(manager) as url:
        note(deployed, url)
        result = serve(deployed, [router], "aws")
    assert result.exit_code == 0
    assert result.stderr == "An error in the manager. The routers are asked directly.\n"
    assert router.puts == [{"draining": list(AWS), "revision": 5}]


def test_without_a_manager_one_line_says_that_the_routers_are_asked(deployed: Layout) -> None:
    """The change is then in no audit log."""
    router = Router("r1")
    result = serve(deployed, [router], "gcp")
    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert "no manager of this stack runs" in result.stderr
    assert router.draining == ["gcp/europe-west1"]


def test_a_manager_that_refuses_to_tell_its_health_is_there(deployed: Layout) -> None:
    """Such as one that is asked by too many: the change itself has a limit of its own."""
    router, manager = Router("r1"), Manager()

    def limited(request: Request) -> Reply:
        return json_reply({"detail": "Wait."}, 429) if request.path == "/health" else manager(request)

    with serving(limited) as url:
        note(deployed, url)
        assert serve(deployed, [router], "gcp", "--undo").exit_code == 0
    assert len(manager.asked) == 1


def test_a_token_that_cannot_be_sent_is_an_error(
    deployed: Layout, monkeypatch: pytest.MonkeyPatch, no_listener: str
) -> None:
    """It is no reason to do without the manager."""
    monkeypatch.setenv("SKYFLEET_MANAGER_TOKEN", "skyfleet_\u2013")
    router = Router("r1")
    note(deployed, no_listener)
    result = serve(deployed, [router], "gcp")
    assert result.exit_code == 1
    assert "SKYFLEET_MANAGER_TOKEN is no token" in result.output
    assert router.puts == []


def test_the_manager_can_be_left_out(deployed: Layout) -> None:
    """And looking needs none either."""
    router, manager = Router("r1"), Manager()
    with serving(manager) as url:
        note(deployed, url)
        assert serve(deployed, [router], "gcp", "--direct").exit_code == 0
        assert serve(deployed, [router]).exit_code == 0
    assert router.draining == ["gcp/europe-west1"]
    assert not manager.asked
