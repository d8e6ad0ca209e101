"""The routers of the scoreboard, each set up as well as its own documents allow."""

from __future__ import annotations

from typing import Final

from bench.failover.peers import caddy, haproxy, litellm, nginx, skyfleet
from bench.failover.peers.base import Router

ROUTERS: Final[tuple[Router, ...]] = (
    skyfleet.ROUTER,
    skyfleet.UNTOUCHED,
    nginx.ROUTER,
    haproxy.ROUTER,
    caddy.ROUTER,
    litellm.ROUTER,
)
