"""The secrets of one stack: signing keys that rotate without an outage, and the API key of clients.

Routers have one root key for each generation. Each agent and each checker gets keys of its own, derived from
the roots (skyfleet/keys.py), so a leaked key is of no use for another function.

Three generations are valid at once. In generation n, kn signs, k(n+1) is accepted everywhere before it signs,
and k(n-1) is accepted from functions that a deployment has not reached yet. So after a rotation
(`skyfleet:keyGeneration` one higher) each function accepts the others' keys, in any order of updates.

Of the API key two generations are valid: n is the stack's output, and n-1 is accepted until clients have it
(`skyfleet:apiKeyGeneration`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
    api_key_sha256: with which routers check the API key; during a rotation a second one, of the former key,
    after a comma.
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


def api_key_names(generation: int) -> tuple[str, ...]:
    """The resources of the valid API keys, the newest first. That of the first generation has no number."""
    numbers = [number for number in (generation, generation - 1) if number > 0]
    return tuple("api-key" if number == 1 else f"api-key-{number}" for number in numbers)


def create(generation: int, api_key_generation: int = 1) -> StackKeys:
    """The secrets of the stack as Pulumi resources. Each generation counts from 1."""
    suffix = random.RandomId("names", byte_length=SUFFIX_BYTES)
    roots = {key_id: _password(f"root-key-{key_id}") for key_id in key_ids(generation)}
    api_keys = [_api_key(name) for name in api_key_names(api_key_generation)]
    # A hash of 256 random bits reveals nothing, so it is no secret: previews of the routers stay readable.
    digests = pulumi.Output.unsecret(pulumi.Output.all(*api_keys).apply(_digests))
    return StackKeys(suffix.hex, roots, api_keys[0], digests)


def _api_key(name: str) -> pulumi.Output[str]:
    return _password(name).apply(lambda text: f"sf-{text}")


def _digests(api_keys: Sequence[str]) -> str:
    return ",".join(hashlib.sha256(key.encode()).hexdigest() for key in api_keys)


def _password(name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(random.RandomPassword(name, length=KEY_LENGTH, special=False).result)
