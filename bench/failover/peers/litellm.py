"""LiteLLM's proxy: retries, failover within a model group, cooldowns and health-check driven routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from bench import environments
from bench.failover.peers.base import ATTEMPT_S, Absent, Bench, Ground, Installed, Plan, Process, Router
from bench.failover.shapes import MODEL
from infra.setup import read_lock
from infra.setup.errors import StepFailed

_LOCK: Final = Path("locks") / "bench-litellm.txt"


def config(ground: Ground) -> dict[str, Any]:
    """The proxy's config.yaml."""
    deployments = [
        {
            "model_name": MODEL,
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "none",
                "weight": 1,
            },
        }
        for port in ground.targets
    ]
    return {
        "model_list": deployments,
        "router_settings": {
            # The one that its documents advise for production.
            "routing_strategy": "simple-shuffle",
            # Every target of the group once.
            "num_retries": 2,
            # A failed attempt goes to the other targets of the group.
            "enable_weighted_failover": True,
            # The whole attempt, since it has no shorter limit for a plain reply's beginning.
            "timeout": ATTEMPT_S,
            "stream_timeout": ATTEMPT_S,
            # One failure cools a target down, for its default time.
            "allowed_fails": 0,
            "cooldown_time": 5,
        },
        "litellm_settings": {"telemetry": False, "request_timeout": ATTEMPT_S, "drop_params": True},
        "general_settings": {
            # On loopback, and without keys for the others either.
            "dangerously_permit_weak_or_unset_master_key": True,
            # A probe is a real completion; more often than this would be a tenth of all traffic.
            "background_health_checks": True,
            "health_check_interval": 5,
            "enable_health_check_routing": True,
        },
    }


def install(bench: Bench) -> Installed:
    """An environment of its own in the cache, made by uv from the lock."""
    lock = bench.root / _LOCK
    try:
        python = environments.ensure(bench.cache / "bench" / "litellm", lock, bench.environ, bench.console)
    except StepFailed as error:
        raise Absent(f"litellm cannot be installed: {error}") from None
    version = read_lock.entry(read_lock.read(lock), "litellm").split()[0].replace("==", " ")
    return Installed(version, lambda ground: plan(python.with_name("litellm"), ground))


def plan(program: Path, ground: Ground) -> Plan:
    """One process for each instance."""
    path = ground.folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config(ground)))

    def instance(port: int) -> Process:
        argv = (str(program), "--config", str(path), "--host", "127.0.0.1")
        told = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": str(ground.folder)}
        ready = f"http://127.0.0.1:{port}/health/readiness"
        return Process((*argv, "--port", str(port)), ready, told)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("litellm", install)
