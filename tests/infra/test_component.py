"""Tests of the base URL of a function."""

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
def test_a_base_url_has_a_scheme_and_no_final_slash(given_url: str, base: str) -> None:
    """Azure returns only a host name; only names of this machine are called without TLS."""
    assert base_url(given_url) == base
