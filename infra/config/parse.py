"""The stack config as one frozen value, or one error that lists every mistake.

Pure: takes a mapping of full config keys ("skyfleet:clouds", "gcp:project") to values as parsed from YAML,
or to JSON text as the Pulumi engine hands them over. No engine, no file, no environment. Every default is in
this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from infra.component import CLOUDS, Cloud, Place, stack_prefix
from infra.config import azure
from infra.config.aws import DEFAULT as AMAZON
from infra.config.aws import EXAMPLE as AMAZON_EXAMPLE
from infra.config.aws import Amazon, read_amazon
from infra.config.emulator import EMULATED, Emulated, read_emulated
from infra.config.emulator import EXAMPLE as EMULATED_EXAMPLE
from infra.config.gcp import KEYS as GOOGLE_KEYS
from infra.config.gcp import Google, read_google
from infra.config.lambda_limits import need_room
from infra.config.policy import read_policy
from infra.config.regions import REGIONS, UNFIT
from infra.config.validation import Mistakes, one_of, suggestion
from infra.errors import ConfigError

Strategy = Literal["weighted", "round-robin", "random", "least-load", "latency", "cost", "adaptive"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

# The keys under skyfleet:, and the shape each has; read by people in error messages.
EXAMPLES: Mapping[str, str] = {
    "clouds": "{aws: {regions: [eu-west-1], weight: 3}}",
    "router": "{clouds: [gcp, aws], strategy: weighted}",
    "agent": "functions.agent:agent",
    "name": "skyfleet",
    "checks": "{probes: 3, apartS: 5, timeoutS: 3, coldTimeoutS: 30}",
    "model": "{baseUrl: https://api.example.com/v1, name: small}",
    "modelApiKey": "pulumi config set --secret modelApiKey ...",
    "keyGeneration": "1",
    "agentPaceMs": "0",
    "aws": AMAZON_EXAMPLE,
    "azure": azure.EXAMPLE,
    "emulator": EMULATED_EXAMPLE,
}
# What the router takes: of a region's weight, when it is no standby, and of a price.
WEIGHTS = (0.000_001, 1_000_000)
MOST_PRICE = 1_000_000_000
# Exactly module paths and one attribute: what `importlib` and `getattr` take.
AGENT_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# One invocation's rounds; Lambda ends a function after 900 s, and a cold start and sending come on top.
LONGEST_CHECK_S = 600
# Rooms of this project: an agent module of that name would hide one of them.
RESERVED_MODULES = ("bench", "emulator", "infra", "router", "skyfleet", "tests", "tools")


@dataclass(frozen=True, slots=True)
class Target:
    """One agent to deploy.

    weight: its share of requests, relative to the other targets'. price: USD per million requests; None: the
    router's list price of that cloud.
    """

    place: Place
    weight: float
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """One invocation of a checker: `probes` rounds, `apart_s` seconds apart (6 x 10 s fill the scheduler's
    minute). As many as make a verdict, and no more: what more costs and brings is in docs/costs.md."""

    probes: int = 3
    apart_s: float = 5
    timeout_s: float = 3
    cold_timeout_s: float = 30


@dataclass(frozen=True, slots=True)
class Model:
    """An OpenAI-compatible model the default agent may use; its key is a secret and not in here."""

    base_url: str
    name: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What one stack deploys.

    routers: in the order callers should try them. open: the routers ask for no API key (emulated stacks
    only). local: an emulated stack; emulated: how fast its clouds are. agent_pace_ms: pause of the default
    agent between two steps, to watch streams. purge_protection: of Azure's vaults.
    """

    stack: str
    name: str
    targets: tuple[Target, ...]
    routers: tuple[Place, ...]
    strategy: Strategy
    open: bool
    policy: Mapping[str, object]
    agent: str
    checks: Checks
    key_generation: int
    model: Model | None
    google: Google | None
    local: bool
    emulated: Emulated = EMULATED
    amazon: Amazon = AMAZON
    agent_pace_ms: float = 0
    purge_protection: bool = False
    prefix: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", stack_prefix(self.name, self.stack))

    @property
    def delays(self) -> float:
        """Seconds here for each second that something takes in a real cloud."""
        return self.emulated.delays if self.local else 1

    @property
    def project(self) -> str | None:
        """Google's; None in a stack without it."""
        return self.google.project if self.google else None

    @property
    def clouds(self) -> tuple[Cloud, ...]:
        return tuple(dict.fromkeys(target.place.cloud for target in self.targets))

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(target.place for target in self.targets)

    @property
    def checkers(self) -> tuple[Place, ...]:
        """One checker per cloud, in its first region."""
        return tuple(self.first_place(cloud) for cloud in self.clouds)

    def first_place(self, cloud: Cloud) -> Place:
        return next(place for place in self.places if place.cloud == cloud)


