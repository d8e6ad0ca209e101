"""Tests of a deployment in which a cloud fails: the lists of targets and outputs of the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pulumi
import pytest

from infra import outputs, partial, rollout
from infra.component import FunctionEndpoint
from infra.config.model import Cloud, Place, Target
from infra.roles import target_list
from tests.infra.fleet import FUNCTIONS, environment
from tests.infra.recorded import Resource, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

FORMER = {"gcp": "https://former.run.app"}


def output(url: str | None) -> pulumi.Output[str]:
    """A URL as the engine returns it: None for a function whose deployment failed."""

    async def value() -> str:
        return url or ""

    async def known() -> bool:
        return url is not None

    return pulumi.Output(set(), value(), known())


async def former(endpoint: FunctionEndpoint) -> str:
    return FORMER.get(endpoint.cloud, "")


async def urls_of(urls: dict[Cloud, str | None], *, dry_run: bool = False) -> list[str] | None:
    """The result of `partial.urls`, or None if it is unknown."""
    pulumi.runtime.settings.configure(pulumi.runtime.Settings("p", "s", dry_run=dry_run))
    endpoints = [FunctionEndpoint(cloud, "r", cloud, output(url)) for cloud, url in urls.items()]
    found = partial.urls(endpoints, former)
    return await found.future() if await found.is_known() else None


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ({"aws": "https://a", "azure": "https://b"}, ["https://a", "https://b"]),
        ({"aws": "https://a", "azure": None}, ["https://a", ""]),
        ({"aws": "https://a", "gcp": None}, ["https://a", "https://former.run.app"]),
        ({"aws": None, "azure": None}, None),
        ({"aws": None, "gcp": None}, ["", "https://former.run.app"]),
    ],
)
async def test_a_failed_function_is_omitted_or_keeps_its_former_url(
    urls: dict[Cloud, str | None], expected: Sequence[str] | None
) -> None:
    """If no function exists, resources that depend on one are not deployed."""
    assert await urls_of(urls) == expected


async def test_a_preview_does_not_read_former_urls() -> None:
    """In a preview every new URL is unknown, which is not a failure."""
    assert await urls_of({"aws": "https://a", "gcp": None}, dry_run=True) is None


async def test_a_routers_list_has_the_existing_targets() -> None:
    """The weights of the other targets do not change."""
    targets = [Target(Place("aws", "eu-west-1"), 3), Target(Place("gcp", "europe-west1"), 1)]

    urls = pulumi.Output.from_input(["", "https://g.run.app"])
    (only,) = json.loads(await target_list(targets, urls, repeatable=True).future() or "")
    assert (only["cloud"], only["url"], only["weight"]) == ("gcp", "https://g.run.app", 1)


def test_the_outputs_list_existing_functions() -> None:
    """Targets have a weight, routers have none."""
    aws, gcp = Place("aws", "eu-west-1"), Place("gcp", "europe-west1")
    assert outputs.listed([Target(aws, 3), Target(gcp, 1)], ["https://a", ""]) == [
        {"cloud": "aws", "region": "eu-west-1", "url": "https://a", "weight": 3}
    ]
    assert outputs.listed([aws, gcp], ["", "https://g"]) == [
        {"cloud": "gcp", "region": "europe-west1", "url": "https://g"}
    ]


@pytest.mark.parametrize("left_out", ["aws", "azure", "gcp"])
def test_the_program_succeeds_without_a_cloud(
    left_out: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs of excluded resources are None, which the program accepts.

    Routers and checkers of the other clouds have the two other targets.
    """
    monkeypatch.setattr(rollout, "deployed", unverified)
    monkeypatch.setattr(partial.PreviousOutputs, "url_in", first_deployment)
    found = recorded(settings_for("aws", "azure", "gcp"), tmp_path, left_out=left_out)
    lists = [text for resource in found if (text := targets_of(resource, left_out))]
    assert len(lists) == 4
    for text in lists:
        assert {each["cloud"] for each in json.loads(text)} == {"aws", "azure", "gcp"} - {left_out}


def unverified(endpoint: FunctionEndpoint, *_: object) -> pulumi.Output[str]:
    return endpoint.url


def first_deployment(_: partial.PreviousOutputs, output: str) -> partial.PreviousUrl:
    async def none(endpoint: FunctionEndpoint) -> str:
        return ""

    return none


def targets_of(resource: Resource, left_out: str) -> str | None:
    """SKYFLEET_TARGETS of a function on one of the deployed clouds."""
    if resource.token not in FUNCTIONS.values() or resource.name.startswith(left_out):
        return None
    return environment(resource).get("SKYFLEET_TARGETS")
