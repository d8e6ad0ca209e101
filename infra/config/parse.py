"""Read the stack config: one frozen `Settings`, or one ConfigError that lists every error.

Pure: takes a mapping of full config keys ("skyfleet:clouds", "gcp:project") to values as parsed from YAML, or
to JSON text as the Pulumi engine passes them. No engine, no file, no environment.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping

from infra.config.cloud_options import (
    AWS_EXAMPLE,
    AZURE_EXAMPLE,
    EMULATOR_EXAMPLE,
    parse_aws,
    parse_azure,
    parse_emulator,
    parse_gcp,
)
from infra.config.lambda_limits import check_environment_size
from infra.config.model import CLOUDS, Model, Place, Settings, Target
from infra.config.namespace import own_values
from infra.config.policy import read_policy
from infra.config.targets import EXAMPLE as CLOUDS_EXAMPLE
from infra.config.targets import parse_targets
from infra.config.validation import Validator, one_of, present_name, suggestion
from infra.errors import ConfigError
from skyfleet.contract import (
    CHECK_NUMBERS,
    DEFAULT_PACE_MS,
    DEFAULT_STRATEGY,
    EVERY_ORIGIN,
    MAX_CHECK_S,
    PACES_MS,
    WHOLE_NUMBERS,
    Checks,
    Strategy,
    is_origin,
    snake_case,
)
from skyfleet.forwarded import parse_public_url

# The keys under `skyfleet:` with an example each, shown in error messages.
EXAMPLES: Mapping[str, str] = {
    "clouds": CLOUDS_EXAMPLE,
    "router": "{clouds: [gcp, aws], strategy: weighted}",
    "agent": "functions.agent:agent",
    "name": "skyfleet",
    "replaces": "skyfleet-prod",
    "checks": "{probes: 3, apartS: 5, timeoutS: 3, coldTimeoutS: 30}",
    "model": "{baseUrl: https://api.example.com/v1, name: small}",
    "modelApiKey": "pulumi config set --secret modelApiKey ...",
    "keyGeneration": "1",
    "apiKeyGeneration": "1",
    "agentPaceMs": f"{DEFAULT_PACE_MS}",
    "aws": AWS_EXAMPLE,
    "azure": AZURE_EXAMPLE,
    "emulator": EMULATOR_EXAMPLE,
}
# A module path and one attribute, for `importlib` and `getattr`.
AGENT_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# Top-level packages of this project: an agent module of that name would hide one of them.
RESERVED_MODULES = ("bench", "docs", "emulator", "infra", "locks", "router", "skyfleet", "tests", "tools")
# Azure's worker imports the entry file by this name, more than once (azure_functions_runtime/loader.py).
ENTRY_MODULE = "function_app"


def parse_settings(config: Mapping[str, object], stack: str) -> Settings:
    """Settings of one stack. Keys of other namespaces are ignored; keys without one are `skyfleet:` keys.

    Raises ConfigError with all errors.
    """
    validator = Validator()
    values = {name: _decoded(name, value) for name, value in own_values(validator, config, EXAMPLES).items()}
    validator.known_keys("skyfleet:", values, EXAMPLES, f"skyfleet:agent: {EXAMPLES['agent']}")
    targets, meant = parse_targets(validator, values.get("clouds"), misspelt=_misspells_clouds(values))
    router = validator.mapping("skyfleet:router", values.get("router"), EXAMPLES["router"])
    validator.known_keys(
        "skyfleet:router",
        router,
        ("clouds", "strategy", "open", "policy", "publicUrl", "corsOrigins"),
        EXAMPLES["router"],
    )
    emulated = any(present_name(f"skyfleet:{name}") == "skyfleet:emulator" for name in values)
    settings = Settings(
        stack=stack,
        name=_name(validator, values.get("name")),
        targets=targets,
        routers=_routers(validator, router.get("clouds"), targets, meant),
        strategy=Strategy(
            validator.choice(
                "skyfleet:router.strategy", router.get("strategy"), tuple(Strategy), DEFAULT_STRATEGY
            )
        ),
        open=_open(validator, router.get("open"), emulated=emulated),
        policy=read_policy(validator, router.get("policy")),
        agent=_agent(validator, values.get("agent")),
        checks=_checks(validator, values.get("checks")),
        key_generation=_generation(validator, values, "keyGeneration"),
        model=_model(validator, values.get("model"), has_key="modelApiKey" in values),
        gcp=parse_gcp(validator, config, values.get("clouds")),
        emulated=emulated,
        emulator=parse_emulator(validator, values.get("emulator")),
        aws=parse_aws(validator, values.get("aws")),
        agent_pace_ms=_pace_ms(validator, values.get("agentPaceMs")),
        purge_protection=parse_azure(validator, values.get("azure")),
        replaces=_replaces(validator, values.get("replaces")),
        public_url=_public_url(validator, router.get("publicUrl"), emulated=emulated),
        cors_origins=_cors_origins(validator, router.get("corsOrigins")),
        api_key_generation=_generation(validator, values, "apiKeyGeneration"),
    )
    check_environment_size(validator, settings)
    if validator.errors:
        raise ConfigError(validator.errors)
    return settings


def _generation(validator: Validator, values: Mapping[str, object], name: str) -> int:
    return int(validator.number(f"skyfleet:{name}", values.get(name), 1, (1, math.inf), integer=True))


def _decoded(name: str, value: object) -> object:
    """The engine passes structured values as JSON text. Names stay text even if they look like a number."""
    if not isinstance(value, str) or name in {"agent", "name", "modelApiKey", "replaces"}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _misspells_clouds(values: Mapping[str, object]) -> bool:
    return any(suggestion(name, EXAMPLES) == "clouds" for name in values if name not in EXAMPLES)


def _routers(
    validator: Validator, value: object, targets: tuple[Target, ...], meant: set[str]
) -> tuple[Place, ...]:
    """One router per named cloud, in that cloud's first region; by default one in every configured cloud."""
    key = "skyfleet:router.clouds"
    first: dict[str, Place] = {}
    for target in targets:
        first.setdefault(target.place.cloud, target.place)
    if value is None:
        return tuple(first.values())
    names = validator.strings(key, value, "[gcp, aws]")
    there = [cloud for cloud in CLOUDS if cloud in meant]
    for name in names:
        if name not in CLOUDS:
            validator.error(key, name, one_of(CLOUDS, name), "[gcp, aws]")
        elif there and name not in there:
            known = ", ".join(there)
            validator.error(key, name, f"only clouds that are under skyfleet:clouds ({known})", f"[{known}]")
    return tuple(first[name] for name in names if name in first)


