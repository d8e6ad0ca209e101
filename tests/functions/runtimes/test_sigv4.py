"""Tests of AWS Signature Version 4."""

from __future__ import annotations

import pytest

from functions.runtimes.sigv4 import Credentials, Service, sign
from tests.functions.runtimes.support import AT

# The key pair of AWS's own examples and test suite.
EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("method", "url", "headers", "service", "signature"),
    [
        (
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            "iam",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
        (
            "GET",
            "https://example.amazonaws.com/",
            {},
            "service",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            {},
            "service",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            "https://example.amazonaws.com/",
            {},
            "service",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
    ],
    ids=["documentation", "get-vanilla", "get-vanilla-query-order-key-case", "post-vanilla"],
)
def test_signatures_equal_the_published_examples(
    method: str, url: str, headers: dict[str, str], service: str, signature: str
) -> None:
    """The examples are those of AWS's documentation and test suite."""
    signed = sign(method, url, headers, b"", Service(service, "us-east-1"), EXAMPLE, AT)
    assert signed["authorization"].rpartition("Signature=")[2] == signature


def test_a_session_token_is_sent_and_signed() -> None:
    """Lambda's temporary credentials are invalid without the token."""
    credentials = Credentials("AKIDEXAMPLE", "x", "the-token")
    signed = sign("GET", "https://h.test/", {}, b"", Service("s", "r"), credentials, AT)
    assert signed["x-amz-security-token"] == "the-token"
    assert "x-amz-security-token" in signed["authorization"]
    assert "the-token" not in repr(credentials)
