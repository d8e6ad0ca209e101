"""`skyfleet:clouds`: regions with their own settings beside regions that share the cloud's weight."""

from __future__ import annotations

import pytest

from infra.config.instances import google_cpus
from infra.config.model import Instances
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


def sizes(clouds: object) -> tuple[list[Instances], list[str]]:
    """The instances of each target, and the mistakes."""
    validator = Validator()
    targets, _ = parse_targets(validator, clouds, misspelt=False)
    return [target.instances for target in targets], validator.errors


SIZES: list[tuple[str, dict[str, object], list[Instances]]] = [
    ("aws", {"regions": ["eu-west-1"]}, [Instances()]),
    ("aws", {"regions": ["eu-west-1", "us-east-1"], "memoryMb": 128}, [Instances(memory_mb=128)] * 2),
    (
        "aws",
        {"regions": [{"eu-west-1": {"maxInstances": 5}}, "us-east-1"], "maxInstances": 50, "minInstances": 0},
        [Instances(0, 5), Instances(0, 50)],
    ),
    (
        "aws",
        {"regions": [{"eu-west-1": {"memoryMb": 10_240.0, "concurrency": 1}}]},
        [Instances(None, None, 10_240, 1)],
    ),
    (
        "azure",
        {"regions": [{"westeurope": {"minInstances": 40, "maxInstances": 40}}], "memoryMb": 4096},
        [Instances(40, 40, 4096)],
    ),
    ("azure", {"regions": ["westeurope"], "concurrency": 1000}, [Instances(concurrency=1000)]),
    (
        "gcp",
        {"regions": [{"us-east1": {"minInstances": 20, "maxInstances": 20}}, "us-west1"], "maxInstances": 5},
        [Instances(20, 20), Instances(None, 5)],
    ),
    ("gcp", {"regions": ["us-east1"], "minInstances": 10, "memoryMb": 32_768}, [Instances(10, None, 32_768)]),
]


@pytest.mark.parametrize(("cloud", "entry", "expected"), SIZES)
def test_a_regions_instances_are_its_own_or_the_clouds(
    cloud: str, entry: dict[str, object], expected: list[Instances]
) -> None:
    """A number of the region is stronger than that of the cloud."""
    assert sizes({cloud: entry}) == (expected, [])


BAD_SIZES: list[tuple[str, dict[str, object], str]] = [
    ("aws", {"minInstances": 1}, "minInstances: got 1; expected 0, because warm instances of Lambda"),
    ("aws", {"concurrency": 2}, "concurrency: got 2; expected 1, because an instance of Lambda"),
    ("aws", {"concurrency": True}, "concurrency: got true; expected 1"),
    ("aws", {"memoryMb": 127}, "memoryMb: got 127; expected an integer from 128 to 10240, e.g. 512"),
    ("aws", {"memoryMb": "1024"}, "memoryMb: got '1024'; expected an integer"),
    ("aws", {"maxInstances": 0}, "maxInstances: got 0; expected an integer from 1 to 100000, e.g. 50"),
    ("azure", {"memoryMb": 1024}, "memoryMb: got 1024; expected one of 512, 2048, 4096"),
    ("azure", {"memoryMb": "512"}, "memoryMb: got '512'; expected one of 512, 2048, 4096"),
    ("azure", {"memoryMb": [512]}, "memoryMb: got [512]; expected one of 512, 2048, 4096"),
    ("azure", {"maxInstances": 39}, "maxInstances: got 39; expected an integer from 40 to 1000"),
    ("azure", {"minInstances": 101}, "minInstances: got 101; expected at most maxInstances, which is 100"),
    ("azure", {"concurrency": 1001}, "concurrency: got 1001; expected an integer from 1 to 1000"),
    ("gcp", {"minInstances": 2.5}, "minInstances: got 2.5; expected an integer from 0 to 1000"),
    ("gcp", {"minInstances": 11}, "minInstances: got 11; expected at most maxInstances, which is 10"),
    ("gcp", {"minInstances": 3, "maxInstances": 2}, "got 3; expected at most maxInstances, which is 2"),
    ("gcp", {"memoryMb": 32_769}, "memoryMb: got 32769; expected an integer from 128 to 32768"),
    ("gcp", {"maxInstance": 3}, "maxInstance: got an unknown key; expected one of weight, minInstances"),
]
FIRST = {"aws": "eu-west-1", "azure": "westeurope", "gcp": "europe-west1"}


@pytest.mark.parametrize(("cloud", "own", "mistake"), BAD_SIZES)
def test_a_number_that_a_cloud_does_not_accept_is_a_mistake(
    cloud: str, own: dict[str, object], mistake: str
) -> None:
    """For a region and for a cloud alike, and once."""
    region = FIRST[cloud]
    _, errors = sizes({cloud: {"regions": [{region: own}]}})
    assert [error for error in errors if mistake in error] == errors
    assert errors[0].startswith(f"skyfleet:clouds.{cloud}.regions.{region}.")
    _, errors = sizes({cloud: {"regions": [region], **own}})
    assert len(errors) == 1
    assert errors[0].startswith(f"skyfleet:clouds.{cloud}.{next(iter(own))}: got ") or "minInstances" in own


def test_a_regions_least_is_compared_with_the_clouds_most() -> None:
    """The mistake is the region's, whose number it is."""
    _, errors = sizes(
        {"gcp": {"regions": [{"us-east1": {"minInstances": 8}}, "us-west1"], "maxInstances": 4}}
    )
    (error,) = errors
    assert error.startswith("skyfleet:clouds.gcp.regions.us-east1.minInstances: got 8; expected at most")


def test_all_mistakes_of_all_regions_are_told_at_once() -> None:
    """Each has its own sentence."""
    own = {"minInstances": -1, "maxInstances": "many", "memoryMb": 1, "concurrency": 0}
    _, errors = sizes({"gcp": {"regions": [{"us-east1": own}, {"us-west1": own}]}})
    assert len(errors) == 8


@pytest.mark.parametrize(
    ("memory", "cpus"), [(0, 1), (4096, 1), (4097, 2), (8193, 4), (16_385, 6), (32_768, 8)]
)
def test_a_large_memory_needs_more_cpus_on_google(memory: int, cpus: int) -> None:
    """Cloud Run refuses fewer."""
    assert google_cpus(memory) == cpus
