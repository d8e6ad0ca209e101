"""The secrets of one stack: signing keys that rotate without an outage, and the API key of clients.

Routers have one root key for each generation. Each agent and each checker gets keys of its own, derived from
the roots (skyfleet/keys.py), so a leaked key is of no use for another function.

Three generations are valid at once. In generation n, kn signs, k(n+1) is accepted everywhere before it signs,
and k(n-1) is accepted from functions that a deployment has not reached yet. So after a rotation
(`skyfleet:keyGeneration` one higher) each function accepts the others' keys, in any order of updates.
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
SUFFIX_BYTES = 4  # globally unique together with the name of the stack


@dataclass(frozen=True, slots=True)
class StackKeys:
    """The secrets of one stack.

    suffix: for globally unique names, and the fleet's id. roots: by key id, the signing one first.
    api_key_sha256: with which routers check the API key.
    """

    suffix: pulumi.Output[str]
    roots: Mapping[str, pulumi.Output[str]] = field(repr=False)
    api_key: pulumi.Output[str] = field(repr=False)
    api_key_sha256: pulumi.Output[str]

    def root_keys(self) -> pulumi.Output[str]:
        """The JSON of all root keys, for a router."""
        return pulumi.Output.secret(pulumi.Output.json_dumps(self.roots))

    def signing_keys(self, role: Role, place: Place) -> pulumi.Output[str]:
        """The JSON of the keys of one agent or checker."""

        def derive(roots: Mapping[str, str]) -> str:
            return compact(derived({name: roots[name] for name in self.roots}, role, str(place)))

        return pulumi.Output.secret(pulumi.Output.all(**self.roots).apply(derive))


def key_ids(generation: int) -> tuple[str, ...]:
    """The key ids of a generation, the signing one first; generation 1 has no previous one."""
    numbers = (generation, generation + 1, generation - 1)
    return tuple(f"k{number}" for number in numbers if number > 0)


def create(generation: int) -> StackKeys:
    """The secrets of the stack as Pulumi resources."""
    suffix = random.RandomId("names", byte_length=SUFFIX_BYTES)
    roots = {key_id: _password(f"root-key-{key_id}") for key_id in key_ids(generation)}
    api_key = _password("api-key").apply(lambda text: f"sf-{text}")
    # A hash of 256 random bits reveals nothing, so it is no secret: previews of the routers stay readable.
    digest = pulumi.Output.unsecret(api_key.apply(lambda key: hashlib.sha256(key.encode()).hexdigest()))
    return StackKeys(suffix.hex, roots, api_key, digest)


def _password(name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(random.RandomPassword(name, length=KEY_LENGTH, special=False).result)
