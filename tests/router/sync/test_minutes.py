"""The minutes of several instances in one object of a bucket."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from router.core.balance.balancer import Balancer
from router.core.outcomes import Outcome
from router.sync.minutes import NAME, MinuteStore
from skyfleet.objects import Found
from tests.router.sync.support import NOW, Clock, MemoryBucket, balancer

START = int(NOW // 60) * 60


def serve(one: Balancer, requests: int = 1, ms: float = 12.0) -> None:
    """Requests that are answered after `ms`."""
    for _ in range(requests):
        one.request_began()
        one.request_took(ms)


async def told(store: MinuteStore) -> dict[int, dict[str, Any]]:
    """The minutes that a router tells, by their start."""
    listed = cast("list[dict[str, Any]]", (await store.read())["minutes"])
    return {one["at"]: one for one in listed}


async def test_instances_add_up_and_overwrite_nothing() -> None:
    """Each tells the counts of all that have added theirs, and its own."""
    bucket, clock = MemoryBucket(), Clock()
    one, two = balancer(clock), balancer(clock)
    first, second = MinuteStore(bucket, one, clock), MinuteStore(bucket, two, clock)
    serve(one, 3)
    serve(two, 4, ms=300)
    first.sample()
    second.sample()
    clock.now += 60
    await first.add()
    await second.add()
    for store in (first, second):
        minute = (await told(store))[START]
        assert (minute["requests"], sum(minute["latency"])) == (7, 7)
    await second.add()
    assert (await told(first))[START]["requests"] == 7


async def test_counts_go_to_the_minute_in_which_they_are_read() -> None:
    """Nothing is counted twice."""
    clock = Clock(START + 30)
    one = balancer(clock)
    store = MinuteStore(None, one, clock)
    serve(one, 2)
    store.sample()
    store.sample()
    clock.now += 60
    serve(one, 5)
    assert {at: minute["requests"] for at, minute in (await told(store)).items()} == {
        START: 2,
        START + 60: 5,
    }


async def test_the_bucket_is_written_once_a_minute_at_most() -> None:
    """A write costs money, and every request could cause one."""
    bucket, clock = MemoryBucket(), Clock()
    one = balancer(clock)
    store = MinuteStore(bucket, one, clock)
    serve(one)
    clock.now += 59
    await store.add()
    assert NAME not in bucket.objects
    clock.now += 1
    await store.add()
    written = bucket.objects[NAME]
    serve(one)
    clock.now += 59
    await store.add()
    assert bucket.objects[NAME] == written


async def test_an_instance_that_ends_adds_what_it_has() -> None:
    """A deployment replaces all instances at once."""
    bucket, clock = MemoryBucket(), Clock()
    one = balancer(clock)
    store = MinuteStore(bucket, one, clock)
    serve(one, 3)
    await store.add(last=True)
    assert json.loads(bucket.objects[NAME])["minutes"][0]["requests"] == 3
    written = bucket.objects.pop(NAME)
    await store.add(last=True)
    assert (NAME in bucket.objects, bool(written)) == (False, True)


@pytest.mark.parametrize("kind", ["broken", "read_only"])
async def test_counts_that_could_not_be_written_are_written_later(kind: str) -> None:
    """A bucket that is down loses none."""
    bucket, clock = MemoryBucket(), Clock()
    one = balancer(clock)
    store = MinuteStore(bucket, one, clock)
    serve(one, 2)
    clock.now += 60
    setattr(bucket, kind, True)
    await store.add()
    assert (await told(store))[START + 60]["requests"] == 2
    setattr(bucket, kind, False)
    clock.now += 60
    await store.add()
    assert json.loads(bucket.objects[NAME])["minutes"][0]["requests"] == 2


class Contested(MemoryBucket):
    """A bucket in which another instance writes just before."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        if self.times:
            self.times -= 1
            clock = Clock()
            other = balancer(clock)
            rival = MinuteStore(bucket := MemoryBucket(), other, clock)
            bucket.objects = self.objects
            serve(other, 10)
            rival.sample()
            clock.now += 60
            await rival.add()
        return await super().put_if_unchanged(name, data, known)


@pytest.mark.parametrize(("times", "requests"), [(0, 1), (1, 11), (2, 21)])
async def test_a_write_that_comes_between_is_not_overwritten(times: int, requests: int) -> None:
    """The object is read again."""
    bucket, clock = Contested(times), Clock()
    one = balancer(clock)
    store = MinuteStore(bucket, one, clock)
    serve(one)
    store.sample()
    clock.now += 60
    await store.add()
    assert json.loads(bucket.objects[NAME])["minutes"][0]["requests"] == requests


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        (b"{", False),
        (b"x" * 200_000, False),
        (b'{"version": 2, "minutes": []}', True),
    ],
    ids=["damaged", "too large", "newer release"],
)
async def test_an_object_of_another_form_does_not_stop_the_counting(stored: bytes, kept: bool) -> None:
    """A damaged one is replaced, that of a newer release is left alone."""
    bucket, clock = MemoryBucket(), Clock()
    one = balancer(clock)
    store = MinuteStore(bucket, one, clock)
    bucket.objects[NAME] = stored
    serve(one, 2)
    clock.now += 60
    await store.add()
    assert (bucket.objects[NAME] == stored) is kept
    assert (await told(store))[START + 60]["requests"] == 2


async def test_ejections_and_errors_are_counted() -> None:
    """Once each, however many failures an ejection took."""
    clock = Clock()
    one = balancer(clock)
    store = MinuteStore(None, one, clock)
    for _ in range(6):
        one.request_began()
        one.request_failed()
        one.report("aws/r0", Outcome.FAILURE, "HTTP 503")
    minute = (await told(store))[START]
    assert (minute["ejections"], minute["errors"], minute["requests"]) == (1, 6, 6)
