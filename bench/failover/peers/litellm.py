"""Peer: LiteLLM's proxy with retries, failover within a model group, cooldowns and health checks."""

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
    """The config.yaml of the proxy."""
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
            # Its documentation advises this one for production.
            "routing_strategy": "simple-shuffle",
            # Each target of the group once.
            "num_retries": 2,
            # A failed attempt goes to the other targets of the group.
            "enable_weighted_failover": True,
            # Of the whole attempt; there is no timeout for the start of a reply.
            "timeout": ATTEMPT_S,
            "stream_timeout": ATTEMPT_S,
            # One failure takes a target out for the default time.
            "allowed_fails": 0,
            "cooldown_time": 5,
        },
        "litellm_settings": {"telemetry": False, "request_timeout": ATTEMPT_S, "drop_params": True},
        "general_settings": {
            # On loopback; the other routers have no key either.
            "dangerously_permit_weak_or_unset_master_key": True,
            # A probe is a real completion; a shorter interval would be a tenth of all traffic.
            "background_health_checks": True,
            "health_check_interval": 5,
            "enable_health_check_routing": True,
        },
    }


def install(bench: Bench) -> Installed:
    """Install it by uv into an environment of its own in the cache, as the lock says."""
    lock = bench.root / _LOCK
    try:
        python = environments.ensure(bench.cache / "bench" / "litellm", lock, bench.environ, bench.console)
    except StepFailed as error:
        raise Absent(f"litellm cannot be installed: {error}") from None
    version = read_lock.entry(read_lock.read(lock), "litellm").split()[0].replace("==", " ")
    return Installed(version, lambda ground: plan(python.with_name("litellm"), ground))


def plan(program: Path, ground: Ground) -> Plan:
    """The processes: one for each instance."""
    path = ground.folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config(ground)))

    def instance(port: int) -> Process:
        argv = (str(program), "--config", str(path), "--host", "127.0.0.1")
        environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "HOME": str(ground.folder)}
        ready = f"http://127.0.0.1:{port}/health/readiness"
        return Process((*argv, "--port", str(port)), ready, environ)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("litellm", install)
