"""The page behind a login: a viewer sees and changes nothing, a session that ends leads to the login."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from infra.manager.access.tokens import Role
from tests.browser.conftest import Open, Seen, accessibility
from tests.browser.site import Site
from tests.infra.manager.page.fakes import NOW

pytestmark = pytest.mark.xdist_group("browser")


def logged_in(open_page: Open, site: Site, role: Role) -> Page:
    """The page of a real stack, after the login with a new token."""
    site.access.is_local = False
    site.access.wall = lambda: NOW
    secret = site.tokens.create("eve", role, NOW, days=1)
    page = open_page(wait=False)
    page.get_by_label("Operator token").fill(secret)
    assert accessibility(page) == []
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("html[data-live]")).to_be_visible()
    return page


def test_a_viewer_sees_the_fleet_and_no_action(open_page: Open, site: Site, seen: Seen) -> None:
    """What the style sheet hides the server refuses too."""
    page = logged_in(open_page, site, Role.VIEWER)
    expect(page.locator("#verdict")).to_have_text("All 3 targets are healthy.")
    expect(page.locator(".action:visible")).to_have_count(0)
    expect(page.locator("footer")).to_contain_text("Logged in with the token eve.")
    page.locator(".action").first.dispatch_event("click")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Region").select_option("aws/us-east-1")
    dialog.get_by_role("button", name="Show the plan").click()
    expect(page.locator("#notice")).to_contain_text("has the role viewer")
    assert site.jobs.submitted == []
    assert len([each for each in seen.complaints if "403" in each]) == 1
    seen.complaints.clear()


def test_an_operator_changes_the_fleet_by_the_name_of_the_token(open_page: Open, site: Site) -> None:
    """Jobs and audit log have it."""
    page = logged_in(open_page, site, Role.OPERATOR)
    page.get_by_role("button", name="Weight: the weight of aws/eu-west-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Set the weight").click()
    expect(page.locator("#notice")).to_contain_text("Queued")
    assert [by for _, by in site.jobs.submitted] == ["eve"]
    assert '"action": "weight"' in site.access.log.path.read_text()


def test_a_session_that_has_ended_leads_to_the_login(open_page: Open, site: Site, seen: Seen) -> None:
    """At the next action, and when the stream connects again."""
    page = logged_in(open_page, site, Role.OPERATOR)
    site.tokens.revoke("eve")
    page.get_by_role("button", name="Weight: the weight of aws/eu-west-1").click()
    expect(page.get_by_label("Operator token")).to_be_visible()
    seen.complaints.clear()


def test_the_stream_of_an_ended_session_leads_to_the_login(open_page: Open, site: Site, seen: Seen) -> None:
    """A page that is only looked at does not show an old picture for ever."""
    page = logged_in(open_page, site, Role.OPERATOR)
    site.tokens.revoke("eve")
    site.stop()
    site.start()
    expect(page.get_by_label("Operator token")).to_be_visible()
    seen.complaints.clear()
