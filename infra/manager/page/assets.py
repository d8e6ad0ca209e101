"""The page's static files by the hash of their content, so that a browser may keep them for ever.

Ours are in static/; htmx and its extension for server-sent events come from the wheel of django-htmx, which
infra/setup installs from locks/page.txt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from infra.manager.errors import Unavailable

TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
OURS = ("page.css", "page.js", "icon.svg")
HTMX: Mapping[str, str] = {
    "htmx.js": "static/django_htmx/htmx-4.min.js",
    "sse.js": "static/django_htmx/ext/hx-sse-4.min.js",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. name: with the hash of its content, as in its address."""

    name: str
    content: bytes
    media_type: str


@cache
def all_assets() -> Mapping[str, Asset]:
    """Every file by its plain name. Raises Unavailable where htmx is not installed."""
    texts = {name: (files(__package__ or __name__) / "static" / name).read_bytes() for name in OURS}
    try:
        package = files("django_htmx")
        texts |= {name: (package / path).read_bytes() for name, path in HTMX.items()}
    except (ModuleNotFoundError, FileNotFoundError):
        raise Unavailable(
            "htmx is not installed in this environment: `make setup` installs it from locks/page.txt."
        ) from None
    return {name: _asset(name, content) for name, content in texts.items()}


def address(name: str) -> str:
    """The address of a file: `/static/page.0123456789ab.css`."""
    return f"/static/{all_assets()[name].name}"


def by_address(name: str) -> Asset | None:
    """The file of an address; None for another hash or name."""
    return next((each for each in all_assets().values() if each.name == name), None)


def build() -> str:
    """A hash of all files: a page of another build loads itself again."""
    joined = "".join(sorted(each.name for each in all_assets().values()))
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _asset(name: str, content: bytes) -> Asset:
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(f"{stem}.{digest}.{ending}", content, TYPES[ending])
