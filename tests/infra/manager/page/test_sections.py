"""Tests of the page's HTML: each state's colour and word, escaped text, nothing that the policy forbids."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Job, State
from infra.manager.page import charts, document, fragments, jobs, sections, words
from tests.infra.manager.page.fakes import KEYS, NOW, ScriptedJobs, change, degraded, healthy, killed, target
from tests.infra.manager.page.markup import Tag, against_policy, parse

pytestmark = pytest.mark.pure
HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>"'&</p><hx-partial hx-target="body">"""
STATES = tuple(words.LOOKS)


def part(name: str, picture: Picture | None, *recent: Job, now: float = NOW) -> Tag:
    return parse(fragments.render(picture, recent, now)[name])


def whole(picture: Picture | None, *recent: Job) -> str:
    return document.page("local", fragments.render(picture, recent, NOW), by="local", operator=True)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_colour_and_a_word_on_card_and_drawing(state: str) -> None:
    """Colour alone would be lost on operators who cannot tell red from green."""
    seen = change(healthy(), "aws/eu-west-1", state=state)
    look = words.look(state)
    (card,) = part("targets", seen).find("article", id="target-aws-eu-west-1")
    assert f"tone-{look.tone}" in card.attributes["class"]
    (badge,) = card.find("strong", class_="state")
    assert badge.words == f"{look.mark} {state}"
    for size in ("picture-wide", "picture-narrow"):
        (drawing,) = part("picture", seen).find("svg", class_=size)
        coloured = drawing.find("tspan", class_=f"tone-{look.tone}")
        assert f"{look.mark} {state}" in [each.text.strip() for each in coloured]


def test_a_card_says_why_and_since_when() -> None:
    """A healthy target needs no reason."""
    (down,) = part("targets", killed()).find(id="target-aws-eu-west-1")
    (why,) = down.find("p", class_="why")
    assert why.words == "3 of 3 checkers report: connection refused. Since 14:10:10 (3 min)."
    (well,) = part("targets", killed()).find(id="target-gcp-europe-west1")
    assert [each.words for each in well.find("p", class_="why")] == ["Serves its full share."]


def test_a_card_has_the_numbers_of_its_target() -> None:
    """Instances only where the cloud tells them or the config bounds them."""
    card = part("targets", killed()).find(id="target-gcp-europe-west1")[0]
    labels = {each.find("dt")[0].words: each.find("dd")[0].words for each in card.find("dl")[0].inside}
    assert labels == {
        "Share": "52 %",
        "Weight": "1",
        "Latency": "123 ms",
        "Errors": "0 %",
        "In flight": "4",
        "Instances": "2 (0 to 20)",
    }
    for low, high, said in ((1, None, "2 (1 or more)"), (None, 20, "2 (0 to 20)"), (0, None, "2")):
        bounded = change(healthy(), "aws/eu-west-1", min_instances=low, max_instances=high)
        assert sections.numbers(bounded.targets[0])[-1] == ("Instances", said)
    bare = change(healthy(), "aws/eu-west-1", instances=None, min_instances=None, max_instances=None)
    assert "Instances" not in part("targets", bare).find(id="target-aws-eu-west-1")[0].words


def test_problems_are_told_and_their_absence_is_not() -> None:
    """A banner that is always there is not read."""
    assert part("problems", healthy()).inside == []
    (banner,) = part("problems", degraded()).find("div", class_="problems")
    assert banner.words.startswith("2 problems of the fleet The router gcp/europe-west1 does not answer")
    (old,) = part("problems", healthy(), now=NOW + 16).find("div", class_="problems")
    assert "What is below is from 14:13:20" in old.words


def test_a_config_that_is_not_deployed_is_a_problem_unless_a_job_deploys_it() -> None:
    """A change by hand is told; that of a job under way is not a problem."""
    told = "The stack config has changed and is not deployed (gcp/europe-west1: weight 2 in the stack config"
    assert told in part("problems", degraded()).words
    play = ScriptedJobs([Job("7", Change("weight", "gcp", "europe-west1", preview=True), "eve", NOW)])
    assert told in part("problems", degraded(), *play.jobs).words
    play.jobs = [Job("7", Change("weight", "gcp", "europe-west1"), "eve", NOW)]
    assert told not in part("problems", degraded(), *play.jobs).words
    play.end("7", State.FAILED)
    assert told in part("problems", degraded(), *play.jobs).words


