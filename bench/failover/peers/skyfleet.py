"""This project's router with its production server and three checkers: tuned, with defaults, and with
defaults and agents that are declared repeatable.

Rule: they differ in the router's policy and in that declaration only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.failover.goals import DEFAULTS, REPEATABLE, TUNED
from bench.failover.peers.base import CHECK_S, Bench, Ground, Installed, Plan, Process, Router
from bench.failover.scenarios import TARGETS
from skyfleet.keys import derived

STRATEGY: Final = "adaptive"
ROOTS: Final[Mapping[str, str]] = {"bench": "only-for-this-loopback-bench"}
# hedge: here requests with a key may be executed twice, which the default does not assume.
# Times: scenarios last seconds, and the peers' times are as short.
POLICY: Final[Mapping[str, str | int]] = {"hedge": "on", "ejectionS": 3, "slowStartS": 5}
# A checker runs every minute; here every 5 s, as in the emulator.
_INTERVAL_S: Final = 5.0


def install(policy: Mapping[str, str | int], bench: Bench, *, repeatable: bool = False) -> Installed:
    """Nothing to install: the project's interpreter runs the checkout."""
    root = str(bench.root)
    settings = ", ".join(f"{name} {value}" for name, value in policy.items()) or "default policy"
    settings += ", agents declared repeatable" if repeatable else ""
    version = f"{STRATEGY}, {settings}, Python {sys.version.split()[0]}"
    return Installed(version, lambda ground: plan(root, policy, ground, repeatable=repeatable))


def environment(ground: Ground, cloud: str, root: str, *, repeatable: bool) -> dict[str, str]:
    """Environment variables of both roles. repeatable: as the agents declare themselves."""
    own = {"region": "local", "weight": 1, "repeatable": repeatable}
    targets = [
        {"cloud": name, "url": f"http://127.0.0.1:{port}", **own}
        for name, port in zip(TARGETS, ground.targets, strict=True)
    ]
    return {
        "SKYFLEET_CLOUD": cloud,
        "SKYFLEET_REGION": "local",
        "SKYFLEET_TARGETS": json.dumps(targets),
        "PYTHONPATH": root,
    }


def plan(root: str, policy: Mapping[str, str | int], ground: Ground, *, repeatable: bool = False) -> Plan:
    """The router instances and one checker for each cloud, as in a deployment."""
    argv = (sys.executable, "-P", "-m", "functions.runtimes.aws")
    routers = [f"http://127.0.0.1:{port}" for port in ground.ports]

    def router(number: int) -> Process:
        environ = {
            **environment(ground, TARGETS[number % len(TARGETS)], root, repeatable=repeatable),
            "SKYFLEET_APP": "router.app:create",
            "SKYFLEET_STRATEGY": STRATEGY,
            # As a deployment says: the bench's agents send the load header.
            "SKYFLEET_AGENT_KIND": "asgi",
            "SKYFLEET_CHECKERS": ",".join(f"{cloud}/local" for cloud in TARGETS),
            **({"SKYFLEET_POLICY": json.dumps(dict(policy))} if policy else {}),
            "SKYFLEET_OPEN": "1",
            "SKYFLEET_ROOT_KEYS": json.dumps(ROOTS),
            "PORT": str(ground.ports[number]),
        }
        return Process(argv, f"{routers[number]}/health", environ)

    def checker(cloud: str, port: int) -> Process:
        environ = {
            **environment(ground, cloud, root, repeatable=repeatable),
            "SKYFLEET_APP": "router.checker:create",
            "SKYFLEET_ROUTERS": json.dumps(routers),
            "SKYFLEET_SIGNING_KEYS": json.dumps(derived(ROOTS, "checker", f"{cloud}/local")),
            "SKYFLEET_CHECK": json.dumps({"probes": int(_INTERVAL_S / CHECK_S), "apartS": CHECK_S}),
            "PORT": str(port),
        }
        return Process(argv, f"http://127.0.0.1:{port}/health", environ)

    return Plan(
        tuple(router(number) for number in range(len(ground.ports))),
        tuple(checker(cloud, port) for cloud, port in zip(TARGETS, ground.spare, strict=True)),
        tuple(f"http://127.0.0.1:{port}/events" for port in ground.spare),
        _INTERVAL_S,
    )


ROUTER: Final = Router(TUNED, partial(install, POLICY))
UNTOUCHED: Final = Router(DEFAULTS, partial(install, {}))
DECLARED: Final = Router(REPEATABLE, partial(install, {}, repeatable=True))
