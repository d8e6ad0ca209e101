"""Tests of the start of a function on AWS: its secrets and the options of its server."""

from __future__ import annotations

import json

import pytest

from functions.runtimes import aws
from functions.runtimes.errors import SecretNotRead
from skyfleet.signing import Keys
from tests.functions.runtimes.support import ARN, Vault
from tests.functions.support import KEYS_JSON, free_socket, serving


def fetch(answer: object) -> dict[str, str]:
    """The secrets that an AWS function reads from this text."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    with serving(Vault((200, {"SecretString": text}))) as url:
        return aws.secrets(
            {
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "made-up",
                "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
                "SKYFLEET_SECRET_ARN": ARN,
            }
        )


def test_aws_reads_all_secrets_of_a_function_with_one_request() -> None:
    """This includes the model's key, which is therefore not visible in the function's configuration."""
    found = fetch({"SKYFLEET_SIGNING_KEYS": KEYS_JSON, "MODEL_API_KEY": "a model's key"})
    assert Keys.parse(found["SKYFLEET_SIGNING_KEYS"]).signing_id == "k2"
    assert found["MODEL_API_KEY"] == "a model's key"


@pytest.mark.parametrize("answer", ["no json", [], {}, {"SKYFLEET_SIGNING_KEYS": {"k1": "hush-hush"}}])
def test_a_malformed_secret_stops_the_start(answer: object) -> None:
    """The error has the ARN and the expected form, and not the text of the secret."""
    with pytest.raises(SecretNotRead, match="not a JSON object of texts") as raised:
        fetch(answer)
    assert ARN in str(raised.value)
    assert "hush" not in str(raised.value)


def test_without_a_secret_no_request_is_made() -> None:
    """A manually started function has its keys in the environment."""
    assert aws.secrets({}) == {}


def test_a_port_that_is_taken_ends_the_process_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback of an event loop."""
    with free_socket() as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"Port {port} of 127.0.0.1 cannot be opened: .*AWS_LWA_PORT"):
            aws.serve({"SKYFLEET_APP": "builtins:dict", "AWS_LWA_PORT": port})
