"""nginx (open source): passive failure counting and `proxy_next_upstream`; it has no active checks."""

from __future__ import annotations

import os
from typing import Final

from bench.failover.load import PATIENCE_S
from bench.failover.peers.base import ATTEMPT_S, CONNECT_S, Bench, Ground, Installed, Plan, Process, Router
from bench.failover.peers.debian import Program, program

CONFIG: Final = """\
# Debian's package and the official one run workers as another user that cannot read this folder.
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
    # Without a zone every worker would learn of a dead target by itself.
    zone agents 64k;
    # A slow target holds more connections, so it is given fewer new ones.
    least_conn;
    # One failure is enough to step aside, for as long as an active check of the others would need.
{servers}
    keepalive 32;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  # Streams pass as they come.
  proxy_buffering off;
  proxy_connect_timeout {connect};
  proxy_next_upstream_tries 3;
  server {{
    listen 127.0.0.1:{port};
    # proxy_next_upstream takes no variable, so requests without a key go to a location of their own.
    location / {{
      if ($http_idempotency_key = "") {{ rewrite ^ /once last; }}
      proxy_pass http://agents;
      proxy_read_timeout {attempt};
      # non_idempotent: a POST that was sent may be sent again, for it carries an Idempotency-Key.
      proxy_next_upstream error timeout invalid_header http_429 http_500 http_502 http_503 http_504
      non_idempotent;
    }}
    location = /once {{
      internal;
      proxy_pass http://agents$request_uri;
      # May not be sent again, so it is worth waiting for.
      proxy_read_timeout {patience};
      # Without non_idempotent a POST goes on only if nothing of it was sent.
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
    """From PATH or Debian's package."""
    nginx = program(bench, "nginx", "usr/sbin/nginx", ("nginx",))
    return Installed(nginx.says("-v").removeprefix("nginx version: "), lambda ground: plan(nginx, ground))


def plan(nginx: Program, ground: Ground) -> Plan:
    """One master process for each instance."""

    def instance(port: int) -> Process:
        path = ground.folder / f"nginx-{port}.conf"
        path.write_text(config(ground, port))
        argv = (nginx.path, "-p", str(ground.folder), "-e", "stderr", "-c", str(path))
        return Process(argv, f"http://127.0.0.1:{port}/health", nginx.environ)

    return Plan(tuple(instance(port) for port in ground.ports))


ROUTER: Final = Router("nginx", install)
