"""What every contestant is given: the same request, the same reply, and this router's environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

API_KEY: Final = "only-for-this-loopback-bench"
# A caller that sends no Idempotency-Key. 1 kB, as a prompt with a short history.
BODY: Final = json.dumps({"input": "reverse abc", "history": "x" * 990}).encode()
HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"bench"),
    (b"authorization", b"Bearer " + API_KEY.encode()),
)
REPLY: Final = json.dumps({"output": "cba", "trace": "y" * 520})
# What an agent of this project says with each reply (docs/runtimes.md, Load).
LOAD: Final = "TEXT application_utilization=0.1,rps_fractional=10.0"
CLOUDS: Final = ("aws", "azure", "gcp")


def router_environ(ports: Sequence[int], *, tls: bool = False) -> dict[str, str]:
    """A router with everything on: API key, signing, adaptive strategy, health. ports: of its targets, which
    share one server where fewer are given."""
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    targets = [
        {"cloud": cloud, "region": "local", "url": f"{scheme}://{host}:{ports[n % len(ports)]}", "weight": 1}
        for n, cloud in enumerate(CLOUDS[: max(1, len(ports))])
    ]
    return {
        "SKYFLEET_APP": "router.app:create",
        "SKYFLEET_ROLE": "router",
        "SKYFLEET_CLOUD": "aws",
        "SKYFLEET_REGION": "local",
        "SKYFLEET_TARGETS": json.dumps(targets),
        "SKYFLEET_STRATEGY": "adaptive",
        "SKYFLEET_API_KEY_SHA256": hashlib.sha256(API_KEY.encode()).hexdigest(),
        "SKYFLEET_ROOT_KEYS": json.dumps({"k1": "only-for-this-loopback-bench"}),
    }
