"""Peer: HAProxy with active checks, observation of traffic, redispatch and layer 7 retries."""

from __future__ import annotations

from typing import Final

from bench.failover.load import PATIENCE_S
from bench.failover.peers.base import (
    ATTEMPT_S,
    CHECK_S,
    CONNECT_S,
    Bench,
    Ground,
    Installed,
    Plan,
    Process,
    Router,
)
from bench.failover.peers.debian import Program, program

# Libraries that a minimal system lacks.
LIBRARIES: Final = ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")

CONFIG: Final = """\
global
  maxconn 2000
defaults
  mode http
  timeout connect {connect}
  timeout client {patience}
  timeout server {attempt}
  timeout check {check}
  timeout http-keep-alive 60s
frontend clients
  bind 127.0.0.1:{port}
  default_backend agents
backend agents
  # A slow target has more active connections, so it gets fewer new ones.
  balance leastconn
  # The body is kept until the reply begins, so that it can be sent again.
  option http-buffer-request
  # Every retry goes to another target.
  option redispatch 1
  retries 3
  # Version 2.6 does not accept 429 here.
  retry-on all-retryable-errors
  acl repeatable req.hdr(idempotency-key) -m found
  # Failures to connect are still retried, since nothing was sent.
  http-request disable-l7-retry unless repeatable
  # Such a request must not be repeated, so its timeout is that of the client.
  http-request set-timeout server {patience} unless repeatable
  option httpchk GET /health
  # observe: three bad replies in a row to traffic take a target out, until its checks succeed.
  default-server check inter {check} fastinter 500ms downinter {check} fall 2 rise 2 \
observe layer7 error-limit 3 on-error mark-down
{servers}
"""


def config(ground: Ground, port: int) -> str:
    """haproxy.cfg of one instance."""
    return CONFIG.format(
        port=port,
        servers="\n".join(f"  server t{n} 127.0.0.1:{one}" for n, one in enumerate(ground.targets)),
        connect=f"{CONNECT_S * 1000:g}ms",
        check=f"{CHECK_S * 1000:g}ms",
        attempt=f"{ATTEMPT_S:g}s",
        patience=f"{PATIENCE_S:g}s",
    )


def install(bench: Bench) -> Installed:
    """Use the program on PATH or in Debian's package, with the libraries that a minimal system lacks."""
    haproxy = program(bench, "haproxy", "usr/sbin/haproxy", ("haproxy", *LIBRARIES))
    version = haproxy.output("-v").splitlines()[0].split(" 20")[0]
    return Installed(version, lambda ground: plan(haproxy, ground))


def plan(haproxy: Program, ground: Ground) -> Plan:
    """The processes: one for each instance."""

    def instance(port: int) -> Process:
        path = ground.folder / f"haproxy-{port}.cfg"
        path.write_text(config(ground, port))
        url = f"http://127.0.0.1:{port}/health"
        return Process((haproxy.path, "-db", "-f", str(path)), url, haproxy.environ)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("haproxy", install)
