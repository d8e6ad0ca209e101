"""Each action of the page in Chromium: what the dialog says, what is asked for, what is said afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from infra.manager.errors import BadRequest, Conflict
from infra.manager.jobs.model import Change, Job, State
from tests.browser.conftest import Seen, accessibility
from tests.browser.site import Site
from tests.infra.manager.page.fakes import NOW, change, healthy

pytestmark = pytest.mark.xdist_group("browser")
VERSION = healthy().version


def opened(page: Page, button: str) -> Locator:
    """Click a button of the page and return the dialog, which axe finds nothing in."""
    page.get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert accessibility(page, "#dialog") == []
    return dialog


def notice(page: Page, text: str) -> None:
    """The dialog is closed, and the page says this."""
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#notice")).to_contain_text(text)


def test_a_weight_is_set_by_a_job(page: Page, site: Site) -> None:
    """The job has the version that the operator saw."""
    dialog = opened(page, "Weight: the weight of aws/eu-west-1")
    expect(dialog).to_contain_text("The weight is 1 of 3 in all.")
    expect(dialog.get_by_label("New weight")).to_be_focused()
    dialog.get_by_label("New weight").fill("2.5")
    dialog.get_by_role("button", name="Set the weight").click()
    notice(page, "Queued: Set the weight of aws/eu-west-1, weight 2.5.")
    assert site.jobs.submitted == [
        (Change("weight", "aws", "eu-west-1", {"weight": 2.5}, version=VERSION), "local")
    ]
    expect(page.locator("#job-job-1")).to_contain_text("… queued")


def test_a_weight_has_to_be_entered(page: Page, site: Site) -> None:
    """An emptied field is refused by the browser, and nothing is deployed."""
    dialog = opened(page, "Weight: the weight of aws/eu-west-1")
    field = dialog.get_by_label("New weight")
    field.fill("")
    dialog.get_by_role("button", name="Set the weight").click()
    assert field.evaluate("field => field.validity.valueMissing")
    field.press("Escape")
    assert site.jobs.submitted == []


def test_the_second_of_two_operators_is_told_of_the_first(page: Page, site: Site, seen: Seen) -> None:
    """Nothing is changed; the reason stays in the dialog until it is closed."""
    site.jobs.refuses = Conflict("the fleet was changed by eve at 14:12: look at it and decide again")
    dialog = opened(page, "Weight: the weight of aws/eu-west-1")
    dialog.get_by_role("button", name="Set the weight").click()
    expect(dialog.get_by_role("alert")).to_have_text(
        "The fleet was changed by eve at 14:12: look at it and decide again."
    )
    expect(dialog).to_contain_text("Conflict: nothing was changed")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    assert [each for each in seen.complaints if "409" not in each] == []
    seen.complaints.clear()


def test_a_target_is_drained_and_the_drain_is_ended(page: Page, site: Site) -> None:
    """The dialog says where the requests go; the page shows the new state at once."""
    dialog = opened(page, "Drain: gcp/europe-west1")
    expect(dialog).to_contain_text("New requests go to aws/eu-west-1 and azure/westeurope.")
    expect(dialog).to_contain_text("2 requests in flight there may end.")
    dialog.get_by_role("button", name="Drain gcp/europe-west1").click()
    notice(page, "gcp/europe-west1 drains.")
    expect(page.locator("#target-gcp-europe-west1 .state")).to_have_text("⇣ draining")
    dialog = opened(page, "End drain: gcp/europe-west1")
    dialog.get_by_role("button", name="End the drain").click()
    expect(page.locator("#target-gcp-europe-west1 .state")).to_have_text("✓ healthy")
    assert site.fleet.calls == [
        ("drain", "gcp/europe-west1", False, False),
        ("drain", "gcp/europe-west1", True, False),
    ]


def test_draining_the_last_target_needs_a_second_thought(page: Page, site: Site) -> None:
    """The dialog says that clients would get errors, and asks for a tick."""
    seen = change(healthy(), "aws/eu-west-1", state="down")
    site.do(lambda: site.fleet.show(change(seen, "azure/westeurope", state="draining", draining=True)))
    expect(page.locator("#target-azure-westeurope .state")).to_have_text("⇣ draining")
    dialog = opened(page, "Drain: gcp/europe-west1")
    expect(dialog.get_by_role("alert")).to_have_text("No other target serves: clients would get errors.")
    dialog.get_by_label("Drain it although no other target serves").check()
    dialog.get_by_role("button", name="Drain gcp/europe-west1").click()
    notice(page, "drains.")
    assert site.fleet.calls == [("drain", "gcp/europe-west1", False, True)]


def test_the_strategy_is_changed(page: Page, site: Site) -> None:
    """The present one is selected; each has its meaning beside it."""
    dialog = opened(page, "Change strategy: the strategy of the routers")
    choice = dialog.get_by_label("Strategy")
    expect(choice).to_have_value("adaptive")
    choice.select_option("latency")
    dialog.get_by_role("button", name="Change the strategy").click()
    notice(page, "Routers: aws/eu-west-1: set.")
    expect(page.locator("#routers .strategy strong")).to_have_text("latency")
    assert site.fleet.calls == [("strategy", "latency")]


def test_a_region_is_added_after_its_plan_was_seen(
    page: Page, site: Site, keep_screenshot: Callable[[Page, str], None]
) -> None:
    """The plan is a job of its own that changes nothing; the confirmed change has the same values."""
    dialog = opened(page, "Add a region: a new target")
    dialog.get_by_label("Region").select_option("aws/us-east-1")
    assert dialog.get_by_label("Region").locator("option[value='aws/eu-west-1']").count() == 0
    dialog.get_by_label("Weight").fill("2")
    dialog.get_by_label("Max. instances").fill("10")
    dialog.get_by_role("button", name="Show the plan").click()
    expect(dialog).to_contain_text("Planning: add aws/us-east-1")
    site.do(lambda: (site.jobs.start("job-1"), site.jobs.step("job-1", "pulumi preview")))
    expect(dialog.locator(".step")).to_have_text("pulumi preview")
    site.do(lambda: site.jobs.end("job-1"))
    expect(dialog.get_by_label("Plan")).to_contain_text("+ aws:lambda:Function agent-aws-us-east-1")
    assert accessibility(page, "#dialog") == []
    keep_screenshot(page, "plan")
    dialog.get_by_role("button", name="Add aws/us-east-1").click()
    notice(page, "Queued: Add or change aws/us-east-1, weight 2, maxInstances 10.")
    (plan, _), (asked, by) = site.jobs.submitted
    assert (plan.preview, asked.preview) == (True, False)
    options = {"weight": 2.0, "maxInstances": 10.0}
    assert (asked, by) == (Change("create", "aws", "us-east-1", options, version=VERSION), "local")


def test_a_region_is_removed_after_its_plan_was_seen(page: Page, site: Site) -> None:
    """The dialog says where its share goes."""
    dialog = opened(page, "Remove: azure/westeurope")
    expect(dialog).to_contain_text("Its share of 30 % goes to aws/eu-west-1 and gcp/europe-west1.")
    dialog.get_by_role("button", name="Show the plan").click()
    expect(dialog).to_contain_text("Planning: remove azure/westeurope")
    site.do(lambda: site.jobs.end("job-1"))
    dialog.get_by_role("button", name="Remove azure/westeurope").click()
    notice(page, "Queued: Remove azure/westeurope.")
    assert site.jobs.submitted[1][0] == Change("delete", "azure", "westeurope", version=VERSION)


def test_a_plan_that_fails_says_why_and_leads_back(page: Page, site: Site) -> None:
    """The cloud's reason is shown in the dialog, and nothing can be confirmed."""
    dialog = opened(page, "Remove: azure/westeurope")
    dialog.get_by_role("button", name="Show the plan").click()
    expect(dialog).to_contain_text("Planning: remove azure/westeurope")
    site.do(lambda: site.jobs.end("job-1", State.FAILED, "azure/westeurope has the router: not removed."))
    expect(dialog.get_by_role("alert")).to_have_text("azure/westeurope has the router: not removed.")
    expect(dialog.get_by_role("button")).to_have_text(["Close", "Back to the form"])
    expect(dialog.get_by_role("button", name="Back to the form")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("First you see the plan.")


def test_a_typing_error_is_mended_where_it_was_made(page: Page, site: Site, seen: Seen) -> None:
    """The form keeps what was entered, with the keyboard alone."""
    site.jobs.refuses = BadRequest("memoryMb: got 7; expected a number from 128 to 10240")
    dialog = opened(page, "Add a region: a new target")
    dialog.get_by_label("Region").select_option("aws/us-east-1")
    dialog.get_by_label("Memory, MB").fill("7")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("expected a number from 128 to 10240")
    expect(dialog.get_by_role("button", name="Back to the form")).to_be_focused()
    site.jobs.refuses = None
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Region")).to_have_value("aws/us-east-1")
    expect(dialog.get_by_label("Memory, MB")).to_have_value("7")
    dialog.get_by_label("Memory, MB").fill("512")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Planning: add aws/us-east-1")
    change = Change(
        "create", "aws", "us-east-1", {"weight": 1, "memoryMb": 512}, version=VERSION, preview=True
    )
    assert site.jobs.submitted == [(change, "local")]
    assert any("400" in each for each in seen.complaints)
    seen.complaints.clear()


def test_a_dialog_that_was_closed_while_planning_stays_closed(page: Page, site: Site) -> None:
    """The plan changes nothing, so it may end unseen."""
    dialog = opened(page, "Remove: azure/westeurope")
    dialog.get_by_role("button", name="Show the plan").click()
    expect(dialog).to_contain_text("Planning: remove azure/westeurope")
    dialog.get_by_role("button", name="Close").click()
    site.do(lambda: site.jobs.end("job-1"))
    expect(page.locator("#jobs")).to_contain_text("No job yet.")
    expect(dialog).to_be_hidden()
    expect(page.locator("#dialog-body")).to_be_empty()


def test_a_running_job_is_cancelled(page: Page, site: Site) -> None:
    """The job says how far it came."""
    site.jobs.jobs.append(Job("j1", Change("delete", "aws", "eu-west-1"), "eve", NOW))
    site.do(lambda: site.jobs.start("j1"))
    dialog = opened(page, "Cancel: Remove aws/eu-west-1")
    expect(dialog).to_contain_text("The operation under way ends first.")
    dialog.get_by_role("button", name="Cancel the job").click()
    notice(page, "Cancelled: Remove aws/eu-west-1.")
    expect(page.locator("#job-j1")).to_contain_text("Cancelled by local.")


def test_a_form_stays_when_the_manager_does_not_answer(page: Page, site: Site, seen: Seen) -> None:
    """Whether it was carried out is not known then. The form can be sent again, and has its version."""
    dialog = opened(page, "Weight: the weight of gcp/europe-west1")
    dialog.get_by_label("New weight").fill("4")
    site.stop()
    for _ in range(2):
        dialog.get_by_role("button", name="Set the weight").click()
        expect(dialog.get_by_role("alert")).to_have_count(1)
        expect(dialog.get_by_role("alert")).to_contain_text("it is not known whether this was done")
        expect(dialog.get_by_role("button", name="Set the weight")).to_be_enabled()
    assert accessibility(page, "dialog") == []
    site.start()
    expect(page.locator("#lost")).to_be_hidden()
    dialog.get_by_role("button", name="Set the weight").click()
    notice(page, "Queued: Set the weight of gcp/europe-west1, weight 4.")
    assert len(site.jobs.submitted) == 1
    seen.complaints.clear()


def test_a_dialog_that_cannot_be_had_is_said(page: Page, site: Site, seen: Seen) -> None:
    """In sight, wherever the page is scrolled to, and also when the connection is back."""
    site.stop()
    page.get_by_role("button", name="Drain: gcp/europe-west1").click()
    notice(page, "The manager did not answer, and nothing was changed.")
    expect(page.locator("#notice")).to_be_in_viewport()
    site.start()
    expect(page.locator("#lost")).to_be_hidden()
    notice(page, "The manager did not answer, and nothing was changed.")
    seen.complaints.clear()
