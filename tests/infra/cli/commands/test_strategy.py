"""Tests of `skyfleet strategy`, which reads or changes the strategy of every router of the stack."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.operations.paths import Layout
from infra.operations.routers.client import get_health
from infra.operations.routers.control import ControlAnswer, sentence
from tests.infra.cli.fakes import Answer, Reply, Request, json_reply, routers, serving


def run(layout: Layout, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ("strategy", *arguments), obj=layout)


def router(asked: list[Request], region: str = "r1", *, configured: str = "adaptive") -> Answer:
    """A router whose strategy can be read and changed."""
    state: dict[str, object] = {"strategy": None, "revision": 0}

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply({"status": "ok", "cloud": "aws", "region": region})
        asked.append(request)
        if request.method == "PUT":
            state.update(json.loads(request.body), revision=int(str(state["revision"])) + 1)
        more: Mapping[str, object] = {
            "effective": state["strategy"] or configured,
            "configured": configured,
            "kept": "bucket",
            "version": 1,
        }
        return json_reply({**state, **more})

    return answer


def test_without_an_argument_each_routers_strategy_is_printed(deployed: Layout) -> None:
    """The routers are in the order of the stack's outputs."""
    with serving(router([])) as one, serving(router([], "r2")) as two:
        routers(deployed, one, two)
        result = run(deployed)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "aws/r1: adaptive (as configured)",
        "aws/r2: adaptive (as configured)",
    ]


def test_different_strategies_are_reported(deployed: Layout) -> None:
    """A line names the routers and their strategies, so the user does not need to compare the output."""
    with serving(router([], configured="weighted")) as one, serving(router([], "r2")) as two:
        routers(deployed, one, two)
        result = run(deployed)
    assert "The routers differ: aws/r1 uses weighted, aws/r2 uses adaptive." in result.output


def test_a_strategy_is_set_at_all_routers_with_the_api_key(deployed: Layout) -> None:
    """Each router has its own bucket, so the command calls each of them."""
    asked: list[Request] = []
    with serving(router(asked)) as one, serving(router(asked)) as two:
        routers(deployed, one, two, key="a made-up key")
        result = run(deployed, "latency", "--json")
    assert result.exit_code == 0
    assert [(each["router"], each["effective"]) for each in json.loads(result.output)] == [
        (one, "latency"),
        (two, "latency"),
    ]
    assert {(each.method, each.path) for each in asked} == {("PUT", "/api/control")}
    assert {each.headers["authorization"] for each in asked} == {"Bearer a made-up key"}


def test_configured_removes_the_override(deployed: Layout) -> None:
    """The command sends null in place of a strategy."""
    asked: list[Request] = []
    with serving(router(asked)) as one:
        routers(deployed, one)
        assert run(deployed, "configured").exit_code == 0
    assert json.loads(asked[0].body) == {"strategy": None}


def test_an_unreachable_router_is_reported_and_the_others_are_changed(
    deployed: Layout, no_listener: str
) -> None:
    """The exit code is 1, since the routers then differ."""
    with serving(router([])) as one:
        routers(deployed, no_listener, one)
        result = run(deployed, "cost")
    assert result.exit_code == 1
    assert f"{no_listener}: connection refused" in result.output
    assert "aws/r1: cost (changed; configured: adaptive)" in result.output
    assert "1 of 2 routers" in result.output


def test_an_unreachable_router_is_named_by_its_place(deployed: Layout, no_listener: str) -> None:
    """The place comes from the stack's outputs."""
    routers(deployed, no_listener, places=[{"cloud": "gcp", "region": "europe-west1", "url": no_listener}])
    (told,) = json.loads(run(deployed, "--json").stdout)
    assert (told["cloud"], told["region"]) == ("gcp", "europe-west1")
    assert "gcp/europe-west1: connection refused" in run(deployed).output


def test_a_black_holed_router_costs_one_health_timeout(
    deployed: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command sends it no change, which the router might otherwise apply much later."""
    asked, end = list[str](), threading.Event()

    def missing_checkers(request: Request) -> Reply:
        asked.append(request.path)
        end.wait(60)
        return Reply()

    with serving(missing_checkers) as hole, serving(router([])) as one:

        def soon(url: str) -> Any:  # noqa: ANN401 - as get_health
            return get_health(url, seconds=0.2 if url == hole else 60)

        monkeypatch.setattr("infra.operations.routers.control.get_health", soon)
        routers(deployed, hole, one)
        try:
            result = run(deployed, "cost")
        finally:
            end.set()
    assert asked == ["/health"]
    assert f"{hole}: no answer within" in result.output
    assert "aws/r1: cost" in result.output


def test_an_unreadable_control_document_is_reported() -> None:
    """The output gives the reason why the answer is only that of one instance."""
    told: dict[str, object] = {"effective": "cost", "strategy": None, "unread": "the bucket is on fire"}
    assert "the bucket is on fire" in sentence(ControlAnswer("http://r", told))


def test_a_refusal_is_shown_with_the_routers_message(deployed: Layout) -> None:
    """For example that its bucket is unavailable."""
    refusal = json_reply({"error": {"code": "not-kept", "message": "the bucket..."}}, 503)
    with serving(
        lambda request: json_reply({"status": "ok"}) if request.path == "/health" else refusal
    ) as one:
        routers(deployed, one)
        result = run(deployed, "cost")
    assert result.exit_code == 1
    assert "HTTP 503: the bucket..." in result.output


def test_an_unknown_strategy_is_a_usage_error_before_any_request(deployed: Layout) -> None:
    """The message suggests the nearest name."""
    result = run(deployed, "latncy")
    assert result.exit_code == 2
    assert "latency" in result.output


@pytest.mark.parametrize("revision", [0, 3])
def test_an_override_without_a_bucket_is_reported_as_temporary(revision: int) -> None:
    """It ends with the instance that answered."""
    told: dict[str, object] = {
        "effective": "cost",
        "configured": "cost",
        "strategy": None,
        "kept": "instance",
        "revision": revision,
    }
    assert ("until this instance ends" in sentence(ControlAnswer("http://r", told))) == bool(revision)
