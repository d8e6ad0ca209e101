"""Tests of actions.py and dialogs.py: what forms ask for, and what is said to wrong ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pytest
from htpy import fragment
from starlette.applications import Starlette
from starlette.testclient import TestClient

from infra.manager import bodies
from infra.manager.errors import BadRequest, Conflict, ManagerError, NotFound, Unavailable
from infra.manager.jobs.model import Change, Job, State
from infra.manager.page import dialogs, words
from infra.manager.page.routes import routes
from tests.infra.manager.page.fakes import NOW, ScriptedFleet, ScriptedJobs, change, healthy
from tests.infra.manager.page.markup import against_policy, parse


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of the page."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Page:
    """The page's routes with a scripted fleet."""

    fleet: ScriptedFleet
    jobs: ScriptedJobs
    browser: TestClient

    def dialog(self, path: str, **query: str) -> Answer:
        reply = self.browser.get(f"/dialog/{path}", params=query or None)
        return Answer(reply.status_code, reply.text, reply.headers)

    def send(self, action: str, /, **fields: str) -> Answer:
        return self.post(action, urlencode(fields).encode())

    def post(self, action: str, body: bytes) -> Answer:
        reply = self.browser.post(f"/action/{action}", content=body)
        return Answer(reply.status_code, reply.text, reply.headers)


@pytest.fixture
def page() -> Page:
    fleet, jobs = ScriptedFleet(), ScriptedJobs()
    app = Starlette(routes=routes(fleet, jobs, stack="local", wall=lambda: NOW))
    return Page(fleet, jobs, TestClient(app, base_url="http://127.0.0.1"))


def said(answer: Answer) -> str:
    """The text of a dialog, which has nothing that the policy forbids."""
    assert against_policy(answer.text) == []
    return parse(answer.text).words


def done(answer: Answer) -> str:
    """What the page says after an action."""
    assert answer.status == 204
    return str(json.loads(answer.headers["hx-trigger"])["done"]["text"])


@pytest.mark.parametrize(
    "path",
    [
        "add",
        "strategy",
        *(f"{name}?target=aws/eu-west-1" for name in ("weight", "drain", "undrain", "remove")),
    ],
)
def test_every_dialog_has_a_title_and_works_under_the_policy(page: Page, path: str) -> None:
    """The title names the dialog for a screen reader."""
    tags = parse(page.dialog(path).text)
    assert len(tags.find("h2", id="dialog-title")) == 1
    assert against_policy(page.dialog(path).text) == []
    assert [each for each in tags.find("form") if "hx-post" in each.attributes]


@pytest.mark.parametrize(("weight", "value"), [(1.0, "1"), (12_345.5, "12345.5"), (1_234_567.0, "1234567")])
def test_the_present_weight_is_in_its_field(page: Page, weight: float, value: str) -> None:
    """As a number that a browser can read."""
    page.fleet.current = change(healthy(), "aws/eu-west-1", weight=weight)
    tags = parse(page.dialog("weight?target=aws/eu-west-1").text)
    assert [one.attributes["value"] for one in tags.find("input", type="number")] == [value]


def test_a_dialog_of_what_is_gone_says_so(page: Page) -> None:
    """A picture may be older than the fleet."""
    assert "There is no target 'aws/gone' any more." in said(page.dialog("weight?target=aws/gone"))
    assert "There is no job 7." in said(page.dialog("cancel?job=7"))
    assert "There is no dialog 'other'." in said(page.dialog("other"))
    page.fleet.current = None
    assert "No router has answered yet." in said(page.dialog("add"))


def test_numbers_that_are_left_empty_stay_as_they_are(page: Page) -> None:
    """Only what an operator fills in is part of the change."""
    fields = {
        "action": "create",
        "target": "aws/us-east-1",
        "weight": "2",
        "minInstances": "",
        "version": "v1",
    }
    assert "Queued: Add or change aws/us-east-1, weight 2." in done(page.send("change", **fields))
    (asked, by) = page.jobs.submitted[0]
    assert asked == Change("create", "aws", "us-east-1", {"weight": 2.0}, version="v1")
    assert by == "local"


def test_a_removal_has_no_numbers_and_may_be_forced(page: Page) -> None:
    """Whatever else the form carries."""
    page.send("change", action="delete", target="aws/eu-west-1", weight="3", force="yes")
    assert page.jobs.submitted[0][0] == Change("delete", "aws", "eu-west-1", force=True)


@pytest.mark.parametrize(
    ("action", "fields", "text"),
    [
        (
            "weight",
            {"target": "aws/eu-west-1", "weight": "much"},
            "The value of weight has to be a number, not 'much'.",
        ),
        ("weight", {"target": "aws/eu-west-1", "weight": ""}, "Enter the new weight: a number from 0."),
        ("weight", {"target": "aws", "weight": "1"}, "Choose a region"),
        ("plan", {"action": "create", "target": "", "weight": "1"}, "Choose a region"),
        ("change", {"action": "destroy", "target": "aws/a"}, "does not say whether to create or to delete"),
        ("other", {}, "There is no action 'other'."),
        ("cancel", {"job": "7"}, "There is no job 7."),
    ],
)
def test_a_wrong_form_is_told_in_the_dialog(
    page: Page, action: str, fields: dict[str, str], text: str
) -> None:
    """Nothing is asked of jobs and fleet."""
    answer = page.send(action, **fields)
    assert text in said(answer)
    assert parse(answer.text).find("div", role="alert")
    assert page.jobs.submitted == page.fleet.calls == []


