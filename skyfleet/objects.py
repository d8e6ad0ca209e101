"""Objects in a bucket of S3, Azure Blob Storage or Google Cloud Storage, through obstore.

obstore (0.12.1) is imported at the first use, in a thread, and configured from the process environment:
- `s3://name`: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (all set by Lambda); an
  emulator adds AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL, AWS_ENDPOINT) and AWS_ALLOW_HTTP=true. Requests are
  path-style: `PUT /name/health/...`.
- `az://account/container`: IDENTITY_ENDPOINT and IDENTITY_HEADER (set by Azure; the request has api-version
  2019-08-01 and resource https://storage.azure.com); AZURE_CLIENT_ID for a user-assigned identity; an
  emulator adds AZURE_STORAGE_ENDPOINT (or AZURE_ENDPOINT; requests go to ENDPOINT/container/...) and
  AZURE_ALLOW_HTTP=true.
- `gs://name`: the metadata server (an emulator sets GCE_METADATA_HOST=host:port and GOOGLE_BASE_URL), or
  GOOGLE_SERVICE_ACCOUNT_KEY as JSON with `gcs_base_url` and `disable_oauth`; plain HTTP needs no further
  permission there. Object names are percent-encoded: `PUT /name/health%2Faws-eu-west-1%2Ejson`.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, Protocol

from skyfleet.values import frozen

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore, RetryConfig

# A bucket of the function's own region answers within tens of milliseconds.
TIMEOUT_S: Final = 3.0
# The form of obstore's message about a failed request: method, URL, time and retries, then the cause.
# Compiled at the first failure, which keeps it out of the cold start.
_REQUEST: Final = r"Error performing ([A-Z]+) \w+://[^/\s]+/[^/\s]+/([^\s?]+)\S* in .*? - (.+)"
_STATUS: Final = r"Server returned non-2xx status code: (\d{3}[^:]*)"
_LONGEST_REASON: Final = 200


class BucketError(Exception):
    """A request to the bucket failed, or its outcome is unknown. The message is one line."""


@frozen
class Found:
    """An object as read.

    tag, version: the ETag and the generation of this state, each None where the cloud has none. modified:
    when it was written, by the bucket's clock (unix seconds).
    """

    data: bytes
    tag: str | None
    version: str | None = None
    modified: float = 0.0


class Unchanged:
    """The object still has the ETag of the request."""


class Bucket(Protocol):
    """A bucket. Every method raises BucketError on failure."""

    async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
        """Read an object; Unchanged if it still has this ETag, None if it does not exist."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        ...

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        """Write an object if it is still as known (None: if it does not exist); otherwise return False."""
        ...


class CloudBucket:
    """A bucket of one of the three clouds."""

    def __init__(
        self,
        url: str,
        *,
        most_bytes: int,
        timeout_s: float | None = None,
        denied_is_missing: bool = False,
    ) -> None:
        """most_bytes: of an object that is read. timeout_s: of each request; None leaves it to the caller.

        denied_is_missing: S3 answers a read of a missing object with 403 to a reader without the permission
        to list the bucket.
        """
        self._url, self._most_bytes, self._timeout_s = url, most_bytes, timeout_s
        self._denied_is_missing = denied_is_missing
        self._store: ObjectStore | None = None

    async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
        store = await self._opened()
        import obstore
        from obstore.exceptions import BaseError, NotModifiedError, PermissionDeniedError

        try:
            async with self._limit():
                result = await obstore.get_async(store, name, options={"if_none_match": tag} if tag else None)
                meta = result.meta
                if meta["size"] > self._most_bytes:
                    raise BucketError(f"{name} has {meta['size']} bytes, more than {self._most_bytes}")
                data = bytes(await result.bytes_async())
            return Found(data, meta.get("e_tag"), meta.get("version"), meta["last_modified"].timestamp())
        except FileNotFoundError:
            return None
        except NotModifiedError:
            return Unchanged()
        except PermissionDeniedError as error:
            if self._denied_is_missing:
                return None
            raise BucketError(first_line(error)) from None
        except TimeoutError:
            raise self._late() from None
        except (BaseError, ValueError, OSError) as error:
            raise BucketError(first_line(error)) from None

    async def put(self, name: str, data: bytes) -> None:
        await self._put(name, data, "overwrite", ())

    async def put_if_unchanged(self, name: str, data: bytes, known: Found | None) -> bool:
        await self._opened()
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        if known is None:
            return await self._put(name, data, "create", (AlreadyExistsError, PreconditionError))
        state: UpdateVersion = {}
        if known.tag is not None:
            state["e_tag"] = known.tag
        if known.version is not None:
            state["version"] = known.version
        return await self._put(name, data, state, (PreconditionError, FileNotFoundError))

    async def _put(
        self, name: str, data: bytes, mode: PutMode, refusals: tuple[type[Exception], ...]
    ) -> bool:
        store = await self._opened()
        import obstore
        from obstore.exceptions import BaseError

        try:
            async with self._limit():
                await obstore.put_async(store, name, data, mode=mode, use_multipart=False)
        except refusals:
            return False
        except TimeoutError:
            raise self._late() from None
        except (BaseError, ValueError, OSError) as error:
            raise BucketError(first_line(error)) from None
        return True

    def _limit(self) -> asyncio.Timeout | nullcontext[None]:
        return nullcontext() if self._timeout_s is None else asyncio.timeout(self._timeout_s)

    def _late(self) -> BucketError:
        after = "in time" if self._timeout_s is None else f"within {self._timeout_s:g} s"
        return BucketError(f"it did not answer {after}")

    async def _opened(self) -> ObjectStore:
        store = self._store
        if store is None:
            # Importing obstore takes 15 ms and more: not on the loop that serves requests.
            store = await asyncio.get_running_loop().run_in_executor(None, _open, self._url)
            self._store = store
        return store


def _open(url: str) -> ObjectStore:
    try:
        importlib.import_module("obstore")
        from datetime import timedelta  # a router without a bucket needs none

        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise BucketError(f"obstore is not in this package ({error})") from None
    scheme, _, rest = url.partition("://")
    # obstore's default is ten retries within three minutes. client_options would make it ignore those of the
    # environment, AWS_ALLOW_HTTP among them.
    retry: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=TIMEOUT_S)}
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
                raise BucketError(f"SKYFLEET_BUCKET is {url!r}; expected s3://, az:// or gs://")
    except (BaseError, ValueError) as error:
        raise BucketError(first_line(error)) from None


def first_line(error: BaseException) -> str:
    """One line about a failure: method, object and status where obstore's message has them."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    if request := re.search(_REQUEST, line):
        from urllib.parse import unquote

        method, name, cause = request.groups()
        status = re.match(_STATUS, cause)
        line = f"{method} {unquote(name)}: {status[1].strip() if status else cause}"
    if len(line) <= _LONGEST_REASON:
        return line
    start = line[: _LONGEST_REASON - 1]
    return f"{start.rpartition(' ')[0] or start}…"
