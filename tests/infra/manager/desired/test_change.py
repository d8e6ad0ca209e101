"""A change of the fleet is a change of the stack config, or a refusal that says why."""

from __future__ import annotations

import pytest

from infra.config.model import Instances, Place
from infra.manager.desired.change import apply, parsed
from infra.manager.errors import BadRequest, Conflict, ManagerError, NotFound, Unavailable
from infra.manager.jobs.model import Change

CONFIG: dict[str, object] = {
    "skyfleet:clouds": {
        "aws": {"regions": ["eu-west-1", "us-east-1"], "weight": 3},
        "azure": {"regions": ["westeurope"], "weight": 2},
        "gcp": {"regions": ["europe-west1"], "weight": 1, "price": 0.4},
    },
    "skyfleet:router": {"clouds": ["gcp", "aws"]},
    "gcp:project": "my-project-123",
}


def weights(config: dict[str, object]) -> dict[str, float]:
    """The weight of each target of a config."""
    return {str(target.place): target.weight for target in parsed(config, "dev").targets}


def test_a_new_region_changes_no_other_absolute_weight() -> None:
    """What regions shared is written out for each."""
    before = weights(CONFIG)
    after = weights(apply(CONFIG, Change("create", "aws", "eu-central-1", {"weight": 2}), "dev"))
    assert after == {**before, "aws/eu-central-1": 2}
    assert list(after)[:3] == ["aws/eu-west-1", "aws/us-east-1", "aws/eu-central-1"]


def test_a_new_cloud_has_its_region_and_takes_no_router() -> None:
    """Routers are named apart."""
    without = {**CONFIG, "skyfleet:clouds": {"aws": {"regions": ["eu-west-1"]}}, "skyfleet:router": {}}
    settings = parsed(apply(without, Change("create", "azure", "westeurope"), "dev"), "dev")
    assert [str(place) for place in settings.places] == ["aws/eu-west-1", "azure/westeurope"]
    assert settings.targets[1].weight == 1


@pytest.mark.parametrize("action", ["create", "weight"])
def test_a_present_target_gets_the_options_that_are_named(action: str) -> None:
    """What is not named stays."""
    change = Change("create" if action == "create" else "weight", "azure", "westeurope", {"weight": 5})
    assert weights(apply(CONFIG, change, "dev")) == {**weights(CONFIG), "azure/westeurope": 5}
    same = Change("create", "azure", "westeurope")
    assert weights(apply(CONFIG, same, "dev")) == weights(CONFIG)


def test_the_instances_of_a_target_are_its_own() -> None:
    """What is not named stays as it is, and other regions of the cloud keep theirs."""
    limited = apply(
        CONFIG, Change("create", "aws", "us-east-1", {"maxInstances": 20, "memoryMb": 1024}), "dev"
    )
    more = parsed(apply(limited, Change("create", "aws", "us-east-1", {"maxInstances": 30.0}), "dev"), "dev")
    sizes = {str(target.place): target.instances for target in more.targets}
    assert sizes["aws/us-east-1"] == Instances(max_instances=30, memory_mb=1024)
    assert sizes["aws/eu-west-1"] == Instances()


def test_all_options_of_a_new_target_reach_the_config() -> None:
    """Under the names that the API has."""
    options = {"weight": 1, "minInstances": 1, "maxInstances": 50, "memoryMb": 2048, "concurrency": 8}
    changed = apply(CONFIG, Change("create", "azure", "northeurope", options), "dev")
    target = parsed(changed, "dev").target(Place("azure", "northeurope"))
    assert target.instances == Instances(1, 50, 2048, 8)


def test_numbers_that_a_cloud_does_not_have_are_refused_together() -> None:
    """The reason names each key."""
    options = {"minInstances": 1, "concurrency": 4, "memoryMb": 64}
    with pytest.raises(BadRequest) as refused:
        apply(CONFIG, Change("create", "aws", "us-east-1", options), "dev")
    for told in ("minInstances: got 1; expected 0, because", "concurrency: got 4", "memoryMb: got 64"):
        assert f"skyfleet:clouds.aws.regions.us-east-1.{told}" in str(refused.value)


def test_a_removed_region_leaves_the_others_as_they_are() -> None:
    """Their weights do not grow."""
    after = weights(apply(CONFIG, Change("delete", "aws", "us-east-1"), "dev"))
    assert after == {key: value for key, value in weights(CONFIG).items() if key != "aws/us-east-1"}


