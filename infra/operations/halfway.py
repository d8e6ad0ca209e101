"""What runs where after a deployment that failed half-way, and how to get back or on.

The rule of this file: pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.operations import json_access
from infra.operations.json_access import JsonObject


def now_running(places: Sequence[str], agents: Sequence[JsonObject], former: str, new: str) -> str:
    """Which cloud runs which build, and the two ways from there.

    places: `cloud/region` of each agent that was deployed before. agents: cloud, region and build of those
    that answer now. former: the build of the deployment before, for when no agent runs an older one. new: the
    build that was being deployed.
    """
    builds: dict[str, list[str]] = {}
    for agent in agents:
        builds.setdefault(json_access.string(agent.get("build"), "?"), []).append(json_access.place(agent))
    silent = [place for place in places if not any(place in where for where in builds.values())]
    told = [
        f"{_list(where)} {_runs(where)} {'the new build' if build == new else 'build'} {build}"
        for build, where in builds.items()
    ]
    if silent:
        told.append(f"{_list(silent)} {'does' if len(silent) == 1 else 'do'} not answer")
    older = next((build for build in builds if build != new), former)
    changed = (new in builds or bool(silent)) and older != new
    return f"The agents now: {'; '.join(told)}.\n{_ways(older if changed else '')}"


def _ways(former: str) -> str:
    """How to get on, and back to the former build if there is one to go back to."""
    on = "`make up` goes on once the cause is mended"
    if not former:
        return f"{on}."
    return (
        f"{on}. To go back to build {former}, restore its files (`git stash`, or `git checkout` of its "
        "commit), then run `make up`."
    )


def _runs(where: Sequence[str]) -> str:
    return "runs" if len(where) == 1 else "run"


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
