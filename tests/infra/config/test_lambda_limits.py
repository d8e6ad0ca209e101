"""How many regions a fleet may have: as many as fit into the environments of its routers and checkers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from infra.config.lambda_limits import ListedRole, compact, environment_bytes, longest_url, target_list
from infra.config.model import Cloud
from infra.config.parse import parse_settings
from infra.config.regions import REGIONS
from infra.errors import ConfigError
from tests.infra import recorded as program
from tests.infra.recorded import of_type, recorded

GOOGLE_BYTES = 32 * 1024  # of one variable, cloud.google.com/run/quotas
LONGEST_STACK = "a-stack-of-a-long-name"
LONGEST_ARN = "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:{}/{}-0a1b2c3d-AbCdEf"


def config(counts: Mapping[Cloud, int], **more: object) -> dict[str, object]:
    """A fleet with that many regions of each cloud, those with the longest names."""
    clouds = {
        cloud: {"regions": sorted(REGIONS[cloud], key=len, reverse=True)[:count]}
        for cloud, count in counts.items()
        if count
    }
    found: dict[str, object] = {"skyfleet:clouds": clouds, "gcp:project": "a-project-id-of-30-characters1"}
    return found | {f"skyfleet:{key}": value for key, value in more.items()}


def mistake(counts: Mapping[Cloud, int], **more: object) -> str:
    """The only one of such a fleet."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(config(counts, **more), "dev")
    (said,) = caught.value.mistakes
    return said


@pytest.mark.pure
@pytest.mark.parametrize("emulator", [{}, {"emulator": {}}])
def test_more_regions_than_fit_into_lambda_are_a_mistake_of_the_config(
    emulator: Mapping[str, object],
) -> None:
    """With how many there are, how many fit and why; that many then are no mistake."""
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
def test_where_there_is_no_other_cloud_only_fewer_regions_help() -> None:
    """No other place for the router is offered."""
    assert mistake({"aws": 22}).endswith("e.g. fewer regions")


@pytest.mark.pure
def test_a_fleet_with_other_clouds_may_have_its_routers_there() -> None:
    """A router is told more of each target than a checker, so there is room for more."""
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
def test_a_checker_on_aws_counts_where_routers_are_elsewhere() -> None:
    """It probes all targets, so it is told of all."""
    said = mistake({"aws": 2, "azure": 30}, router={"clouds": ["azure"]})
    assert "the checker on AWS" in said
    assert "no router on AWS" not in said


@pytest.mark.pure
def test_other_clouds_have_room_for_all_regions_there_are() -> None:
    """Without AWS nothing is refused, and Google's limit is far away."""
    found = parse_settings(config({"azure": len(REGIONS["azure"]), "gcp": len(REGIONS["gcp"])}), "dev")
    assert len(found.targets) == len(REGIONS["azure"]) + len(REGIONS["gcp"])
    urls = [longest_url(found, target.place) for target in found.targets]
    assert len(target_list(found.targets, urls, repeatable=False)) < GOOGLE_BYTES


@pytest.mark.parametrize("stack", ["t", LONGEST_STACK])
def test_what_is_counted_is_what_a_deploy_gives_at_most(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never less, or a deploy would fail in its middle; little more, or it would refuse what works."""
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


@pytest.mark.pure
def test_environment_json_keeps_its_order() -> None:
    """The first signing key is the one that signs."""
    assert compact({"k2": "b", "k1": "a"}) == '{"k2":"b","k1":"a"}'
