"""Config that exists for one cloud only: `skyfleet:aws`, `skyfleet:azure`, Google's part of
`skyfleet:clouds.gcp`, and `skyfleet:emulator`.

Pure: reading and checking. The effect of a value is described where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from infra.config.instances import MAX_CONCURRENCY, parse_instances
from infra.config.model import EMULATOR_DELAYS, GCP_MAX_INSTANCES, AwsSettings, EmulatorSettings, GcpSettings
from infra.config.validation import Validator
from skyfleet.contract import Range

AWS_EXAMPLE = "{concurrency: 50}"
AZURE_EXAMPLE = "{purgeProtection: true}"
EMULATOR_EXAMPLE = "{minuteS: 5, delays: 0.02}"
# Keys of `skyfleet:clouds.gcp` besides those of every cloud.
GCP_KEYS = ("project", "public")
# A longer "minute" of the emulator would hide every check from its user.
MINUTES_S: Range = (0.5, 3600)


def parse_aws(validator: Validator, value: object) -> AwsSettings:
    """`skyfleet:aws`. There is no default reservation: one lowers the quota of the account's other
    functions.
    """
    key = "skyfleet:aws"
    given = validator.mapping(key, value, AWS_EXAMPLE)
    validator.known_keys(key, given, ("concurrency",), AWS_EXAMPLE)
    if given.get("concurrency") is None:
        return AwsSettings()
    concurrency = validator.number(
        f"{key}.concurrency",
        given["concurrency"],
        1,
        (1, MAX_CONCURRENCY),
        integer=True,
        example="50",
    )
    return AwsSettings(int(concurrency))


def parse_azure(validator: Validator, value: object) -> bool:
    """`skyfleet:azure`: whether a deleted vault cannot be purged during its seven days. Azure does not let
    an owner disable it later.
    """
    key = "skyfleet:azure"
    azure = validator.mapping(key, value, AZURE_EXAMPLE)
    validator.known_keys(key, azure, ("purgeProtection",), AZURE_EXAMPLE)
    return validator.flag(f"{key}.purgeProtection", azure.get("purgeProtection"), default=False)


def parse_gcp(validator: Validator, config: Mapping[str, object], clouds: object) -> GcpSettings | None:
    """Google's settings; None if the stack does not use Google or its project is invalid.

    config: the whole stack config; `gcp:project` is where the provider reads the project. clouds: the value
    of `skyfleet:clouds`.
    """
    if not isinstance(clouds, Mapping) or "gcp" not in clouds:
        return None
    given = cast("Mapping[str, object]", clouds)["gcp"]
    empty: Mapping[str, object] = {}
    entry = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else empty
    project = _project(validator, entry.get("project"), config.get("gcp:project"))
    key = "skyfleet:clouds.gcp"
    # Its mistakes are found with the targets (infra/config/instances.py).
    instances = parse_instances(Validator(), key, "gcp", entry).max_instances or GCP_MAX_INSTANCES
    public = validator.flag(f"{key}.public", entry.get("public"), default=True)
    return GcpSettings(project, instances, public) if project else None


def parse_emulator(validator: Validator, value: object) -> EmulatorSettings:
    """`skyfleet:emulator`: both numbers, each with its default."""
    key = "skyfleet:emulator"
    given = validator.mapping(key, value, EMULATOR_EXAMPLE)
    validator.known_keys(key, given, ("minuteS", "delays"), EMULATOR_EXAMPLE)
    delays = validator.number(f"{key}.delays", given.get("delays"), EMULATOR_DELAYS, (0, 1), example="0.02")
    minute = validator.number(f"{key}.minuteS", given.get("minuteS"), 60, MINUTES_S, example="5")
    return EmulatorSettings(minute, delays)


def _project(validator: Validator, own: object, providers: object) -> str | None:
    """The project id from `skyfleet:clouds.gcp.project` or `gcp:project`, which must not differ."""
    key = "skyfleet:clouds.gcp.project"
    project = own if own is not None else providers
    if own is not None and providers is not None and own != providers:
        validator.error(
            key,
            f"{own} here and {providers} as gcp:project",
            "the same project in both, or in one of them only",
            str(own),
        )
        return None
    if isinstance(project, str) and re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        return project
    validator.error(
        key, project, "the id of your Google Cloud project (or set gcp:project)", "my-project-123"
    )
    return None
