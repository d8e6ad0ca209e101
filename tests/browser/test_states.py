"""The page in Chromium in rarer states: what axe finds, forced colours, zoom, and the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Job, State
from infra.manager.page import words
from tests.browser.conftest import Open, accessibility
from tests.browser.site import Site
from tests.infra.manager.page.fakes import KEYS, NOW, change, degraded, healthy

pytestmark = pytest.mark.xdist_group("browser")
VERDICT = "#verdict .verdict"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def dead() -> Picture:
    """All targets are down and tried all the same."""
    seen = healthy()
    for key in KEYS:
        seen = change(seen, "/".join(key), state="down", sentence="Its health checks fail.", latency_ms=None)
    return replace(seen, problems=("No target serves: requests are tried all the same.",))


def silent() -> Picture:
    """No router answers, and there was no traffic."""
    seen = healthy()
    for key in KEYS:
        seen = change(seen, "/".join(key), state="unknown", share=None, latency_ms=None, errors=None)
    routers = tuple(replace(each, problem="no answer", requests=None) for each in seen.routers)
    return replace(seen, routers=routers, checkers=(), minutes=())


def coming() -> Picture:
    """One target is in the stack config alone, one has the weight 0."""
    seen = change(healthy(), "aws/eu-west-1", state="unknown", url="", planned="in the stack config")
    return change(seen, "gcp/europe-west1", weight=0, share=0.0)


STATES: tuple[Callable[[], Picture], ...] = (dead, silent, coming)


def test_axe_finds_nothing_in_rarer_states(page: Page, site: Site) -> None:
    """With the runbook open, a job that has failed, and a table of earlier ones."""
    for number in range(6):
        site.jobs.jobs.append(Job(f"j{number}", Change("create", "aws", "us-east-1"), "eve", NOW))
    site.do(lambda: [site.jobs.end(f"j{number}", State.FAILED, "no quota") for number in range(6)])
    expect(page.locator("#activity")).to_contain_text("Failed at")
    for summary in page.locator("summary").all():
        summary.click()
    for state in STATES:
        site.do(lambda shown=state: site.fleet.show(shown()))
        expect(page.locator(VERDICT)).to_have_text(words.verdict(state()).sentence)
        assert accessibility(page) == []
        expect(page.locator("#runbook table").first).to_be_visible()


def test_forced_colours_and_a_zoom_of_200_percent_lose_nothing(open_page: Open, site: Site) -> None:
    """1,280 pixels at 200 % are 640. Marks and words tell the states apart without a colour."""
    site.fleet.current = degraded()
    page = open_page(640, 450)
    page.emulate_media(forced_colors="active")
    assert accessibility(page) == []
    assert page.evaluate(WIDER) == 0
    expect(page.locator("#target-azure-westeurope .state")).to_have_text("! degraded")


def test_a_plan_is_asked_for_and_declined_with_the_keyboard_alone(page: Page, site: Site) -> None:
    """The focus stays in the dialog when its content is replaced, and goes back to the button at the end."""
    inside = "document.querySelector('#dialog').contains(document.activeElement)"
    opener = page.get_by_role("button", name="Remove: aws/eu-west-1")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("First you see the plan.")
    assert page.evaluate(inside)
    dialog.get_by_role("button", name="Show the plan").focus()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Planning: remove aws/eu-west-1")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    site.do(lambda: (site.jobs.start("job-1"), site.jobs.end("job-1")))
    expect(dialog).to_contain_text("Remove aws/eu-west-1?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    assert [each.preview for each, _ in site.jobs.submitted] == [True]
