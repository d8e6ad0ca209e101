"""The secrets of one stack: keys that rotate without an outage, and the callers' API key.

Routers hold a root secret per generation. Every agent and every checker gets keys derived from the roots for
itself alone (skyfleet/keys.py), so what one of them leaks opens nothing but its own door.

Three generations live at once, by generation n: kn signs, k(n+1) is known everywhere before it ever signs,
and k(n-1) is still accepted from functions that a deploy has not reached yet. So a rotation
(skyfleet:keyGeneration one higher) never meets a function that does not know the other's key, in whatever
order the clouds are updated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from infra.config.environment import compact
from infra.config.model import Place
from skyfleet.keys import Role, derived

KEY_LENGTH = 43  # letters and digits: 256 bits
SUFFIX_BYTES = 4  # enough to be alone in the world with the stack's own name before it


@dataclass(frozen=True, slots=True)
class Credentials:
    """suffix: for names unique in the world, and the fleet's id. roots: by id, the signing one first.
    api_key_sha256: what routers know of the API key."""

    suffix: pulumi.Output[str]
    roots: Mapping[str, pulumi.Output[str]] = field(repr=False)
    api_key: pulumi.Output[str] = field(repr=False)
    api_key_sha256: pulumi.Output[str]

    def root_keys(self) -> pulumi.Output[str]:
        """JSON for a router."""
        return pulumi.Output.secret(pulumi.Output.json_dumps(self.roots))

    def signing_keys(self, role: Role, place: Place) -> pulumi.Output[str]:
        """JSON for one agent or checker: its own keys and no other."""

        def own(roots: Mapping[str, str]) -> str:
            return compact(derived({name: roots[name] for name in self.roots}, role, str(place)))

        return pulumi.Output.secret(pulumi.Output.all(**self.roots).apply(own))


def key_ids(generation: int) -> tuple[str, ...]:
    """The signing key first; generation 1 has none before it."""
    numbers = (generation, generation + 1, generation - 1)
    return tuple(f"k{number}" for number in numbers if number > 0)


def create(generation: int) -> Credentials:
    suffix = random.RandomId("names", byte_length=SUFFIX_BYTES)
    roots = {key_id: _password(f"root-key-{key_id}") for key_id in key_ids(generation)}
    api_key = _password("api-key").apply(lambda text: f"sf-{text}")
    # A hash of 256 random bits gives nothing away, and a readable one keeps previews of the routers readable.
    digest = pulumi.Output.unsecret(api_key.apply(lambda key: hashlib.sha256(key.encode()).hexdigest()))
    return Credentials(suffix.hex, roots, api_key, digest)


def _password(name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(random.RandomPassword(name, length=KEY_LENGTH, special=False).result)
