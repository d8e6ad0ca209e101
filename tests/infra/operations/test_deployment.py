"""A deployment: a cloud whose management API does not answer, and the words of a failure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.config.model import Cloud, Place
from infra.operations.deployment import PulumiOutput, worth_deploying
from infra.operations.errors import PulumiFailed
from infra.operations.paths import Layout
from infra.operations.progress import PlainProgress


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


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (True, r"What ran before and is not named above still runs\.$"),
        (False, r"Nothing ran before; `make up` goes on with .*, and `make down` removes it\.$"),
    ],
)
def test_a_failed_deployment_says_whether_anything_ran_before(
    tmp_path: Path, before: bool, said: str
) -> None:
    """The first `up` has replaced nothing, so it must not announce that something runs on."""
    output = PulumiOutput(PlainProgress(print), before, ["error: no"])
    with pytest.raises(PulumiFailed, match=said):
        output.conclude(255, Layout(tmp_path), "the deployment failed")