def _open(validator: Validator, value: object, *, emulated: bool) -> bool:
    key = "skyfleet:router.open"
    found = validator.flag(key, value, default=False)
    if found and not emulated:
        validator.error(key, True, "false on real clouds: only an emulated stack is open", "false")
    return found


def _public_url(validator: Validator, value: object, *, emulated: bool) -> str | None:
    key, example = "skyfleet:router.publicUrl", "https://agents.example.com"
    url = parse_public_url(value)
    if value is not None and (url is None or not (emulated or url.origin.tls)):
        validator.error(key, value, "an https URL without query and user, http only when emulated", example)
    return url.text if url else None


def _cors_origins(validator: Validator, value: object) -> tuple[str, ...]:
    key, example = "skyfleet:router.corsOrigins", "[https://app.example.com]"
    if value is None:
        return ()
    origins = validator.strings(key, value, example)
    for origin in origins:
        if not is_origin(origin) and (origin != EVERY_ORIGIN or len(origins) > 1):
            expected = "origins as browsers send them: scheme, host, port if it is not the default; or [*]"
            validator.error(key, origin, expected, example)
    return tuple(origins)


def _agent(validator: Validator, value: object) -> str:
    default = EXAMPLES["agent"]
    if value is None:
        return default
    if not isinstance(value, str) or not AGENT_ENTRY.fullmatch(value):
        validator.error("skyfleet:agent", value, "module:attribute", default)
        return default
    module, _, attribute = value.partition(":")
    top = module.partition(".")[0]
    if module.endswith(".py"):
        name = f"{module.removesuffix('.py')}:{attribute}"
        validator.error("skyfleet:agent", value, "the module without .py, as Python imports it", name)
    elif top in RESERVED_MODULES:
        expected = f"a module outside of {', '.join(RESERVED_MODULES)}"
        validator.error("skyfleet:agent", value, expected, default)
    elif top in sys.stdlib_module_names:
        expected = f"another name than {top}, which hides a module of Python's standard library"
        validator.error("skyfleet:agent", value, expected, default)
    elif top == ENTRY_MODULE:
        expected = f"another name than {top}, which is the file that Azure loads"
        validator.error("skyfleet:agent", value, expected, default)
    return value


def _name(validator: Validator, value: object) -> str:
    if value is None:
        return "skyfleet"
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", value):
        return value
    expected = "2 to 16 lower-case letters, digits and dashes, starting with a letter"
    validator.error("skyfleet:name", value, expected, EXAMPLES["name"])
    return "skyfleet"


def _replaces(validator: Validator, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    validator.error("skyfleet:replaces", value, "the output namePrefix of the stack", EXAMPLES["replaces"])
    return None


def _pace_ms(validator: Validator, value: object) -> float | None:
    """None: not given, which leaves it to the agent's default."""
    if value is None:
        return None
    return validator.number("skyfleet:agentPaceMs", value, DEFAULT_PACE_MS, PACES_MS)


def _checks(validator: Validator, value: object) -> Checks:
    key, example, default = "skyfleet:checks", EXAMPLES["checks"], Checks()
    given = validator.mapping(key, value, example)
    validator.known_keys(key, given, CHECK_NUMBERS, example)

    def number(name: str) -> float:
        return validator.number(
            f"{key}.{name}",
            given.get(name),
            getattr(default, snake_case(name)),
            CHECK_NUMBERS[name],
            integer=name in WHOLE_NUMBERS,
        )

    found = Checks(int(number("probes")), number("apartS"), number("timeoutS"), number("coldTimeoutS"))
    if (seconds := found.probes * found.apart_s) > MAX_CHECK_S:
        validator.error(key, f"{seconds:g} s of probes", f"probes x apartS of at most {MAX_CHECK_S}", example)
    return found


def _model(validator: Validator, value: object, *, has_key: bool) -> Model | None:
    key = "skyfleet:model"
    if value is None:
        if has_key:
            validator.error(key, None, "the model that skyfleet:modelApiKey is for", EXAMPLES["model"])
        return None
    model = validator.mapping(key, value, EXAMPLES["model"])
    validator.known_keys(key, model, ("baseUrl", "name"), EXAMPLES["model"])
    base, name = model.get("baseUrl"), model.get("name")
    if not isinstance(base, str) or not re.match(r"https?://[^/\s]+", base):
        validator.error(
            f"{key}.baseUrl", base, "the base URL of an OpenAI-compatible API", "https://api.example.com/v1"
        )
    if not isinstance(name, str) or not name:
        validator.error(f"{key}.name", name, "the model's name", "small")
    return Model(str(base), str(name))
