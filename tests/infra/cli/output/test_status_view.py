"""Tests of the JSON value and the tables of `skyfleet status`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.output.status_view import RouterAnswer, assemble, differences, percent
from infra.operations import json_access
from infra.operations.json_access import JsonObject
from router.sync import control
from router.sync.snapshots import object_name
from tests.infra.cli.output.support import HEALTH, STATUS, router, shown, targets

pytestmark = pytest.mark.pure

WORLD: JsonObject = {
    "functions": [{"key": "a", "instances": [{"pids": [1]}, {"pids": [2]}]}, {"key": "b", "instances": []}],
    "faults": [{"cloud": "aws", "fault": "kill", "scope": "agents"}],
}


PLACES = {"http://x": "aws/eu-west-1"}


def test_the_json_value_has_the_documented_keys() -> None:
    """Scripts depend on them."""
    answers = [
        RouterAnswer("http://x", None, "connection refused or cut"),
        RouterAnswer("http://y", None, "HTTP 503"),
        RouterAnswer("http://g", HEALTH, status=STATUS, strategy="weighted"),
    ]
    facts = assemble(answers, PLACES, WORLD, "3.13.0 (/p)")
    assert list(facts) == ["router", "routers", "targets", "checkers", "emulator"]
    assert facts["router"] == {
        "url": "http://g",
        "cloud": "gcp",
        "region": "europe-west1",
        "build": "b1",
        "strategy": "weighted",
    }
    assert facts["routers"] == [
        {
            "url": "http://x",
            "ok": False,
            "reason": "connection refused or cut",
            "cloud": "aws",
            "region": "eu-west-1",
        },
        {"url": "http://y", "ok": False, "reason": "HTTP 503"},
        {
            "url": "http://g",
            "ok": True,
            "cloud": "gcp",
            "region": "europe-west1",
            "build": "b1",
            "strategy": "weighted",
        },
    ]
    assert facts["targets"] == STATUS["targets"]
    assert facts["emulator"] == {
        "python": "3.13.0 (/p)",
        "adapter": "stand-in",
        "faults": WORLD["faults"],
        "functions": 2,
        "instances": 2,
    }


def test_the_tables_show_states_reasons_faults_and_how_to_heal() -> None:
    """This is the information that is needed first in an incident."""
    answers = [
        RouterAnswer("http://x", None, "no answer within 4 s"),
        RouterAnswer("http://g", HEALTH, status=STATUS, strategy="weighted"),
    ]
    text = shown(assemble(answers, PLACES, WORLD, "3.13.0 (/p)"))
    for part in (
        "aws/eu-west-1",
        "down",
        "12.3 ms",
        "3 of 3 checkers",
        "no answer within 4 s",
        "61 s",
        "3.13.0 (/p)",
    ):
        assert part in text
    assert "skyfleet chaos aws heal" in text


def test_agents_of_different_builds_are_named() -> None:
    """A failed deploy may leave different builds; the build of the fewest agents comes first."""
    agents: list[JsonObject] = [
        {"cloud": "aws", "region": "eu-west-1", "build": "new"},
        {"cloud": "azure", "region": "westeurope", "build": "old"},
        {"cloud": "gcp", "region": "europe-west1", "build": "new"},
    ]
    text = shown({"targets": STATUS["targets"], "agents": agents})
    assert "agents differ: azure/westeurope runs build old; aws/eu-west-1 and" in text
    assert differences(agents) == (
        "azure/westeurope runs build old; aws/eu-west-1 and gcp/europe-west1 run build new"
    )
    assert differences([agents[0], agents[2]]) == ""
    assert "agents differ" not in shown({"targets": STATUS["targets"], "agents": agents[:1]})


def test_text_from_an_agent_changes_neither_terminal_nor_layout() -> None:
    """Markup and control characters in a build or a reason are shown as text."""
    odd = "[/red]\x1b]0;title\x07"
    agents: list[JsonObject] = [
        {"cloud": "aws", "region": "eu-west-1", "build": odd},
        {"cloud": "gcp", "region": "europe-west1", "build": "b"},
    ]
    text = shown({**targets({"reason": odd}), "agents": agents})
    assert "aws/eu-west-1 runs build [/red]" in text
    assert not {"\x1b", "\x07"} & {*text}


def test_a_stack_without_a_router_is_reported() -> None:
    """The table of targets is left out."""
    facts = assemble([RouterAnswer("http://x", None, "rejected")], {}, None, "")
    assert facts["router"] is None
    assert facts["targets"] == []
    assert facts["emulator"] is None
    assert "no router answers" in shown(facts)


def test_replies_with_missing_or_unknown_fields_are_shown() -> None:
    """A router of another version may send fewer or more fields."""
    status: JsonObject = {"targets": "x", "checkers": [1, {}], "router": None}
    facts = assemble([RouterAnswer("http://g", HEALTH, status=status)], {}, {"functions": None}, "")
    assert facts["targets"] == []
    assert "0 functions" in shown(facts)


def test_an_unreachable_router_is_named_once_with_its_problem() -> None:
    """Its place comes from the stack's outputs."""
    text = shown(assemble([RouterAnswer("http://x", None, "no answer within 4 s")], PLACES, None, ""))
    line = next(line for line in text.splitlines() if "http://x" in line)
    assert "aws/eu-west-1" in line
    assert "no no" not in line
    assert "?" not in line