def test_the_worst_reasons_come_first_and_lead_to_the_cards() -> None:
    """They may count seconds, so a screen reader is not told of them again and again."""
    seen = healthy()
    for key, state in zip(KEYS, ("degraded", "draining", "ejected"), strict=True):
        seen = change(seen, "/".join(key), state=state, sentence=f"Why it is {state}.")
    more = replace(target("aws", "us-east-1"), state="slow-start", sentence="Why it is slow.")
    verdict = part("verdict", replace(seen, targets=(*seen.targets, more)))
    reasons = verdict.find("p", class_="reason")
    assert [each.words.rpartition(": ")[2] for each in reasons] == [
        "Why it is ejected.",
        "Why it is degraded.",
        "Why it is slow.",
        "The cards below say why of 1 more.",
    ]
    assert reasons[0].find("a")[0].attributes["href"] == "#target-gcp-europe-west1"
    (live,) = verdict.find(role="status")
    assert live.find("p", class_="reason") == []


def test_a_card_does_not_claim_what_is_not_so() -> None:
    """A healthy target of weight 0 has no share; one that does not exist cannot drain."""
    (spare,) = part("targets", change(healthy(), "aws/eu-west-1", weight=0)).find(id="target-aws-eu-west-1")
    assert spare.find("p", class_="why")[0].words == (
        "Its weight is 0, so it gets requests only when no target with a weight serves."
    )
    coming = change(healthy(), "aws/eu-west-1", state="unknown", url="", planned="in the stack config")
    (card,) = part("targets", coming).find(id="target-aws-eu-west-1")
    assert card.find("strong", class_="state")[0].words == "… not deployed"
    assert [each.words for each in card.find("button")] == ["Weight…", "Remove…"]
    silent = change(healthy(), "aws/eu-west-1", state="unknown")
    silent = replace(silent, routers=tuple(replace(each, problem="no answer") for each in silent.routers))
    (dark,) = part("targets", silent).find(id="target-aws-eu-west-1")
    assert dark.find("p", class_="why")[0].words.startswith("No router answers the manager")
    assert part("age", silent).words.startswith("No router answered at 14:13:20 UTC.")


@pytest.mark.parametrize("state", STATES)
def test_a_card_says_what_to_do_where_something_is_wrong(state: str) -> None:
    """In the words of the runbook."""
    seen = change(healthy(), "aws/eu-west-1", state=state)
    told = part("targets", seen).find("p", class_="todo")
    assert bool(told) is (words.look(state).tone in ("bad", "warn"))
    assert all(each.words.endswith(".") and "[" not in each.words for each in told)


def test_a_job_that_has_failed_is_seen_without_scrolling() -> None:
    """Until another job or an hour has passed."""
    play = ScriptedJobs([Job("7", Change("create", "aws", "us-east-1"), "eve", NOW)])
    play.end("7", State.FAILED, "the quota is used up")
    assert part("activity", healthy(), *play.jobs).words == (
        "✕ Failed at 14:13 UTC: Add or change aws/us-east-1"
    )
    assert part("activity", healthy(), *play.jobs, now=NOW + 3700).inside == []
    play.jobs.insert(0, Job("8", Change("create", "aws", "us-east-1"), "eve", NOW))
    play.end("8", State.DONE)
    assert part("activity", healthy(), *play.jobs).inside == []


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        (0, ""),
        (1, "Without what aws/eu-west-1 counts now: it does not answer the manager."),
        (2, "Without what aws/eu-west-1 and azure/westeurope count now: they do not answer the manager."),
    ],
)
def test_charts_say_which_routers_they_lack(silent: int, said: str) -> None:
    """Their newest numbers are too small then."""
    seen = healthy()
    routers = (replace(each, problem="refused") for each in seen.routers[:silent])
    shown = part("charts", replace(seen, routers=(*routers, *seen.routers[silent:])))
    assert " ".join(each.words for each in shown.find("p")) == said


