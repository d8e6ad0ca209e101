"""Tests of diagram.py: widths are shares, and lines that meet lie side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.manager.fleet.picture import Picture
from infra.manager.page import diagram
from tests.infra.manager.page.fakes import degraded, healthy, killed, target

pytestmark = pytest.mark.pure


def shared(shares: list[float], requests: list[int]) -> Picture:
    """A fleet of so many targets and routers."""
    seen = healthy()
    total = sum(shares) or 1
    return replace(
        seen,
        targets=tuple(
            replace(target("aws", f"r{number}"), share=share / total) for number, share in enumerate(shares)
        ),
        routers=tuple(
            replace(seen.routers[0], region=f"r{number}", requests=n) for number, n in enumerate(requests)
        ),
    )


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    st.sampled_from([diagram.WIDE, diagram.NARROW]),
)
def test_the_widths_at_each_box_add_up(shares: list[float], requests: list[int], size: diagram.Size) -> None:
    """What enters the routers is all the traffic, and so is what enters the targets."""
    picture = shared(shares, requests)
    found = diagram.links(picture, size, 500)
    to_routers, to_targets = (
        found[:: len(shares) + 1],
        [each for number, each in enumerate(found) if number % (len(shares) + 1)],
    )
    assert sum(each.width for each in to_routers) == pytest.approx(size.band)
    whole = sum(each.share or 0 for each in picture.targets)
    assert sum(each.width for each in to_targets) == pytest.approx(size.band * whole)
    assert all(each.x1 < each.x2 for each in found)


def test_a_router_that_does_not_answer_passes_nothing_on() -> None:
    """Its line from the clients is there, without traffic."""
    found = diagram.links(degraded(), diagram.WIDE, 300)
    assert [each.width for each in found if each.tone == "bad"] == [0.0]
    assert len(found) == 3 + 2 * 3


def test_the_drawing_is_described_in_words() -> None:
    """A screen reader gets one sentence for the image."""
    assert diagram.description(killed()) == (
        "Traffic from clients through 3 routers to aws/eu-west-1 0 %, down; azure/westeurope 48 %, healthy; "
        "gcp/europe-west1 52 %, healthy."
    )


def test_without_requests_routers_have_equal_parts() -> None:
    """The drawing of an idle fleet shows what would happen."""
    assert diagram.router_shares(shared([1], [0, 0]).routers) == [0.5, 0.5]


def test_a_share_that_varies_is_a_line_of_its_own_width() -> None:
    """Some strategies decide for each request. A target that nothing is known of has no traffic."""
    seen = shared([1, 1], [1])
    varying = replace(seen, targets=tuple(replace(each, share=None) for each in seen.targets))
    drawn = str(diagram.drawing(varying, diagram.WIDE))
    assert drawn.count(f'stroke-width="{diagram.VARYING}"') == 2
    assert "share varies" in drawn
    assert "link-empty" not in drawn
    unknown = replace(varying, targets=tuple(replace(each, state="unknown") for each in varying.targets))
    assert str(diagram.drawing(unknown, diagram.WIDE)).count("link-empty") == 2
