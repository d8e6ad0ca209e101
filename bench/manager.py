"""Measure the manager and write docs/benchmarks/manager.md: `make bench-manager`.

    python -m bench.manager [--minutes 60] [--only paint,updates,outages,memory,regions] [--note TEXT]

The fleet is a copy of the checkout with emulated clouds of its own, and the pages are in a real Chromium.
Figures are min / median / max of one call. It takes four minutes, and `--minutes` for the memory. What is not
measured in a call keeps its rows of the page, with their date and load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from infra.setup.extras import chromium
from infra.setup.paths import ROOT
from tests.browser.conftest import FLAGS
from tests.end_to_end.fleet import Fleet, Json

PAGE: Final = ROOT / "docs" / "benchmarks" / "manager.md"
PARTS: Final = ("paint", "updates", "outages", "memory", "regions")
# How the rows of each begin on the page.
STARTS: Final[Mapping[str, str | tuple[str, ...]]] = {
    "paint": "| first paint",
    "updates": ("| from `POST /api/drain`", "| ... of it after the reply"),
    "outages": "| from the first router that knows",
    "memory": ("| memory of the manager", "| ... median"),
    "regions": "| from `POST /api/create-resource`",
}
PAINTS, UPDATES, OUTAGES, REGIONS = 7, 10, 3, 3
PAGES: Final = 5
TARGET: Final = "aws/eu-west-1"
NEW: Final = {"cloud": "aws", "region": "us-east-1"}
# Updates of the picture come twice a second; traffic changes their numbers.
LOAD_PER_S: Final = 5.0
SAMPLE_S: Final = 10.0
# What the manager builds once: charts, templates, the pages' streams.
SETTLE_S: Final = 60.0
ENOUGH_S: Final = 120.0
# Whether the state of a target is that it drains, or another one. The reason beside it may speak of a drain
# for longer: "back from draining".
SHOWS: Final = """([name, drains]) => [...document.querySelectorAll("article")].some(card => {
  const text = card.innerText.replace(/\\s+/g, " ");
  return text.startsWith(name) && /draining/.test(card.querySelector(".state").innerText) === drains;
})"""


OUT: Final = ("down", "ejected")
IS_OUT: Final = """name => [...document.querySelectorAll("article")].some(card => {
  const text = card.innerText.replace(/\\s+/g, " ");
  return text.startsWith(name) && /✕ (down|ejected)/.test(text);
})"""


@dataclass(slots=True)
class Figures:
    """Samples by name: ms, ms, s; and the manager's resident memory in MB over time."""

    paint_ms: list[float] = field(default_factory=list[float])
    update_ms: list[float] = field(default_factory=list[float])
    after_ms: list[float] = field(default_factory=list[float])
    outage_ms: list[float] = field(default_factory=list[float])
    serves_s: list[float] = field(default_factory=list[float])
    memory_mb: list[float] = field(default_factory=list[float])


def measure(folder: Path, minutes: float, parts: Collection[str]) -> Figures:
    """Deploy a fleet with its manager, measure some of PARTS, and destroy it."""
    fleet, figures = Fleet.copy(folder), Figures()
    fleet.run("up", "--manager")
    try:
        info = cast("Json", json.loads((folder / ".skyfleet" / "manager.json").read_text()))
        url, pid = str(info["url"]), int(info["pid"])
        with sync_playwright() as playwright:
            program = chromium.find(os.environ)
            browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
            with contextlib.closing(browser):
                if "paint" in parts:
                    figures.paint_ms = [first_paint(browser, url) for _ in range(PAINTS)]
                if "updates" in parts:
                    figures.update_ms, figures.after_ms = updates(browser, url)
                if "outages" in parts:
                    with load(fleet.url):
                        figures.outage_ms = [outage(browser, url, fleet) for _ in range(OUTAGES)]
                if "memory" in parts:
                    with load(fleet.url):
                        figures.memory_mb = memory(browser, url, pid, minutes)
        if "regions" in parts:
            figures.serves_s = [new_region(fleet, url) for _ in range(REGIONS)]
    finally:
        fleet.run("down", code=None)
    return figures


def first_paint(browser: Browser, url: str) -> float:
    """Milliseconds from the navigation to the first content, with an empty cache."""
    page = browser.new_context().new_page()
    page.goto(url)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    found = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.context.close()
    return float(found)


