"""Tests of `skyfleet up` while a cloud's management API does not answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from infra.cli.commands.up import worth_deploying
from infra.config.model import Cloud, Place


@pytest.mark.parametrize(
    ("routers", "down", "expected"),
    [
        (["gcp", "aws"], ["gcp"], True),
        (["gcp", "aws", "azure"], ["gcp", "aws"], True),
        (["gcp"], ["gcp"], False),
        (["aws"], ["gcp", "azure"], True),
        (["aws"], ["aws"], False),
        (["gcp", "aws", "azure"], ["gcp", "aws", "azure"], False),
    ],
)
def test_the_other_clouds_are_deployed_only_where_a_router_is_left(
    routers: Sequence[Cloud], down: Sequence[Cloud], expected: bool
) -> None:
    """A stack on one cloud, or with its only router on the unavailable cloud, fails as a whole."""
    assert worth_deploying([Place(cloud, "region") for cloud in routers], down) is expected
