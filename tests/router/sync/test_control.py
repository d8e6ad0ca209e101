"""Claims about changing the strategy while routers run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.balance.balancer import Balancer
from router.core.errors import CallerError, SnapshotRejected
from router.core.health.machine import Status
from router.core.policy import DEFAULT
from router.core.targets import Target
from router.sync import control as c
from router.sync.control import NAME, Control, ControlDocument
from router.sync.snapshots import SnapshotStore
from skyfleet.contract import Strategy
from skyfleet.objects import Bucket
from skyfleet.origin import Origin
from tests.router.sync.support import MemoryBucket

pytestmark = pytest.mark.pure

TARGETS = tuple(Target("aws", f"r{n}", "http://127.0.0.1:9", Origin(False, "127.0.0.1", 9)) for n in range(2))
KEYS = ("aws/r0", "aws/r1")


class Instance:
    """One router instance as far as orders are concerned."""

    def __init__(self, bucket: Bucket | None) -> None:
        self.now = 1_000_000.0
        self.balancer = Balancer(TARGETS, Strategy.WEIGHTED, DEFAULT, lambda: self.now, lambda: 0.5)
        self.keeper = SnapshotStore(bucket, self.balancer, lambda: self.now)
        self.controls = ControlDocument(bucket, self.balancer, self.keeper)

    async def refreshed(self) -> None:
        """As after the next request that comes late enough."""
        self.now += 10
        at = self.keeper.at
        async with asyncio.timeout(20):
            while self.keeper.at == at:
                self.keeper.refresh_soon()
                await asyncio.sleep(0)


def refusal(order: Callable[[], Any]) -> CallerError:
    with pytest.raises(CallerError) as caught:
        order()
    return caught.value


async def refused(instance: Instance, value: object) -> CallerError:
    with pytest.raises(CallerError) as caught:
        await instance.controls.update(json.dumps(value).encode())
    return caught.value


@given(st.sampled_from([None, *Strategy]), st.integers(1, 2**53))
def test_what_is_written_is_what_is_read(strategy: Strategy | None, revision: int) -> None:
    """Every document that this release writes."""
    assert c.parse(c.dump(Control(strategy, revision))) == Control(strategy, revision)


@given(st.binary(max_size=80) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_but_a_document_is_believed(data: bytes | str) -> None:
    """Refused by its own name, whatever it is; nothing else is raised."""
    with pytest.raises(SnapshotRejected):
        c.parse(data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"version": True}, {"strategy": "best"}, {"revision": 0}, {"revision": "1"}]
)
def test_a_wrong_field_is_named(change: dict[str, object]) -> None:
    """With what was found."""
    document = {"version": 1, "strategy": "latency", "revision": 3, **change}
    with pytest.raises(SnapshotRejected, match=next(iter(change))):
        c.parse(json.dumps(document).encode())


@pytest.mark.parametrize("value", [None, [], {}, {"strategy": "best"}, {"strategy": 1}, {"stratgy": "cost"}])
def test_an_order_that_is_none_is_400(value: object) -> None:
    """It says what may be ordered."""
    assert refusal(lambda: c.parse_update(json.dumps(value).encode(), KEYS)).status == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "expected a JSON object"),
        (b"{}", "strategy and draining are both missing"),
        (b'{"revision": 1}', "strategy and draining are both missing"),
        (b'{"draining": "aws/r0"}', "expected a list of targets"),
        (b'{"draining": ["aws/r9"]}', "aws/r9 is no target here; known are aws/r0, aws/r1"),
        (b'{"strategy": NaN}', "NaN is no JSON"),
        (b'{"strategy": "cost", "strategy": "latency"}', "strategy is there more than once"),
        (b'{"strategy": ""}', "got ''"),
        (b'{"strategy": "cost", "revision": "1"}', "revision: got '1'"),
        (b"\xff", "not JSON"),
        (b"[" * 3000, "not JSON"),
    ],
)
def test_a_wrong_order_is_told_its_mistake(body: bytes, says: str) -> None:
    """And an example of a right one."""
    found = refusal(lambda: c.parse_update(body, KEYS))
    assert (found.status, found.code) == (400, "bad-control")
    assert says in found.message
    assert '{"strategy": "latency"}' in found.message


@pytest.mark.parametrize("body", [b'{"strategy": null}', b'{"strategy": "configured"}'])
def test_an_order_is_undone_by_null_or_by_name(body: bytes) -> None:
    """The command line's word for it is taken as well."""
    found = c.parse_update(body, KEYS)
    assert (found.control.strategy, found.replaces) == (None, None)


async def test_a_new_instance_that_is_looked_at_says_what_is_kept() -> None:
    """So the revision that was read is the one to order with, whichever instance takes it."""
    shelf = MemoryBucket()
    asked, fresh = Instance(shelf), Instance(shelf)
    await asked.controls.update(json.dumps({"strategy": "cost"}).encode())
    told = await fresh.controls.read()
    assert (told["revision"], told["effective"]) == (1, "cost")
    assert fresh.balancer.strategy is Strategy.COST
    assert (await fresh.controls.update(json.dumps({"strategy": "latency", "revision": 1}).encode()))[
        "revision"
    ] == 2
    assert (await asked.controls.read())["revision"] == 2