def updates(browser: Browser, url: str) -> tuple[list[float], list[float]]:
    """Milliseconds from an operator's request to the page that shows its effect: drain, and its end.

    Then the same from the reply to that request, which comes when all routers have taken the change.
    """
    page = live_page(browser, url)
    found: list[float] = []
    after: list[float] = []
    for number in range(UPDATES):
        undo = number % 2 == 1
        began = time.perf_counter()
        asked = requests.post(f"{url}/api/drain", json={"target": TARGET, "undo": undo}, timeout=30)
        asked.raise_for_status()
        told = time.perf_counter()
        cloud, region = TARGET.split("/")
        page.wait_for_function(
            SHOWS,
            arg=[f"{cloud} {region}", not undo],
            polling=10,
        )
        shown = time.perf_counter()
        found.append((shown - began) * 1000)
        after.append((shown - told) * 1000)
    page.context.close()
    return found, after


def outage(browser: Browser, url: str, fleet: Fleet) -> float:
    """Milliseconds from the first router that knows of a killed cloud to the page that shows it.

    The router is asked every 20 ms, so the time may be that much too short.
    """
    page, knew = live_page(browser, url), threading.Event()
    cloud, region = TARGET.split("/")
    at: list[float] = []

    def watch() -> None:
        with requests.Session() as session:
            while not knew.wait(0.02):
                status = session.get(f"{fleet.url}/api/status", timeout=10).json()
                if any(one["cloud"] == cloud and one["state"] in OUT for one in status["targets"]):
                    at.append(time.perf_counter())
                    knew.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    fleet.inject(cloud, "kill")
    page.wait_for_function(IS_OUT, arg=f"{cloud} {region}", polling=10, timeout=ENOUGH_S * 1000)
    shown = time.perf_counter()
    watcher.join(ENOUGH_S)
    fleet.heal()
    page.wait_for_function(
        "() => /^All /.test(document.querySelector('#verdict').innerText)", timeout=ENOUGH_S * 1000
    )
    page.context.close()
    return max(0.0, (shown - at[0]) * 1000)


def live_page(browser: Browser, url: str) -> Page:
    """A page whose stream is open."""
    page = browser.new_context().new_page()
    page.goto(url)
    page.wait_for_function("() => document.documentElement.dataset.live === 'yes'")
    return page


def memory(browser: Browser, url: str, pid: int, minutes: float) -> list[float]:
    """The manager's resident memory in MB, every SAMPLE_S, with PAGES open pages."""
    pages = [live_page(browser, url) for _ in range(PAGES)]
    pages[0].wait_for_timeout(SETTLE_S * 1000)
    found: list[float] = []
    ends = time.monotonic() + minutes * 60
    while time.monotonic() < ends:
        found.append(resident_mb(pid))
        pages[0].wait_for_timeout(SAMPLE_S * 1000)
    for page in pages:
        page.context.close()
    return found


