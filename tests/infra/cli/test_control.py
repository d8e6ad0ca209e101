"""`skyfleet strategy`: every router of the stack is asked or told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.cli.control import ControlAnswer, sentence
from infra.cli.paths import Layout
from infra.cli.routers import ask_health
from tests.infra.cli.fakes import Answer, Reply, Request, json_reply, serving
from tests.infra.cli.test_invoke_format import deployed, nobody, routers

__all__ = ["deployed", "nobody"]


def run(layout: Layout, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ("strategy", *arguments), obj=layout)


def router(asked: list[Request], region: str = "r1", *, configured: str = "adaptive") -> Answer:
    """A router that does as it is told."""
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


def test_without_a_name_each_router_says_how_it_chooses(deployed: Layout) -> None:
    """In the order of the stack's outputs."""
    with serving(router([])) as one, serving(router([], "r2")) as two:
        routers(deployed, one, two)
        result = run(deployed)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "aws/r1: adaptive (as configured)",
        "aws/r2: adaptive (as configured)",
    ]


def test_a_split_between_routers_is_pointed_out(deployed: Layout) -> None:
    """Nobody compares lines."""
    with serving(router([], configured="weighted")) as one, serving(router([], "r2")) as two:
        routers(deployed, one, two)
        result = run(deployed)
    assert "The routers differ: aws/r1 chooses by weighted, aws/r2 chooses by adaptive." in result.output


def test_a_name_is_told_to_all_of_them_with_the_key(deployed: Layout) -> None:
    """Each has its own bucket, so telling one is not enough."""
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


def test_configured_undoes_the_orders(deployed: Layout) -> None:
    """As null, which is no strategy's name."""
    asked: list[Request] = []
    with serving(router(asked)) as one:
        routers(deployed, one)
        assert run(deployed, "configured").exit_code == 0
    assert json.loads(asked[0].body) == {"strategy": None}


def test_a_router_out_of_reach_is_said_and_the_others_are_told(deployed: Layout, nobody: str) -> None:
    """Exit code 1, because the stack is not of one mind."""
    with serving(router([])) as one:
        routers(deployed, nobody, one)
        result = run(deployed, "cost")
    assert result.exit_code == 1
    assert f"{nobody}: connection refused" in result.output
    assert "aws/r1: cost (ordered; configured: adaptive)" in result.output
    assert "1 of 2 routers" in result.output


def test_a_dead_router_is_named_by_its_place(deployed: Layout, nobody: str) -> None:
    """The stack's outputs know it, though nobody is there to say it."""
    routers(deployed, nobody, places=[{"cloud": "gcp", "region": "europe-west1", "url": nobody}])
    (told,) = json.loads(run(deployed, "--json").stdout)
    assert (told["cloud"], told["region"]) == ("gcp", "europe-west1")
    assert "gcp/europe-west1: connection refused" in run(deployed).output


def test_a_black_hole_is_waited_for_no_longer_than_for_its_health(
    deployed: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no order, which it could take when nobody thinks of it any more."""
    asked: list[str] = []
    monkeypatch.setattr("infra.cli.control.ask_health", partial(ask_health, seconds=0.2))

    def swallows(request: Request) -> Reply:
        asked.append(request.path)
        time.sleep(0.6)
        return Reply()

    with serving(swallows) as hole, serving(router([])) as one:
        routers(deployed, hole, one)
        result = run(deployed, "cost")
    assert asked == ["/health"]
    assert f"{hole}: no answer within" in result.output
    assert "aws/r1: cost" in result.output


def test_what_cannot_be_read_is_said() -> None:
    """The answer is then only what one instance knows."""
    told: dict[str, object] = {"effective": "cost", "strategy": None, "unread": "the bucket is on fire"}
    assert "the bucket is on fire" in sentence(ControlAnswer("http://r", told))


def test_a_refusal_is_shown_in_the_routers_words(deployed: Layout) -> None:
    """Such as that its bucket is down."""
    refusal = json_reply({"error": {"code": "not-kept", "message": "the bucket..."}}, 503)
    with serving(
        lambda request: json_reply({"status": "ok"}) if request.path == "/health" else refusal
    ) as one:
        routers(deployed, one)
        result = run(deployed, "cost")
    assert result.exit_code == 1
    assert "HTTP 503: the bucket..." in result.output


def test_an_unknown_strategy_is_a_usage_error_before_anybody_is_asked(deployed: Layout) -> None:
    """With the one that was probably meant."""
    result = run(deployed, "latncy")
    assert result.exit_code == 2
    assert "latency" in result.output


@pytest.mark.parametrize("revision", [0, 3])
def test_an_order_without_a_bucket_is_said_to_be_fleeting(revision: int) -> None:
    """It ends with the instance that was asked."""
    told: dict[str, object] = {
        "effective": "cost",
        "configured": "cost",
        "strategy": None,
        "kept": "instance",
        "revision": revision,
    }
    assert ("until this instance ends" in sentence(ControlAnswer("http://r", told))) == bool(revision)
