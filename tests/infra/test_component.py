"""The shape of a function: its base URL."""

from __future__ import annotations

import pytest

from infra.component import base_url

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("given_url", "base"),
    [
        ("https://abc.lambda-url.eu-west-1.on.aws/", "https://abc.lambda-url.eu-west-1.on.aws"),
        ("fleet.azurewebsites.net", "https://fleet.azurewebsites.net"),
        ("fleet.azurewebsites.net.localhost:8080", "http://fleet.azurewebsites.net.localhost:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1:8080", "https://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("localhost.example.com", "https://localhost.example.com"),
    ],
)
def test_a_base_url_is_whole_and_ends_without_a_slash(given_url: str, base: str) -> None:
    """Azure tells a host name only; nothing but a name of this machine is called without TLS."""
    assert base_url(given_url) == base
