"""Which key signs for which role: keys derived from a root secret, so that no function can sign as another.

Rules
- Routers hold the root secrets, one per generation. An agent and a checker hold derived keys only, each its
  own. A derived key leads neither back to its root nor to the key of another role or place.
- The key of a role at a place is HKDF-SHA256 (RFC 5869) of the root with an empty salt, 32 bytes, written as
  64 hexadecimal digits. Its `info` names purpose, version, role and place, so two of them never have one key.
- A root signs nothing: it is only ever the input of the derivation.
- The id of a derived key says whose it is, `k2:checker:aws/eu-west-1`. A receiver learns the sender from the
  id whose key fits the signature, never from what the request says of itself.
- Another derivation is another version in `info`. It comes with a new generation of roots, since functions of
  two builds work side by side during a deploy.

The Pulumi program derives by this file too. Standard library only, as in `skyfleet.signing`.
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
    """The key of one role at one place, "cloud/region", out of a root secret."""
    return hkdf(root.encode(), f"{PURPOSE}: {role}:{place}".encode()).hex()


def derived_id(root_id: str, role: Role, place: str) -> str:
    """The id of a derived key."""
    return f"{root_id}:{role}:{place}"


def derived(roots: Mapping[str, str], role: Role, place: str) -> dict[str, str]:
    """All keys of one role at one place by id, in the order of their roots: the first one signs."""
    return {derived_id(name, role, place): derive(root, role, place) for name, root in roots.items()}


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256 and an empty salt; 32 bytes are one block of its second step."""
    extracted = hmac.digest(bytes(_HASH_BYTES), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@frozen
class Roots:
    """A router's root secrets by id, inside `Keys` so that no repr shows them."""

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
        """What that function holds; the first root's key signs."""
        roots = {name: root.decode() for name, root in self._keys.secrets.items()}
        found = {key_id: key.encode() for key_id, key in derived(roots, role, place).items()}
        return Keys(found, derived_id(self._keys.signing_id, role, place))

    def find(self, key_id: str, role: Role) -> bytes | None:
        """The key of that id, when it is of this role and of one of these roots."""
        root_id, _, rest = key_id.partition(":")
        found, _, place = rest.partition(":")
        root = self._keys.secrets.get(root_id)
        if root is None or found != role or not place:
            return None
        return derive(root.decode(), role, place).encode()


@frozen
class CheckerKeys:
    """The keys of all checkers, for a `Verifier`: derived when one is asked for."""

    roots: Roots

    def find(self, key_id: str) -> bytes | None:
        return self.roots.find(key_id, "checker")


def place_of(key_id: str) -> str:
    """Of a derived key's id."""
    return key_id.split(":", 2)[2]
