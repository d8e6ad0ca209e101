"""Tests of size_limits.py: what is too large for a cloud is told before anything changes, with its parts."""

from __future__ import annotations

import pytest

from infra.config.model import CLOUDS, Cloud
from infra.packaging import size_limits
from infra.packaging.size_limits import MB

OWN = "agent_files/mine"
AGENT = [(f"{OWN}/data/a.bin", 200 * MB), (f"{OWN}/data/deep/b.bin", 70 * MB), (f"{OWN}/app.py", 100)]
NUMPY = 20 * MB


def packages(*sizes: tuple[str, int]) -> dict[Cloud, list[tuple[str, int]]]:
    """The same files for each cloud, with numpy where the cloud looks for it."""
    return {
        "aws": [*sizes, ("numpy/core.so", NUMPY)],
        "azure": [*sizes, (".python_packages/lib/site-packages/numpy/core.so", NUMPY)],
        "gcp": list(sizes),
    }


def test_a_folder_of_270_mb_is_too_large_for_lambda_alone() -> None:
    """The message has found and allowed size, and the biggest parts by the names of the checkout."""
    told = size_limits.excess("agent", packages(*AGENT))
    assert told.splitlines()[:3] == [
        "The agent's package is too large; nothing was changed:",
        "  - aws: 290.0 MB; at most 250 MB unpacked, 10 MB of which are kept for the adapter's layer",
        "Its biggest parts: mine/data/ 270.0 MB, numpy/ 20.0 MB.",
    ]
    assert "aws" not in size_limits.excess("agent", {"gcp": AGENT})


def test_every_cloud_that_refuses_is_named() -> None:
    """At once, so that no second deployment finds the next."""
    told = size_limits.excess("agent", packages(("agent_files/mine/model.bin", 900 * MB)))
    assert [line.split(":")[0] for line in told.splitlines() if line.startswith("  - ")] == [
        "  - aws",
        "  - azure",
    ]
    assert "mine/model.bin 900.0 MB" in told


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_fits_is_not_told(cloud: Cloud) -> None:
    """To the byte."""
    limit = size_limits.LIMITS.get(cloud, 10**12)
    assert size_limits.excess("agent", {cloud: [("a", limit)]}) == ""
    over = size_limits.excess("agent", {cloud: [("a", limit + 1)]})
    assert bool(over) is (cloud in size_limits.LIMITS)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("agent_files/mine.py", "mine.py"),
        ("agent_files/mine/data/x/y", "mine/data/"),
        ("agent_files/mine/app.py", "mine/app.py"),
        ("functions/demo/rules.py", "functions/demo/"),
        ("skyfleet/asgi.py", "skyfleet/"),
        ("build.json", "build.json"),
        ("numpy/core.so", "numpy/"),
        ("six.py", "six.py"),
        (".python_packages/lib/site-packages/numpy/core.so", "numpy/"),
        (".python_packages/lib/site-packages/six.py", "six.py"),
    ],
)
def test_a_part_is_a_folder_of_the_agent_or_a_dependency(name: str, part: str) -> None:
    """As the user wrote it or asked for it."""
    assert size_limits.part_of(name) == part


def test_only_the_biggest_parts_are_listed() -> None:
    """In the order of their sizes."""
    sizes = [(f"d{number}/x", number) for number in range(9)]
    assert size_limits.biggest(sizes, 3) == [("d8/", 8), ("d7/", 7), ("d6/", 6)]


def test_a_folder_of_data_sets_is_not_read() -> None:
    """A build would need the memory for it."""
    assert size_limits.unreadable([(f"{OWN}/app.py", 10)]) == ""
    told = size_limits.unreadable([(f"{OWN}/data/all.parquet", 3 * 10**9), (f"{OWN}/app.py", 10)])
    assert "Their biggest parts: mine/data/ 2861.0 MB." in told
