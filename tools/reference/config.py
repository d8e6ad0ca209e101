"""The stack config, asked of the code that reads it.

- What is expected of a key is the text of the mistake that a wrong value gives.
- Which keys there are is the text of the mistake that an unknown key gives.
- Defaults are what a minimal config is read as; those of the policy are the router's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, cast

from infra.config import parse as stack
from infra.config.instances import INSTANCE_KEYS, accepted
from infra.config.model import AZURE_MAX_INSTANCES, GCP_MAX_INSTANCES, Settings
from infra.errors import ConfigError
from infra.roles import MEMORY_MB
from router.core import policy as policies
from skyfleet.contract import DEFAULT_PACE_MS, INSTANCE_CONCURRENCY, PRICES
from tools.reference.text import code, described, table

MINIMAL: Final[Mapping[str, object]] = {
    "skyfleet:clouds": {"aws": {"regions": ["eu-west-1"]}, "gcp": {"regions": ["europe-west1"]}},
    "gcp:project": "my-project-123",
    "skyfleet:emulator": {},
}
POLICY: Final = "router.policy."
# Only the keys that have one; all others are required within what they stand in, or nothing is the default.
DEFAULTS: Final[Mapping[str, Callable[[Settings], object]]] = {
    "clouds.CLOUD.weight": lambda read: read.targets[0].weight,
    "clouds.CLOUD.minInstances": lambda read: 0,
    "clouds.CLOUD.maxInstances": lambda read: (
        f"AWS: the account's quota; Azure: `{AZURE_MAX_INSTANCES}`; Google: `{GCP_MAX_INSTANCES}`"
    ),
    "clouds.CLOUD.memoryMb": lambda read: MEMORY_MB,
    "clouds.CLOUD.concurrency": lambda read: f"AWS: `1`; Azure, Google: `{INSTANCE_CONCURRENCY}`",
    "clouds.gcp.public": lambda read: read.gcp and read.gcp.public,
    "router.clouds": lambda read: "every cloud, in the order of `clouds`",
    "router.strategy": lambda read: read.strategy,
    "router.open": lambda read: read.open,
    "agent": lambda read: read.agent,
    "name": lambda read: read.name,
    "checks.probes": lambda read: read.checks.probes,
    "checks.apartS": lambda read: read.checks.apart_s,
    "checks.timeoutS": lambda read: read.checks.timeout_s,
    "checks.coldTimeoutS": lambda read: read.checks.cold_timeout_s,
    "keyGeneration": lambda read: read.key_generation,
    "apiKeyGeneration": lambda read: read.api_key_generation,
    "agentPaceMs": lambda read: DEFAULT_PACE_MS,
    "azure.purgeProtection": lambda read: read.purge_protection,
    "emulator.minuteS": lambda read: read.emulator.minute_s,
    "emulator.delays": lambda read: read.emulator.delays,
}
# Where the text of a mistake says less than the table should.
EXPECTED: Final[Mapping[str, str]] = {
    "clouds.CLOUD.regions": "a list of the cloud's region names",
    "clouds.CLOUD.price": f"a number from {PRICES[0]} to {PRICES[1]}",
    "router.clouds": "a list of clouds that are under `clouds`",
    "router.corsOrigins": "a list of origins as browsers send them, or `[*]`",
    **{f"clouds.CLOUD.{name}": accepted(name) for name in INSTANCE_KEYS},
    "clouds.gcp.project": "the id of a Google Cloud project",
    "router.policy.allowedOverrides": "a list of `strategy` and `redundant`, may be empty",
    "modelApiKey": "a secret: `pulumi config set --secret skyfleet:modelApiKey ...`",
}
UNKNOWN: Final = "no-such-key"


def page() -> str:
    """docs/reference/config.md without its head."""
    keys = list(known())
    policy = [f"{POLICY}{name}" for name in policy_names()]
    sentences = described("config", [*keys, *policy])
    rows = [
        [code(f"skyfleet:{key}"), expected(key), default(key), sentences[key]]
        for key in sentences
        if not key.startswith(POLICY)
    ]
    policy_rows = [
        [code(key.removeprefix(POLICY)), expected(key), policy_default(key), sentences[key]]
        for key in sentences
        if key.startswith(POLICY)
    ]
    head = ["key", "value", "default", "meaning"]
    return "\n".join(
        [
            table(head, rows),
            "",
            "## Policy",
            "",
            "Under `skyfleet:router: {policy: {...}}`. `S` at the end means seconds, `Ms` milliseconds.",
            "",
            table(head, policy_rows),
        ]
    )


def known() -> Iterator[str]:
    """Every key of the stack config but those of the policy, as `clouds.CLOUD.weight`."""
    for key in _names_at(""):
        inner = [] if key in ("clouds", "agent", "name", "replaces", "modelApiKey") else list(_names_at(key))
        if key == "clouds":
            common = list(_names_at("clouds.aws"))
            yield from (f"clouds.CLOUD.{name}" for name in common)
            yield from (f"clouds.gcp.{name}" for name in _names_at("clouds.gcp") if name not in common)
        elif inner:
            yield from (f"{key}.{name}" for name in inner if f"{key}.{name}." != POLICY)
        else:
            yield key


def policy_names() -> tuple[str, ...]:
    """The keys of the policy, as the router's own message lists them."""
    _, mistakes = policies.parse({UNKNOWN: 0})
    return tuple(mistakes[0].rpartition(" one of ")[2].split(", "))