def resident_mb(pid: int) -> float:
    """VmRSS of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def load(url: str) -> Generator[None]:
    """A few requests a second to the first router."""
    stop = threading.Event()

    def send() -> None:
        with requests.Session() as session:
            while not stop.wait(1 / LOAD_PER_S):
                with contextlib.suppress(requests.RequestException):
                    session.post(f"{url}/invoke", json={"input": "2+2"}, timeout=10)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def new_region(fleet: Fleet, url: str) -> float:
    """Seconds from the POST to the first reply from the new region, which is removed afterwards."""
    began = time.perf_counter()
    asked = requests.post(f"{url}/api/create-resource", json={**NEW, "weight": 3}, timeout=30)
    asked.raise_for_status()
    key = f"{NEW['cloud']}/{NEW['region']}"
    ends = time.monotonic() + ENOUGH_S
    while time.monotonic() < ends:
        reply = requests.post(f"{fleet.url}/invoke", json={"input": "2+2"}, timeout=30)
        if reply.headers.get("x-skyfleet-target") == key:
            break
    else:
        raise SystemExit(f"no request was served by {key} within {ENOUGH_S:.0f} s")
    took = time.perf_counter() - began
    finish(url, asked)
    finish(url, requests.delete(f"{url}/api/delete-resource", json=NEW, timeout=30))
    return took


def finish(url: str, asked: requests.Response) -> None:
    """Follow a job to its end."""
    asked.raise_for_status()
    job, ends = asked.json()["job"], time.monotonic() + ENOUGH_S
    while time.monotonic() < ends:
        found = requests.get(f"{url}/api/jobs/{job}", timeout=30).json()
        if found["state"] == "done":
            return
        if found["state"] in ("failed", "cancelled"):
            raise SystemExit(f"the job {job} ended: {found['result']}")
        time.sleep(0.2)
    raise SystemExit(f"the job {job} did not end within {ENOUGH_S:.0f} s")


def cells(samples: Sequence[float], unit: str) -> str:
    """Min / median / max."""
    low, middle, high = min(samples), statistics.median(samples), max(samples)
    digits = 0 if middle >= 100 else 1
    return f"{low:.{digits}f} / **{middle:.{digits}f}** / {high:.{digits}f} {unit}"


def rows(figures: Figures, minutes: float) -> dict[str, dict[str, str]]:
    """What was measured: figures by the name of their row, by part."""
    found: dict[str, dict[str, str]] = {}
    if figures.paint_ms:
        name = f"first paint of the page, empty cache, {PAINTS} times"
        found["paint"] = {name: cells(figures.paint_ms, "ms")}
    if figures.update_ms:
        name = f"from `POST /api/drain` to the page that shows it, {UPDATES} times"
        reply = "... of it after the reply, which comes when all routers have taken the change"
        found["updates"] = {name: cells(figures.update_ms, "ms"), reply: cells(figures.after_ms, "ms")}
    if figures.outage_ms:
        name = (
            f"from the first router that knows of a killed cloud to the page that shows it, {OUTAGES} times"
        )
        found["outages"] = {name: cells(figures.outage_ms, "ms")}
    if figures.memory_mb:
        quarter = max(len(figures.memory_mb) // 4, 1)
        first = statistics.median(figures.memory_mb[:quarter])
        last = statistics.median(figures.memory_mb[-quarter:])
        name = f"memory of the manager, {PAGES} pages open for {minutes:g} minutes"
        quarters = "... median of the first and of the last quarter of that time"
        found["memory"] = {
            name: cells(figures.memory_mb, "MB"),
            quarters: f"{first:.1f} and {last:.1f} MB",
        }
    if figures.serves_s:
        name = f"from `POST /api/create-resource` to the first reply from the new region, {REGIONS} times"
        found["regions"] = {name: cells(figures.serves_s, "s")}
    return found


def text(former: str, figures: Figures, minutes: float, note: str, loads: tuple[float, float]) -> str:
    """The page. former: its text, of which rows stay that were not measured. loads: before and after."""
    measured = rows(figures, minutes)
    when = f"{datetime.now(UTC):%Y-%m-%d}, load {loads[0]:.1f} to {loads[1]:.1f}"
    remark = f"; {note}" if note else ""
    shown: list[str] = []
    for part in PARTS:
        if part in measured:
            shown += [f"| {name} | {value} | {when}{remark} |" for name, value in measured[part].items()]
        else:
            shown += [line for line in former.splitlines() if line.startswith(STARTS[part])]
    system = f"{platform.system()} {platform.machine()}"
    machine = f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"
    return (
        "# The manager\n\n"
        "Written by `make bench-manager` (`bench/manager.py`); nothing here is typed by hand. "
        f"{machine}.\n\n"
        "The fleet runs on emulated clouds, whose deployments take seconds where real ones take minutes. "
        "Figures are min / **median** / max.\n\n"
        "| figure | | measured |\n| --- | --- | --- |\n" + "\n".join(shown) + "\n"
    )


def _stop(_number: int, _frame: object) -> None:
    """The handler of SIGTERM: the fleet is destroyed on the way out."""
    sys.exit("bench.manager: stopped; nothing was written.")


def main(arguments: Sequence[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.manager", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of memory with open pages (default: 10)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas (default: all)")
    parser.add_argument("--note", default="", help="a remark for the page, such as what else ran")
    options = parser.parse_args(arguments)
    parts = options.only.split(",")
    if unknown := set(parts) - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Parts: {', '.join(PARTS)}.")
    signal.signal(signal.SIGTERM, _stop)
    before = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="skyfleet-manager-"))
    try:
        figures = measure(folder, options.minutes, parts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    loads = before, os.getloadavg()[0]
    PAGE.write_text(text(PAGE.read_text(), figures, options.minutes, options.note, loads))
    print(PAGE.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
