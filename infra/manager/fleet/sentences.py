"""Why a target is not healthy, in one sentence for an operator on call.

Pure. The causes are those of `skyfleet status` (infra/operations/routers/explain.py); this file puts the
effect on requests before them.
"""

from __future__ import annotations

from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.routers.explain import why


def sentence(target: JsonObject) -> str:
    """One sentence about a target as a router reports it; empty for a healthy one without a restriction."""
    state = json_access.string(target.get("state"), "unknown")
    cause = why(target)
    match state:
        case "healthy":
            limited = target.get("learned") or target.get("failing") or _number(target, "backoff_s")
            return _joined("It serves, and not all is well", cause) if limited else ""
        case "ejected":
            left = _number(target, "ejected_s")
            back = f" for another {max(left, 1):.0f} s" if left else ""
            return _joined(f"It gets no requests{back}, because requests failed there", cause)
        case "down":
            return _joined("It gets no requests, because its health checks fail", cause)
        case "degraded":
            return _joined(f"It gets {_part(target)} of its weight, because it is worse than others", cause)
        case "slow-start":
            return _joined(f"It was out and gets a growing share, now {_part(target)} of its weight", cause)
        case "cold":
            return _joined("It starts its first instance, and gets requests where no other is ready", cause)
        case "draining":
            return "It gets no new requests, because an operator drains it."
        case _:
            return _joined("The router has no news of it yet and tries it with requests", cause)


def _joined(effect: str, cause: str) -> str:
    """`effect: cause.`; the cause ends with one full stop."""
    return f"{effect}: {cause.rstrip('.')}." if cause else f"{effect}."


def _part(target: JsonObject) -> str:
    share = json_access.number(target.get("health_share"))
    return "a part" if share is None else f"{share:.0%}"


def _number(target: JsonObject, key: str) -> float:
    return json_access.number(target.get(key)) or 0.0
