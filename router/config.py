"""The environment of a router or checker, read once at its edge into one frozen value.

Rules: all mistakes are reported at once, each as key, found, expected; secrets are never shown. Defaults of
decisions live in `router.core.policy`, defaults of the checker here, each with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Final, TypeVar, cast

from router.core import policy as policies
from router.core.balance.strategies import Strategy
from router.core.errors import SettingsError
from router.core.policy import Policy
from router.core.targets import Target, is_name, parse_origin, parse_targets
from skyfleet import contract
from skyfleet.keys import Roots
from skyfleet.origin import Origin
from skyfleet.signing import Keys, KeysError
from skyfleet.values import frozen

# A router holds roots, out of which it derives the keys of all others; a checker holds its own keys only.
ROOT_KEYS: Final = "SKYFLEET_ROOT_KEYS"
SIGNING_KEYS: Final = "SKYFLEET_SIGNING_KEYS"
BUCKET_SCHEMES: Final = ("s3://", "az://", "gs://")
_NOT_JSON: Final = object()
T = TypeVar("T")


@frozen
class Place:
    """Where this function runs, which build it is and of which fleet; no fleet: started by hand."""

    cloud: str
    region: str
    build: str
    fleet: str = ""

    @property
    def key(self) -> str:
        return f"{self.cloud}/{self.region}"


@frozen
class RouterSettings:
    """Settings of a router. api_key_sha256: digest of the clients' key; None when the router is open."""

    place: Place
    targets: tuple[Target, ...]
    strategy: Strategy
    policy: Policy
    roots: Roots = field(repr=False)
    api_key_sha256: bytes | None = field(repr=False)
    bucket: str | None = None


@frozen
class Check:
    """One invocation of a checker. Schedulers fire once a minute: six rounds, ten seconds apart, fill it."""

    probes: int = 6
    apart_s: float = 10.0
    # A warm /health answers within one round trip; three seconds cover a lost packet.
    timeout_s: float = 3.0
    # The slowest cold start expected: cold is not down.
    cold_timeout_s: float = 30.0


@frozen
class CheckerSettings:
    """Settings of a checker: the targets that it probes and the routers that get its snapshots."""

    place: Place
    targets: tuple[Target, ...]
    routers: tuple[Origin, ...]
    check: Check
    keys: Keys = field(repr=False)


def router_settings(environ: Mapping[str, str], build: str) -> RouterSettings:
    """Settings of a router; SettingsError lists every mistake."""
    mistakes: list[str] = []
    place = _place(environ, build, mistakes)
    targets = _targets(environ, mistakes)
    roots = _secret(environ, ROOT_KEYS, Roots.parse, mistakes)
    policy = _policy(environ, mistakes)
    strategy = environ.get("SKYFLEET_STRATEGY", Strategy.ADAPTIVE)
    if strategy not in tuple(Strategy):
        mistakes.append(f"SKYFLEET_STRATEGY: got {strategy!r}, expected one of {', '.join(Strategy)}")
    bucket = environ.get("SKYFLEET_BUCKET") or None
    if bucket is not None and not bucket.startswith(BUCKET_SCHEMES):
        mistakes.append(
            f"SKYFLEET_BUCKET: got {bucket!r}, expected s3://name, az://account/container or gs://name"
        )
    loopback = bool(targets) and all(target.origin.loopback for target in targets)
    is_open = environ.get("SKYFLEET_OPEN") == "1" and loopback
    api_key = None if is_open else _api_key(environ, mistakes)
    if mistakes or roots is None:
        raise SettingsError(mistakes)
    return RouterSettings(place, targets, Strategy(strategy), policy, roots, api_key, bucket)


def checker_settings(environ: Mapping[str, str], build: str) -> CheckerSettings:
    """Settings of a checker; SettingsError lists every mistake."""
    mistakes: list[str] = []
    place = _place(environ, build, mistakes)
    targets = _targets(environ, mistakes)
    keys = _secret(environ, SIGNING_KEYS, Keys.parse, mistakes)
    routers = _routers(environ, mistakes)
    check = _check(environ, mistakes)
    if mistakes or keys is None:
        raise SettingsError(mistakes)
    return CheckerSettings(place, targets, routers, check, keys)


def build_id(module: str) -> str:
    """The build of a package, from its build.json; "unbuilt" in a checkout.

    module: the file of a module of `router/`, which lies beside build.json."""
    root = module.rpartition("/router/")[0]
    try:
        # Without pathlib, which a router needs for nothing else and takes 3 ms of a cold start.
        with open(f"{root}/build.json", "rb") as file:  # noqa: PTH123
            found: object = json.load(file)
    except (OSError, ValueError):
        return "unbuilt"
    return (
        str(cast("dict[str, object]", found).get("build", "unbuilt"))
        if isinstance(found, dict)
        else "unbuilt"
    )


