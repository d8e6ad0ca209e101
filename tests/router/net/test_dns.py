"""Names to addresses without a resolver where none is needed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from router.net.dns import Resolver


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost", "127.0.0.1"),
        ("x.lambda-url.eu-west-1.on.aws.localhost", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_addresses_and_names_of_this_machine_are_not_looked_up(
    host: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6761, section 6.3; many systems' resolvers know no name below `localhost`."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert asyncio.run(Resolver().addresses(host, 1)) == [address]


def test_a_name_that_only_contains_localhost_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be anywhere."""

    def somewhere(host: str, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", somewhere)
    assert asyncio.run(Resolver().addresses("localhost.example.net", 1)) == ["192.0.2.1"]