def test_a_cloud_goes_with_its_last_region_and_its_router() -> None:
    """By force only, since a router's URL ends with it."""
    change = Change("delete", "gcp", "europe-west1", force=True)
    settings = parsed(apply(CONFIG, change, "dev"), "dev")
    assert [str(place) for place in settings.routers] == ["aws/eu-west-1"]
    assert "gcp" not in settings.clouds


REFUSED: list[tuple[str, Change, type[ManagerError], str]] = [
    ("unknown cloud", Change("create", "asw", "eu-west-1"), BadRequest, "did you mean aws?"),
    ("unknown region", Change("create", "aws", "us-esat-1"), BadRequest, "(did you mean us-"),
    ("region of another cloud", Change("create", "gcp", "eu-west-1"), BadRequest, "region: got 'eu-west-1'"),
    ("region without URLs", Change("create", "aws", "eu-central-2"), BadRequest, "region: got"),
    ("negative weight", Change("create", "aws", "us-west-2", {"weight": -1}), BadRequest, "got -1"),
    ("unknown option", Change("create", "aws", "us-west-2", {"wieght": 1}), BadRequest, "unknown key"),
    ("weight of nothing", Change("weight", "aws", "us-west-2", {"weight": 1}), NotFound, "aws/eu-west-1"),
    ("delete of nothing", Change("delete", "aws", "us-west-2"), NotFound, "there are aws/eu-west-1"),
    ("delete of a typo", Change("delete", "aws", "nowhere"), NotFound, "no target aws/nowhere"),
    ("a router's region", Change("delete", "gcp", "europe-west1"), Conflict, "has a router"),
]


@pytest.mark.parametrize(
    ("change", "error", "words"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_a_change_is_refused_with_what_was_found(
    change: Change, error: type[ManagerError], words: str
) -> None:
    """The message names what there is instead."""
    with pytest.raises(error) as refused:
        apply(CONFIG, change, "dev")
    assert words in refused.value.detail


def test_the_last_target_stays_even_by_force() -> None:
    """A stack without a target is destroyed, not deployed."""
    alone: dict[str, object] = {"skyfleet:clouds": {"aws": {"regions": ["eu-west-1"]}}}
    with pytest.raises(Conflict, match="the last target"):
        apply(alone, Change("delete", "aws", "eu-west-1", force=True), "dev")


def test_weights_never_sum_to_zero() -> None:
    """Neither by a new weight nor by a removal."""
    clouds = {
        "aws": {"regions": ["eu-west-1"], "weight": 1},
        "azure": {"regions": ["westeurope"], "weight": 0},
    }
    config: dict[str, object] = {"skyfleet:clouds": clouds, "skyfleet:router": {"clouds": ["azure"]}}
    with pytest.raises(BadRequest, match="at least one weight above 0"):
        apply(config, Change("weight", "aws", "eu-west-1", {"weight": 0}), "dev")
    with pytest.raises(Conflict, match="every target has weight 0"):
        apply(config, Change("delete", "aws", "eu-west-1"), "dev")


def test_the_only_router_stays_even_by_force() -> None:
    """A fleet without a router has no entrypoint."""
    config = {**CONFIG, "skyfleet:router": {"clouds": ["gcp"]}}
    with pytest.raises(Conflict, match="the only router"):
        apply(config, Change("delete", "gcp", "europe-west1", force=True), "dev")


def test_a_config_with_mistakes_is_refused_with_all_of_them() -> None:
    """Nothing is changed in a file that could not be deployed before."""
    broken = {**CONFIG, "skyfleet:agent": "functions.agent", "skyfleet:checks": {"probes": 0}}
    with pytest.raises(Unavailable) as refused:
        apply(broken, Change("create", "aws", "us-west-2"), "dev")
    assert refused.value.detail.count("; expected ") == 2
    assert "mistakes" in refused.value.extra


def test_a_key_of_a_newer_version_is_named() -> None:
    """It would be lost in a change by this one."""
    newer = {**CONFIG, "skyfleet:orbit": 3}
    with pytest.raises(Unavailable, match=r"skyfleet:orbit: got an unknown key.*version of this project"):
        apply(newer, Change("create", "aws", "us-west-2"), "dev")
