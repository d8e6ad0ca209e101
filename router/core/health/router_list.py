"""The URLs of a fleet's routers, as its checkers list them. Pure.

A router's URL exists only after the router, so no deployment can tell a router the URLs of all. The checkers,
which are deployed last, know them and list them in each snapshot.

Rules
- Each checker has one vote, with the list of its newest snapshot. The list with most votes counts; of two
  with as many, that of the newer snapshot. So one of three checkers can neither add nor remove a router.
- Fresh snapshots count; older ones only if there is no fresh one.
- An empty list is no vote: the checker is of a release that lists none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from router.core.health.snapshots import Snapshot, is_fresh
from router.core.policy import Policy
from skyfleet.values import frozen


@frozen
class RouterList:
    """urls: in the order in which clients use them; empty: no checker has listed any. fresh: a fresh snapshot
    has them."""

    urls: tuple[str, ...] = ()
    fresh: bool = False


def agreed(snapshots: Iterable[Snapshot], now: float, policy: Policy) -> RouterList:
    """The list that counts at `now`, in unix seconds."""
    listed = [one for one in snapshots if one.routers]
    fresh = [one for one in listed if is_fresh(one, now, policy)]
    voters = fresh or listed
    if not voters:
        return RouterList()
    votes = Counter(one.routers for one in voters)
    best = max(voters, key=lambda one: (votes[one.routers], one.at, one.routers))
    return RouterList(best.routers, bool(fresh))
