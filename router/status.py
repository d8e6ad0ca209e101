"""What `GET /api/status` says: this router's view, and why it holds it.

The shape is a contract with `skyfleet status`; more fields may be added, none is renamed. `reason` is that of
the last change of state; what the vantages say right now are the counts `vantages_up` and `vantages_down`.
`learned` says why a target gets far less than its weight would give, where the strategy learned that.
"""

from __future__ import annotations

from router.config import Place
from router.core.balance.balancer import Board
from router.core.balance.metrics import expected_ms, failure_share
from router.core.balance.quality import Known
from router.core.balance.strategies import COMPARING, Strategy
from router.core.health import fleet as f
from router.core.health import machine as h
from router.core.health import snapshots
from router.core.health.machine import Status
from router.core.health.snapshots import Observation
from router.explain import Evidence, learned
from router.sync.snapshots import Keeper


def status(board: Board, place: Place, keeper: Keeper) -> dict[str, object]:
    """The status as JSON values. Times are unix seconds; latency is that of a reply's first event;
    portion is the part of the requests that the strategy means a target to have, null where what is in
    flight decides that; queue_timeout_s is how long a request waits that can be sent to nobody."""
    now = board.clock()
    board.fleet = f.settle(board.fleet, now, board.policy)
    portions = board.portions()
    words = learned(board.strategy, _evidence(board, now), portions)
    return {
        "router": {
            "cloud": place.cloud,
            "region": place.region,
            "build": place.build,
            "strategy": board.strategy,
            "queue_timeout_s": board.policy.queue_timeout_s,
        },
        "targets": [
            {
                **_target(board, key, now),
                "portion": _portion(board.strategy, portion),
                "learned": words.get(key, ""),
            }
            for key, portion in portions.items()
        ],
        "vantages": [
            {
                "vantage": one.vantage,
                "at": one.at,
                "age_s": round(max(0.0, now - one.at), 1),
                "fresh": snapshots.is_fresh(one, now, board.policy),
            }
            for one in board.fleet.documents.values()
        ],
        "attempts": {"requests": board.requests, "retried": board.retried, "failed": board.failed},
        "store": {"state": keeper.state, "reason": keeper.reason, "at": keeper.at},
        "refused": board.refused.told(),
    }


def _portion(strategy: Strategy, turns: float) -> float | None:
    """By the part of the turns; where these are only where a comparison begins, all of them or none."""
    return None if strategy in COMPARING and 0 < turns < 1 else round(turns, 4)


def _evidence(board: Board, now: float) -> Evidence:
    known = Known(board.traffic, {key: target.price for key, target in board.targets.items()})
    menu = f.menu(board.fleet, (), now, board.policy)
    # In panic who is asked follows from who is least bad, not from what was learned.
    return Evidence(() if menu.panic else menu.candidates, known, now, board.policy)


def _target(board: Board, key: str, now: float) -> dict[str, object]:
    target, health = board.targets[key], board.fleet.health[key]
    seen = [one.observations[key][-1] for one in board.fleet.documents.values() if one.observations.get(key)]
    last = max(seen, default=None)
    out = health.status is Status.EJECTED
    votes = snapshots.votes(board.fleet.documents.values(), key, now, board.policy)
    return {
        "cloud": target.cloud,
        "region": target.region,
        "url": target.url,
        "state": health.status,
        "reason": health.reason,
        "since": health.since,
        "weight": target.weight,
        "effective_weight": f.effective_weight(board.fleet, target, now, board.policy),
        "latency_ms": _latency(board, key, last),
        "errors": round(failure_share(board.traffic[key], now, board.policy)[0], 3),
        "price": target.price,
        "cold": health.status is Status.COLD or bool(last and last.cold),
        "inflight": board.inflight[key],
        "build": last.build or None if last else None,
        "ejections": health.ejections,
        "share": h.share(health, now, board.policy) if health.status in h.SERVING else 0.0,
        "rests_s": round(health.rests_until - now, 1) if h.resting(health, now, board.policy) else 0.0,
        "ejected_s": round(max(0.0, health.ejected_until - now), 1) if out else 0.0,
        # Of several that serve it would be out; own traffic never puts out the last one.
        "failing": health.status in h.SERVING and health.failures >= board.policy.failures,
        "vantages_up": votes.ups,
        "vantages_down": len(votes.downs),
    }


def _latency(board: Board, key: str, last: Observation | None) -> float | None:
    """Of our own traffic; before there is any, of the newest probe."""
    seen = board.traffic[key]
    if seen.samples:
        return round(expected_ms(seen, board.clock(), board.policy), 2)
    return round(last.latency_ms, 2) if last and last.latency_ms >= 0 else None