def read(config: Mapping[str, object], stack: str) -> Settings:
    """Settings of one stack; raises ConfigError with all mistakes. Other namespaces' keys are left to
    their owners."""
    mistakes = Mistakes()
    values = {
        key.removeprefix("skyfleet:"): _decoded(key, value)
        for key, value in config.items()
        if key.startswith("skyfleet:")
    }
    mistakes.known_keys("skyfleet:", values, EXAMPLES, f"skyfleet:agent: {EXAMPLES['agent']}")
    targets, meant = _targets(mistakes, values)
    router = mistakes.mapping("skyfleet:router", values.get("router"), EXAMPLES["router"])
    mistakes.known_keys(
        "skyfleet:router", router, ("clouds", "strategy", "open", "policy"), EXAMPLES["router"]
    )
    open_ = mistakes.flag("skyfleet:router.open", router.get("open"), default=False)
    if open_ and "emulator" not in values:
        mistakes.add(
            "skyfleet:router.open", True, "false on real clouds: only an emulated stack is open", "false"
        )
    settings = Settings(
        stack=stack,
        name=_name(mistakes, values.get("name")),
        targets=targets,
        routers=_routers(mistakes, router.get("clouds"), targets, meant),
        strategy=cast(
            "Strategy",
            mistakes.choice("skyfleet:router.strategy", router.get("strategy"), STRATEGIES, "adaptive"),
        ),
        open=open_,
        policy=read_policy(mistakes, router.get("policy")),
        agent=_agent(mistakes, values.get("agent")),
        checks=_checks(mistakes, values.get("checks")),
        key_generation=int(
            mistakes.number("skyfleet:keyGeneration", values.get("keyGeneration"), 1, least=1, whole=True)
        ),
        model=_model(mistakes, values.get("model"), has_key="modelApiKey" in values),
        google=read_google(mistakes, config, values.get("clouds")),
        local="emulator" in values,
        emulated=read_emulated(mistakes, values.get("emulator")),
        amazon=read_amazon(mistakes, values.get("aws")),
        agent_pace_ms=mistakes.number("skyfleet:agentPaceMs", values.get("agentPaceMs"), 0, least=0),
        purge_protection=azure.purge_protection(mistakes, values.get("azure")),
    )
    need_room(mistakes, settings)
    if mistakes.found:
        raise ConfigError(mistakes.found)
    return settings


def _decoded(key: str, value: object) -> object:
    """The engine hands structured values over as JSON text; names stay text even when they look like a
    number."""
    if not isinstance(value, str) or key in {"skyfleet:agent", "skyfleet:name", "skyfleet:modelApiKey"}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _targets(mistakes: Mistakes, values: Mapping[str, object]) -> tuple[tuple[Target, ...], set[str]]:
    """The targets, and the clouds that were named or probably meant."""
    key, example = "skyfleet:clouds", EXAMPLES["clouds"]
    before = len(mistakes.found)
    clouds = mistakes.mapping(key, values.get("clouds"), example)
    misspelt = any(suggestion(name, EXAMPLES) == "clouds" for name in values if name not in EXAMPLES)
    if not clouds and not misspelt and len(mistakes.found) == before:
        mistakes.add(key, values.get("clouds"), "at least one cloud with its regions", example)
    targets: list[Target] = []
    meant: set[str] = set()
    for name, given in clouds.items():
        meant.add(name if name in CLOUDS else suggestion(name, CLOUDS) or name)
        if name not in CLOUDS:
            mistakes.add(f"{key}.{name}", "an unknown cloud", one_of(CLOUDS, name), example)
        targets += _cloud_targets(mistakes, f"{key}.{name}", cast("Cloud", name), given)
    if targets and len(mistakes.found) == before and not any(target.weight for target in targets):
        mistakes.add(key, "weight 0 for every cloud", "at least one weight above 0", example)
    return tuple(targets), meant


def _cloud_targets(mistakes: Mistakes, key: str, cloud: Cloud, given: object) -> list[Target]:
    """A cloud's weight is shared evenly by its regions."""
    known = REGIONS.get(cloud, ())
    first = known[0] if known else "eu-west-1"
    example = f"{{regions: [{first}], weight: 1}}"
    entry = mistakes.mapping(key, given, example)
    allowed = ("regions", "weight", "price")
    mistakes.known_keys(key, entry, (*allowed, *GOOGLE_KEYS) if cloud == "gcp" else allowed, example)
    weight = mistakes.number(f"{key}.weight", entry.get("weight"), 1, least=0, example="3")
    price = None
    if entry.get("price") is not None:
        price = mistakes.number(f"{key}.price", entry["price"], 0, least=0, most=MOST_PRICE, example="0.2")
    regions = mistakes.strings(f"{key}.regions", entry.get("regions"), f"[{first}]")
    for region in regions:
        if reason := UNFIT.get(cloud, {}).get(region):
            mistakes.add(f"{key}.regions", region, f"another region: {reason}", f"[{first}]")
        elif known and region not in known:
            meant = suggestion(region, known) or first
            mistakes.add(f"{key}.regions", region, one_of(known, region), f"[{meant}]")
    share = _share(mistakes, f"{key}.weight", weight, len(regions))
    whole = int(share) if share == int(share) else share
    return [Target(Place(cloud, region), whole, price) for region in regions]


