"""The values a stack config stands for: frozen, checked, without defaults that depend on a file or a clock.

`infra/config/parse.py` makes them; the program, the command line and the benchmarks read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from infra.names import stack_prefix
from skyfleet.contract import Checks, Strategy

Cloud = Literal["aws", "azure", "gcp"]
CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
# The Pulumi package of each cloud, as in resource types.
PULUMI_PACKAGES: Mapping[Cloud, str] = {"aws": "aws", "azure": "azure-native", "gcp": "gcp"}

# A new project may run 20 vCPU in a region, and Google refuses a function whose instances could need more:
# github.com/googlecodelabs/feedback/issues/1856, firebase-tools issue 11001. Ten instances of one vCPU each
# serve 400 requests at once, and the quota holds an agent and a router of ten.
GCP_MAX_INSTANCES = 10
# A bound on the bill when something calls in a loop; Flex Consumption takes 40 to 1000.
AZURE_MAX_INSTANCES = 100
# The emulator's delays are a sixtieth of a cloud's: a minute becomes a second.
EMULATOR_DELAYS = 1 / 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One region of one cloud."""

    cloud: Cloud
    region: str

    def __str__(self) -> str:
        return f"{self.cloud}/{self.region}"


@dataclass(frozen=True, slots=True)
class Instances:
    """Size and number of an agent's instances in one region; None: the default.

    min_instances: kept warm without requests. concurrency: requests at once in one instance.
    """

    min_instances: int | None = None
    max_instances: int | None = None
    memory_mb: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One agent to deploy.

    weight: its share of requests, relative to the other targets'. price: USD per million requests; None: the
    router's list price of that cloud.
    """

    place: Place
    weight: float
    price: float | None = None
    instances: Instances = Instances()


@dataclass(frozen=True, slots=True)
class Model:
    """The OpenAI-compatible model of the default agent; its API key is a secret and not part of this."""

    base_url: str
    name: str


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """concurrency: reserved concurrent executions of each router, and of each agent whose region has no
    `maxInstances`; None: no reservation, each function can use the region's whole quota.
    """

    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class GcpSettings:
    """max_instances: of each router, and of each agent whose region has no number of its own. public: grant
    `allUsers` the right to call them; without it the operator disables Google's check by hand, as a
    domain-restricted organisation requires.
    """

    project: str
    max_instances: int = GCP_MAX_INSTANCES
    public: bool = True


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """minute_s: length of the emulated schedulers' minute. delays: emulator seconds per second that an
    operation takes in a real cloud.
    """

    minute_s: float = 60
    delays: float = EMULATOR_DELAYS


@dataclass(frozen=True, slots=True)
class Settings:
    """What one stack deploys.

    routers: in the order clients should try them. open: routers require no API key (emulated stacks only).
    policy: the router's policy as in the config. public_url: what clients use instead of a router's own URL,
    such as a CDN's name; None: the router's own. cors_origins: of pages that may call agents; empty: the
    agent decides. emulated: the stack runs in the emulator, with the settings
    `emulator`. agent_pace_ms: milliseconds between two words that the default agent streams; None: its
    default. purge_protection: of Azure's key vaults. replaces: the beginning of the names of a deployed fleet
    that this one may replace (infra/preflight/rename.py).
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
    gcp: GcpSettings | None
    emulated: bool
    emulator: EmulatorSettings = field(default_factory=EmulatorSettings)
    aws: AwsSettings = field(default_factory=AwsSettings)
    agent_pace_ms: float | None = None
    purge_protection: bool = False
    replaces: str | None = None
    public_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    api_key_generation: int = 1
    prefix: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", stack_prefix(self.name, self.stack))

    @property
    def delays(self) -> float:
        """Seconds per second that an operation takes in a real cloud; 1 for a real stack."""
        return self.emulator.delays if self.emulated else 1

    @property
    def project(self) -> str | None:
        """Google Cloud project; None in a stack without Google."""
        return self.gcp.project if self.gcp else None

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

    def target(self, place: Place) -> Target:
        return next(target for target in self.targets if target.place == place)

    def max_instances(self, target: Target) -> int | None:
        """The most instances of an agent; None: what the account's quota permits."""
        own = target.instances.max_instances
        match target.place.cloud:
            case _ if own is not None:
                return own
            case "aws":
                return self.aws.concurrency
            case "azure":
                return AZURE_MAX_INSTANCES
            case "gcp":
                return self.gcp.max_instances if self.gcp else GCP_MAX_INSTANCES

    def first_place(self, cloud: Cloud) -> Place:
        return next(place for place in self.places if place.cloud == cloud)