@pytest.mark.parametrize(("second", "differ"), [("weighted", False), ("cost", True)])
def test_the_strategy_of_each_router_and_a_difference_are_shown(second: str, differ: bool) -> None:
    """A sentence reports the difference, which is easily overlooked in a table."""
    other: JsonObject = {**HEALTH, "cloud": "aws", "region": "eu-west-1"}
    answers = [router("http://g", HEALTH, STATUS), router("http://a", other, STATUS, second)]
    text = shown(assemble(answers, {}, None, ""))
    assert ("The routers differ" in text) == differ
    assert second in text


@pytest.mark.parametrize(("second", "differ"), [((), True), (("aws/r1",), False), (None, False)])
def test_routers_that_drain_different_targets_are_reported(
    second: tuple[str, ...] | None, differ: bool
) -> None:
    """A router that was not reached by the command sends on; one whose document is not known says nothing."""
    other: JsonObject = {**HEALTH, "cloud": "aws", "region": "eu-west-1"}
    answers = [
        RouterAnswer("http://g", HEALTH, status=STATUS, draining=("aws/r1",)),
        RouterAnswer("http://a", other, status=STATUS, draining=second),
    ]
    assert ("The routers differ. `skyfleet drain TARGET`" in shown(assemble(answers, {}, None, ""))) == differ


def test_the_share_is_shown_next_to_the_weight() -> None:
    """A derated share does not change the weight."""
    text = shown(targets({"share": 0.0156}, {"share": 0.6}, {"share": 0}))
    for part in ("1.6%", "60%", "0%"):
        assert part in text


@given(st.floats(0, 1))
def test_a_small_share_is_not_shown_as_zero(part: float) -> None:
    """The least share of `adaptive` is 1/128; a share of at most 0.05 % is shown as zero."""
    assert (percent(part) in ("0%", "0.0%")) == (part <= 0.0005)


def test_the_time_of_a_backoff_or_an_ejection_is_shown_with_the_state() -> None:
    """The remaining seconds follow the name of the state."""
    assert "healthy, backoff 12 s" in shown(targets({"backoff_s": 12.3}))
    assert "ejected, 40 s left" in shown(targets({"state": "ejected", "ejected_s": 39.8}))


def test_an_unknown_share_is_a_dash() -> None:
    """Strategies that compare active requests have no share, and an older router does not send one."""
    lines = shown(targets({"share": None, "weight": 7})).splitlines()
    assert " -        7 " in next(line for line in lines if "healthy" in line)


def test_a_fleet_without_checkers_is_reported() -> None:
    """A sentence replaces the table of checkers."""
    silent: JsonObject = {**STATUS, "checkers": []}
    told = "gcp/europe-west1 has heard of no checker yet, so it decides by its own traffic alone."
    heard, unheard = (
        " ".join(shown(assemble([router("http://g", HEALTH, status)], {}, None, "")).split())
        for status in (STATUS, silent)
    )
    assert told in unheard
    assert told not in heard


