"""Configurations of nginx (as a router and as the targets of all) and of HAProxy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.router.shapes import LOAD, REPLY

_NGINX: Final = """\
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
{http}
}}
"""
_UPSTREAM: Final = """\
  server {{
{listens}
    location / {{
      default_type application/json;
      add_header endpoint-load-metrics "{load}";
      return 200 '{reply}';
    }}
  }}"""
_TLS_KEYS: Final = """\
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_session_cache shared:tls:1m;"""
_PROXY: Final = """\
  upstream agents {{
{servers}
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {scheme}://agents;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      # Streams pass as they come.
      proxy_buffering off;
{tls}
    }}
  }}"""
_PROXY_TLS: Final = """\
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {certificate};
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;"""
_HAPROXY: Final = """\
global
  maxconn 2000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 3600s
frontend callers
  bind 127.0.0.1:{port}
  default_backend agents
backend agents
  balance roundrobin
  http-reuse always
{servers}
"""


def _nginx(folder: Path, http: str) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    return _NGINX.format(user=user, folder=folder, http=http)


def upstream_config(folder: Path, plain: Sequence[int], tls: Sequence[int], certificate: Path) -> str:
    """nginx.conf of the targets."""
    listens = [f"    listen 127.0.0.1:{port};" for port in plain]
    listens += [f"    listen 127.0.0.1:{port} ssl;" for port in tls]
    listens.append(_TLS_KEYS.format(certificate=certificate, key=certificate.with_name("key.pem")))
    return _nginx(folder, _UPSTREAM.format(listens="\n".join(listens), load=LOAD, reply=REPLY))


def nginx_config(folder: Path, port: int, targets: Sequence[int], certificate: Path | None) -> str:
    """nginx.conf of the router. certificate: of targets with TLS; None: they are plain."""
    tls = "" if certificate is None else _PROXY_TLS.format(certificate=certificate)
    servers = "\n".join(f"    server 127.0.0.1:{one};" for one in targets)
    scheme = "http" if certificate is None else "https"
    return _nginx(folder, _PROXY.format(servers=servers, port=port, scheme=scheme, tls=tls))


def haproxy_config(port: int, targets: Sequence[int]) -> str:
    """haproxy.cfg of the router."""
    servers = "\n".join(f"  server t{n} 127.0.0.1:{one}" for n, one in enumerate(targets))
    return _HAPROXY.format(port=port, servers=servers)
