"""Size and number of an agent's instances: settings of a region, or of a cloud for all of its regions.

Pure. The ranges are what the clouds' APIs accept:
- AWS: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (memory 128 to 10,240 MB) and
  lambda-concurrency.html there: an instance runs one request at a time, so the most instances are the
  function's reserved concurrency. Provisioned concurrency needs a published version or an alias
  (API_PutProvisionedConcurrencyConfig.html), and the URL of the agent is that of the unpublished version.
- Azure: learn.microsoft.com/azure/azure-functions/flex-consumption-plan (memory 512, 2048 or 4096 MB, at most
  1000 instances) and event-driven-scaling (concurrency 1 to 1000). For the least maximum the documents give
  40 and 1 (github.com/MicrosoftDocs/azure-docs/pull/128255, github.com/Azure/Azure-Functions/issues/2650); 40
  is accepted by both.
- Google: cloud.google.com/run/docs/configuring/max-instances, concurrency (1 to 1000) and
  services/memory-limits (128 MiB to 32 GiB, with the CPUs that `google_cpus` has).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from infra.config.model import AZURE_MAX_INSTANCES, GCP_MAX_INSTANCES, Cloud, Instances
from infra.config.validation import Validator
from skyfleet.contract import Range

# The keys, and the attribute of `Instances` that each sets.
INSTANCE_KEYS: Final[Mapping[str, str]] = {
    "minInstances": "min_instances",
    "maxInstances": "max_instances",
    "memoryMb": "memory_mb",
    "concurrency": "concurrency",
}
AZURE_MEMORY_MB: Final = (512, 2048, 4096)
# Above any account's quota. This finds typing errors; Lambda itself checks the quota.
MAX_CONCURRENCY: Final = 100_000
_EXAMPLES: Final[Mapping[str, int]] = {
    "minInstances": 0,
    "maxInstances": 50,
    "memoryMb": 512,
    "concurrency": 20,
}
NO_WARM_LAMBDA: Final = (
    "0, because warm instances of Lambda (provisioned concurrency) need a published version, and the agent's "
    "URL is that of the unpublished one"
)
ONE_AT_A_TIME: Final = (
    "1, because an instance of Lambda runs one request at a time; maxInstances limits the requests at once"
)


@dataclass(frozen=True, slots=True)
class _Rules:
    """ranges: of the keys that have one. fixed: keys with one value, and the reason. default_max: of a
    region without maxInstances; None: the account's quota."""

    ranges: Mapping[str, Range]
    fixed: Mapping[str, tuple[int, str]]
    default_max: int | None


_TITLES: Final[Mapping[Cloud, str]] = {"aws": "AWS", "azure": "Azure", "gcp": "Google"}
_RULES: Final[Mapping[Cloud, _Rules]] = {
    "aws": _Rules(
        {"maxInstances": (1, MAX_CONCURRENCY), "memoryMb": (128, 10_240)},
        {"minInstances": (0, NO_WARM_LAMBDA), "concurrency": (1, ONE_AT_A_TIME)},
        None,
    ),
    "azure": _Rules(
        {"minInstances": (0, 1000), "maxInstances": (40, 1000), "concurrency": (1, 1000)},
        {},
        AZURE_MAX_INSTANCES,
    ),
    "gcp": _Rules(
        {
            "minInstances": (0, 1000),
            "maxInstances": (1, 1000),
            "memoryMb": (128, 32_768),
            "concurrency": (1, 1000),
        },
        {},
        GCP_MAX_INSTANCES,
    ),
}


def parse_instances(
    validator: Validator,
    key: str,
    cloud: Cloud,
    given: Mapping[str, object],
    inherited: Instances | None = None,
) -> Instances:
    """The settings under `key`; what it does not have is that of `inherited`, the cloud's.

    given: the mapping under `key`; other keys in it are ignored.
    """
    rules = _RULES.get(cloud)
    if rules is None:
        return Instances()
    own = {
        INSTANCE_KEYS[name]: _number(validator, f"{key}.{name}", cloud, rules, name, given[name])
        for name in INSTANCE_KEYS
        if given.get(name) is not None
    }
    found = replace(
        inherited or Instances(), **{name: value for name, value in own.items() if value is not None}
    )
    most = found.max_instances if found.max_instances is not None else rules.default_max
    bounds = own.keys() & {"min_instances", "max_instances"}
    if bounds and most is not None and (found.min_instances or 0) > most:
        validator.error(
            f"{key}.minInstances", found.min_instances, f"at most maxInstances, which is {most}", str(most)
        )
    return found


def _number(
    validator: Validator, key: str, cloud: Cloud, rules: _Rules, name: str, value: object
) -> int | None:
    """A value of a cloud; None after a mistake."""
    before = len(validator.errors)
    if cloud == "azure" and name == "memoryMb":
        if isinstance(value, bool) or value not in AZURE_MEMORY_MB:
            sizes = ", ".join(map(str, AZURE_MEMORY_MB))
            validator.error(key, value, f"one of {sizes} (what Flex Consumption has)", "512")
            return None
        return int(str(value).partition(".")[0])
    if name in rules.fixed:
        only, why = rules.fixed[name]
        if isinstance(value, bool) or value != only:
            validator.error(key, value, why, str(only))
            return None
        return only
    example = str(_EXAMPLES[name])
    number = validator.number(key, value, 0, rules.ranges[name], integer=True, example=example)
    return int(number) if len(validator.errors) == before else None


def accepted(name: str) -> str:
    """What each cloud accepts for a key, for the reference: `AWS: 1 to 100000; Azure: ...`."""
    return "; ".join(f"{_TITLES[cloud]}: {_accepted(cloud, name)}" for cloud in _RULES)


def _accepted(cloud: Cloud, name: str) -> str:
    rules = _RULES[cloud]
    if name in rules.fixed:
        return str(rules.fixed[name][0])
    if name in rules.ranges:
        least, most = rules.ranges[name]
        return f"{least:g} to {most}"
    return ", ".join(map(str, AZURE_MEMORY_MB))


def google_cpus(memory_mb: int) -> int:
    """The fewest whole CPUs of a Cloud Run instance with this memory.

    A whole one at least: with less, an instance takes one request at a time
    (cloud.google.com/run/docs/configuring/services/cpu). Source of the steps: services/memory-limits there.
    """
    return next(cpus for most, cpus in _GOOGLE_CPUS if memory_mb <= most)


_GOOGLE_CPUS: Final = ((4096, 1), (8192, 2), (16_384, 4), (24_576, 6), (32_768, 8))
