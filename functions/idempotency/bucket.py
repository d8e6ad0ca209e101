"""The bucket of the function's own cloud, through obstore: create, read, replace what has not changed.

obstore is imported at the first use, beside the loop that serves requests, and takes the identity of the
function from the process environment, as in each cloud (and from an emulator's variables).
`s3://bucket`, `az://account/container`, `gs://bucket`.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from functions.idempotency.records import MOST_BYTES

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ObjectStore, RetryConfig

T = TypeVar("T")

# A bucket beside the function answers in tens of ms; a router that is told after this still finds another
# cloud in time.
ANSWER_S: Final = 3.0
# The line before a reply's body: a status and headers.
_MOST_READ: Final = MOST_BYTES + 262_144


class BucketFailed(Exception):
    """The bucket did not do it, or nobody knows whether it did."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object as read. tag, version: which state of it that was, each as far as the cloud tells it.
    written: when, by the bucket's own clock (unix seconds).
    """

    data: bytes = field(repr=False)
    tag: str | None
    version: str | None
    written: float


class Bucket(Protocol):
    """A bucket; every failure is a BucketFailed."""

    async def create(self, name: str, data: bytes) -> bool:
        """False when an object of that name is there."""
        ...

    async def read(self, name: str) -> Found | None: ...

    async def replace(self, name: str, data: bytes, known: Found) -> bool:
        """False when the object is no longer what is known of it."""
        ...


class CloudBucket:
    """A bucket of S3, Azure Blob Storage or Google Cloud Storage."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: ObjectStore | None = None

    async def create(self, name: str, data: bytes) -> bool:
        store = await self._opened()
        import obstore
        from obstore.exceptions import AlreadyExistsError

        work = obstore.put_async(store, name, data, mode="create", use_multipart=False)
        return await _done(work, AlreadyExistsError) is not None

    async def read(self, name: str) -> Found | None:
        store = await self._opened()
        import obstore
        from obstore.exceptions import PermissionDeniedError

        async def whole() -> Found:
            result = await obstore.get_async(store, name)
            if result.meta["size"] > _MOST_READ:
                raise BucketFailed(f"an object has {result.meta['size']} bytes, more than {_MOST_READ}")
            data, meta = bytes(await result.bytes_async()), result.meta
            return Found(data, meta.get("e_tag"), meta.get("version"), meta["last_modified"].timestamp())

        # Denied is what S3 says of an object that is not there to those who may not list, and we may not. Of
        # one that is there it means the same here: nothing is known.
        return await _done(whole(), FileNotFoundError, PermissionDeniedError)

    async def replace(self, name: str, data: bytes, known: Found) -> bool:
        store = await self._opened()
        import obstore
        from obstore.exceptions import PreconditionError

        state: UpdateVersion = {}
        if known.tag is not None:
            state["e_tag"] = known.tag
        if known.version is not None:
            state["version"] = known.version
        work = obstore.put_async(store, name, data, mode=state, use_multipart=False)
        return await _done(work, PreconditionError, FileNotFoundError) is not None

    async def _opened(self) -> ObjectStore:
        store = self._store
        if store is None:
            store = await asyncio.get_running_loop().run_in_executor(None, _open, self._url)
            self._store = store
        return store


def _open(url: str) -> ObjectStore:
    try:
        importlib.import_module("obstore")
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise BucketFailed(f"obstore is not in this package ({error})") from None
    scheme, _, rest = url.partition("://")
    # Default: ten retries within three minutes. No client_options here: giving any makes obstore forget those
    # of the environment, AWS_ALLOW_HTTP among them.
    retry: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=ANSWER_S)}
    try:
        match scheme:
            case "s3":
                return S3Store(rest, retry_config=retry)
            case "gs":
                return GCSStore(rest, retry_config=retry)
            case "az":
                account, _, container = rest.partition("/")
                return AzureStore(container, account_name=account, retry_config=retry)
            case _:
                raise BucketFailed(f"SKYFLEET_BUCKET is {url!r}, expected s3://, az:// or gs://")
    except (BaseError, ValueError) as error:
        raise BucketFailed(_first_line(error)) from None


async def _done(work: Awaitable[T], *expected: type[Exception]) -> T | None:
    """What it gives, in time; None for what is expected, BucketFailed for all other failures."""
    from obstore.exceptions import BaseError

    try:
        async with asyncio.timeout(ANSWER_S):
            return await work
    except expected:
        return None
    except TimeoutError:
        raise BucketFailed(f"it did not answer within {ANSWER_S:g} s") from None
    except (BaseError, ValueError, OSError) as error:
        raise BucketFailed(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
