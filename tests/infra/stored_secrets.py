"""Read the secret stores of a recorded fleet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from infra.config.model import Cloud
from tests.infra.recorded import CLOUD_CONFIG, Resource, of_type

STORES: Mapping[Cloud, tuple[str, str]] = {
    "aws": ("aws:secretsmanager/secretVersion:SecretVersion", "secretString"),
    "azure": ("azure-native:keyvault:Secret", "properties"),
    "gcp": ("gcp:secretmanager/secretVersion:SecretVersion", "secretData"),
}


ROLES = ("agent", "checker", "router")


def place(cloud: Cloud) -> str:
    (region,) = cast("list[str]", CLOUD_CONFIG[cloud]["regions"])
    return f"{cloud}/{region}"


def owner(name: str) -> str:
    """The role of the function to which a resource belongs, from its logical name."""
    (found,) = (each for each in ROLES if each in name.split("-"))
    return found


def stored(fleet: list[Resource], cloud: Cloud) -> dict[str, dict[str, str]]:
    """The content of a cloud's secret store: role -> variable -> value."""
    token, field = STORES[cloud]
    found: dict[str, dict[str, str]] = {each: {} for each in ROLES}
    for one in of_type(fleet, token):
        assert field in one.secret_inputs, one.name
        if cloud == "aws":
            found[owner(one.name)] |= json.loads(one.inputs[field])
            continue
        value = one.inputs[field]["value"] if cloud == "azure" else one.inputs[field]
        variable = "MODEL_API_KEY" if "model-api-key" in one.name else "SKYFLEET_SIGNING_KEYS"
        variable = "SKYFLEET_ROOT_KEYS" if "root-keys" in one.name else variable
        found[owner(one.name)][variable] = value
    return found
