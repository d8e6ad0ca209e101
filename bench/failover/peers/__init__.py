"""The routers on the scoreboard, each configured as its documentation advises."""

from __future__ import annotations

from typing import Final

from bench.failover.peers import caddy, haproxy, litellm, nginx, skyfleet
from bench.failover.peers.base import Router

ROUTERS: Final[tuple[Router, ...]] = (
    skyfleet.ROUTER,
    skyfleet.UNTOUCHED,
    skyfleet.DECLARED,
    nginx.ROUTER,
    haproxy.ROUTER,
    caddy.ROUTER,
    litellm.ROUTER,
)
