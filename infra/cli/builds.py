"""Is what the clouds serve what was deployed? Compares the build each function reports with the stack's
outputs.

A cloud may say "done" and go on serving the old package; a deployment that did not check would not know.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.cli import values
from infra.cli.errors import StaleBuild
from infra.cli.outputs import Outputs
from infra.cli.routers import ask_health
from infra.cli.status_view import RouterAnswer

# Real clouds take some seconds to move traffic to a new version; after this long something is wrong.
PATIENCE_S = 20.0
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Expected:
    """One function and the build it should serve."""

    what: str
    url: str
    build: str


def expected(outputs: Outputs) -> list[Expected]:
    """Every function with a public URL, and the build that was deployed to it."""
    builds = values.facts(outputs.all.get("build"))
    agents = [
        Expected(
            f"agent {values.text(agent.get('cloud'))}/{values.text(agent.get('region'))}",
            values.text(agent.get("url")).rstrip("/"),
            values.text(builds.get("agent")),
        )
        for agent in values.many(outputs.all.get("agents"))
    ]
    routers = [Expected("router", url, values.text(builds.get("router"))) for url in outputs.router_urls]
    return agents + routers


def problems(wanted: Sequence[Expected], answers: Sequence[RouterAnswer]) -> list[str]:
    """One line for each function that does not serve what was deployed."""
    found: list[str] = []
    for one, answer in zip(wanted, answers, strict=True):
        if answer.health is None:
            found.append(f"{one.what} at {one.url} does not answer: {answer.problem}")
        elif one.build and (served := values.text(answer.health.get("build"))) != one.build:
            where = f" ({values.text(answer.health.get('cloud'))})" if one.what == "router" else ""
            found.append(
                f"{one.what}{where} at {one.url} serves build {served or 'unknown'}, deployed is {one.build}"
            )
    return found


def verify(
    outputs: Outputs,
    *,
    ask: Callable[[str], RouterAnswer] = ask_health,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until all serve what was deployed and return how many they are; StaleBuild when they do not in
    time.
    """
    wanted = expected(outputs)
    if not wanted:
        return 0
    deadline = clock() + PATIENCE_S
    while True:
        with ThreadPoolExecutor(len(wanted)) as pool:
            found = problems(wanted, list(pool.map(ask, [one.url for one in wanted])))
        if not found:
            return len(wanted)
        if clock() >= deadline:
            lines = "\n".join(f"  {line}" for line in found)
            raise StaleBuild(
                f"deployed, but not all clouds serve the new build after {PATIENCE_S:.0f} s:\n{lines}\n"
                "Run `make up` again once that cloud is well; `skyfleet logs CLOUD` shows what it says."
            )
        pause(PAUSE_S)