@pytest.mark.parametrize(
    ("action", "fields", "stand"),
    [
        ("weight", {"target": "gcp/europe-west1", "weight": "1e9"}, {"weight": "1e9"}),
        (
            "plan",
            {"action": "create", "target": "aws/us-east-1", "weight": "2", "memoryMb": "7"},
            {"weight": "2", "memoryMb": "7", "minInstances": ""},
        ),
        ("change", {"action": "delete", "target": "gcp/europe-west1", "force": "yes"}, {"force": "yes"}),
    ],
)
def test_what_was_refused_leads_back_to_its_form(
    page: Page, action: str, fields: dict[str, str], stand: dict[str, str]
) -> None:
    """It has what was entered, and the version of the present picture."""
    page.jobs.refuses = Conflict("the config was changed by eve")
    refused = parse(page.send(action, version="old", **fields).text)
    (back,) = [one.attributes["hx-get"] for one in refused.find("button") if "hx-get" in one.attributes]
    form = parse(page.browser.get(back).text)
    values = {one.attributes["name"]: one for one in form.find("input")}
    assert {name: values[name].attributes.get("value") for name in stand} == stand
    assert values["version"].attributes["value"] == healthy().version
    assert ("force" not in stand) or "checked" in values["force"].attributes
    chosen = [one.attributes["value"] for one in form.find("option") if "selected" in one.attributes]
    assert chosen == ([fields["target"]] if fields.get("action") == "create" else [])


def test_several_mistakes_are_a_list(page: Page) -> None:
    """One is a sentence."""
    mistakes = ["memoryMb: got 7; expected 128", "minInstances: got 1; expected 0"]
    for count, shown in ((2, [f"{each}." for each in mistakes]), (1, [])):
        what = "; ".join(mistakes[:count])
        page.jobs.refuses = BadRequest(f"the config would not be valid: {what}", mistakes=mistakes[:count])
        refused = parse(page.send("weight", target="aws/eu-west-1", weight="1").text)
        said = "The config would not be valid" + (f": {what}." if count == 1 else ".")
        assert [each.words for each in refused.find("p", class_="error")] == [said]
        assert [each.words for each in refused.find("li")] == shown


def test_what_another_try_cannot_mend_leads_nowhere(page: Page) -> None:
    """Such as the cancel of a job that there is not, or a target that is gone."""
    page.jobs.refuses = NotFound("no target aws/gone")
    for answer in (page.send("cancel", job="7"), page.send("weight", target="aws/gone", weight="1")):
        assert [one.words for one in parse(answer.text).find("button")] == ["Close"]


def test_a_form_is_bounded(page: Page) -> None:
    """In bytes and in fields; one that is no form is told too."""
    assert "at most 16384 are read" in said(page.send("weight", target="x" * bodies.MOST_BYTES))
    assert "cannot be read" in said(page.send("weight", **{f"f{number}": "1" for number in range(40)}))
    assert "cannot be read" in said(page.post("weight", b"\xff=1"))


@pytest.mark.parametrize("error", [Conflict("eve was first"), Unavailable("the disk is full")])
def test_a_refusal_is_told_with_its_reason(page: Page, error: ManagerError) -> None:
    """The title says that nothing was changed."""
    page.jobs.refuses = page.fleet.refuses = error
    answers = [
        page.send("weight", target="aws/eu-west-1", weight="1"),
        page.send("strategy", name="latency"),
        page.send("drain", target="aws/eu-west-1"),
    ]
    for answer in answers:
        assert answer.status == error.status
        assert f"{error.title}: nothing was changed" in said(answer)
        assert words.sentence(error.detail) in said(answer)


def test_a_plan_without_operations_can_still_be_confirmed() -> None:
    """`Nothing would change` is an answer and no error."""
    job = Job(
        "1", Change("create", "aws", "a", preview=True), "eve", NOW, State.DONE, result="nothing would change"
    )
    tags = parse(str(fragment[dialogs.planned(job, {"action": "create", "target": "aws/a"})]))
    assert "Nothing would change." in tags.words
    assert tags.find(role="alert") == []
    failed = replace(job, state=State.FAILED, result="AWS has no such region")
    tags = parse(str(fragment[dialogs.planned(failed, {"action": "create", "target": "aws/a"})]))
    assert tags.find(role="alert")[0].words == "AWS has no such region."
    assert not [each for each in tags.find("form") if "hx-post" in each.attributes]


def test_hostile_names_in_a_dialog_are_text(page: Page) -> None:
    """A target's name comes from a config, a job's from a request."""
    bad = "<img src=x onerror=alert(1)>"
    page.fleet.current = change(healthy(), "aws/eu-west-1", region=bad)
    answer = page.dialog("remove", target=f"aws/{bad}")
    assert bad in said(answer)
    assert parse(answer.text).find("img") == []
    assert bad in said(page.dialog("weight", target=bad))
