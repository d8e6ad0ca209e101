"""Find functions and their settings among recorded resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from tests.infra.recorded import Resource, of_type

FUNCTIONS: Mapping[str, str] = {
    "aws": "aws:lambda/function:Function",
    "azure": "azure-native:web:WebApp",
    "gcp": "gcp:cloudfunctionsv2/function:Function",
}


def environment(resource: Resource) -> dict[str, str]:
    """A function's environment variables, on any cloud."""
    if resource.token == FUNCTIONS["aws"]:
        return cast("dict[str, str]", resource.inputs["environment"]["variables"])
    if resource.token == FUNCTIONS["azure"]:
        settings = cast("list[dict[str, str]]", resource.inputs["siteConfig"]["appSettings"])
        return {setting["name"]: setting["value"] for setting in settings}
    return cast("dict[str, str]", resource.inputs["serviceConfig"]["environmentVariables"])


def shown(resources: list[Resource]) -> str:
    """All inputs of the resources as one text to search."""
    return json.dumps([resource.inputs for resource in resources], default=str)


def role(resource: Resource) -> str:
    return resource.labels["skyfleet-role"]


def functions(resources: list[Resource], cloud: str) -> dict[str, Resource]:
    return {role(resource): resource for resource in of_type(resources, FUNCTIONS[cloud])}
