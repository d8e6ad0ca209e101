"""What `status` says to programs and to people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from infra.cli.status_view import RouterAnswer, assemble, disagreement, render
from infra.cli.values import Facts

pytestmark = pytest.mark.pure

HEALTH: Facts = {"status": "ok", "cloud": "gcp", "region": "europe-west1", "build": "b1", "role": "router"}
STATUS: Facts = {
    "router": {"cloud": "gcp", "region": "europe-west1", "build": "b1", "strategy": "weighted"},
    "targets": [
        {
            "cloud": "aws",
            "region": "eu-west-1",
            "url": "http://a",
            "state": "down",
            "weight": 3,
            "latency_ms": 12.34,
            "cold": False,
            "inflight": 0,
            "reason": "3 of 3 vantages",
        },
        {
            "cloud": "gcp",
            "region": "europe-west1",
            "url": "http://g",
            "state": "healthy",
            "weight": 1,
            "cold": True,
        },
    ],
    "vantages": [{"vantage": "aws/eu-west-1", "at": 1.0, "age_s": 61.2, "fresh": False}],
}
WORLD: Facts = {
    "functions": [{"key": "a", "instances": [{"pids": [1]}, {"pids": [2]}]}, {"key": "b", "instances": []}],
    "faults": [{"cloud": "aws", "fault": "kill", "scope": "agents"}],
}


def shown(facts: Facts) -> str:
    """The tables as a terminal of 120 columns shows them."""
    stream = io.StringIO()
    console = Console(file=stream, width=120, highlight=False)
    for part in render(facts):
        console.print(part)
    return stream.getvalue()


def test_the_value_for_programs_has_the_stable_keys() -> None:
    """Others script against them."""
    answers = [RouterAnswer("http://x", None, "connection refused or cut"), RouterAnswer("http://g", HEALTH)]
    facts = assemble(answers, "http://g", STATUS, WORLD, "3.13.0 (/p)")
    assert list(facts) == ["router", "routers", "targets", "vantages", "sky"]
    assert facts["router"] == {
        "url": "http://g",
        "cloud": "gcp",
        "region": "europe-west1",
        "build": "b1",
        "strategy": "weighted",
    }
    assert facts["routers"] == [
        {"url": "http://x", "ok": False, "reason": "connection refused or cut"},
        {"url": "http://g", "ok": True, "cloud": "gcp", "region": "europe-west1", "build": "b1"},
    ]
    assert facts["targets"] == STATUS["targets"]
    assert facts["sky"] == {
        "python": "3.13.0 (/p)",
        "faults": WORLD["faults"],
        "functions": 2,
        "instances": 2,
    }


def test_a_person_sees_states_reasons_faults_and_how_to_heal() -> None:
    """All that one looks for first when something is wrong."""
    answers = [RouterAnswer("http://x", None, "no answer within 4 s"), RouterAnswer("http://g", HEALTH)]
    text = shown(assemble(answers, "http://g", STATUS, WORLD, "3.13.0 (/p)"))
    for part in (
        "aws/eu-west-1",
        "down",
        "12.3 ms",
        "3 of 3 vantages",
        "no answer within 4 s",
        "61 s",
        "3.13.0 (/p)",
    ):
        assert part in text
    assert "skyfleet chaos aws heal" in text


def test_agents_of_different_builds_are_named() -> None:
    """What a deploy that failed half-way leaves; the odd one out comes first."""
    agents: list[Facts] = [
        {"cloud": "aws", "region": "eu-west-1", "build": "new"},
        {"cloud": "azure", "region": "westeurope", "build": "old"},
        {"cloud": "gcp", "region": "europe-west1", "build": "new"},
    ]
    text = shown({"targets": STATUS["targets"], "agents": agents})
    assert "agents differ: azure/westeurope runs build old; aws/eu-west-1 and" in text
    assert disagreement(agents) == (
        "azure/westeurope runs build old; aws/eu-west-1 and gcp/europe-west1 run build new"
    )
    assert disagreement([agents[0], agents[2]]) == ""
    assert "agents differ" not in shown({"targets": STATUS["targets"], "agents": agents[:1]})


def test_without_any_router_it_says_so() -> None:
    """No targets are made up."""
    facts = assemble([RouterAnswer("http://x", None, "refused")], None, {}, None, "")
    assert facts["router"] is None
    assert facts["targets"] == []
    assert facts["sky"] is None
    assert "no router answers" in shown(facts)


def test_odd_replies_do_not_break_it() -> None:
    """A router of another version may say less or more."""
    facts = assemble(
        [], "http://g", {"targets": "x", "vantages": [1, {}], "router": None}, {"functions": None}, ""
    )
    assert facts["targets"] == []
    assert "0 functions" in shown(facts)
