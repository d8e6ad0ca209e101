"""The view of this router for `GET /api/status`.

The shape is a contract with `skyfleet status`; fields may be added, none is renamed. `reason` is that of
the last change of state; `checkers_up` and `checkers_down` count what the checkers report now. `learned`
says why the strategy gives a target far less than its weight would.
"""

from __future__ import annotations

from collections.abc import Collection

from router.config import Place
from router.core.balance.balancer import Balancer
from router.core.balance.metrics import expected_ms, failure_share
from router.core.balance.quality import Known
from router.core.balance.strategies import COMPARING
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health import snapshots
from router.core.health.fleet import Fleet
from router.core.health.machine import Status
from router.core.health.snapshots import ProbeResult
from router.explain import Evidence, learned
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy


def status(
    balancer: Balancer, place: Place, store: SnapshotStore, checkers: Collection[str] = ()
) -> dict[str, object]:
    """The status as JSON values; it changes nothing. checkers: the deployed ones.

    Times are unix seconds; latency is that of a reply's first event; share is the fraction of requests that
    the strategy assigns to a target, null where load decides per request; queue_timeout_s is how long a
    request waits while it can be sent to no target."""
    now, fleet = balancer.clock(), balancer.settled()
    shares = balancer.shares()
    words = learned(balancer.strategy, _evidence(balancer, fleet, now), shares)
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
                **_target(balancer, fleet, key, now),
                "share": _share(balancer.strategy, share),
                "learned": words.get(key, ""),
            }
            for key, share in shares.items()
        ],
        "checkers": [
            {
                "checker": name,
                "at": None if seen is None else seen.at,
                "age_s": None if seen is None else round(max(0.0, now - seen.at), 1),
                "fresh": seen is not None and snapshots.is_fresh(seen, now, balancer.policy),
            }
            for name in dict.fromkeys((*checkers, *fleet.snapshots))
            for seen in (fleet.snapshots.get(name),)
        ],
        "attempts": {"requests": balancer.requests, "retried": balancer.retried, "failed": balancer.failed},
        "store": {"state": store.state, "reason": store.reason, "at": store.at},
        "rejected": store.rejected.as_json(),
    }


def _share(strategy: Strategy, slots: float) -> float | None:
    """By the slots; where these only say where a comparison begins, all of them or none."""
    return None if strategy in COMPARING and 0 < slots < 1 else round(slots, 4)


def _evidence(balancer: Balancer, fleet: Fleet, now: float) -> Evidence:
    known = Known(balancer.traffic, {key: target.price for key, target in balancer.targets.items()})
    tier = f.tier(fleet, (), now, balancer.policy)
    # In panic health decides, not what was learned.
    return Evidence(() if tier.panic else tier.candidates, known, now, balancer.policy)


def _target(balancer: Balancer, fleet: Fleet, key: str, now: float) -> dict[str, object]:
    target, health = balancer.targets[key], fleet.health[key]
    seen = [one.results[key][-1] for one in fleet.snapshots.values() if one.results.get(key)]
    last = max(seen, default=None, key=lambda one: one.order)
    ejected = health.status is Status.EJECTED
    votes = snapshots.votes(fleet.snapshots.values(), key, now, balancer.policy)
    return {
        "cloud": target.cloud,
        "region": target.region,
        "url": target.url,
        "state": health.status,
        "reason": health.reason,
        "since": health.since,
        "weight": target.weight,
        "effective_weight": f.effective_weight(fleet, target, now, balancer.policy),
        "latency_ms": _latency(balancer, key, last),
        "errors": round(failure_share(balancer.traffic[key], now)[0], 3),
        "price": target.price,
        "cold": health.status is Status.COLD or bool(last and last.cold),
        "inflight": balancer.inflight[key],
        "build": last.build or None if last else None,
        "ejections": health.ejections,
        "health_share": h.share(health, now, balancer.policy) if health.status in h.SERVING else 0.0,
        "backoff_s": round(health.backoff_until - now, 1) if h.in_backoff(health, now) else 0.0,
        "ejected_s": round(max(0.0, health.ejected_until - now), 1) if ejected else 0.0,
        # Of several that serve it would be out; own traffic never puts out the last one.
        "failing": health.status in h.SERVING and health.failures >= h.FAILURES,
        "checkers_up": votes.ups,
        "checkers_down": len(votes.downs),
    }


def _latency(balancer: Balancer, key: str, last: ProbeResult | None) -> float | None:
    """Of our own traffic; before there is any, of the newest probe."""
    seen = balancer.traffic[key]
    if seen.samples:
        return round(expected_ms(seen, balancer.clock()), 2)
    return round(last.latency_ms, 2) if last and last.latency_ms >= 0 else None
