"""Peer: nginx (open source) with passive failure counts and `proxy_next_upstream`; no active checks."""

from __future__ import annotations

import os
from typing import Final

from bench.failover.load import PATIENCE_S
from bench.failover.peers.base import ATTEMPT_S, CONNECT_S, Bench, Ground, Installed, Plan, Process, Router
from bench.failover.peers.debian import Program, program

CONFIG: Final = """\
# Packages run workers as a user that cannot read this folder.
{user}
worker_processes auto;
daemon off;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-{port}.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream agents {{
    # Workers share the state of targets in a zone.
    zone agents 64k;
    # A slow target has more active connections, so it gets fewer new ones.
    least_conn;
    # One failure takes a target out for the time that an active check needs.
{servers}
    keepalive 32;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  # Streams are forwarded without a buffer.
  proxy_buffering off;
  proxy_connect_timeout {connect};
  proxy_next_upstream_tries 3;
  server {{
    listen 127.0.0.1:{port};
    # proxy_next_upstream accepts no variable, so requests without a key have a location of their own.
    location / {{
      if ($http_idempotency_key = "") {{ rewrite ^ /once last; }}
      proxy_pass http://agents;
      proxy_read_timeout {attempt};
      # non_idempotent: a POST with an Idempotency-Key may be repeated after it was sent.
      proxy_next_upstream error timeout invalid_header http_429 http_500 http_502 http_503 http_504
      non_idempotent;
    }}
    location = /once {{
      internal;
      proxy_pass http://agents$request_uri;
      # Such a request must not be repeated, so its timeout is that of the client.
      proxy_read_timeout {patience};
      # Without non_idempotent a POST is retried only if nothing of it was sent.
      proxy_next_upstream error timeout http_429 http_503;
    }}
  }}
}}
"""


def config(ground: Ground, port: int) -> str:
    """nginx.conf of one instance."""
    return CONFIG.format(
        user="user root;" if os.geteuid() == 0 else "",
        folder=ground.folder,
        port=port,
        servers="\n".join(
            f"    server 127.0.0.1:{one} max_fails=1 fail_timeout=3s;" for one in ground.targets
        ),
        connect=f"{CONNECT_S * 1000:g}ms",
        attempt=f"{ATTEMPT_S:g}s",
        patience=f"{PATIENCE_S:g}s",
    )


def install(bench: Bench) -> Installed:
    """Use the program on PATH or in Debian's package."""
    nginx = program(bench, "nginx", "usr/sbin/nginx", ("nginx",))
    return Installed(nginx.output("-v").removeprefix("nginx version: "), lambda ground: plan(nginx, ground))


def plan(nginx: Program, ground: Ground) -> Plan:
    """The processes: one master process for each instance."""

    def instance(port: int) -> Process:
        path = ground.folder / f"nginx-{port}.conf"
        path.write_text(config(ground, port))
        argv = (nginx.path, "-p", str(ground.folder), "-e", "stderr", "-c", str(path))
        return Process(argv, f"http://127.0.0.1:{port}/health", nginx.environ)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("nginx", install)
