"""The section of docs/benchmarks/http.md on ordinary exchanges: each difference has its cause."""

from __future__ import annotations

import re

from bench.http import causes
from bench.http.contestants import NAMES, OWN
from bench.http.differential import CASES, page
from bench.router.contestants import HAPROXY, NGINX

VERSIONS: dict[str, str] = dict.fromkeys(NAMES, "1.0")
EQUAL = {case.name: "" for case in CASES}


def test_a_difference_is_followed_by_the_number_of_its_cause() -> None:
    """Two cases with one cause share its number; the notes are below the table in that order."""
    changed = {"trailers": "trailers", "announced trailers": "trailers", "target /..": "refused with 400"}
    text = page(VERSIONS, {OWN: EQUAL, NGINX: EQUAL | changed, HAPROXY: EQUAL})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| `target /..` | equal | refused with 400 (1) | equal |",
        "| trailers | equal | trailers (2) | equal |",
        "| announced trailers | equal | trailers (2) | equal |",
    ]
    assert re.findall(r"^\((\d)\) nginx (\w+)", text, re.MULTILINE) == [("1", "resolves"), ("2", "passes")]


def test_a_difference_without_a_cause_is_marked() -> None:
    """Of this router too: nothing explains it away."""
    text = page(VERSIONS, {OWN: EQUAL | {"204": "status"}, NGINX: EQUAL, HAPROXY: EQUAL | {"205": "body"}})
    assert f"| 204 | status {causes.UNEXPLAINED} | equal | equal |" in text
    assert f"| 205 | equal | equal | body {causes.UNEXPLAINED} |" in text


def test_causes_name_cases_that_exist() -> None:
    """And each case of a peer has one cause at most."""
    named = [(one.peer, case) for one in causes.CAUSES for case in one.cases]
    assert {case for _, case in named} <= EQUAL.keys()
    assert len(named) == len(set(named))
