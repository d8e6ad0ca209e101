"""Whether what answers a probe is the target that was meant.

Rules
- Every agent says in `/health` which fleet and which place it is of. A router or checker that knows its own
  fleet believes no other answer: a port or host name may have gone to another fleet since.
- This settles mistakes, not attacks: a fleet's id is no secret. Against an impostor stand TLS, with the name
  in the certificate, and the keys: requests are signed for one target and refused by every other agent.
- Without a fleet (started by hand) the answer is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.core.targets import Target


def mismatch(health: Mapping[str, object], target: Target, fleet: str) -> str:
    """In words, what answers in place of this target; empty: itself does. health: its decoded reply."""
    if not fleet:
        return ""
    said = health.get("fleet")
    if said != fleet:
        found = f"it says fleet {_short(said)}" if said else "it names no fleet"
        return f"another fleet answers at its URL ({found}, ours is {fleet!r})"
    place = f"{_word(health.get('cloud'))}/{_word(health.get('region'))}"
    if place != target.key:
        return f"another target answers at its URL (it says {_short(place)})"
    return ""


def _word(value: object) -> str:
    return value if isinstance(value, str) else "?"


def _short(value: object) -> str:
    return repr(value)[:60]
