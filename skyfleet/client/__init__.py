"""What a client of a fleet imports: one HTTP client for all its routers (docs/client.md).

    urls = skyfleet.client.discover("https://router.example.net", key)
    client = OpenAI(base_url=f"{urls[0]}/v1", api_key=key, http_client=skyfleet.client.openai(urls))

No function imports it, and no package of a function has it. It needs httpx or httpx2, which the OpenAI
library brings.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from skyfleet.client import discovery
from skyfleet.client.discovery import DiscoveryError
from skyfleet.client.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import httpx

__all__ = [
    "AsyncTransport",
    "DiscoveryError",
    "Transport",
    "async_discover",
    "async_openai",
    "async_transport",
    "discover",
    "openai",
    "transport",
]


def discover(
    urls: str | Sequence[str], api_key: str | None = None, library: ModuleType | None = None
) -> list[str]:
    """The URLs of all routers of a fleet, in the order in which to use them, from the first that answers.

    urls: one router or several. api_key: of the fleet; it is not sent. None: of an open fleet on this
    machine. library: httpx (also None) or httpx2. Raises ValueError for what is no URL, and DiscoveryError if
    no router answers, or if its list is malformed, expired or not signed with this key. Warns if the router
    knows no other one yet, and returns `urls`."""
    return discovery.discover(urls, api_key, library=library or importlib.import_module("httpx"))


async def async_discover(
    urls: str | Sequence[str], api_key: str | None = None, library: ModuleType | None = None
) -> list[str]:
    """As `discover`, for a program whose event loop runs."""
    library = library or importlib.import_module("httpx")
    return await discovery.async_discover(urls, api_key, library=library)


def transport(urls: Sequence[str], library: ModuleType | None = None) -> Transport:
    """A transport for `httpx.Client(transport=...)`.

    urls: the stack's output `routerUrls`, the preferred one first. library: httpx (also None) or httpx2.
    Raises ValueError for an empty list and what is no URL."""
    return Transport(urls, library or importlib.import_module("httpx"))


def async_transport(urls: Sequence[str], library: ModuleType | None = None) -> AsyncTransport:
    """As `transport`, for `httpx.AsyncClient`."""
    return AsyncTransport(urls, library or importlib.import_module("httpx"))


def openai(urls: Sequence[str], **options: Any) -> Any:  # noqa: ANN401 - of the library's own class
    """The `http_client` of an `OpenAI`: the library's own client, with its time limits, over all routers.

    urls: as for `transport`. options: for `openai.DefaultHttpxClient`, such as timeout. Raises ImportError
    without the OpenAI library."""
    made, library = _openai_client("DefaultHttpxClient")
    return made(transport=Transport(urls, library), **options)


def async_openai(urls: Sequence[str], **options: Any) -> Any:  # noqa: ANN401
    """As `openai`, for `AsyncOpenAI`."""
    made, library = _openai_client("DefaultAsyncHttpxClient")
    return made(transport=AsyncTransport(urls, library), **options)


def _openai_client(name: str) -> tuple[Any, ModuleType]:
    """The class, and the library that it is made with: openai 3 uses httpx2, the versions before httpx."""
    made = cast("type[httpx.Client]", getattr(importlib.import_module("openai"), name))
    bases = {base.__module__.partition(".")[0] for base in made.__mro__}
    return made, importlib.import_module("httpx2" if "httpx2" in bases else "httpx")
