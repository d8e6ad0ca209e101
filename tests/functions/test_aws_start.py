"""What an AWS function does before it serves: sign a request, read the keys out of Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from functions.runtimes import aws
from functions.runtimes.errors import SecretNotRead
from functions.runtimes.secrets_manager import PAUSES_S, read_secret
from functions.runtimes.sigv4 import Credentials, Service, sign
from tests.asgi import Message, Receive, Send
from tests.functions.support import KEYS_JSON, free_socket, serving

# The key pair of AWS's own examples and test suite.
EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:skyfleet-keys-AbCdEf"


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
def test_signatures_equal_awss_own(
    method: str, url: str, headers: dict[str, str], service: str, signature: str
) -> None:
    """Published examples of the signing process, with their published results."""
    signed = sign(method, url, headers, b"", Service(service, "us-east-1"), EXAMPLE, AT)
    assert signed["authorization"].rpartition("Signature=")[2] == signature


def test_a_session_token_is_sent_and_signed() -> None:
    """Lambda's credentials are temporary: without the token they are worth nothing."""
    credentials = Credentials("AKIDEXAMPLE", "x", "the-token")
    signed = sign("GET", "https://h.test/", {}, b"", Service("s", "r"), credentials, AT)
    assert signed["x-amz-security-token"] == "the-token"
    assert "x-amz-security-token" in signed["authorization"]
    assert "the-token" not in repr(credentials)


class Vault:
    """A stand-in for Secrets Manager: answers in turn, notes what it was asked."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict[str, str], object]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((headers, json.loads(body)))
        status, answer = self.answers.pop(0)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})


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


def test_the_secret_is_asked_for_as_aws_wants_it() -> None:
    """Target, type, signature for the secret's own region, temporary token."""
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
def test_a_busy_service_is_asked_again(first: tuple[int, object]) -> None:
    """A start is worth two more tries."""
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
def test_a_secret_that_cannot_be_read_stops_the_start(
    answers: list[tuple[int, object]], words: str, tries: int
) -> None:
    """The error names secret and status, and holds no credential."""
    vault = Vault(*answers)
    with serving(vault) as url, pytest.raises(SecretNotRead, match=words) as raised:
        read(url)
    assert len(vault.asked) == tries
    assert ARN in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_service_out_of_reach_stops_the_start() -> None:
    """A closed port, three times."""
    with free_socket() as nobody:
        waits: list[float] = []
        with pytest.raises(SecretNotRead, match="cannot be reached"):
            read(f"http://127.0.0.1:{nobody.getsockname()[1]}", waits)
    assert waits == list(PAUSES_S)


def test_missing_credentials_are_named() -> None:
    """Which variable, and who sets it."""
    with pytest.raises(SecretNotRead, match="AWS_ACCESS_KEY_ID"):
        read_secret(ARN, {}, lambda: AT, lambda _: None)


@pytest.mark.parametrize(("role", "looked_up"), [("agent", True), ("router", False), ("checker", False)])
def test_only_an_agent_is_told_its_callers_address(
    role: str, looked_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router looks at none, and would pay for it with each request."""
    told: dict[str, object] = {}
    monkeypatch.setattr(aws.uvicorn, "run", lambda app, **options: told.update(options))  # pyright: ignore
    aws.serve({"SKYFLEET_APP": "builtins:dict", "SKYFLEET_ROLE": role})
    assert told["proxy_headers"] is looked_up
