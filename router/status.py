"""What `GET /api/status` says: this router's view, and why it holds it.

The shape is a contract with `skyfleet status`; more fields may be added, none is renamed. `reason` is that of
the last change of state; what the checkers say right now are the counts `checkers_up` and `checkers_down`.
`learned` says why a target gets far less than its weight would give, where the strategy learned that.
"""

from __future__ import annotations

from router.config import Place
from router.core.balance.balancer import Balancer
from router.core.balance.metrics import expected_ms, failure_share
from router.core.balance.quality import Known
from router.core.balance.strategies import COMPARING, Strategy
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health import snapshots
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult
from router.explain import Evidence, learned
from router.sync.snapshots import SnapshotStore


def status(balancer: Balancer, place: Place, keeper: SnapshotStore) -> dict[str, object]:
    """The status as JSON values. Times are unix seconds; latency is that of a reply's first event;
    share is the part of the requests that the strategy means a target to have, null where what is in
    flight decides that; queue_timeout_s is how long a request waits that can be sent to nobody."""
    now = balancer.clock()
    balancer.fleet = f.settle(balancer.fleet, now, balancer.policy)
    shares = balancer.shares()
    words = learned(balancer.strategy, _evidence(balancer, now), shares)
    return {
        "router": {
            "cloud": place.cloud,
            "region": place.region,
            "build": place.build,
            "strategy": balancer.strategy,
            "queue_timeout_s": balancer.policy.queue_timeout_s,
        },
        "targets": [
            {
                **_target(balancer, key, now),
                "share": _share(balancer.strategy, share),
                "learned": words.get(key, ""),
            }
            for key, share in shares.items()
        ],
        "checkers": [
            {
                "checker": one.checker,
                "at": one.at,
                "age_s": round(max(0.0, now - one.at), 1),
                "fresh": snapshots.is_fresh(one, now, balancer.policy),
            }
            for one in balancer.fleet.documents.values()
        ],
        "attempts": {"requests": balancer.requests, "retried": balancer.retried, "failed": balancer.failed},
        "store": {"state": keeper.state, "reason": keeper.reason, "at": keeper.at},
        "rejected": balancer.rejected.told(),
    }


def _share(strategy: Strategy, slots: float) -> float | None:
    """By the part of the turns; where these are only where a comparison begins, all of them or none."""
    return None if strategy in COMPARING and 0 < slots < 1 else round(slots, 4)


def _evidence(balancer: Balancer, now: float) -> Evidence:
    known = Known(balancer.traffic, {key: target.price for key, target in balancer.targets.items()})
    tier = f.tier(balancer.fleet, (), now, balancer.policy)
    # In panic who is asked follows from who is least bad, not from what was learned.
    return Evidence(() if tier.panic else tier.candidates, known, now, balancer.policy)


def _target(balancer: Balancer, key: str, now: float) -> dict[str, object]:
    target, health = balancer.targets[key], balancer.fleet.health[key]
    seen = [one.results[key][-1] for one in balancer.fleet.documents.values() if one.results.get(key)]
    last = max(seen, default=None)
    out = health.status is Status.EJECTED
    votes = snapshots.votes(balancer.fleet.documents.values(), key, now, balancer.policy)
    return {
        "cloud": target.cloud,
        "region": target.region,
        "url": target.url,
        "state": health.status,
        "reason": health.reason,
        "since": health.since,
        "weight": target.weight,
        "effective_weight": f.effective_weight(balancer.fleet, target, now, balancer.policy),
        "latency_ms": _latency(balancer, key, last),
        "errors": round(failure_share(balancer.traffic[key], now, balancer.policy)[0], 3),
        "price": target.price,
        "cold": health.status is Status.COLD or bool(last and last.cold),
        "inflight": balancer.inflight[key],
        "build": last.build or None if last else None,
        "ejections": health.ejections,
        "health_share": h.share(health, now, balancer.policy) if health.status in h.SERVING else 0.0,
        "backoff_s": round(health.backoff_until - now, 1)
        if h.in_backoff(health, now, balancer.policy)
        else 0.0,
        "ejected_s": round(max(0.0, health.ejected_until - now), 1) if out else 0.0,
        # Of several that serve it would be out; own traffic never puts out the last one.
        "failing": health.status in h.SERVING and health.failures >= balancer.policy.failures,
        "checkers_up": votes.ups,
        "checkers_down": len(votes.downs),
    }


def _latency(balancer: Balancer, key: str, last: ProbeResult | None) -> float | None:
    """Of our own traffic; before there is any, of the newest probe."""
    seen = balancer.traffic[key]
    if seen.samples:
        return round(expected_ms(seen, balancer.clock(), balancer.policy), 2)
    return round(last.latency_ms, 2) if last and last.latency_ms >= 0 else None
