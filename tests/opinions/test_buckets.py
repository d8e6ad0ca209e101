"""The functions' own bucket clients against moto, Azurite and our emulated services: the same answers.

What is settled by the vendors' documents, where implementations differ:
- A replacement of what is no longer there: S3 answers 404 (AWS, `conditional-writes`: If-Match on a key
  without a current version), Azure and Google 412. For a client all three say: not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import obstore as library
import pytest
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from skyfleet.objects import CloudBucket, Found, Unchanged
from tests.opinions.servers import Store, azurite_store, emulator_store, moto_store

pytestmark = pytest.mark.xdist_group("opinions")

obstore: Any = library  # its listings are partly untyped

STORES = ("moto", "azurite", "emulator-aws", "emulator-azure", "emulator-gcp")


@pytest.fixture(scope="module", params=STORES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One implementation, for all tests of this file."""
    folder: Path = tmp_path_factory.mktemp("bucket")
    with ExitStack() as stack:
        match str(request.param):
            case "moto":
                yield stack.enter_context(moto_store())
            case "azurite":
                yield stack.enter_context(azurite_store())
            case "emulator-aws":
                yield stack.enter_context(emulator_store("aws", folder))
            case "emulator-azure":
                yield stack.enter_context(emulator_store("azure", folder))
            case _:
                yield stack.enter_context(emulator_store("gcp", folder))


@pytest.fixture
def store(running: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Found by the environment, as in a function; empty again afterwards."""
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    yield running
    whole = opened(running)
    for listed in obstore.list(whole).collect():
        obstore.delete(whole, listed["path"])


def opened(store: Store) -> ObjectStore:
    """obstore itself."""
    match store.cloud:
        case "aws":
            return S3Store("bkt")
        case "azure":
            return AzureStore("container", account_name="devstoreaccount1")
        case "gcp":
            return GCSStore("bkt")


def agent_bucket(url: str) -> CloudBucket:
    """The bucket as an agent opens it."""
    return CloudBucket(url, most_bytes=1_048_576, timeout_s=3.0, denied_is_missing=True)


def router_bucket(url: str) -> CloudBucket:
    """The bucket as a router opens it."""
    return CloudBucket(url, most_bytes=1_048_576)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    asyncio.run(run())


def test_an_agents_claim_is_taken_once(store: Store) -> None:
    """Create if absent: the first writer wins, a later one is told."""

    async def story() -> None:
        bucket = agent_bucket(store.url)
        assert await bucket.get("replies/x") is None
        assert await bucket.put_if_unchanged("replies/x", b"first", None)
        assert not await bucket.put_if_unchanged("replies/x", b"second", None)
        found = await bucket.get("replies/x")
        assert isinstance(found, Found)
        assert found.data == b"first"

    play(story)


def test_of_many_claims_at_once_one_is_taken(store: Store) -> None:
    """Whatever order they arrive in."""

    async def story() -> None:
        bucket = agent_bucket(store.url)
        won = await asyncio.gather(
            *(bucket.put_if_unchanged("replies/x", b"%d" % number, None) for number in range(8))
        )
        assert sorted(won) == [False] * 7 + [True]

    play(story)


def test_an_agent_replaces_only_what_it_knows(store: Store) -> None:
    """A state that has passed, or an object that is gone, is not written over."""

    async def story() -> None:
        bucket = agent_bucket(store.url)
        await bucket.put_if_unchanged("replies/x", b"1", None)
        known = await bucket.get("replies/x")
        assert isinstance(known, Found)
        assert await bucket.put_if_unchanged("replies/x", b"2", known)
        assert not await bucket.put_if_unchanged("replies/x", b"3", known)
        newer = await bucket.get("replies/x")
        assert isinstance(newer, Found)
        assert newer.data == b"2"
        obstore.delete(opened(store), "replies/x")
        assert not await bucket.put_if_unchanged("replies/x", b"4", newer)
        assert await bucket.get("replies/x") is None

    play(story)


def test_a_routers_document_is_read_when_it_changed(store: Store) -> None:
    """Missing is nothing, the same tag is unchanged, another is read."""

    async def story() -> None:
        bucket = router_bucket(store.url)
        assert await bucket.get("health/a.json") is None
        await bucket.put("health/a.json", b"1")
        first = await bucket.get("health/a.json")
        assert isinstance(first, Found)
        assert isinstance(await bucket.get("health/a.json", first.tag), Unchanged)
        await bucket.put("health/a.json", b"2")
        second = await bucket.get("health/a.json", first.tag)
        assert isinstance(second, Found)
        assert (second.data, second.tag != first.tag) == (b"2", True)

    play(story)


def test_a_routers_order_is_swapped_only_as_it_was_read(store: Store) -> None:
    """Create, replace, and lose to another writer, also to one that removed it."""

    async def story() -> None:
        one, other = router_bucket(store.url), router_bucket(store.url)
        assert await one.put_if_unchanged("control.json", b"1", None)
        assert not await other.put_if_unchanged("control.json", b"2", None)
        mine, theirs = await one.get("control.json"), await other.get("control.json")
        assert isinstance(mine, Found)
        assert isinstance(theirs, Found)
        assert await other.put_if_unchanged("control.json", b"3", theirs)
        assert not await one.put_if_unchanged("control.json", b"4", mine)
        last = await one.get("control.json")
        assert isinstance(last, Found)
        assert last.data == b"3"
        obstore.delete(opened(store), "control.json")
        assert not await one.put_if_unchanged("control.json", b"5", last)

    play(story)


def test_a_listing_has_what_begins_with_its_prefix(store: Store) -> None:
    """In order, with the folders of a delimiter, and with characters that need encoding."""
    whole = opened(store)
    for name in ("health/a.json", "health/b c&d.json", "replies/x", "control.json"):
        obstore.put(whole, name, b"1")
    paths = [entry["path"] for entry in obstore.list(whole, prefix="health/").collect()]
    assert paths == ["health/a.json", "health/b c&d.json"]
    found = obstore.list_with_delimiter(whole)
    assert list(found["common_prefixes"]) == ["health", "replies"]
    assert [entry["path"] for entry in found["objects"]] == ["control.json"]


def test_a_part_of_an_object_is_that_part(store: Store) -> None:
    """A range inside it, and its size and time without its bytes."""
    whole = opened(store)
    obstore.put(whole, "a", b"0123456789")
    assert bytes(obstore.get_range(whole, "a", start=2, length=3)) == b"234"
    meta = obstore.head(whole, "a")
    assert meta["size"] == 10
    assert bytes(obstore.get(whole, "a").bytes()) == b"0123456789"
