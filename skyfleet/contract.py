"""The environment of deployed functions as the deployment writes it: keys, JSON forms, ranges and defaults.

`infra` writes and checks these values; agents, routers and checkers read and check them again. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeGuard

from skyfleet.values import frozen

# Of every function.
CLOUD: Final = "SKYFLEET_CLOUD"
REGION: Final = "SKYFLEET_REGION"
ROLE: Final = "SKYFLEET_ROLE"
APP: Final = "SKYFLEET_APP"
FLEET: Final = "SKYFLEET_FLEET"
# No function reads it: a new value makes each instance start again and fetch the rotated keys.
KEY_GENERATION: Final = "SKYFLEET_KEY_GENERATION"
# Of functions with an object store: `s3://name`, `az://account/container` or `gs://name`.
BUCKET: Final = "SKYFLEET_BUCKET"
BUCKET_SCHEMES: Final = ("s3://", "az://", "gs://")
# On AWS: the secret in Secrets Manager that holds the values of the secret keys.
SECRET_ARN: Final = "SKYFLEET_SECRET_ARN"  # noqa: S105
# A secret: JSON of the roots of which a router derives all keys, and of the own keys of an agent or checker.
ROOT_KEYS: Final = "SKYFLEET_ROOT_KEYS"
SIGNING_KEYS: Final = "SKYFLEET_SIGNING_KEYS"

# Of routers; the values of TARGETS and POLICY are JSON. TARGETS is also of checkers.
TARGETS: Final = "SKYFLEET_TARGETS"
POLICY: Final = "SKYFLEET_POLICY"
STRATEGY: Final = "SKYFLEET_STRATEGY"
API_KEY_SHA256: Final = "SKYFLEET_API_KEY_SHA256"
OPEN: Final = "SKYFLEET_OPEN"
PUBLIC_URL: Final = "SKYFLEET_PUBLIC_URL"
# Of routers: what the deployment knows of the fleet. How its agents are called, as the check of the package
# found it; and the places of its checkers, between commas.
AGENT_KIND: Final = "SKYFLEET_AGENT_KIND"
AGENT_KINDS: Final = ("function", "generator", "asgi")
CHECKERS: Final = "SKYFLEET_CHECKERS"
# JSON: a list of origins as browsers write them (`is_origin`), or of EVERY_ORIGIN alone.
CORS_ORIGINS: Final = "SKYFLEET_CORS_ORIGINS"
EVERY_ORIGIN: Final = "*"

# Of checkers; the values are JSON.
ROUTERS: Final = "SKYFLEET_ROUTERS"
CHECK: Final = "SKYFLEET_CHECK"

# Of agents. A deployment does not set AGENT: a package has its value in a file. MODEL_API_KEY is a secret.
AGENT: Final = "SKYFLEET_AGENT"
AGENT_PACE_MS: Final = "AGENT_PACE_MS"
MODEL_BASE_URL: Final = "MODEL_BASE_URL"
MODEL_NAME: Final = "MODEL_NAME"
MODEL_API_KEY: Final = "MODEL_API_KEY"

# What the log of a function begins with that cannot start; its reason follows in the same line.
CANNOT_START: Final = "the function does not start: "

# In a package: the folder of an agent that lies outside of `functions/`.
AGENT_FOLDER: Final = "agent_files"

# Active requests of one instance where a cloud allows several; they mostly wait. Lambda sends one at a time.
INSTANCE_CONCURRENCY: Final = 40

# Minimum and maximum of a number, both included.
Range = tuple[float, float]


class Strategy(StrEnum):
    """The rule by which a router picks a target."""

    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_LOAD = "least-load"
    LATENCY = "latency"
    COST = "cost"
    ADAPTIVE = "adaptive"


DEFAULT_STRATEGY: Final = Strategy.ADAPTIVE

# The time that each cloud gives a function for one request, in seconds. Azure's load balancer ends a request
# after 230 s of silence, whatever `functionTimeout` says (learn.microsoft.com/azure/azure-functions/
# functions-scale, note on time-outs). Lambda and Cloud Run end it at the time-out of the function, which the
# deployment sets to the same, but for routers on Google (docs.aws.amazon.com/lambda/latest/dg/
# configuration-timeout.html, cloud.google.com/run/docs/configuring/request-timeout).
REQUEST_S: Final = 230
# A router answers before its platform does so in its place with a bare text. The difference covers its own
# cold start, which Azure and Google count.
MAX_DEADLINE_S: Final = REQUEST_S - 10
# On Google a WebSocket is a request (cloud.google.com/run/docs/triggering/websockets). So a router gets the
# most that Cloud Run gives, and takes no new message in the last minutes of a connection.
WEBSOCKET_S: Final = 3600

# The policy's numbers. Below the minimum a timer of the event loop or one round trip is the limit; above the
# maximum the unit is probably wrong, or another limit applies first. Where 0 is allowed, it switches the
# feature off.
POLICY_NUMBERS: Final[Mapping[str, Range]] = {
    "connectTimeoutS": (0.01, 60),
    "probeAfterS": (0.01, 3600),
    "deadlineS": (0.1, MAX_DEADLINE_S),
    "slowStartS": (0.1, 3600),
    # The maximum is that of an ejection.
    "ejectionS": (0.1, 300),
    # A checker keeps 10 probe results of a target, so no longer streak is visible.
    "fall": (1, 10),
    "rise": (1, 10),
    "freshS": (1, 3600),
    "hedgeShare": (0.001, 1),
    "extraUsdPerHour": (0, 1_000_000),
    "latencyGoalMs": (1, 3_600_000),
    "queueTimeoutS": (0, MAX_DEADLINE_S),
    "heartbeatS": (0, MAX_DEADLINE_S),
    "attempts": (1, 10),
}
HEDGES: Final = ("auto", "on", "off")
# Members of `allowedOverrides`: what a request may choose in its header fields.
OVERRIDES: Final = ("strategy", "redundant")
POLICY_KEYS: Final = (*POLICY_NUMBERS, "hedge", "allowedOverrides")
# Failed probes in a row after which a checker reports a target down: one may be a lost packet, two a
# deployment (docs/benchmarks/plots/fall.svg).
DEFAULT_FALL: Final = 3

TARGET_KEYS: Final = ("cloud", "region", "url", "weight", "repeatable", "price")
# Of a target that serves. Beyond a millionfold difference the lesser might as well be a standby (weight 0).
WEIGHTS: Final[Range] = (0.000_001, 1_000_000)
# USD per million requests. The maximum is a thousand dollars for one request.
PRICES: Final[Range] = (0, 1_000_000_000)
# List price of the invocations alone, USD per million requests: Lambda, Azure Functions on Flex Consumption
# (its older Consumption plan costs 0.20), Cloud Run functions. `infra/costs.py` names the sources.
LIST_PRICES: Final[Mapping[str, float]] = {"aws": 0.20, "azure": 0.40, "gcp": 0.40}


@frozen
class Checks:
    """One invocation of a checker: `probes` rounds, `apart_s` seconds apart.

    timeout_s: for a target that answered lately or failed its last probe; cold_timeout_s: for any other. The
    default is the fewest probes that make a verdict; docs/costs.md has the price of more. Six rounds, ten
    seconds apart, fill the minute between two invocations.
    """

    probes: int = DEFAULT_FALL
    apart_s: float = 5
    # A warm /health answers within one round trip; three seconds cover a lost packet.
    timeout_s: float = 3
    # The slowest cold start expected: cold is not down.
    cold_timeout_s: float = 30


# Lambda ends an invocation after 900 s. All rounds, the last probe's time-out, a cold start of the checker
# and the sending of the snapshots fit into that.
MAX_CHECK_S: Final = 600
CHECK_NUMBERS: Final[Mapping[str, Range]] = {
    "probes": (1, MAX_CHECK_S),
    "apartS": (0, MAX_CHECK_S),
    "timeoutS": (0.1, 240),
    "coldTimeoutS": (0.1, 240),
}
WHOLE_NUMBERS: Final = frozenset({"fall", "rise", "attempts", "probes"})

# Milliseconds between two words that the default agent streams. 50 words a second: a quick model.
PACES_MS: Final[Range] = (0, 1000)
DEFAULT_PACE_MS: Final = 20


def is_within(value: object, allowed: Range, *, whole: bool = False) -> TypeGuard[float]:
    """Whether this is a number of the range. whole: an integer. The comparison is exact for integers that no
    float can represent."""
    kinds = int if whole else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and allowed[0] <= value <= allowed[1]


def is_origin(value: object) -> TypeGuard[str]:
    """Whether this is an origin as browsers write it: lower case, no path, no default port. Applications in
    an app's own scheme have one too (`capacitor://localhost`)."""
    if not isinstance(value, str) or not value.isascii() or value != value.lower():
        return False
    scheme, separator, host = value.partition("://")
    named = scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    plain = bool(host) and not any(char in '/?#@"\\,;*' or char <= " " or char > "~" for char in host)
    default = {"https": ":443", "http": ":80"}.get(scheme)
    return bool(separator) and named and plain and not (default and host.endswith(default))


def snake_case(key: str) -> str:
    """The Python name of a camelCase key, e.g. probe_after_s."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in key)