@pytest.mark.parametrize(("broken", "says"), [(True, "on fire"), (False, "not JSON")])
async def test_a_look_that_cannot_read_says_so(broken: bool, says: str) -> None:
    """With what this instance follows meanwhile."""
    shelf = MemoryBucket()
    shelf.broken = broken
    shelf.objects[NAME] = b"{"
    told = await Instance(shelf).controls.read()
    assert (told["revision"], told["effective"]) == (0, "weighted")
    assert says in str(told["unread"])


def test_without_a_bucket_a_look_is_what_the_instance_knows() -> None:
    """There is nothing to read."""
    told = asyncio.run(Instance(None).controls.read())
    assert (told["kept"], "unread" in told) == ("instance", False)


async def test_every_instance_follows_the_one_that_was_asked() -> None:
    """That one at once, the others with their next refresh; null goes back to what is configured."""
    shelf = MemoryBucket()
    asked, other = Instance(shelf), Instance(shelf)
    await other.refreshed()
    told = await asked.controls.update(json.dumps({"strategy": "latency"}).encode())
    assert (told["strategy"], told["revision"], told["kept"]) == ("latency", 1, "bucket")
    assert (asked.balancer.strategy, other.balancer.strategy) == (Strategy.LATENCY, Strategy.WEIGHTED)
    await other.refreshed()
    assert other.balancer.strategy is Strategy.LATENCY
    await other.controls.update(json.dumps({"strategy": None}).encode())
    await asked.refreshed()
    assert (asked.balancer.strategy, asked.controls.as_json()["revision"]) == (Strategy.WEIGHTED, 2)


async def test_of_two_orders_at_once_both_count_or_one_is_told() -> None:
    """Without a revision the later one is done on top; with one it changes only what was looked at."""
    shelf = MemoryBucket()
    one, two = Instance(shelf), Instance(shelf)
    await asyncio.gather(
        one.controls.update(json.dumps({"strategy": "cost"}).encode()),
        two.controls.update(json.dumps({"strategy": "random"}).encode()),
    )
    assert json.loads(shelf.objects[NAME])["revision"] == 2
    late = await refused(one, {"strategy": "latency", "revision": 1})
    assert (late.status, late.code) == (409, "changed-meanwhile")
    assert json.loads(shelf.objects[NAME])["revision"] == 2


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (b"{", "not JSON"),
        (b'{"version": 2, "strategy": "best", "revision": 9}', "version"),
        (b'{"version": 1, "strategy": "random", "revision": 1}', "older"),
    ],
)
async def test_what_cannot_be_believed_leaves_the_last_good_order(damaged: bytes, says: str) -> None:
    """Corrupt, of a newer release, or replayed; the status says so until it can be believed again."""
    shelf = MemoryBucket()
    one = Instance(shelf)
    await one.controls.update(json.dumps({"strategy": "cost"}).encode())
    await one.controls.update(json.dumps({"strategy": "latency"}).encode())
    await one.refreshed()
    good, shelf.objects[NAME] = shelf.objects[NAME], damaged
    await one.refreshed()
    assert one.balancer.strategy is Strategy.LATENCY
    assert says in one.keeper.rejected.as_json()[NAME]
    shelf.objects[NAME] = good
    await one.refreshed()
    assert NAME not in one.keeper.rejected.as_json()


async def test_a_damaged_document_may_be_replaced_and_one_of_a_newer_release_not() -> None:
    """An operator must be able to mend the one, and must not undo the other unawares."""
    shelf = MemoryBucket()
    one = Instance(shelf)
    await one.controls.update(json.dumps({"strategy": "cost"}).encode())
    shelf.objects[NAME] = b"{"
    assert (await one.controls.update(json.dumps({"strategy": "latency"}).encode()))["revision"] == 2
    shelf.objects[NAME] = b'{"version": 2}'
    assert (await refused(one, {"strategy": "cost"})).code == "newer-version"
    assert one.balancer.strategy is Strategy.LATENCY


async def test_a_bucket_that_is_down_is_said_and_nothing_changes() -> None:
    """An order that only one instance knew would be worse than none."""
    shelf = MemoryBucket()
    shelf.broken = True
    one = Instance(shelf)
    found = await refused(one, {"strategy": "cost"})
    assert (found.status, found.code) == (503, "not-kept")
    assert "on fire" in found.message
    assert one.balancer.strategy is Strategy.WEIGHTED


async def test_without_a_bucket_an_order_lives_in_the_instance() -> None:
    """And the answer says so."""
    one = Instance(None)
    told = await one.controls.update(json.dumps({"strategy": "cost"}).encode())
    assert (told["kept"], told["effective"], told["configured"]) == ("instance", "cost", "weighted")
    assert (await refused(one, {"strategy": "random", "revision": 0})).status == 409


async def test_an_update_drains_targets_and_leaves_the_strategy() -> None:
    """They get no new request while another serves; the next update brings them back."""
    one = Instance(MemoryBucket())
    await one.controls.update(b'{"strategy": "round-robin"}')
    found = await one.controls.update(b'{"draining": ["aws/r0"]}')
    assert (found["strategy"], found["draining"], found["revision"]) == ("round-robin", ["aws/r0"], 2)
    assert one.balancer.fleet.health["aws/r0"].status is Status.DRAINING
    assert {choice.key for _ in range(4) if (choice := one.balancer.choose(()))} == {"aws/r1"}
    await one.controls.update(b'{"draining": []}')
    assert {choice.key for _ in range(4) if (choice := one.balancer.choose(()))} == {"aws/r0", "aws/r1"}
