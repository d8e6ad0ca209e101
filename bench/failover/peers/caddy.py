"""Peer: Caddy with its reverse_proxy: active and passive health checks, and retries for a limited time."""

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
# Shared by both kinds of requests; the health of equal addresses is shared too.
(agents) {{
	to {targets}
	# A slow target has more active connections, so it gets fewer new ones.
	lb_policy least_conn
	# Retry while no target can be reached, below the timeout of clients.
	lb_try_duration {try_for}
	lb_try_interval 50ms
	health_uri /health
	health_interval {check}
	health_timeout {check}
	health_fails 2
	health_passes 2
	# One failure takes a target out for the time that an active check needs.
	fail_duration 3s
	max_fails 1
	unhealthy_status 429 5xx
	# Streams are forwarded without a buffer.
	flush_interval -1
}}
http://127.0.0.1:{port} {{
	bind 127.0.0.1
	@repeatable header Idempotency-Key *
	reverse_proxy @repeatable {{
		import agents
		# The body is kept until the reply begins, so that it can be sent again.
		request_buffers 64KiB
		# Errors are retried for POST too, and so are these replies.
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
		# Only failures to connect are retried; a request that was sent must not be repeated.
		transport http {{
			dial_timeout {connect}
		}}
	}}
}}
"""
# The first version that retries POST, and retries for replies; Debian 12 has 2.6.
VERSION: Final = (2, 11, 9)
_MODULE: Final = "github.com/caddyserver/caddy/v2/cmd/caddy"
# Below the timeout of clients, with time left for the reply.
_TRY_S: Final = 10.0


def config(ground: Ground, port: int) -> str:
    """The Caddyfile of one instance."""
    return CONFIG.format(
        port=port,
        targets=" ".join(f"127.0.0.1:{one}" for one in ground.targets),
        try_for=f"{_TRY_S:g}s",
        check=f"{CHECK_S * 1000:g}ms",
        connect=f"{CONNECT_S * 1000:g}ms",
        attempt=f"{ATTEMPT_S:g}s",
    )


def install(bench: Bench) -> Installed:
    """Use the program on PATH if it is new enough, else build it from its Go module once, in minutes."""
    found = shutil.which("caddy", path=bench.environ.get("PATH"))
    caddy, known = (Program(found), version(Program(found))) if found else (None, (0,))
    if caddy is None or known < VERSION:
        caddy, known = _built(bench), VERSION
    return Installed(f"caddy {'.'.join(str(part) for part in known)}", lambda ground: plan(caddy, ground))


def version(caddy: Program) -> tuple[int, ...]:
    """Its version, such as (2, 11, 9); (0,) if it prints none."""
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", caddy.output("version"))
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _built(bench: Bench) -> Program:
    name = "v" + ".".join(str(part) for part in VERSION)
    folder = bench.cache / "bench" / f"caddy-{name}"
    path = folder / "caddy"
    if path.is_file():
        return Program(str(path))
    go = shutil.which("go", path=bench.environ.get("PATH")) or str(USUAL_GO)
    environ = {**go_environment(bench.environ), "GOBIN": str(folder / "new")}
    try:
        run_step(
            [go, "install", f"{_MODULE}@{name}"], title="bench: caddy", console=bench.console, environ=environ
        )
    except StepFailed as error:
        raise Absent(f"no caddy {name} on PATH, and it cannot be built: {error}") from None
    (folder / "new" / "caddy").replace(path)
    return Program(str(path))


def plan(caddy: Program, ground: Ground) -> Plan:
    """The processes: one for each instance."""

    def instance(port: int) -> Process:
        path = ground.folder / f"Caddyfile-{port}"
        path.write_text(config(ground, port))
        argv = (caddy.path, "run", "--adapter", "caddyfile", "--config", str(path))
        environ = {**caddy.environ, "HOME": str(ground.folder), "XDG_DATA_HOME": str(ground.folder)}
        return Process(argv, f"http://127.0.0.1:{port}/health", environ)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("caddy", install)
