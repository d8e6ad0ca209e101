"""The reason of a target's health in one line, and what a router cannot read.

The rule of this file: pure. The `reason` of a router is that of the last change of state and may be hours
old. So present causes come first, and the count of checkers is the present one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from infra.operations import json_access
from infra.operations.json_access import JsonObject

# The reason that a target keeps after it was found up, while the number of checkers changes.
_SEEN_UP = re.compile(r"\d+ of \d+ checkers see it up")

# A target in one of these states gets requests only when no other is left.
_OUT = ("ejected", "down", "draining")


def outage(targets: Sequence[JsonObject], queue_timeout_s: float | None) -> str:
    """A sentence for a fleet in which no target serves well, with the effect on requests; else empty.

    queue_timeout_s: how long a request waits while no target can be reached, if the router reports it."""
    serving = [one for one in targets if one.get("state") not in _OUT]
    if not targets or any(not _in_backoff(one) and not one.get("failing") for one in serving):
        return ""
    if serving and all(_in_backoff(one) for one in serving):
        return "Every target that serves is rate-limited: requests go to the one whose backoff ends first."
    fail = "fails" if all(one.get("failing") for one in serving) else "fails or is rate-limited"
    what = f"Every target that is left {fail}" if serving else "No target serves"
    until = "a while" if queue_timeout_s is None else f"up to {queue_timeout_s:g} s"
    end = "fails at once" if queue_timeout_s == 0 else f"waits {until} for one to come back"
    return (
        f"{what}: requests are tried all the same, at the least bad first; "
        f"a request that can be sent to no target {end}."
    )


def _in_backoff(target: JsonObject) -> bool:
    return (json_access.number(target.get("backoff_s")) or 0) > 0


def why(target: JsonObject) -> str:
    """The reasons of a small share, a backoff, failures, and of the health state."""
    parts: list[str] = []
    if learned := json_access.string(target.get("learned")):
        parts.append(f"small share: {learned}")
    if _in_backoff(target):
        parts.append("rate-limited: in backoff for 60 s at most, whatever it asked for")
    if target.get("failing") is True:
        parts.append("its last attempts all failed")
    return "; ".join([*parts, *_health(target)])


def _health(target: JsonObject) -> list[str]:
    reason = json_access.string(target.get("reason"))
    ups, downs = (
        json_access.number(target.get("checkers_up")),
        json_access.number(target.get("checkers_down")),
    )
    if ups is None or downs is None:  # a router of another release
        return [reason] if reason else []
    seen = f"{ups:.0f} of {ups + downs:.0f} checkers see it up"
    # The old reason why it became healthy would look like a present one.
    if target.get("state") == "healthy" or _SEEN_UP.fullmatch(reason):
        return [seen if ups + downs else "no checker has fresh news of it"]
    # Probes may pass for a target that traffic ejected, and fail for one that serves: show both.
    differs = downs if target.get("state") not in ("down", "ejected") else ups
    return [one for one in (reason, seen if differs else "") if one]


def router_warnings(router: JsonObject) -> list[str]:
    """What this router cannot read of what is kept in its cloud's bucket, and what that means."""
    name, store = _name(router), json_access.as_object(router.get("store"))
    views = json_access.strings(router.get("views"))
    lines = [
        f"{name} refuses {source}: {json_access.string(reason)} {_fallback(source, views)}"
        for source, reason in json_access.as_object(router.get("rejected")).items()
    ]
    if store.get("state") == "down":
        lines.append(
            f"{name} does not reach its bucket, so it decides by what it sees: {store.get('reason')}"
        )
    elif store.get("state") == "unwritten":
        lines.append(
            f"{name} reads its bucket but cannot write to it, so new instances learn nothing from what its "
            f"checker saw: {store.get('reason')}"
        )
    return lines


def _fallback(source: str, views: Iterable[str]) -> str:
    """What a router goes on with instead of what it refuses. views: the checkers that it has heard of."""
    if source == "control.json":
        return "Its strategy and its draining targets stay."
    known = {name for view in views for name in (view, f"health/{view.replace('/', '-')}.json")}
    return "Its last good view of it stays." if source in known else "It has no good view of it."


def _name(router: JsonObject) -> str:
    return json_access.place(router) or json_access.string(router.get("url"), "?")
