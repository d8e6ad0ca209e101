"""Tests of the read of a secret from AWS Secrets Manager."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.runtimes.errors import SecretNotRead
from functions.runtimes.secrets_manager import PAUSES_S, read_secret
from tests.functions.runtimes.support import ARN, AT, Vault
from tests.functions.support import KEYS_JSON, free_socket, serving


def read(url: str, waits: list[float] | None = None, **more: str) -> str:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_SESSION_TOKEN": "the-token",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
        **more,
    }
    wait: Callable[[float], None] = (waits if waits is not None else []).append
    return read_secret(ARN, environ, lambda: AT, wait)


def test_the_request_has_the_form_of_getsecretvalue() -> None:
    """It has the target, the content type, a signature for the secret's region, and the token."""
    vault = Vault((200, {"SecretString": KEYS_JSON}))
    with serving(vault) as url:
        assert read(url) == KEYS_JSON
    headers, body = vault.asked[0]
    assert body == {"SecretId": ARN}
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert "/20150830/eu-west-1/secretsmanager/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "the-token"


@pytest.mark.parametrize("first", [(500, {}), (429, {}), (400, {"__type": "ThrottlingException"})])
def test_a_throttled_request_is_retried(first: tuple[int, object]) -> None:
    """A start makes up to two retries."""
    waits: list[float] = []
    with serving(Vault(first, (200, {"SecretString": "{}"}))) as url:
        assert read(url, waits) == "{}"
    assert waits == [PAUSES_S[0]]


@pytest.mark.parametrize(
    ("answers", "words", "tries"),
    [
        ([(400, {"__type": "AccessDeniedException"})], "status 400", 1),
        ([(503, "busy")] * 3, "status 503", 3),
        ([(200, {"SecretBinary": "eA=="})], "no text", 1),
        ([(200, b"no json")], "no text", 1),
    ],
)
def test_an_unreadable_secret_stops_the_start(
    answers: list[tuple[int, object]], words: str, tries: int
) -> None:
    """The error has the secret's ARN and the status, and contains no credential."""
    vault = Vault(*answers)
    with serving(vault) as url, pytest.raises(SecretNotRead, match=words) as raised:
        read(url)
    assert len(vault.asked) == tries
    assert ARN in str(raised.value)
    assert "hush" not in str(raised.value)


def test_an_unreachable_service_stops_the_start() -> None:
    """A closed port is tried three times."""
    with free_socket() as closed:
        waits: list[float] = []
        with pytest.raises(SecretNotRead, match="cannot be reached"):
            read(f"http://127.0.0.1:{closed.getsockname()[1]}", waits)
    assert waits == list(PAUSES_S)


def test_missing_credentials_are_named() -> None:
    """The error names the variable and says that Lambda sets it."""
    with pytest.raises(SecretNotRead, match="AWS_ACCESS_KEY_ID"):
        read_secret(ARN, {}, lambda: AT, lambda _: None)
