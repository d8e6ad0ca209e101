"""Tests of which list of routers counts."""

from __future__ import annotations

import pytest

from router.core.health.router_list import RouterList, agreed
from router.core.health.snapshots import Snapshot
from router.core.policy import DEFAULT

pytestmark = pytest.mark.pure

NOW = 10_000.0
OLD, NEW, OTHER = ("https://a.example",), ("https://a.example", "https://b.example"), ("https://x.example",)
STALE = NOW - DEFAULT.fresh_s - 1
Said = tuple[float, tuple[str, ...]]
CASES: list[tuple[str, list[Said], RouterList]] = [
    ("no checker", [], RouterList()),
    ("a release that lists none", [(NOW, ())], RouterList()),
    ("one", [(NOW, NEW)], RouterList(NEW, fresh=True)),
    ("one of three differs", [(NOW, OTHER), (NOW - 9, NEW), (NOW - 9, NEW)], RouterList(NEW, fresh=True)),
    ("half-way through a deployment", [(NOW - 9, OLD), (NOW, NEW)], RouterList(NEW, fresh=True)),
    ("stale ones do not count", [(STALE, OLD), (STALE, OLD), (NOW, NEW)], RouterList(NEW, fresh=True)),
    ("all are stale", [(STALE, OLD), (STALE, OLD), (STALE + 0.5, NEW)], RouterList(OLD)),
    ("one lists none", [(NOW, ()), (NOW, ()), (NOW - 9, NEW)], RouterList(NEW, fresh=True)),
]


@pytest.mark.parametrize(("said", "found"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_most_checkers_decide_and_of_two_lists_the_newer(said: list[Said], found: RouterList) -> None:
    """In whatever order they come."""
    snapshots = [Snapshot(f"aws/r{n}", at, {}, urls) for n, (at, urls) in enumerate(said)]
    assert agreed(snapshots, NOW, DEFAULT) == found
    assert agreed(reversed(snapshots), NOW, DEFAULT) == found
