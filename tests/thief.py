"""What can be made of what a function leaks: every text that is in it, tried as a key and as a root, under
every name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from skyfleet.asgi import Header
from skyfleet.keys import Role, derive, derived_id
from skyfleet.signing import Keys, Unauthorized, Verifier, sign

ROLES: Final[tuple[Role, ...]] = ("agent", "checker")
# A shorter text is no secret, and no receiver takes it for one (skyfleet.signing).
SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Forgery:
    """One signed request. claim: the id it is signed under."""

    claim: str
    headers: tuple[Header, ...]


def loot(value: object) -> set[str]:
    """Every text inside, with those that are JSON taken apart."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        for name, one in cast("Mapping[object, object]", value).items():
            found |= loot(name) | loot(one)
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[object]", value):
            found |= loot(one)
    elif isinstance(value, str):
        found.add(value)
        try:
            inner = cast("object", json.loads(value))
        except ValueError:
            inner = None
        if isinstance(inner, dict | list | str):
            found |= loot(cast("object", inner))
    return found


def claims(places: Iterable[str], generations: Sequence[int]) -> list[str]:
    """Every id a thief may sign under: each role, place and generation, and the roots' own."""
    every = [*places]
    roots = [f"k{number}" for number in generations]
    return roots + [derived_id(root, role, place) for root in roots for role in ROLES for place in every]


def forgeries(
    found: Iterable[str], ids: Sequence[str], path: str, body: bytes, now: float
) -> Iterator[Forgery]:
    """A POST signed under each id with each text, and with what a router would derive from it."""
    for text in sorted(found):
        if len(text) < SHORTEST:
            continue
        for claim in ids:
            _, role, place = [*claim.split(":", 2), "", ""][:3]
            derived = [derive(text, cast("Role", role), place)] if role else []
            for secret in (text, *derived):
                keys = Keys({claim: secret.encode("utf-8", "surrogateescape")}, claim)
                headers = sign(keys, "POST", path, b"", body, now=now, nonce=secrets.token_hex(16))
                yield Forgery(claim, tuple(headers))


def chosen(
    verifier: Verifier, path: str, body: bytes, every: Sequence[tuple[Header, ...]], now: float
) -> list[tuple[Header, ...]]:
    """Of these requests those that the receiver's keys accept, and each tenth of the others.

    A running receiver takes milliseconds for each, and its keys are all that it decides by."""

    def opens(headers: tuple[Header, ...]) -> bool:
        try:
            verifier.check(headers, "POST", path, b"", body, now=now)
        except Unauthorized:
            return False
        return True

    return [one for number, one in enumerate(every) if number % 10 == 0 or opens(one)]


def snapshot(checker: str, now: float) -> bytes:
    """A document of one good look, as a checker would send it."""
    seen = {"target": checker, "at": now, "ok": True, "latency_ms": 3.0, "cold": False, "reason": ""}
    return json.dumps({"version": 1, "checker": checker, "at": now, "results": [seen]}).encode()
