"""One headless Chromium for all tests of the page, and what each test looks at in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from infra.manager.page import feed
from infra.setup.extras.chromium import CHROMIUM
from tests.browser.site import Site, serving
from tests.extras import program
from tests.infra.manager.page.fakes import NOW

# Chromium has no sandbox as root, which CI is. Nothing asks the network.
FLAGS = (
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
)
# Of a machine that is busy with other tests.
PATIENCE_MS = 20_000
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """The browser of a file. Playwright's event loop counts as running in this thread until it ends: with a
    browser for the session no test after it could run a loop of its own."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Site]:
    """The page of a healthy fleet, which looks for changed jobs ten times as often as usual."""
    monkeypatch.setattr(feed, "LOOK_S", 0.05)
    with serving(tmp_path) as made:
        yield made


class Seen:
    """What a browser complained of. A test that expects complaints clears the list."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def hear_error(self, error: PlaywrightError) -> None:
        self.complaints.append(str(error))


@pytest.fixture
def seen() -> Seen:
    """The complaints of the console, blocked content among them."""
    return Seen()


def _new_page(browser: Browser) -> Page:
    """A page in a context of its own."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


@pytest.fixture(scope="module")
def kept_page(browser: Browser) -> Page:
    """The page that the tests of a file use one after the other: a new one takes a CPU second to start."""
    return _new_page(browser)


@pytest.fixture
def open_page(browser: Browser, kept_page: Page, site: Site, seen: Seen) -> Generator[Open]:
    """Opens the page and waits until it is live. After the test the console has no complaint.

    fresh: in a browser context of its own, for what outlasts a page load, such as a clock."""
    pages: list[Page] = []

    def opened(
        width: int = 1280, height: int = 900, scheme: str = "light", *, wait: bool = True, fresh: bool = False
    ) -> Page:
        page = _new_page(browser) if fresh or pages else kept_page
        pages.append(page)
        page.context.clear_cookies()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            forced_colors="none",
        )
        page.on("console", seen.hear)
        page.on("pageerror", seen.hear_error)
        page.clock.set_system_time(NOW)
        page.goto(site.url)
        if wait:
            page.wait_for_selector("html[data-live]")
        return page

    yield opened
    complaints = [*seen.complaints]
    for page in pages:
        page.remove_listener("console", seen.hear)
        page.remove_listener("pageerror", seen.hear_error)
        # The close of a context has no timeout, and sometimes waits for ever for a page that is just loading.
        # So each page is left, and the contexts end with their browser.
        with contextlib.suppress(PlaywrightError):
            page.goto("about:blank")
    assert complaints == []


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page on a screen."""
    return open_page()


@pytest.fixture
def keep_screenshot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Writes docs/images/manager-NAME.png, with `--screenshots` only, so that a test run changes no file."""
    wanted = bool(request.config.getoption("--screenshots"))

    def keep(page: Page, name: str) -> None:
        if wanted:
            IMAGES.mkdir(exist_ok=True)
            page.screenshot(path=IMAGES / f"manager-{name}.png", animations="disabled")

    return keep


def accessibility(page: Page, part: str = "html") -> list[str]:
    """What axe finds in a part of the page, one line for each rule and element."""
    axe = cast("Any", Axe())  # the package has no types
    found: list[dict[str, Any]] = axe.run(page, context=part).response["violations"]
    return [f"{rule['id']}: {rule['help']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