def _place(environ: Mapping[str, str], build: str, mistakes: list[str]) -> Place:
    for key, example in (("SKYFLEET_CLOUD", "aws"), ("SKYFLEET_REGION", "eu-west-1")):
        if not is_name(environ.get(key)):
            mistakes.append(f"{key}: got {environ.get(key)!r}, expected a name, e.g. {example}")
    cloud, region = environ.get("SKYFLEET_CLOUD", ""), environ.get("SKYFLEET_REGION", "")
    return Place(cloud, region, build, environ.get("SKYFLEET_FLEET", ""))


def _json(environ: Mapping[str, str], key: str, mistakes: list[str]) -> object:
    try:
        return json.loads(environ[key])
    except KeyError:
        mistakes.append(f"{key}: missing, expected JSON")
    except (ValueError, RecursionError) as error:
        mistakes.append(f"{key}: not JSON ({error})")
    return _NOT_JSON


def _targets(environ: Mapping[str, str], mistakes: list[str]) -> tuple[Target, ...]:
    value = _json(environ, contract.TARGETS, mistakes)
    if value is _NOT_JSON:
        return ()
    targets, wrong = parse_targets(value)
    mistakes += [f"SKYFLEET_TARGETS: {text}" for text in wrong]
    return targets


def _secret(
    environ: Mapping[str, str], name: str, parse: Callable[[str], T], mistakes: list[str]
) -> T | None:
    text = environ.get(name)
    if not text:
        mistakes.append(f'{name}: missing, expected JSON {{"k1": "<secret>"}}')
        return None
    try:
        return parse(text)
    except KeysError as error:
        mistakes.append(f"{name}: {error}")
        return None


def _policy(environ: Mapping[str, str], mistakes: list[str]) -> Policy:
    if not environ.get(contract.POLICY):
        return policies.DEFAULT
    value = _json(environ, contract.POLICY, mistakes)
    if value is _NOT_JSON:
        return policies.DEFAULT
    if not isinstance(value, dict):
        mistakes.append('SKYFLEET_POLICY: expected a JSON object, e.g. {"probeAfterS": 2}')
        return policies.DEFAULT
    policy, wrong = policies.parse(cast("dict[str, object]", value))
    mistakes += [f"SKYFLEET_POLICY: {text}" for text in wrong]
    return policy


def _api_key(environ: Mapping[str, str], mistakes: list[str]) -> bytes | None:
    text = environ.get("SKYFLEET_API_KEY_SHA256", "")
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        ignored = environ.get("SKYFLEET_OPEN") == "1"
        note = " (SKYFLEET_OPEN=1 counts only when every target URL is loopback)" if ignored else ""
        found = "missing" if not text else f"{len(text)} characters"
        mistakes.append(f"SKYFLEET_API_KEY_SHA256: {found}, expected 64 hexadecimal digits{note}")
    return digest


def _routers(environ: Mapping[str, str], mistakes: list[str]) -> tuple[Origin, ...]:
    value = _json(environ, contract.ROUTERS, mistakes)
    if value is _NOT_JSON:
        return ()
    if not isinstance(value, list) or not value:
        mistakes.append('SKYFLEET_ROUTERS: expected a list of URLs, e.g. ["https://router.example.net"]')
        return ()
    found = [parse_origin(url) for url in cast("list[object]", value)]
    mistakes += [f"SKYFLEET_ROUTERS: {origin}" for origin in found if isinstance(origin, str)]
    return tuple(origin for origin in found if not isinstance(origin, str))


_CHECK_NAMES: Final = {name: contract.snake_case(name) for name in contract.CHECK_KEYS}


def _check(environ: Mapping[str, str], mistakes: list[str]) -> Check:
    if not environ.get(contract.CHECK):
        return Check()
    value = _json(environ, contract.CHECK, mistakes)
    if value is _NOT_JSON:
        return Check()
    if not isinstance(value, dict):
        mistakes.append('SKYFLEET_CHECK: expected a JSON object, e.g. {"probes": 6}')
        return Check()
    changes: dict[str, Any] = {}
    for name, got in cast("dict[str, object]", value).items():
        least = 0.0 if name == "apartS" else 0.001
        if name not in _CHECK_NAMES:
            mistakes.append(f"SKYFLEET_CHECK: {name}: unknown; expected one of {', '.join(_CHECK_NAMES)}")
        elif isinstance(got, bool) or not isinstance(got, int | float) or not least <= got <= 900:
            mistakes.append(f"SKYFLEET_CHECK: {name}: got {got!r}, expected a number up to 900, e.g. 6")
        elif name == "probes" and not isinstance(got, int):
            mistakes.append(f"SKYFLEET_CHECK: {name}: got {got!r}, expected a whole number, e.g. 6")
        else:
            changes[_CHECK_NAMES[name]] = got
    return replace(Check(), **changes)
