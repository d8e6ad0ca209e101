"""Caddy, whose reverse_proxy stands on Go's: active and passive health checks, and retries for a time."""

from __future__ import annotations

import re
import shutil
from typing import Final

from bench.failover.peers.base import (
    ATTEMPT_S,
    CHECK_S,
    CONNECT_S,
    Absent,
    Bench,
    Ground,
    Installed,
    Plan,
    Process,
    Router,
)
from bench.failover.peers.debian import Program
from infra.setup.errors import StepFailed
from infra.setup.pulumi.gobuild import USUAL_GO, go_environment
from infra.setup.subprocess_step import run_step

CONFIG: Final = """\
{{
	admin off
	auto_https off
	persist_config off
	log {{
		level ERROR
	}}
}}
# What both ways to the agents have in common; their health is shared, since the addresses are the same.
(agents) {{
	to {targets}
	# A slow target holds more connections, so it is given fewer new ones.
	lb_policy least_conn
	# Keep trying while no target can be reached, for as long as a caller may wait.
	lb_try_duration {hold}
	lb_try_interval 50ms
	health_uri /health
	health_interval {check}
	health_timeout {check}
	health_fails 2
	health_passes 2
	# One failure is enough to step aside, for as long as an active check of the others would need.
	fail_duration 3s
	max_fails 1
	unhealthy_status 429 5xx
	# Streams pass as they come.
	flush_interval -1
}}
http://127.0.0.1:{port} {{
	bind 127.0.0.1
	@repeatable header Idempotency-Key *
	reverse_proxy @repeatable {{
		import agents
		# Kept until the reply begins, so that it can be sent again.
		request_buffers 64KiB
		# Failures without a reply are tried elsewhere, not only those of GET; so are these replies.
		lb_retry_match {{
			method POST
		}}
		lb_retry_match {{
			expression `{{rp.status_code}} in [429, 500, 502, 503, 504]`
		}}
		transport http {{
			dial_timeout {connect}
			response_header_timeout {attempt}
		}}
	}}
	reverse_proxy {{
		import agents
		# Only failures to connect are tried elsewhere; what was sent is worth waiting for.
		transport http {{
			dial_timeout {connect}
		}}
	}}
}}
"""
# The first one that can send a POST again and knows replies as a reason to; Debian 12 has 2.6.
VERSION: Final = (2, 11, 9)
_MODULE: Final = "github.com/caddyserver/caddy/v2/cmd/caddy"
# Below the patience of callers, with room for the reply itself.
_HOLD_S: Final = 10.0


def config(ground: Ground, port: int) -> str:
    """The Caddyfile of one instance."""
    return CONFIG.format(
        port=port,
        targets=" ".join(f"127.0.0.1:{one}" for one in ground.targets),
        hold=f"{_HOLD_S:g}s",
        check=f"{CHECK_S * 1000:g}ms",
        connect=f"{CONNECT_S * 1000:g}ms",
        attempt=f"{ATTEMPT_S:g}s",
    )


def install(bench: Bench) -> Installed:
    """From PATH if it is new enough, else built from its Go module, once per user; that takes minutes."""
    found = shutil.which("caddy", path=bench.environ.get("PATH"))
    caddy, known = (Program(found), version(Program(found))) if found else (None, (0,))
    if caddy is None or known < VERSION:
        caddy, known = _built(bench), VERSION
    return Installed(f"caddy {'.'.join(str(part) for part in known)}", lambda ground: plan(caddy, ground))


def version(caddy: Program) -> tuple[int, ...]:
    """Such as (2, 11, 9); (0,) when it does not know, as one that was built by hand."""
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", caddy.says("version"))
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _built(bench: Bench) -> Program:
    name = "v" + ".".join(str(part) for part in VERSION)
    folder = bench.cache / "bench" / f"caddy-{name}"
    path = folder / "caddy"
    if path.is_file():
        return Program(str(path))
    go = shutil.which("go", path=bench.environ.get("PATH")) or str(USUAL_GO)
    told = {**go_environment(bench.environ), "GOBIN": str(folder / "new")}
    try:
        run_step(
            [go, "install", f"{_MODULE}@{name}"], title="bench: caddy", console=bench.console, environ=told
        )
    except StepFailed as error:
        raise Absent(f"no caddy {name} on PATH, and it cannot be built: {error}") from None
    (folder / "new" / "caddy").replace(path)
    return Program(str(path))


def plan(caddy: Program, ground: Ground) -> Plan:
    """One process for each instance."""

    def instance(port: int) -> Process:
        path = ground.folder / f"Caddyfile-{port}"
        path.write_text(config(ground, port))
        argv = (caddy.path, "run", "--adapter", "caddyfile", "--config", str(path))
        told = {**caddy.environ, "HOME": str(ground.folder), "XDG_DATA_HOME": str(ground.folder)}
        return Process(argv, f"http://127.0.0.1:{port}/health", told)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("caddy", install)
