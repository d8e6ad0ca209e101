"""HTTP for the command line: `requests`, imported late, which does not ask a proxy for addresses of this
machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.loopback import is_loopback

if TYPE_CHECKING:
    import requests


def session(url: str) -> requests.Session:
    """A session for `url`; close it after use."""
    import requests

    made = requests.Session()
    made.trust_env = not is_loopback(url)
    return made