def _share(mistakes: Mistakes, key: str, weight: float, regions: int) -> float:
    """Each region's part of a weight."""
    least, most = WEIGHTS
    if not regions or not weight:
        return 0
    if not least * regions <= weight <= most * regions:
        mistakes.add(key, weight, f"0, or from {least:f} to {most} for each region", "3")
        return 1
    return weight / regions


def _routers(
    mistakes: Mistakes, value: object, targets: tuple[Target, ...], meant: set[str]
) -> tuple[Place, ...]:
    """One router per named cloud, in that cloud's first region; every configured cloud when none is named."""
    key = "skyfleet:router.clouds"
    first: dict[str, Place] = {}
    for target in targets:
        first.setdefault(target.place.cloud, target.place)
    if value is None:
        return tuple(first.values())
    names = mistakes.strings(key, value, "[gcp, aws]")
    for name in names:
        if name not in CLOUDS:
            mistakes.add(key, name, one_of(CLOUDS, name), "[gcp, aws]")
        elif name not in meant:
            there = ", ".join(sorted(meant)) or "none"
            mistakes.add(
                key,
                name,
                f"only clouds that are under skyfleet:clouds ({there})",
                f"[{', '.join(first) or 'aws'}]",
            )
    return tuple(first[name] for name in names if name in first)


def _agent(mistakes: Mistakes, value: object) -> str:
    default = EXAMPLES["agent"]
    if value is None:
        return default
    if not isinstance(value, str) or not AGENT_ENTRY.fullmatch(value):
        mistakes.add("skyfleet:agent", value, "module:attribute", default)
        return default
    if value.partition(":")[0].partition(".")[0] in RESERVED_MODULES:
        mistakes.add("skyfleet:agent", value, f"a module outside of {', '.join(RESERVED_MODULES)}", default)
    return value


def _name(mistakes: Mistakes, value: object) -> str:
    if value is None:
        return "skyfleet"
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", value):
        return value
    expected = "2 to 16 lower-case letters, digits and dashes, starting with a letter"
    mistakes.add("skyfleet:name", value, expected, EXAMPLES["name"])
    return "skyfleet"


def _checks(mistakes: Mistakes, value: object) -> Checks:
    key, default = "skyfleet:checks", Checks()
    checks = mistakes.mapping(key, value, EXAMPLES["checks"])
    mistakes.known_keys(key, checks, ("probes", "apartS", "timeoutS", "coldTimeoutS"), EXAMPLES["checks"])
    found = Checks(
        int(mistakes.number(f"{key}.probes", checks.get("probes"), default.probes, least=1, whole=True)),
        mistakes.number(f"{key}.apartS", checks.get("apartS"), default.apart_s, least=0),
        mistakes.number(f"{key}.timeoutS", checks.get("timeoutS"), default.timeout_s, least=0.1),
        mistakes.number(f"{key}.coldTimeoutS", checks.get("coldTimeoutS"), default.cold_timeout_s, least=0.1),
    )
    if (seconds := found.probes * found.apart_s) > LONGEST_CHECK_S:
        mistakes.add(
            key,
            f"{seconds:g} s of probes",
            f"probes x apartS of at most {LONGEST_CHECK_S}",
            EXAMPLES["checks"],
        )
    return found


def _model(mistakes: Mistakes, value: object, *, has_key: bool) -> Model | None:
    key = "skyfleet:model"
    if value is None:
        if has_key:
            mistakes.add(key, None, "the model that skyfleet:modelApiKey is for", EXAMPLES["model"])
        return None
    model = mistakes.mapping(key, value, EXAMPLES["model"])
    mistakes.known_keys(key, model, ("baseUrl", "name"), EXAMPLES["model"])
    base, name = model.get("baseUrl"), model.get("name")
    if not isinstance(base, str) or not re.match(r"https?://[^/\s]+", base):
        mistakes.add(
            f"{key}.baseUrl", base, "the base URL of an OpenAI-compatible API", "https://api.example.com/v1"
        )
    if not isinstance(name, str) or not name:
        mistakes.add(f"{key}.name", name, "the model's name", "small")
    return Model(str(base), str(name))
