"""`skyfleet drain`: what drains afterwards, and how each router is asked and changed."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.operations.paths import Layout
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
    assert [each["draining"] for each in json.loads(result.output)] == [["gcp/europe-west1"], []]
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