@pytest.mark.parametrize("picture", [None, healthy(), killed(), degraded()])
def test_no_part_has_inline_style_script_or_foreign_address(picture: Picture | None) -> None:
    """The page works under default-src 'none' and 'self' alone."""
    running = ScriptedJobs()
    running.jobs = [Job("1", Change("create", "aws", "us-east-1"), "local", NOW)]
    running.start("1")
    running.step("1", "creates", 10)
    assert against_policy(whole(picture, *running.jobs)) == []


def test_hostile_text_is_shown_as_text() -> None:
    """Names, reasons, problems and progress come from other machines and from people."""
    seen = change(healthy(), "aws/eu-west-1", sentence=HOSTILE, planned=HOSTILE, region=HOSTILE)
    seen = replace(
        seen,
        problems=(HOSTILE,),
        routers=(replace(seen.routers[0], problem=HOSTILE, region=HOSTILE, strategy=HOSTILE),),
        checkers=(replace(seen.checkers[0], checker=HOSTILE),),
    )
    recent = ScriptedJobs([Job(HOSTILE, Change("create", HOSTILE, HOSTILE), HOSTILE, NOW)])
    recent.start(HOSTILE)
    recent.step(HOSTILE, HOSTILE)
    html = document.page(HOSTILE, fragments.render(seen, recent.jobs, NOW), by="local", operator=True)
    assert "<script>alert" not in html
    assert "<hx-partial" not in html
    assert parse(html).find("img", src="x") == []
    reasons = "".join(each.text for each in parse(html).find("p", class_="why"))
    assert HOSTILE.partition("<hx")[0] in reasons
    assert [each for each in against_policy(html) if each.startswith("<")] == []


def test_parts_that_nothing_is_known_of_are_not_empty_panels() -> None:
    """Before the first picture, and without jobs and requests."""
    assert part("picture", None).words == "The picture appears when the first router has answered."
    assert part("verdict", None).words == "No router has answered yet."
    assert part("jobs", healthy()).words.startswith("No job yet.")
    assert part("charts", replace(healthy(), minutes=())).words.startswith("No request in the last hour.")
    assert part("targets", None).inside == []


def test_charts_have_a_text_and_a_table() -> None:
    """A screen reader gets the last and the highest value, and all numbers."""
    section = part("charts", healthy())
    images = section.find("img")
    assert [each.attributes["alt"].partition(":")[0] for each in images] == [
        each.title for each in charts.CHARTS
    ]
    assert "p99 567 in the last minute, at most 639 at" in images[0].attributes["alt"]
    assert len(section.find("tr")) == 61
    assert all(each.attributes["src"].startswith("/charts/") for each in images)


def test_a_charts_address_changes_with_its_numbers() -> None:
    """A browser keeps the image of an address for ever."""
    before = part("charts", healthy()).find("img")[0].attributes["src"]
    newer = replace(healthy(), minutes=healthy().minutes[1:])
    assert part("charts", newer).find("img")[0].attributes["src"] != before
    assert part("charts", replace(healthy(), at=NOW + 1)).find("img")[0].attributes["src"] == before


@pytest.mark.parametrize("chart", charts.CHARTS)
def test_a_chart_is_svg_without_script(chart: charts.Chart) -> None:
    """Each series has its values; pygal's configuration script is left out."""
    svg = charts.render(chart.name, healthy().minutes).decode()
    assert "<script" not in svg
    assert "<style" in svg
    assert all(series.name in svg for series in chart.series if len(chart.series) > 1)