@pytest.mark.parametrize(
    ("source", "goes_on"),
    [
        ("aws/eu-west-1", "Its last good view of it stays."),
        (object_name("aws/eu-west-1"), "Its last good view of it stays."),
        (object_name("gcp/europe-west1"), "It has no good view of it."),
        ("mars/x", "It has no good view of it."),
        ("snapshot", "It has no good view of it."),
        (control.NAME, "Its strategy and its draining targets stay."),
    ],
)
def test_the_last_valid_snapshot_is_mentioned_only_if_there_is_one(source: str, goes_on: str) -> None:
    """The router has no earlier snapshot of an unknown checker, and a new instance has none at all."""
    facts = assemble([router("http://g", HEALTH, {**STATUS, "rejected": {source: "No."}})], {}, None, "")
    assert f"gcp/europe-west1 refuses {source}: No. {goes_on}" in " ".join(shown(facts).split())


def test_rejected_documents_are_named() -> None:
    """A broken bucket fails no request, so only the status shows the problem."""
    refused = {"health/aws-eu-west-1.json": "The stored document is not JSON."}
    broken = {**STATUS, "rejected": refused, "store": {"state": "ok", "reason": "", "at": 1.0}}
    cut_off = {
        **STATUS,
        "rejected": {},
        "store": {"state": "down", "reason": "control.json: [/500] no", "at": 1.0},
    }
    facts = assemble([router("http://g", HEALTH, broken), router("http://h", {}, cut_off)], {}, None, "")
    assert json_access.objects(facts["routers"])[0]["rejected"] == refused
    said = " ".join(shown(facts).split())
    assert "gcp/europe-west1 refuses health/aws-eu-west-1.json: The stored document is not JSON." in said
    assert "http://h does not reach its bucket" in said
    assert "control.json: [/500] no" in said
    unwritten = {**STATUS, "store": {"state": "unwritten", "reason": "403 for writers", "at": 1.0}}
    said = " ".join(shown(assemble([router("http://g", HEALTH, unwritten)], {}, None, "")).split())
    assert "gcp/europe-west1 reads its bucket but cannot write to it" in said
    assert "403 for writers" in said
    assert "refuses" not in shown(assemble([router("http://g", HEALTH, STATUS)], {}, None, ""))


def test_a_narrow_terminal_still_shows_states_in_words() -> None:
    """The column of states is neither removed nor wrapped by letters."""
    facts = targets({"region": "westeurope", "state": "degraded"}, {}, {})
    lines = shown(facts, 60).splitlines()
    assert sum(" degraded " in line for line in lines) == 1
    assert sum(" healthy " in line for line in lines) == 2


@pytest.mark.parametrize("width", [46, 60, 72, 80])
def test_names_are_not_truncated_on_a_narrow_terminal(width: int) -> None:
    """Sentences are wrapped, and columns of lesser importance are left out."""
    backoff: JsonObject = {
        "region": "germanywestcentral",
        "state": "degraded",
        "backoff_s": 12.0,
        "reason": "slow " * 30,
    }
    facts = targets({"region": "eu-west-1"}, backoff, {"region": "us-gov-west-1"})
    lines = shown(facts, width).splitlines()
    assert sum("azure/germanywestcentral" in line for line in lines) == 2
    assert sum("gcp/us-gov-west-1" in line for line in lines) == 2
    assert sum("aws/eu-west-1" in line for line in lines) == 2
    assert sum("50%" in line for line in lines) == 3
    assert not any("…" in line for line in lines)
    assert sum(" degraded, " in line for line in lines) == 1
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("kind", ["reason", "learned"])
def test_text_in_brackets_is_not_read_as_markup(kind: str) -> None:
    """Reasons may contain brackets, which the terminal library would interpret."""
    assert "[/500] of [red]" in shown(targets({"state": "down", kind: "[/500] of [red]"}))


@pytest.mark.parametrize("width", [80, 120])
def test_each_target_has_one_line_of_figures(width: int) -> None:
    """No figure is truncated, and a long reason is below the line."""
    learned = "slow: about 812 ms or more, others 6 ms"
    facts = targets({"region": "us-gov-west-1", "learned": learned, "backoff_s": 30.0, "cold": True}, {}, {})
    lines = shown(facts, width).splitlines()
    assert not any("…" in line for line in lines)
    assert sum("6.0 ms" in line for line in lines) == 3
    assert len([line for line in lines if "/r1" in line]) == 4
