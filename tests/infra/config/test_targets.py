"""`skyfleet:clouds`: regions with their own settings beside regions that share the cloud's weight."""

from __future__ import annotations

import pytest

from infra.config.targets import parse_targets
from infra.config.validation import Validator


def weights(clouds: object) -> tuple[dict[str, float], list[str]]:
    """The weight of each target, and the mistakes."""
    validator = Validator()
    targets, _ = parse_targets(validator, clouds, misspelt=False)
    return {str(target.place): target.weight for target in targets}, validator.errors


WEIGHTS: list[tuple[dict[str, object], list[float]]] = [
    ({"regions": ["eu-west-1", "us-east-1"], "weight": 3}, [1.5, 1.5]),
    ({"regions": [{"eu-west-1": {"weight": 3}}, {"us-east-1": {"weight": 1}}]}, [3, 1]),
    ({"regions": ["eu-west-1", {"us-east-1": {"weight": 1}}], "weight": 3}, [3, 1]),
    ({"regions": [{"eu-west-1": {}}, {"us-east-1": {"weight": 0.5}}]}, [1, 0.5]),
    ({"regions": [{"eu-west-1": None}, {"us-east-1": {"weight": 0}}], "weight": 2}, [2, 0]),
]


@pytest.mark.parametrize(
    ("aws", "expected"),
    WEIGHTS,
    ids=["list", "own weights", "one own, one shared", "default of the rest", "weight 0"],
)
def test_a_region_has_its_own_weight_or_a_share_of_the_clouds(
    aws: dict[str, object], expected: list[float]
) -> None:
    """An own weight takes nothing from what the others share."""
    assert weights({"aws": aws}) == (
        dict(zip(["aws/eu-west-1", "aws/us-east-1"], expected, strict=True)),
        [],
    )


def test_regions_keep_their_order_whatever_their_names_are() -> None:
    """The first has the router; a mapping would be sorted on its way through the engine."""
    found, errors = weights(
        {"aws": {"regions": [{"us-east-1": {"weight": 1}}, {"eu-west-1": {"weight": 1}}]}}
    )
    assert (list(found), errors) == (["aws/us-east-1", "aws/eu-west-1"], [])


MISTAKES: list[tuple[dict[str, object], str]] = [
    ({"regions": [{"eu-west-1": {"weight": -1}}]}, "regions.eu-west-1.weight: got -1"),
    ({"regions": [{"eu-west-1": {"wieght": 1}}]}, "regions.eu-west-1.wieght: got an unknown key"),
    ({"regions": [{"eu-west-1": 3}]}, "regions.eu-west-1: got 3; expected a mapping"),
    ({"regions": [{"eu-west-1": {}, "us-east-1": {}}]}, "expected one name for each item"),
    ({"regions": ["eu-west-1", {"eu-west-1": {"weight": 1}}]}, "eu-west-1 twice"),
    ({"regions": {"eu-west-1": {"weight": 1}}}, "a list with at least one name"),
    ({"regions": [{"eu-wst-1": {"weight": 1}}]}, "did you mean eu-west-1?"),
    (
        {"regions": [{"eu-west-1": {"weight": 1}}], "weight": 2},
        "no weight of the cloud where each region",
    ),
    ({"regions": [{"eu-west-1": {"weight": 1e-9}}]}, "for each region"),
    ({"regions": [{"eu-west-1": {"weight": 0}}]}, "at least one weight above 0"),
    ({"regions": [[]]}, "a list with at least one name"),
]


@pytest.mark.parametrize(
    ("aws", "mistake"),
    MISTAKES,
)
def test_a_mistake_names_the_key_and_what_was_found(aws: dict[str, object], mistake: str) -> None:
    """Each is one sentence."""
    _, errors = weights({"aws": aws})
    assert any(mistake in error for error in errors), errors
