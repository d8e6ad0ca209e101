"""The HTTP contract in process, on a plain server, and with the start script of AWS.

tests/end_to_end/test_contract.py runs the same cases on the emulated clouds.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.asgi import Reply, call
from tests.contract_cases import CASES, Case
from tests.contract_check import TRIES, check, check_over_http
from tests.functions.runtimes.support import ARN, Vault
from tests.functions.support import ENVIRON, KEYS, KEYS_JSON, application, port_of_a_process, serving, until
from tests.over_http import send
from tests.trust import NO_CERTIFICATES

CHECKOUT = Path(__file__).resolve().parents[3]


# A pace sends words one by one; the bytes do not depend on it.
PACE = "1"


# The server, not the application, leaves out the body of a HEAD response.
IN_PROCESS = tuple(case for case in CASES if case.method != "HEAD")


def name(case: Case) -> str:
    return case.name.replace(" ", "-")


cases = pytest.mark.parametrize("case", CASES, ids=name)


def headers(case: Case) -> list[tuple[bytes, bytes]]:
    return case.request_headers(KEYS, now=time.time(), nonce=secrets.token_hex(16))


def over_http(url: str, case: Case) -> Reply:
    return send(url, case.method, case.target, headers(case), case.body)


@pytest.mark.parametrize("case", IN_PROCESS, ids=name)
async def test_in_process(case: Case) -> None:
    """The application alone fulfils the contract."""
    app = application(AGENT_PACE_MS=PACE)
    reply = await call(app, case.method, case.path, query=case.query, headers=headers(case), body=case.body)
    check(case, reply)


@pytest.mark.parametrize("apart_s", [(0.4,), (0.0, 0.4)], ids=["in pieces", "read late once"])
def test_a_stream_in_pieces_passes_though_the_client_was_stalled_once(apart_s: tuple[float, ...]) -> None:
    """Chunks that a client reads at once say nothing about the server, so the client asks again."""
    case, replies = stream_case(), iter(apart_s)
    check_over_http(case, lambda: streamed(case, next(replies)))


def test_a_stream_that_is_held_back_until_its_end_fails() -> None:
    """A server that buffers gives its chunks together at every attempt."""
    case, asked = stream_case(), list[float]()

    def ask() -> Reply:
        asked.append(0.0)
        return streamed(case, asked[-1])

    with pytest.raises(AssertionError):
        check_over_http(case, ask)
    assert len(asked) == TRIES


def stream_case() -> Case:
    return next(case for case in CASES if case.first_before_last_s and case.reply)


def streamed(case: Case, apart_s: float) -> Reply:
    """The expected reply of a case, in two chunks."""
    body = case.reply or b""
    pairs = (*case.reply_headers.items(), ("endpoint-load-metrics", "TEXT cpu_utilization=0"))
    return Reply(case.status, pairs, ((0.1, body[:9]), (0.1 + apart_s, body[9:])), complete=True)


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with serving(application(AGENT_PACE_MS=PACE)) as url:
        yield url


@cases
def test_on_a_plain_server(server: str, case: Case) -> None:
    """The bytes are read from a real connection, with the time of each chunk."""
    check_over_http(case, lambda: over_http(server, case))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A package started by run.sh as on Lambda, with keys in a stand-in for Secrets Manager."""
    package = tmp_path_factory.mktemp("package")
    for carried in ("functions", "skyfleet"):
        shutil.copytree(CHECKOUT / carried, package / carried, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "functions/runtimes/entry/aws/run.sh", package)
    (package / "build.json").write_text('{"build": "0123456789abcdef", "kind": "agent", "repeatable": true}')
    environ = {name: value for name, value in ENVIRON.items() if name != "SKYFLEET_SIGNING_KEYS"}
    environ |= {
        "AGENT_PACE_MS": PACE,
        "PATH": os.environ["PATH"],
        "LAMBDA_TASK_ROOT": str(package),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "SKYFLEET_APP": "functions.app:create",
        "SKYFLEET_CLOUD": "aws",
        "SKYFLEET_REGION": "eu-west-1",
        "SKYFLEET_SECRET_ARN": ARN,
        "SKYFLEET_PYTHON": sys.executable,
    }
    with (
        port_of_a_process() as port,
        serving(Vault((200, {"SecretString": json.dumps({"SKYFLEET_SIGNING_KEYS": KEYS_JSON})}))) as vault,
    ):
        url = f"http://127.0.0.1:{port}"
        environ |= {"AWS_ENDPOINT_URL_SECRETS_MANAGER": vault, "AWS_LWA_PORT": str(port)}
        process = subprocess.Popen([package / "run.sh"], env=environ, cwd="/")
        try:
            until(lambda: process.poll() is not None or answers(url), "run.sh")
            assert process.poll() is None
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """The adapter's readiness check: any answer to GET /."""
    try:
        return httpx.get(url, trust_env=False, verify=NO_CERTIFICATES).status_code < 500
    except httpx.TransportError:
        return False


def test_the_adapters_readiness_check_leaves_the_instance_cold(aws: str) -> None:
    """Only a request of a client ends the cold state."""
    health = httpx.get(f"{aws}/health", trust_env=False, verify=NO_CERTIFICATES)
    assert health.headers["x-skyfleet-cold"] == "true"
    assert health.json()["build"] == "0123456789abcdef"
    assert health.json()["cloud"] == "aws"


@cases
def test_with_the_start_script_of_aws(aws: str, case: Case) -> None:
    """run.sh starts uvicorn with keys from the secret store."""
    check_over_http(case, lambda: over_http(aws, case))


def test_a_date_and_no_server_name_are_added_on_aws(aws: str) -> None:
    """An origin server with a clock says when it answered (RFC 9110, section 6.6.1)."""
    reply = httpx.get(f"{aws}/health", trust_env=False, verify=NO_CERTIFICATES)
    assert "server" not in reply.headers
    assert parsedate_to_datetime(reply.headers["date"]).utcoffset() == timedelta(0)


def test_the_entry_files_only_import_the_runtimes() -> None:
    """Their names are required by the vendors."""
    entry = CHECKOUT / "functions/runtimes/entry"
    assert "from functions.runtimes.azure import app" in (entry / "azure/function_app.py").read_text()
    assert "from functions.runtimes.gcp import main" in (entry / "gcp/main.py").read_text()
    assert os.access(entry / "aws/run.sh", os.X_OK)
    host = json.loads((entry / "azure/host.json").read_text())
    assert host["extensions"]["http"]["routePrefix"] == "", "the path must reach the agent as it was sent"