def test_a_chart_that_all_pages_ask_for_at_once_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page asks in a thread of its own; the memory of a drawing would be needed in each."""
    drawn: list[str] = []
    make = charts._pygal  # pyright: ignore[reportPrivateUsage]

    def count(chart: charts.Chart) -> object:
        drawn.append(chart.name)
        return make(chart)

    monkeypatch.setattr(charts, "_pygal", count)
    numbers = tuple(replace(each, requests=each.requests + 1) for each in healthy().minutes)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(charts.render, "latency", numbers) for _ in range(5)]
        images = [one.result() for one in asked]
    assert drawn == ["latency"]
    assert len(set(images)) == 1


def test_a_job_has_its_state_progress_and_result() -> None:
    """The last line of a running job, the result of one that has ended."""
    play = ScriptedJobs([Job("7", Change("create", "aws", "us-east-1", {"weight": 1}), "eve", NOW)])
    (queued,) = part("jobs", healthy(), *play.jobs).find("article")
    assert "Add or change aws/us-east-1, weight 1" in queued.words
    assert "… queued" in queued.words
    play.start("7")
    play.step("7", "Creates aws:lambda:Function", 40)
    (running,) = part("jobs", healthy(), *play.jobs).find("article")
    assert running.find("progress")[0].attributes["value"] == "40"
    assert running.find("p", class_="step")[0].words == "Creates aws:lambda:Function"
    assert running.find("button")[0].attributes["hx-get"] == "/dialog/cancel?job=7"
    play.end("7", State.FAILED, "AWS: quota of 5 functions is used up.")
    (ended,) = part("jobs", healthy(), *play.jobs).find("article")
    assert "✕ failed" in ended.words
    assert "AWS: quota of 5 functions is used up." in ended.words
    assert ended.find("progress") == ended.find("button") == []


def test_of_a_long_job_the_last_lines_are_shown() -> None:
    """The page stays small."""
    play = ScriptedJobs([Job("7", Change("delete", "aws", "us-east-1"), "eve", NOW)])
    for number in range(100):
        play.step("7", f"line {number}")
    (shown,) = part("jobs", healthy(), *play.jobs).find("article")
    assert len(shown.find("li")) == jobs.LINES
    assert "line 99" in shown.words
    assert "line 5 " not in shown.words


def test_of_many_jobs_the_newest_are_shown_whole() -> None:
    """Earlier ones are rows of a table; one that runs is shown whole, however old it is."""
    play = ScriptedJobs()
    for number in range(6):
        play.jobs.insert(0, Job(f"j{number}", Change("weight", "aws", f"r{number}"), "eve", NOW))
    play.start("j0")
    for number in range(1, 6):
        play.end(f"j{number}", result=f"aws/r{number} is changed")
    section = part("jobs", healthy(), *play.jobs)
    assert [each.attributes["id"] for each in section.find("article")] == [
        "job-j5",
        "job-j4",
        "job-j3",
        "job-j0",
    ]
    assert [row.find("th")[0].words for row in section.find("tbody")[0].find("tr")] == [
        "Set the weight of aws/r2",
        "Set the weight of aws/r1",
    ]


def test_a_finished_plan_is_not_part_of_the_history() -> None:
    """It has changed nothing."""
    play = ScriptedJobs([Job("7", Change("create", "aws", "us-east-1", preview=True), "eve", NOW)])
    assert "Plan: Add or change aws/us-east-1" in part("jobs", healthy(), *play.jobs).words
    play.end("7")
    assert part("jobs", healthy(), *play.jobs).words.startswith("No job yet.")


def test_a_viewer_and_an_operator_get_pages_that_differ_in_one_attribute() -> None:
    """The style sheet hides actions from a viewer; the server refuses them anyway."""
    shown = fragments.render(healthy(), [], NOW)
    operator = document.page("local", shown, by="local", operator=True)
    viewer = document.page("local", shown, by="local", operator=False)
    assert viewer.encode() == operator.encode().replace(b'data-role="operator"', b'data-role="viewer"')


@pytest.mark.parametrize(
    ("draining", "undrained", "labels"),
    [
        (False, (), ["Drain…", "Remove…"]),
        (True, (), ["End drain…", "Remove…"]),
        (True, ("gcp/europe-west1",), ["End drain…", "Remove…", "Drain again…"]),
    ],
)
def test_a_drain_that_a_router_has_missed_can_be_repeated(
    draining: bool, undrained: tuple[str, ...], labels: list[str]
) -> None:
    """Beside its end."""
    seen = change(healthy(), "aws/eu-west-1", draining=draining, undrained=undrained)
    buttons = part("targets", seen).find(id="target-aws-eu-west-1")[0].find("button")
    assert [each.words for each in buttons] == ["Weight…", *labels]
