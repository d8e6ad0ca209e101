"""Derive the signing key of each function from a root secret, so that no function can sign as another.

Rules
- Routers hold the root secrets, one per generation. An agent and a checker hold only their own derived keys.
  Neither the root nor the key of another role or place can be computed from a derived key.
- The key of a role at a place is HKDF-SHA256 (RFC 5869) of the root with an empty salt, 32 bytes, written as
  64 hexadecimal digits. Its `info` names purpose, version, role and place, so keys of two functions differ.
- A root is only the input of the derivation and never signs a request.
- The id of a derived key names its holder: `k2:checker:aws/eu-west-1`. A receiver identifies the sender by
  the id of the key that verifies the signature, never by other fields of the request.
- A change of the derivation changes the version in `info` and needs a new generation of roots, since
  functions of two builds run at the same time during a deploy.

The Pulumi program uses this file too. Standard library only, as in `skyfleet.signing`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final, Literal

from skyfleet.signing import Keys, KeysError
from skyfleet.values import frozen

Role = Literal["agent", "checker"]

PURPOSE: Final = "skyfleet signing key v1"
_HASH_BYTES: Final = 32


def derive(root: str, role: Role, place: str) -> str:
    """Derive the key of a role at a place ("cloud/region") from a root secret."""
    return hkdf(root.encode(), f"{PURPOSE}: {role}:{place}".encode()).hex()


def derived_id(root_id: str, role: Role, place: str) -> str:
    """The id of a derived key."""
    return f"{root_id}:{role}:{place}"


def derived(roots: Mapping[str, str], role: Role, place: str) -> dict[str, str]:
    """The keys of a role at a place by id, in the order of their roots. The first one signs."""
    return {derived_id(name, role, place): derive(root, role, place) for name, root in roots.items()}


def hkdf(secret: bytes, info: bytes) -> bytes:
    """HKDF of RFC 5869 with SHA-256 and an empty salt; 32 bytes are one block of its expand step."""
    extracted = hmac.digest(bytes(_HASH_BYTES), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@frozen
class Roots:
    """A router's root secrets by id, held in `Keys`, which hides them from repr."""

    _keys: Keys

    @classmethod
    def parse(cls, text: str) -> Roots:
        """Read `{"k2": "secret", "k1": "secret"}`, as in SKYFLEET_ROOT_KEYS."""
        keys = Keys.parse(text)
        for key_id in keys.secrets:
            if ":" in key_id:
                raise KeysError(
                    f"Key {key_id!r} is derived for one function; a router needs the roots, e.g. 'k2'."
                )
        return cls(keys)

    def keys(self, role: Role, place: str) -> Keys:
        """The keys of the function with this role and place. The key of the first root signs."""
        roots = {name: root.decode() for name, root in self._keys.secrets.items()}
        found = {key_id: key.encode() for key_id, key in derived(roots, role, place).items()}
        return Keys(found, derived_id(self._keys.signing_id, role, place))

    def find(self, key_id: str, role: Role) -> bytes | None:
        """The key of this id, or None if the id has another role or an unknown root."""
        root_id, _, rest = key_id.partition(":")
        found, _, place = rest.partition(":")
        root = self._keys.secrets.get(root_id)
        if root is None or found != role or not place:
            return None
        return derive(root.decode(), role, place).encode()


@frozen
class CheckerKeys:
    """The keys of all checkers for a `Verifier`, derived on demand."""

    roots: Roots

    def find(self, key_id: str) -> bytes | None:
        return self.roots.find(key_id, "checker")


def place_of(key_id: str) -> str:
    """The place in the id of a derived key."""
    return key_id.split(":", 2)[2]