def expected(key: str) -> str:
    """What a key's value has to be."""
    if key in EXPECTED:
        return EXPECTED[key]
    texts = [text for name, text in _mistakes(key, object()) if name == _concrete(key)]
    if not texts:
        raise LookupError(f"{key} takes any value, so its line in the table cannot be made")
    return texts[0].partition("; expected ")[2].rpartition(", e.g. ")[0].replace("inf", "any")


def default(key: str) -> str:
    """A key's default; a dash when there is none."""
    if key not in DEFAULTS:
        return "-"
    value = DEFAULTS[key](stack.parse_settings(MINIMAL, "local"))
    return _shown(value)


def policy_default(key: str) -> str:
    """The router's default of a key of the policy."""
    name = key.removeprefix(POLICY)
    for given in (0.01, 0.5, 1, 2, 5, "on", "off", ["strategy"], []):
        changed, mistakes = policies.parse({name: given})
        for field in fields(cast("Any", policies.DEFAULT)):
            before = getattr(policies.DEFAULT, field.name)
            if not mistakes and getattr(changed, field.name) != before:
                return _shown(before)
    raise LookupError(f"no value changes {key}")


def _names_at(key: str) -> Iterator[str]:
    """The names that are known below a key; none where it holds no mapping."""
    where = f"{key}.{UNKNOWN}" if key else UNKNOWN
    for name, text in _mistakes(where, 0):
        if name == _concrete(where) and " one of " in text:
            listed = text.partition("; expected one of ")[2].rpartition(", e.g. ")[0]
            yield from listed.partition(" (did you")[0].split(", ")
            return


def _mistakes(key: str, value: object) -> Iterator[tuple[str, str]]:
    """The mistakes of a config in which one key has a wrong value, each with the key that it names."""
    config: dict[str, Any] = json.loads(json.dumps(MINIMAL))
    first, *inner = _concrete(key).split(".")
    if inner:
        place = config.setdefault(first, {})
        for name in inner[:-1]:
            place = place.setdefault(name, {})
        place[inner[-1]] = value
    else:
        config[first] = value
    try:
        stack.parse_settings(config, "local")
    except ConfigError as error:
        for text in error.mistakes:
            yield text.partition(": got ")[0], text


def _concrete(key: str) -> str:
    """A key as it stands in a config."""
    return f"skyfleet:{key}".replace("CLOUD", "aws")


def _shown(value: object) -> str:
    """A value as YAML has it."""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, float):
        return code(f"{value:.4g}")
    if isinstance(value, frozenset):
        return code(f"[{', '.join(sorted(map(str, cast('frozenset[object]', value))))}]")
    text = str(value)
    return text if "`" in text else code(text)
