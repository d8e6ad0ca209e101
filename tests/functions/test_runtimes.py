"""The contract suite where no emulated cloud is needed: in process, on a plain server, and as AWS starts it.

The same cases run against the three vendors' own runtimes in the emulator tier.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from functions.runtimes.app_loader import load_app
from functions.runtimes.errors import AppNotLoaded, EventFailed
from functions.runtimes.events import dispatch_event
from tests.asgi import Message, Receive, Reply, Send, call
from tests.contract_cases import CASES, Case, check
from tests.functions.support import ENVIRON, KEYS, KEYS_JSON, application, free_socket, serving, until
from tests.functions.test_aws_start import ARN, Vault
from tests.over_http import send

CHECKOUT = Path(__file__).resolve().parents[2]
# The pace makes words come one by one; the contract's bytes do not depend on it.
PACE = "1"
# Leaving the body of a HEAD out is the server's part, not the application's.
IN_PROCESS = tuple(case for case in CASES if case.method != "HEAD")


def name(case: Case) -> str:
    return case.name.replace(" ", "-")


cases = pytest.mark.parametrize("case", CASES, ids=name)


def headers(case: Case) -> list[tuple[bytes, bytes]]:
    return case.request_headers(KEYS, now=time.time(), nonce=secrets.token_hex(16))


def over_http(url: str, case: Case) -> Reply:
    return send(url, case.method, case.target, headers(case), case.body)


@pytest.mark.parametrize("case", IN_PROCESS, ids=name)
def test_in_process(case: Case) -> None:
    """The application itself keeps the contract."""
    app = application(AGENT_PACE_MS=PACE)
    reply = asyncio.run(
        call(app, case.method, case.path, query=case.query, headers=headers(case), body=case.body)
    )
    check(case, reply)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with serving(application(AGENT_PACE_MS=PACE)) as url:
        yield url


@cases
def test_on_a_plain_server(server: str, case: Case) -> None:
    """Bytes on a real connection, chunks at the moments they were made."""
    check(case, over_http(server, case))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A package started as the Lambda Web Adapter starts it, keys in a stand-in for Secrets Manager."""
    package = tmp_path_factory.mktemp("package")
    for carried in ("functions", "skyfleet"):
        shutil.copytree(CHECKOUT / carried, package / carried, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "functions/runtimes/entry/aws/run.sh", package)
    (package / "build.json").write_text('{"build": "0123456789abcdef", "kind": "agent", "repeatable": true}')
    with free_socket() as bound:
        port = bound.getsockname()[1]
    environ = {name: value for name, value in ENVIRON.items() if name != "SKYFLEET_SIGNING_KEYS"}
    environ |= {
        "AGENT_PACE_MS": PACE,
        "PATH": os.environ["PATH"],
        "LAMBDA_TASK_ROOT": str(package),
        "AWS_LWA_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "SKYFLEET_APP": "functions.app:create",
        "SKYFLEET_CLOUD": "aws",
        "SKYFLEET_REGION": "eu-west-1",
        "SKYFLEET_SECRET_ARN": ARN,
        "SKYFLEET_PYTHON": sys.executable,
    }
    url = f"http://127.0.0.1:{port}"
    with serving(Vault((200, {"SecretString": json.dumps({"SKYFLEET_SIGNING_KEYS": KEYS_JSON})}))) as vault:
        environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = vault
        process = subprocess.Popen([package / "run.sh"], env=environ, cwd="/")
        try:
            until(lambda: process.poll() is not None or answers(url), "run.sh")
            assert process.poll() is None
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """As the adapter finds out whether it is ready: any answer to GET /."""
    try:
        return httpx.get(url, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def test_what_the_adapter_asks_first_leaves_the_instance_cold(aws: str) -> None:
    """Only a caller uses up the cold reply; and the package says its build."""
    health = httpx.get(f"{aws}/health", trust_env=False)
    assert health.headers["x-skyfleet-cold"] == "true"
    assert health.json()["build"] == "0123456789abcdef"
    assert health.json()["cloud"] == "aws"


@cases
def test_as_aws_starts_it(aws: str, case: Case) -> None:
    """run.sh, the keys out of the secret store, uvicorn: the same replies."""
    check(case, over_http(aws, case))


def test_no_server_name_and_date_are_added_on_aws(aws: str) -> None:
    """The function URL adds a date of its own."""
    reply = httpx.get(f"{aws}/health", trust_env=False)
    assert {"server", "date"}.isdisjoint(reply.headers)


def test_the_entry_files_only_hand_over() -> None:
    """The names the vendors demand, in a few lines each."""
    entry = CHECKOUT / "functions/runtimes/entry"
    assert "from functions.runtimes.azure import app" in (entry / "azure/function_app.py").read_text()
    assert "from functions.runtimes.gcp import main" in (entry / "gcp/main.py").read_text()
    assert os.access(entry / "aws/run.sh", os.X_OK)
    host = json.loads((entry / "azure/host.json").read_text())
    assert host["extensions"]["http"]["routePrefix"] == "", "the path must reach the agent as it was sent"


@pytest.mark.parametrize(
    ("reference", "words"),
    [("", "expected 'module:factory'"), ("functions.app:make", "no function 'make'; found .*create")],
)
def test_an_app_that_is_not_there_is_named(reference: str, words: str) -> None:
    """A wrong SKYFLEET_APP says what it should be."""
    with pytest.raises(AppNotLoaded, match=words):
        load_app({"SKYFLEET_APP": reference})


def test_an_event_is_a_post_in_process() -> None:
    """The Azure timer drives the checker as the other clouds' schedulers do over HTTP."""
    seen: list[tuple[str, str, bytes]] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append((scope["method"], scope["path"], (await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"rounds":6}'})

    assert asyncio.run(dispatch_event(app, {"source": "azure.timer"})) == b'{"rounds":6}'
    assert seen == [("POST", "/events", b'{"source": "azure.timer"}')]


def test_an_event_that_fails_is_a_failed_invocation() -> None:
    """The platform's own alarms must see it."""
    with pytest.raises(EventFailed, match="401"):
        asyncio.run(dispatch_event(application(), {}))
