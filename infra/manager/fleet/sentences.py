"""Why a target is not healthy, in one sentence for an operator on call.

Pure. The causes are those of `skyfleet status` (infra/operations/routers/explain.py); this file puts the
effect on requests before them. A target that is down or ejected and has a share is tried for want of a
better one.
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
        case "ejected" | "down":
            return _joined(_out(target, is_ejected=state == "ejected"), cause)
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


def _out(target: JsonObject, *, is_ejected: bool) -> str:
    """The effect of an ejection or of failed health checks."""
    because = "requests failed there" if is_ejected else "its health checks fail"
    if _number(target, "share"):
        return f"It gets requests all the same, because no target serves; {because}"
    left = _number(target, "ejected_s") if is_ejected else 0
    back = f" for another {max(left, 1):.0f} s" if left else ""
    return f"It gets no requests{back}, because {because}"


def _joined(effect: str, cause: str) -> str:
    """`effect: cause.`; the cause ends with one full stop."""
    return f"{effect}: {cause.rstrip('.')}." if cause else f"{effect}."


def _part(target: JsonObject) -> str:
    share = json_access.number(target.get("health_share"))
    return "a part" if share is None else f"{share:.0%}"


def _number(target: JsonObject, key: str) -> float:
    return json_access.number(target.get(key)) or 0.0
