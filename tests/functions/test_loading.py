"""How long secrets are in a process's own environment, on every cloud, and what AWS fetches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import pytest

from functions.runtimes import aws
from functions.runtimes.app_loader import KEYS, OTHERS, ASGIApp, load_app
from functions.runtimes.errors import AppNotLoaded, SecretNotRead
from skyfleet.signing import Keys
from tests.asgi import Message, Receive, Send
from tests.functions.support import KEYS_JSON, serving
from tests.functions.test_aws_start import ARN, Vault

CHECKOUT = Path(__file__).resolve().parents[2]
SECRETS = {
    "SKYFLEET_ROOT_KEYS": "a root",
    "SKYFLEET_SIGNING_KEYS": "a derived key",
    "MODEL_API_KEY": "a model's key",
}
# By factory: what it was given, and what the process's environment had when it ran.
SEEN: dict[str, tuple[Mapping[str, str], set[str]]] = {}
PROCESS: MutableMapping[str, str] = {}


def factory(environ: Mapping[str, str]) -> ASGIApp:
    SEEN["factory"] = environ, set(PROCESS)

    async def app(scope: Message, receive: Receive, send: Send) -> None: ...

    return app


def failing(environ: Mapping[str, str]) -> ASGIApp:
    raise RuntimeError("no")


@pytest.fixture(autouse=True)
def process() -> MutableMapping[str, str]:
    """Stands for os.environ."""
    PROCESS.clear()
    PROCESS.update({"SKYFLEET_APP": f"{__name__}:factory", "OTHER": "x"})
    return PROCESS


@pytest.mark.parametrize("fetched", [False, True], ids=["given by the platform", "fetched at the start"])
def test_secrets_leave_the_environment_once_they_are_loaded(
    process: MutableMapping[str, str], fetched: bool
) -> None:
    """The factory gets all of them; keys are gone before it is imported, the others once it has run."""
    if not fetched:
        process.update(SECRETS)
    load_app(process, SECRETS if fetched else None)
    given, there = SEEN["factory"]
    assert given.items() >= SECRETS.items()
    assert given["OTHER"] == "x"
    assert there == {"SKYFLEET_APP", "OTHER", "MODEL_API_KEY"}
    assert set(process) == {"SKYFLEET_APP", "OTHER"}


@pytest.mark.parametrize(
    "reference", [f"{__name__}:failing", f"{__name__}:no_such", "no.such.module:app", "x"]
)
def test_they_leave_it_also_when_the_application_does_not_load(
    process: MutableMapping[str, str], reference: str
) -> None:
    """Some platforms keep a process that failed to start."""
    process.update(SECRETS | {"SKYFLEET_APP": reference})
    with pytest.raises((RuntimeError, AppNotLoaded, ImportError)):
        load_app(process)
    assert not set(SECRETS) & set(process)


def test_the_process_of_a_started_function_has_none() -> None:
    """A real process with a real environment, as Azure and Google start one, and its subprocesses. What the
    kernel keeps of the start is still there, as docs/security.md says."""
    code = (
        "import json, os, subprocess, sys\n"
        "from functions.runtimes.app_loader import load_app\n"
        "load_app(os.environ)\n"
        "inner = 'import json, os; print(json.dumps(dict(os.environ)))'\n"
        "child = json.loads(subprocess.check_output([sys.executable, '-c', inner]))\n"
        "start = open('/proc/self/environ').read()\n"
        "print(json.dumps([sorted(os.environ), sorted(child), 'MODEL_API_KEY' in start]))\n"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "SKYFLEET_APP": "functions.app:create",
        "SKYFLEET_SIGNING_KEYS": KEYS_JSON,
        "MODEL_API_KEY": "a model's key",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    own, child, kept = json.loads(done.stdout)
    assert not {*KEYS, *OTHERS} & {*own, *child}
    assert kept


def fetch(answer: object) -> dict[str, str]:
    """What an AWS function makes of its secret's text."""
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


def test_aws_fetches_all_secrets_of_a_function_at_once() -> None:
    """The model's key too, so that no read-only role sees it in the function's configuration."""
    found = fetch({"SKYFLEET_SIGNING_KEYS": KEYS_JSON, "MODEL_API_KEY": "a model's key"})
    assert Keys.parse(found["SKYFLEET_SIGNING_KEYS"]).signing_id == "k2"
    assert found["MODEL_API_KEY"] == "a model's key"


@pytest.mark.parametrize("answer", ["no json", [], {}, {"SKYFLEET_SIGNING_KEYS": {"k1": "hush-hush"}}])
def test_a_secret_of_another_form_stops_the_start(answer: object) -> None:
    """Named by its ARN, with what is expected; its text is not shown."""
    with pytest.raises(SecretNotRead, match="not a JSON object of texts") as raised:
        fetch(answer)
    assert ARN in str(raised.value)
    assert "hush" not in str(raised.value)


def test_without_a_secret_nothing_is_fetched() -> None:
    """A function that is started by hand has its keys in the environment."""
    assert aws.secrets({}) == {}
