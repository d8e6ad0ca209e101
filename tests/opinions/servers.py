"""Implementations of vendors' storage that are not ours, and our emulated services, on free loopback ports.

Each is a `Store`: where its bucket is, and the variables by which the functions' own client finds it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

from emulator.desired.model import Bucket, Cloud, DesiredState, Grant
from emulator.runtime.service_port import ServicePort
from emulator.services.identity import Identities
from emulator.services.services import Services
from infra.setup.extras import azurite
from infra.setup.extras.azurite import AZURITE
from infra.setup.extras.fake_gcs import FAKE_GCS
from tests.extras import program
from tests.functions.support import port_of_a_process

REGION = "eu-west-1"
BUCKETS: Mapping[Cloud, str] = {"aws": "bkt", "azure": "devstoreaccount1/container", "gcp": "bkt"}
URLS: Mapping[Cloud, str] = {"aws": "s3://bkt", "azure": "az://devstoreaccount1/container", "gcp": "gs://bkt"}
# Azurite's one account and its key, from its README: known to all and worth nothing.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_S = 20.0
ALL = ("read", "write", "delete", "list")


@dataclass(frozen=True, slots=True)
class Store:
    """One implementation with an empty bucket. base: its address; token: of our own services, else empty."""

    cloud: Cloud
    base: str
    environ: Mapping[str, str] = field(repr=False)
    token: Callable[[], str] = field(default=str, repr=False)

    @property
    def url(self) -> str:
        return URLS[self.cloud]

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> requests.Response:
        """One request to Blob Storage or Cloud Storage, signed as the implementation wants it."""
        given = {"x-ms-version": "2023-11-03", **(headers or {})}
        if self.token():
            given["authorization"] = f"Bearer {self.token()}"
        elif self.cloud == "azure":
            given = shared_key(method, path, given, body)
        return requests.request(method, self.base + path, headers=given, data=body, timeout=10)


def shared_key(method: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Headers of a request to Azurite, signed (Microsoft, `authorize-with-shared-key`)."""
    dated = {**headers, "x-ms-date": formatdate(usegmt=True)}
    own = "".join(f"{name}:{value}\n" for name, value in sorted(dated.items()) if name.startswith("x-ms-"))
    place, _, query = path.partition("?")
    request = "".join(f"\n{part.replace('=', ':', 1)}" for part in sorted(query.split("&")) if part)
    size = str(len(body)) if body else ""
    standard = ("", "", size, "", dated.get("content-type", ""), "", "")
    conditions = (dated.get("if-match", ""), dated.get("if-none-match", ""), "", dated.get("range", ""))
    signed = "\n".join((method, *standard, *conditions, f"{own}/{ACCOUNT}/{ACCOUNT}{place}{request}"))
    key = base64.b64decode(ACCOUNT_KEY)
    signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    return {**dated, "authorization": f"SharedKey {ACCOUNT}:{signature}"}


@contextmanager
def moto() -> Generator[str]:
    """moto's server in a thread of this process, which keeps one state for all of them; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def amazon(service: str, address: str, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - boto3 has no types
    """boto3's client for `service`, with the credentials in `environ`."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=address,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environ.get("AWS_SESSION_TOKEN"),
    )


def amazons(address: str, key: str = "test", secret: str = "test", token: str = "") -> dict[str, str]:  # noqa: S107
    """Variables of a Lambda function whose S3 and Secrets Manager are at `address`."""
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        **({"AWS_SESSION_TOKEN": token} if token else {}),
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": address,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": address,
        "AWS_ALLOW_HTTP": "true",
    }


def make_bucket(address: str) -> None:
    place = {"LocationConstraint": REGION}
    amazon("s3", address, amazons(address)).create_bucket(Bucket="bkt", CreateBucketConfiguration=place)


@contextmanager
def moto_store() -> Generator[Store]:
    """moto's S3."""
    with moto() as address:
        make_bucket(address)
        yield Store("aws", address, amazons(address))


