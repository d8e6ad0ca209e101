"""Instances of agents: the numbers of a region reach the resource of its agent, and no other function."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

LAMBDA = "aws:lambda/function:Function"
SITE = "azure-native:web:WebApp"
CLOUD_RUN = "gcp:cloudfunctionsv2/function:Function"
CLOUDS: dict[str, object] = {
    "aws": {
        "regions": [{"eu-west-1": {"maxInstances": 20, "memoryMb": 1024}}, "us-east-1"],
        "maxInstances": 30,
    },
    "azure": {
        "regions": [
            {"westeurope": {"minInstances": 2, "maxInstances": 50, "memoryMb": 2048, "concurrency": 8}},
            "northeurope",
        ]
    },
    "gcp": {
        "regions": [
            {"europe-west1": {"minInstances": 1, "maxInstances": 3, "memoryMb": 8192, "concurrency": 80}},
            "us-east1",
        ],
        "maxInstances": 5,
        "project": "test-project",
    },
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """Two regions of each cloud: one with its own numbers."""
    settings = settings_for("aws", clouds=CLOUDS, aws={"concurrency": 10})
    return recorded(settings, tmp_path_factory.mktemp("packages"))


def functions(fleet: list[Resource], token: str) -> dict[str, dict[str, Any]]:
    """The inputs of the functions of a cloud, by `region-role`."""
    return {each.name.partition("-")[2]: each.inputs for each in of_type(fleet, token)}


def test_lambda_reserves_the_most_instances_of_an_agent(fleet: list[Resource]) -> None:
    """The router reserves what `skyfleet:aws` has, and a checker nothing."""
    found = {
        name: (inputs.get("reservedConcurrentExecutions"), inputs["memorySize"])
        for name, inputs in functions(fleet, LAMBDA).items()
    }
    assert found == {
        "eu-west-1-agent": (20, 1024),
        "us-east-1-agent": (30, 512),
        "eu-west-1-router": (10, 512),
        "eu-west-1-checker": (None, 512),
    }


def test_flex_consumption_has_all_four_numbers(fleet: list[Resource]) -> None:
    """Warm instances serve HTTP; a function without any has no list of them."""
    found = {
        name: inputs["functionAppConfig"]["scaleAndConcurrency"]
        for name, inputs in functions(fleet, SITE).items()
    }
    assert found["westeurope-agent"] == {
        "alwaysReady": [{"name": "http", "instanceCount": 2}],
        "instanceMemoryMB": 2048,
        "maximumInstanceCount": 50,
        "triggers": {"http": {"perInstanceConcurrency": 8}},
    }
    default = {
        "instanceMemoryMB": 512,
        "maximumInstanceCount": 100,
        "triggers": {"http": {"perInstanceConcurrency": 40}},
    }
    assert found["northeurope-agent"] == found["westeurope-router"] == default


def test_cloud_run_has_all_four_numbers_and_the_cpus_for_the_memory(fleet: list[Resource]) -> None:
    """The router has the number of the cloud and no warm instance."""
    keys = (
        "minInstanceCount",
        "maxInstanceCount",
        "availableMemory",
        "availableCpu",
        "maxInstanceRequestConcurrency",
    )
    found = {
        name: tuple(inputs["serviceConfig"][key] for key in keys)
        for name, inputs in functions(fleet, CLOUD_RUN).items()
    }
    assert found == {
        "europe-west1-agent": (1, 3, "8192Mi", "2", 80),
        "us-east1-agent": (0, 5, "512Mi", "1", 40),
        "europe-west1-router": (0, 5, "512Mi", "1", 40),
        "europe-west1-checker": (0, 2, "512Mi", "0.5", 1),
    }
