"""The page in Chromium: live pictures, a job from start to end, a lost connection, keyboard, phone, axe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Job, State
from infra.manager.page import feed, words
from tests.browser.conftest import Open, Seen, accessibility
from tests.browser.site import Site
from tests.infra.manager.page.fakes import NOW, change, degraded, healthy, killed

pytestmark = pytest.mark.xdist_group("browser")
VERDICT = "#verdict .verdict"
SCREENS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (360, 780, "light")}

PICTURES: dict[str, Callable[[], Picture]] = {"healthy": healthy, "killed": killed, "degraded": degraded}


def test_a_newer_picture_is_shown_without_loading_the_page_again(page: Page, site: Site) -> None:
    """What has the focus keeps it, and what is open stays open."""
    page.evaluate("window.same = true")
    expect(page.locator(VERDICT)).to_have_text("All 3 targets are healthy.")
    page.locator("summary", has_text="The last hour as a table").click()
    button = page.get_by_role("button", name="Weight: the weight of gcp/europe-west1")
    button.focus()
    site.do(lambda: site.fleet.show(killed()))
    expect(page.locator(VERDICT)).to_have_text("aws/eu-west-1 is down. 2 of 3 targets serve.")
    expect(page.locator("#verdict .reason")).to_contain_text("connection refused")
    expect(page.locator("#target-aws-eu-west-1 .why")).to_contain_text("connection refused")
    expect(page.locator("#picture svg:visible")).to_have_count(1)
    expect(button).to_be_focused()
    assert accessibility(page) == []
    newer = replace(killed(), minutes=killed().minutes[1:])
    site.do(lambda: site.fleet.show(newer))
    expect(page.locator("#charts tbody tr")).to_have_count(59)
    expect(page.locator("#charts table")).to_be_visible()
    assert page.evaluate("window.same")


def test_charts_are_images_that_are_drawn(page: Page) -> None:
    """Their own style sheet works under the policy, since an image is a document of its own."""
    for number in range(3):
        chart = page.locator("#charts img").nth(number)
        assert chart.evaluate("image => image.complete && image.naturalWidth > 0")


def test_a_job_is_watched_from_start_to_end(page: Page, site: Site) -> None:
    """Queued, running with a growing progress, failed with its reason."""
    site.do(lambda: site.jobs.jobs.insert(0, _job()))
    job = page.locator("#job-j1")
    expect(job.locator(".state")).to_have_text("… queued")
    site.do(lambda: site.jobs.start("j1"))
    expect(job.locator(".state")).to_have_text("▶ running")
    site.do(lambda: site.jobs.step("j1", "Creates aws:iam:Role", 10))
    expect(job.locator(".step")).to_have_text("Creates aws:iam:Role")
    job.locator("summary").click()
    site.do(lambda: site.jobs.step("j1", "Creates aws:lambda:Function", 60))
    expect(job.locator("progress")).to_have_attribute("value", "60")
    expect(job.locator("li")).to_have_count(2)
    expect(job.locator("li").first).to_be_visible()
    site.do(lambda: site.jobs.end("j1", State.FAILED, "AWS: the quota of functions is used up."))
    expect(job.locator(".state")).to_have_text("✕ failed")
    expect(job.locator(".result")).to_have_text("AWS: the quota of functions is used up.")
    expect(job.locator("progress")).to_have_count(0)


def test_a_lost_connection_is_said_and_ends_by_itself(
    page: Page, site: Site, seen: Seen, keep_screenshot: Callable[[Page, str], None]
) -> None:
    """The page says since when it is old, and shows the newest picture when the manager is back."""
    lost = page.locator("#lost")
    expect(lost).to_be_hidden()
    site.stop()
    expect(lost).to_be_visible()
    expect(page.get_by_role("alert").first).to_contain_text("Disconnected from the manager.")
    expect(page.locator("#lost-age")).to_contain_text("s old")
    assert page.locator("main").evaluate("main => getComputedStyle(main).filter") == "grayscale(1)"
    keep_screenshot(page, "disconnected")
    assert accessibility(page) == []
    site.fleet.current = killed()
    site.start()
    expect(lost).to_be_hidden()
    expect(page.locator("#notice")).to_have_text("Connected again.")
    expect(page.locator(VERDICT)).to_contain_text("aws/eu-west-1 is down.")
    assert any("ERR_CONNECTION_REFUSED" in each for each in seen.complaints)
    seen.complaints.clear()


def test_a_connection_that_is_open_and_silent_is_lost_too(
    open_page: Open, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one through a proxy that has forgotten it."""
    monkeypatch.setattr(feed, "BEAT_S", 3600.0)
    page = open_page(fresh=True)
    page.clock.install()
    page.clock.fast_forward(7000)
    expect(page.locator("#lost")).to_be_visible()
    page.clock.fast_forward(7000)
    page.clock.resume()
    expect(page.locator("#lost")).to_be_hidden()


def test_a_page_of_an_older_build_loads_itself_again(page: Page) -> None:
    """After an upgrade of the manager its script and its parts would not fit each other."""
    page.evaluate("document.documentElement.dataset.build = 'older'")
    expect(page.locator("html")).not_to_have_attribute("data-build", "older")


@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing(
    open_page: Open, site: Site, screen: str, keep_screenshot: Callable[[Page, str], None]
) -> None:
    """On a light and a dark screen and on a phone; of these pages the screenshots are made.

    `degraded` has every colour; the other pictures are looked at on the light screen.
    """
    site.jobs.jobs.append(_job())
    site.do(lambda: (site.jobs.start("j1"), site.jobs.step("j1", "Creates aws:lambda:Function", 60)))
    page = open_page(*SCREENS[screen])
    for name, picture in PICTURES.items():
        site.do(lambda shown=picture: site.fleet.show(shown()))
        expect(page.locator(VERDICT)).to_have_text(words.verdict(picture()).sentence)
        assert (screen != "light" and name != "degraded") or accessibility(page) == []
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) == 0
        if screen == "light":
            keep_screenshot(page, name)
        elif name == "killed":
            keep_screenshot(page, screen)


def test_the_keyboard_reaches_everything_in_reading_order(page: Page) -> None:
    """The skip link first; the order of the focus is that of the page; the focus is visible."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the targets")).to_be_focused()
    page.keyboard.press("Enter")
    names: list[str] = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert names == ["Weight: the weight of aws/eu-west-1", "Drain: aws/eu-west-1", "Remove: aws/eu-west-1"]


def test_escape_closes_a_dialog_and_gives_the_focus_back(page: Page) -> None:
    """A dialog holds the focus while it is open, also over pictures that arrive."""
    opener = page.get_by_role("button", name="Drain: aws/eu-west-1")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Drain aws/eu-west-1?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_nothing_moves_where_motion_is_not_wanted(page: Page) -> None:
    """The lines of the drawing change at once."""
    moves = "line => getComputedStyle(line).transitionDuration"
    assert page.locator(".link").first.evaluate(moves) == "0s"


def test_a_long_name_does_not_widen_a_phone(open_page: Open, site: Site) -> None:
    """Reasons come from other machines and can be one long word."""
    long = change(healthy(), "aws/eu-west-1", sentence="x" * 400, state="down", planned="y" * 300)
    site.fleet.current = replace(long, problems=("z" * 500,), stack="s" * 90)
    page = open_page(360, 780)
    expect(page.locator(".planned")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def _job() -> Job:
    return Job("j1", Change("create", "aws", "us-east-1", {"weight": 1}), "local", NOW)
