"""The environment of a router or checker, read once at its edge into one frozen value.

Rules: all mistakes are reported at once, each as key, found, expected; secrets are never shown. Keys and
ranges are in skyfleet/contract.py, the policy's defaults in router/core/policy.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Final, TypeVar, cast

from router.core import policy as policies
from router.core.errors import SettingsError
from router.core.policy import Policy
from router.core.targets import Target, is_name, parse_origin, parse_targets
from skyfleet import contract
from skyfleet.contract import Checks, Strategy
from skyfleet.forwarded import PublicUrl, parse_public_url
from skyfleet.keys import Roots
from skyfleet.origin import Origin
from skyfleet.signing import Keys, KeysError
from skyfleet.values import frozen

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
    """Settings of a router.

    api_key_sha256: digest of each valid key of clients, the newest first; None when the router is open.
    public_url: the URL that clients use, where it is another one than the router's own. cors_origins: of
    pages that may call; empty: the agent decides. agent_kind: of the fleet's agents, checkers: the places of
    its checkers; empty: unknown.
    """

    place: Place
    targets: tuple[Target, ...]
    strategy: Strategy
    policy: Policy
    roots: Roots = field(repr=False)
    api_key_sha256: tuple[bytes, ...] | None = field(repr=False)
    bucket: str | None = None
    public_url: PublicUrl | None = None
    cors_origins: tuple[str, ...] = ()
    agent_kind: str = ""
    checkers: tuple[str, ...] = ()


@frozen
class CheckerSettings:
    """Settings of a checker: the targets that it probes and the routers that get its snapshots."""

    place: Place
    targets: tuple[Target, ...]
    routers: tuple[Origin, ...]
    check: Checks
    keys: Keys = field(repr=False)


def router_settings(environ: Mapping[str, str], build: str) -> RouterSettings:
    """Settings of a router; SettingsError lists every mistake."""
    mistakes: list[str] = []
    place = _place(environ, build, mistakes)
    targets = _targets(environ, mistakes)
    roots = _secret(environ, contract.ROOT_KEYS, Roots.parse, mistakes)
    policy = _policy(environ, mistakes)
    strategy = environ.get(contract.STRATEGY, contract.DEFAULT_STRATEGY)
    if strategy not in tuple(Strategy):
        mistakes.append(f"{contract.STRATEGY}: got {strategy!r}, expected one of {', '.join(Strategy)}")
    bucket = environ.get(contract.BUCKET) or None
    if bucket is not None and not bucket.startswith(contract.BUCKET_SCHEMES):
        mistakes.append(
            f"{contract.BUCKET}: got {bucket!r}, expected s3://name, az://account/container or gs://name"
        )
    public_url = parse_public_url(text) if (text := environ.get(contract.PUBLIC_URL)) else None
    if text and public_url is None:
        mistakes.append(
            f"{contract.PUBLIC_URL}: got {text!r}, expected a URL, e.g. https://agents.example.com"
        )
    cors_origins = _cors_origins(environ, mistakes)
    agent_kind, checkers = _agent_kind(environ, mistakes), _checkers(environ, mistakes)
    loopback = bool(targets) and all(target.origin.loopback for target in targets)
    is_open = environ.get(contract.OPEN) == "1" and loopback
    api_key = None if is_open else _api_key(environ, mistakes)
    if mistakes or roots is None:
        raise SettingsError(mistakes)
    return RouterSettings(
        place,
        targets,
        Strategy(strategy),
        policy,
        roots,
        api_key,
        bucket,
        public_url,
        cors_origins,
        agent_kind,
        checkers,
    )


def checker_settings(environ: Mapping[str, str], build: str) -> CheckerSettings:
    """Settings of a checker; SettingsError lists every mistake."""
    mistakes: list[str] = []
    place = _place(environ, build, mistakes)
    targets = _targets(environ, mistakes)
    keys = _secret(environ, contract.SIGNING_KEYS, Keys.parse, mistakes)
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
    for key, example in ((contract.CLOUD, "aws"), (contract.REGION, "eu-west-1")):
        if not is_name(environ.get(key)):
            mistakes.append(f"{key}: got {environ.get(key)!r}, expected a name, e.g. {example}")
    cloud, region = environ.get(contract.CLOUD, ""), environ.get(contract.REGION, "")
    return Place(cloud, region, build, environ.get(contract.FLEET, ""))


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
    mistakes += [f"{contract.TARGETS}: {text}" for text in wrong]
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
        mistakes.append(f'{contract.POLICY}: expected a JSON object, e.g. {{"probeAfterS": 2}}')
        return policies.DEFAULT
    policy, wrong = policies.parse(cast("dict[str, object]", value))
    mistakes += [f"{contract.POLICY}: {text}" for text in wrong]
    return policy


def _cors_origins(environ: Mapping[str, str], mistakes: list[str]) -> tuple[str, ...]:
    if not environ.get(contract.CORS_ORIGINS):
        return ()
    value = _json(environ, contract.CORS_ORIGINS, mistakes)
    found = cast("list[object]", value) if isinstance(value, list) else []
    origins = tuple(one for one in found if one == contract.EVERY_ORIGIN or contract.is_origin(one))
    if value is not _NOT_JSON and (not origins or len(origins) < len(found)):
        mistakes.append(f'{contract.CORS_ORIGINS}: expected a list, e.g. ["https://app.example.com"]')
    return tuple(str(one) for one in origins)


def _agent_kind(environ: Mapping[str, str], mistakes: list[str]) -> str:
    kind = environ.get(contract.AGENT_KIND, "")
    if kind and kind not in contract.AGENT_KINDS:
        expected = ", ".join(contract.AGENT_KINDS)
        mistakes.append(f"{contract.AGENT_KIND}: got {kind!r}, expected one of {expected}")
    return kind


def _checkers(environ: Mapping[str, str], mistakes: list[str]) -> tuple[str, ...]:
    text = environ.get(contract.CHECKERS, "")
    places = tuple(text.split(",")) if text else ()
    if not all(all(map(is_name, place.split("/"))) and place.count("/") == 1 for place in places):
        mistakes.append(
            f"{contract.CHECKERS}: got {text[:40]!r}, expected places, e.g. aws/eu-west-1,gcp/us-east1"
        )
    return places


def _api_key(environ: Mapping[str, str], mistakes: list[str]) -> tuple[bytes, ...]:
    text = environ.get(contract.API_KEY_SHA256, "")
    try:
        digests = tuple(map(bytes.fromhex, text.split(",")))
    except ValueError:
        digests = ()
    if {len(digest) for digest in digests} != {32}:
        ignored = environ.get(contract.OPEN) == "1"
        note = f" ({contract.OPEN}=1 counts only when every target URL is loopback)" if ignored else ""
        found = "missing" if not text else f"{len(text)} characters"
        mistakes.append(f"{contract.API_KEY_SHA256}: {found}, expected 64 hexadecimal digits{note}")
    return digests


def _routers(environ: Mapping[str, str], mistakes: list[str]) -> tuple[Origin, ...]:
    value = _json(environ, contract.ROUTERS, mistakes)
    if value is _NOT_JSON:
        return ()
    if not isinstance(value, list) or not value:
        mistakes.append(f'{contract.ROUTERS}: expected a list of URLs, e.g. ["https://router.example.net"]')
        return ()
    found = [parse_origin(url) for url in cast("list[object]", value)]
    mistakes += [f"{contract.ROUTERS}: {origin}" for origin in found if isinstance(origin, str)]
    return tuple(origin for origin in found if not isinstance(origin, str))


def _check(environ: Mapping[str, str], mistakes: list[str]) -> Checks:
    key = contract.CHECK
    if not environ.get(key):
        return Checks()
    value = _json(environ, key, mistakes)
    if value is _NOT_JSON:
        return Checks()
    if not isinstance(value, dict):
        mistakes.append(f'{key}: expected a JSON object, e.g. {{"probes": 3}}')
        return Checks()
    changes: dict[str, Any] = {}
    for name, got in cast("dict[str, object]", value).items():
        allowed, whole = contract.CHECK_NUMBERS.get(name), name in contract.WHOLE_NUMBERS
        if allowed is None:
            mistakes.append(f"{key}: {name}: unknown; expected one of {', '.join(contract.CHECK_NUMBERS)}")
        elif contract.is_within(got, allowed, whole=whole):
            changes[contract.snake_case(name)] = got
        else:
            kind = "a whole number" if whole else "a number"
            default = getattr(Checks(), contract.snake_case(name))
            expected = f"{kind} from {allowed[0]:g} to {allowed[1]:g}, e.g. {default:g}"
            # A number may have thousands of digits.
            mistakes.append(f"{key}: {name}: got {repr(got)[:40]}, expected {expected}")
    return replace(Checks(), **changes)
