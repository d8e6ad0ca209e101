"""A target is one deployed agent function; this file reads the list of them.

Rules
- A target is known by its key "cloud/region"; the key is unique and appears in headers, documents and status.
- The URL is an origin: the path of a request is signed as the agent will see it, so a prefix cannot be added.
- All mistakes of a list are reported together, each with what was found and what was expected.
- The price tells targets apart, by `cost` and `adaptive`, and is what extra attempts are charged with. Unless
  given, it is what the cloud asks for a million calls, without the time they take.
- Weight 0 is a standby: it serves only when no target with a weight can. At least one weight is above 0.
  Weights and prices have bounds, so that all arithmetic with them is sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, cast

from skyfleet import contract
from skyfleet.origin import Origin
from skyfleet.values import frozen

EXAMPLE: Final = (
    '{"cloud": "aws", "region": "eu-west-1", "url": "https://abc.lambda-url.eu-west-1.on.aws", '
    '"weight": 3, "repeatable": true}'
)
# One region of every cloud there is would be about 150; beyond this the list is a mistake.
MOST_TARGETS: Final = 300
# An unknown cloud counts as the most expensive, so a missing price is no advantage.
_UNKNOWN_CLOUD: Final = max(contract.LIST_PRICES.values())
_NAME_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@frozen
class Target:
    """One deployed agent function.

    weight: its share of the traffic relative to the others; 0 is a standby.
    repeatable: its agent declares that running a request twice does no harm.
    price: USD per million requests.
    """

    cloud: str
    region: str
    url: str
    origin: Origin
    weight: float = 1.0
    repeatable: bool = False
    price: float = _UNKNOWN_CLOUD

    @property
    def key(self) -> str:
        return f"{self.cloud}/{self.region}"


@frozen
class Choice:
    """A target for one attempt.

    repeatable: its agent declares that a repeat is harmless. panic: it is out, but no target serves. warm: it
    answered lately. in_backoff: it is rate-limited and in backoff, but no other target is left.
    """

    key: str
    repeatable: bool = False
    panic: bool = False
    warm: bool = True
    in_backoff: bool = False

    @property
    def last_resort(self) -> bool:
        """Whether it may be chosen only if no other attempt is running at a serving target."""
        return self.panic or self.in_backoff


def is_name(text: object) -> bool:
    """Whether this can be a cloud or a region: lower-case letters, digits, hyphens; safe in headers."""
    return isinstance(text, str) and 0 < len(text) <= 40 and _NAME_CHARS.issuperset(text)


def parse_origin(url: object) -> Origin | str:
    """The origin of a URL, or what is wrong with it."""
    if not isinstance(url, str) or not url.isascii() or any(char <= " " for char in url):
        return f"url: got {url!r}, expected an origin, e.g. https://agent.example.net"
    from urllib.parse import urlsplit  # 3 ms of an import; a server of functions has it by then

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"url: got {url!r} ({error}), expected an origin, e.g. https://agent.example.net"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"url: got {url!r}, expected http:// or https:// and a host"
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        return f"url: got {url!r}, expected an origin without path, query or user"
    tls = parts.scheme == "https"
    return Origin(tls, parts.hostname, port if port is not None else (443 if tls else 80))


def parse_targets(value: object) -> tuple[tuple[Target, ...], list[str]]:
    """Targets out of decoded JSON, and every mistake in it (then the targets are not to be used)."""
    entries = cast("list[object]", value) if isinstance(value, list) else []
    if not entries:
        return (), [f"got {json.dumps(value)[:40]}, expected a list of targets, e.g. [{EXAMPLE}]"]
    if len(entries) > MOST_TARGETS:
        return (), [f"got {len(entries)} targets, expected at most {MOST_TARGETS}"]
    targets: list[Target] = []
    mistakes: list[str] = []
    for index, entry in enumerate(entries):
        target, wrong = _parse_target(entry)
        mistakes += [f"[{index}] {text}" for text in wrong]
        if target is not None:
            if any(other.key == target.key for other in targets):
                mistakes.append(f"[{index}] {target.key}: listed twice, expected each cloud and region once")
            targets.append(target)
    if targets and not mistakes and not any(target.weight for target in targets):
        mistakes.append("every weight is 0, expected at least one above 0, so that something is served")
    return tuple(targets), mistakes


def _parse_target(entry: object) -> tuple[Target | None, list[str]]:
    if not isinstance(entry, dict):
        return None, [f"got {type(entry).__name__}, expected an object, e.g. {EXAMPLE}"]
    fields = cast("dict[str, object]", entry)
    mistakes = [
        f"{name}: got {fields.get(name)!r}, expected lower-case letters, digits and hyphens, e.g. {example}"
        for name, example in (("cloud", "aws"), ("region", "eu-west-1"))
        if not is_name(fields.get(name))
    ]
    origin = parse_origin(fields.get("url"))
    if isinstance(origin, str):
        mistakes.append(origin)
    weight = fields.get("weight", 1.0)
    least, most = contract.WEIGHTS
    if not (contract.is_within(weight, (0, 0)) or contract.is_within(weight, contract.WEIGHTS)):
        mistakes.append(
            f"weight: got {_short(weight)}, expected 0 (standby) or a number from {least:f} to {most}, e.g. 3"
        )
    repeatable = fields.get("repeatable", False)
    if not isinstance(repeatable, bool):
        mistakes.append(f"repeatable: got {repeatable!r}, expected true or false")
    price = fields.get("price", contract.LIST_PRICES.get(str(fields.get("cloud")), _UNKNOWN_CLOUD))
    if not contract.is_within(price, contract.PRICES):
        mistakes.append(
            f"price: got {_short(price)}, expected USD per million requests from 0 to "
            f"{contract.PRICES[1]}, e.g. 0.2"
        )
    mistakes += [f"{name}: unknown field" for name in _unknown(fields)]
    if mistakes or isinstance(origin, str):
        return None, mistakes
    cloud, region, url = str(fields["cloud"]), str(fields["region"]), str(fields["url"]).rstrip("/")
    numbers = float(cast("float", weight)), bool(repeatable), float(cast("float", price))
    return Target(cloud, region, url, origin, *numbers), []


def _short(value: object) -> str:
    """A number may have thousands of digits."""
    return repr(value)[:40]


def _unknown(fields: Mapping[str, object]) -> Iterable[str]:
    return [name for name in fields if name not in contract.TARGET_KEYS]
