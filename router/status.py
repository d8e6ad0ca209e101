"""What `GET /api/status` says: this router's view, and why it holds it.

The shape is a contract with `skyfleet status`; more fields may be added, none is renamed.
"""

from __future__ import annotations

from router import fleet as f
from router import merge
from router.board import Board
from router.health import Status
from router.merge import Observation
from router.settings import Place
from router.store import Keeper


def status(board: Board, place: Place, keeper: Keeper) -> dict[str, object]:
    """The status as JSON values. Times are unix seconds; latency is that of a reply's head."""
    now = board.clock()
    board.fleet = f.settle(board.fleet, now, board.policy)
    return {
        "router": {
            "cloud": place.cloud,
            "region": place.region,
            "build": place.build,
            "strategy": board.strategy,
        },
        "targets": [_target(board, key, now) for key in board.targets],
        "vantages": [
            {
                "vantage": one.vantage,
                "at": one.at,
                "age_s": round(max(0.0, now - one.at), 1),
                "fresh": merge.is_fresh(one, now, board.policy),
            }
            for one in board.fleet.documents.values()
        ],
        "attempts": {"requests": board.requests, "retried": board.retried, "failed": board.failed},
        "store": {"state": keeper.state, "reason": keeper.reason, "at": keeper.at},
        "refused": dict(board.refused),
    }


def _target(board: Board, key: str, now: float) -> dict[str, object]:
    target, health = board.targets[key], board.fleet.health[key]
    seen = [one.observations[key][-1] for one in board.fleet.documents.values() if one.observations.get(key)]
    last = max(seen, default=None)
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
        "cold": health.status is Status.COLD or bool(last and last.cold),
        "inflight": board.inflight[key],
        "build": last.build or None if last else None,
        "ejections": health.ejections,
    }


def _latency(board: Board, key: str, last: Observation | None) -> float | None:
    """Of our own traffic; before there is any, of the newest probe."""
    if key in board.latency_ms:
        return round(board.latency_ms[key], 2)
    return round(last.latency_ms, 2) if last and last.latency_ms >= 0 else None
