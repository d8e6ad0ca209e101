"""Direct calls of a running fleet's functions, past its routers: signed with whatever key a test likes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from skyfleet.asgi import Header
from skyfleet.signing import Keys, sign
from tests.end_to_end.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Target:
    """A function and its URL."""

    place: str
    url: str


def places(fleet: Fleet, what: str) -> dict[str, Target]:
    """By cloud. what: `agents` or `routers`."""
    return {
        str(one["cloud"]): Target(f"{one['cloud']}/{one['region']}", str(one["url"]).rstrip("/"))
        for one in fleet.facts("outputs")[what]
    }


def signed(keys: Keys, body: bytes) -> list[Header]:
    return sign(keys, "POST", "/invoke", b"", body, now=time.time(), nonce=f"{time.time_ns():032x}")


def statuses(url: str, path: str, body: bytes, every: Iterable[tuple[Header, ...]]) -> set[int]:
    """What a receiver answers to each of these signed requests."""
    with requests.Session() as session, ThreadPoolExecutor(3) as threads:
        session.trust_env = False  # which looks for a proxy and a .netrc at each request

        def post(headers: tuple[Header, ...]) -> int:
            named = {name.decode(): value.decode() for name, value in headers}
            return session.post(url + path, data=body, headers=named, timeout=60).status_code

        return set(threads.map(post, every))