@contextmanager
def azurite_store() -> Generator[Store]:
    """Azurite's Blob Storage, in memory."""
    quiet = ("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck")
    main = program(AZURITE)
    argv = [azurite.PACKAGE.node(os.environ), str(main), "--blobHost", "127.0.0.1", *quiet]
    with (
        port_of_a_process() as port,
        _process([*argv, "--blobPort", str(port)], f"http://127.0.0.1:{port}", main.parent),
    ):
        base = f"http://127.0.0.1:{port}/{ACCOUNT}"
        variables = {"AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY, "AZURE_STORAGE_ENDPOINT": base}
        store = Store("azure", base, {**variables, "AZURE_ALLOW_HTTP": "true"})
        assert store.request("PUT", "/container?restype=container").status_code == 201
        yield store


@contextmanager
def fake_gcs_store() -> Generator[Store]:
    """fake-gcs-server, in memory. Our client reads from it; it has no writes of the XML API."""
    server = program(FAKE_GCS)
    argv = [str(server), "-scheme", "http", "-host", "127.0.0.1", "-backend", "memory", "-log-level", "error"]
    with ExitStack() as stack:
        port = stack.enter_context(port_of_a_process())
        base = f"http://127.0.0.1:{port}"
        argv += ["-port", str(port), "-public-host", f"127.0.0.1:{port}"]
        stack.enter_context(_process(argv, f"{base}/_internal/healthcheck", server.parent))
        made = requests.post(f"{base}/storage/v1/b?project=p", json={"name": "bkt"}, timeout=10)
        assert made.status_code == 200
        account = {"gcs_base_url": base, "disable_oauth": True, "client_email": "", "private_key": ""}
        yield Store(
            "gcp", base, {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, "private_key_id": ""})}
        )


@contextmanager
def _process(argv: list[str], request: str, folder: Path) -> Generator[None]:
    """A server that answers at `asked`; ended afterwards."""
    child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(request):
            assert child.poll() is None, f"{argv[0]} ended with {child.returncode}"
            assert time.monotonic() < deadline, f"{argv[0]} gave no answer within {START_S:g} s"
            time.sleep(0.02)
        yield
    finally:
        child.kill()
        child.wait()


def _answers(address: str) -> bool:
    try:
        requests.get(address, timeout=1)
    except requests.RequestException:
        return False
    return True


@contextmanager
def emulator_store(cloud: Cloud, folder: Path) -> Generator[Store]:
    """Our emulated services of one cloud; the caller is `caller` and may do all."""
    bucket = Bucket(cloud, BUCKETS[cloud], folder)
    own = tuple(Grant("caller", f"object:{action}", bucket.name) for action in ALL)
    identities = Identities()
    with emulator_of(cloud, DesiredState(buckets=(bucket,), grants=own), identities) as address:
        yield caller(cloud, address, identities, "caller")


@contextmanager
def emulator_of(cloud: Cloud, desired: DesiredState, identities: Identities) -> Generator[str]:
    """The emulated services of one cloud with that world in it; their address."""
    with (
        port_of_a_process() as port,
        _services(ServicePort(cloud, port, Services(identities, lambda: desired, time.time))),
    ):
        yield f"http://127.0.0.1:{port}"


def caller(cloud: Cloud, address: str, identities: Identities, principal: str) -> Store:
    """The services at `address` as `principal` sees them."""
    shown = identities.credentials(cloud, principal)

    def token() -> str:
        return identities.mint(cloud, shown.secret, time.time()) or ""

    match cloud:
        case "aws":
            return Store("aws", address, amazons(address, shown.key_id, shown.secret, shown.token))
        case "azure":
            place = {"AZURE_STORAGE_ENDPOINT": address, "AZURE_ALLOW_HTTP": "true"}
            identity = {"IDENTITY_ENDPOINT": f"{address}/msi/token", "IDENTITY_HEADER": shown.secret}
            return Store("azure", f"{address}/{ACCOUNT}", {**place, **identity}, token)
        case "gcp":
            host = f"{address.removeprefix('http://')}/instance/{shown.secret}"
            environ = {"GCE_METADATA_HOST": host, "GOOGLE_BASE_URL": address, "GOOGLE_ALLOW_HTTP": "true"}
            return Store("gcp", address, environ, token)


@contextmanager
def _services(api: ServicePort) -> Generator[None]:
    """Serve on an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(api.open(), loop).result(10)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(api.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
