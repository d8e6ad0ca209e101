"""HTTP sessions that use no proxy for addresses of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.loopback import is_loopback

if TYPE_CHECKING:
    import requests


def session(url: str) -> requests.Session:
    """A session for `url`, to be closed by the caller."""
    import requests

    new = requests.Session()
    new.trust_env = not is_loopback(url)
    return new
