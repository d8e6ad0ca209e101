"""Tests of the number of regions: the targets must fit into the environment of routers and checkers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from infra.config.environment import targets_value
from infra.config.lambda_limits import ListedRole, environment_bytes, longest_url
from infra.config.model import Cloud
from infra.config.parse import parse_settings
from infra.config.regions import REGIONS
from infra.errors import ConfigError
from tests.infra import recorded as program
from tests.infra.recorded import of_type, recorded

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

GOOGLE_BYTES = 32 * 1024  # of one variable, cloud.google.com/run/quotas
LONGEST_STACK = "a-stack-of-a-long-name"
LONGEST_ARN = "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:{}/{}-0a1b2c3d-AbCdEf"


def config(counts: Mapping[Cloud, int], **more: object) -> dict[str, object]:
    """A stack config with this number of regions of each cloud, those with the longest names."""
    clouds = {
        cloud: {"regions": sorted(REGIONS[cloud], key=len, reverse=True)[:count]}
        for cloud, count in counts.items()
        if count
    }
    found: dict[str, object] = {"skyfleet:clouds": clouds, "gcp:project": "a-project-id-of-30-characters1"}
    return found | {f"skyfleet:{key}": value for key, value in more.items()}


def mistake(counts: Mapping[Cloud, int], **more: object) -> str:
    """The single mistake of such a stack config."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(config(counts, **more), "dev")
    (said,) = caught.value.mistakes
    return said


@pytest.mark.pure
@pytest.mark.parametrize("emulator", [{}, {"emulator": {}}])
def test_too_many_regions_for_lambdas_environment_are_a_mistake(
    emulator: Mapping[str, object],
) -> None:
    """The message has the number of regions, the limit and its reason; a fleet at the limit is valid."""
    said = mistake({"aws": 22, "azure": 8}, router={"clouds": ["aws"]}, **emulator)
    assert "30 regions need up to" in said
    most = int(said.partition("at most ")[2].partition(" ")[0])
    assert said.startswith("skyfleet:clouds: got 30 regions in all; expected at most ")
    assert "list of all targets in its environment, which Lambda limits to 4096 bytes" in said
    assert (
        len(
            parse_settings(
                config({"aws": min(most, 22), "azure": max(0, most - 22)}, **emulator), "dev"
            ).targets
        )
        == most
    )
    assert most == (15 if emulator else 16)


@pytest.mark.pure
def test_on_aws_alone_the_advice_is_fewer_regions() -> None:
    """The message does not offer another cloud for the router."""
    assert mistake({"aws": 22}).endswith("e.g. fewer regions")


@pytest.mark.pure
def test_with_other_clouds_the_advice_is_to_move_the_routers() -> None:
    """A router needs more bytes for each target than a checker, so the limit then is higher."""
    counts: Mapping[Cloud, int] = {"aws": 7, "gcp": 11}
    priced = config(counts)
    for entry in cast("dict[str, dict[str, object]]", priced["skyfleet:clouds"]).values():
        entry["price"] = 0.123456
    with pytest.raises(ConfigError) as caught:
        parse_settings(priced, "dev")
    (said,) = caught.value.mistakes
    assert "the router on AWS" in said
    assert "or no router on AWS (skyfleet:router.clouds: [gcp]), which allows " in said


@pytest.mark.pure
def test_a_checker_on_aws_limits_the_regions_too() -> None:
    """A checker's environment contains all targets."""
    said = mistake({"aws": 2, "azure": 30}, router={"clouds": ["azure"]})
    assert "the checker on AWS" in said
    assert "no router on AWS" not in said


@pytest.mark.pure
def test_without_aws_all_regions_fit() -> None:
    """Google's limit is far above the size of all regions."""
    found = parse_settings(config({"azure": len(REGIONS["azure"]), "gcp": len(REGIONS["gcp"])}), "dev")
    assert len(found.targets) == len(REGIONS["azure"]) + len(REGIONS["gcp"])
    urls = [longest_url(found, target.place) for target in found.targets]
    assert len(targets_value(found.targets, urls, repeatable=False)) < GOOGLE_BYTES


@pytest.mark.parametrize("stack", ["t", LONGEST_STACK])
def test_the_computed_size_is_close_to_the_deployed_size(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never smaller, which would let a deploy fail, and only slightly larger."""
    more = {"policy": {"probeAfterS": 2.5, "hedge": "off"}, "strategy": "round-robin"}
    settings = parse_settings(config({"aws": 2, "azure": 1, "gcp": 1}, router=more, keyGeneration=100), stack)
    urls = {f"{place.cloud}-{place.region}": place for place in settings.places}

    def url(name: str) -> str:
        key, _, role = name.rpartition("-")
        return longest_url(settings, urls[key], role)

    for token, prop in {
        "aws:lambda/functionUrl:FunctionUrl": "functionUrl",
        "azure-native:web:WebApp": "defaultHostName",
    }.items():
        monkeypatch.setitem(program.COMPUTED, token, lambda name, prop=prop: {prop: url(name)})
    google = "gcp:cloudfunctionsv2/function:Function"
    monkeypatch.setitem(program.COMPUTED, google, lambda name: {"serviceConfig": {"uri": url(name)}})
    for function in of_type(recorded(settings, tmp_path), "aws:lambda/function:Function"):
        variables = cast("dict[str, str]", function.inputs["environment"]["variables"])
        role = variables["SKYFLEET_ROLE"]
        if role != "agent":
            variables |= {"SKYFLEET_SECRET_ARN": LONGEST_ARN.format(settings.prefix, role)}
            real = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
            assert real <= environment_bytes(settings, cast("ListedRole", role)) <= real + 100
