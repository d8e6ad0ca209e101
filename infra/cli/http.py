"""HTTP for the command line: `requests`, imported late, which does not ask a proxy for addresses of this
machine.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests


def is_loopback(url: str) -> bool:
    """Whether `url` points at this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def session(url: str) -> requests.Session:
    """A session for `url`; close it after use."""
    import requests

    made = requests.Session()
    made.trust_env = not is_loopback(url)
    return made
