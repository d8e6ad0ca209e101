"""Why a target stands as it does, in one line for a person.

The rule of this file: pure. A router's `reason` is that of the last change of state and may be hours old;
what counts now comes first, and a count of vantages is always the present one.
"""

from __future__ import annotations

import re

from infra.cli import values
from infra.cli.values import Facts

# What a target that was found up keeps as its reason, while more vantages come and go.
_SEEN_UP = re.compile(r"\d+ of \d+ vantages see it up")


def why(target: Facts) -> str:
    """What was learned, that it throttles, and what its health follows from."""
    parts: list[str] = []
    if told := values.text(target.get("learned")):
        parts.append(f"gets little because of what was learned: {told}")
    if (values.number(target.get("rests_s")) or 0) > 0:
        parts.append("it throttles, so it rests as long as it asked for")
    return "; ".join([*parts, *_health(target)])


def _health(target: Facts) -> list[str]:
    reason = values.text(target.get("reason"))
    ups, downs = values.number(target.get("vantages_up")), values.number(target.get("vantages_down"))
    if ups is None or downs is None:  # a router of another release
        return [reason] if reason else []
    seen = f"{ups:.0f} of {ups + downs:.0f} vantages see it up"
    if _SEEN_UP.fullmatch(reason):
        return [seen if ups + downs else "no vantage has fresh news of it"]
    # Who was put out by traffic may look well to the probes, and who serves may not: both are worth knowing.
    differs = downs if target.get("state") not in ("down", "ejected") else ups
    return [one for one in (reason, seen if differs else "") if one]
