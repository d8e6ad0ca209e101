"""Buckets, secrets and identities, used by functions' own libraries with a child's environment."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from emulator.desired.model import CLOUDS, Bucket, Cloud, DesiredState, Grant
from emulator.runtime.instances import environment
from emulator.runtime.instances.environment import Place
from tests.end_to_end.kit import CHECKOUT, Lab, lab, target

pytestmark = pytest.mark.emulator

BUCKETS: dict[Cloud, str] = {"aws": "bkt", "azure": "account/container", "gcp": "bkt"}

STORE = """
import json, obstore, sys
from obstore.store import AzureStore, GCSStore, S3Store
cloud = sys.argv[1]
rc = {"max_retries": 0}
store = {"aws": lambda: S3Store("bkt", retry_config=rc),
         "azure": lambda: AzureStore("container", account_name="account", retry_config=rc),
         "gcp": lambda: GCSStore("bkt", retry_config=rc)}[cloud]()
def attempt(do):
    try: return do()
    except Exception as error: return type(error).__name__
def version(of): return {k: v for k, v in of.items() if k in ("e_tag", "version") and v is not None}
"""
JOURNEY = (
    STORE
    + """
said = {}
said["missing"] = attempt(lambda: obstore.get(store, "health/none.json"))
first = obstore.put(store, "health/a.json", b"one", mode="create")
said["create twice"] = attempt(lambda: obstore.put(store, "health/a.json", b"two", mode="create"))
second = obstore.put(store, "health/a.json", b"two", mode=version(first))
said["stale"] = attempt(lambda: obstore.put(store, "health/a.json", b"three", mode=version(first)))
obstore.put(store, "health/b c.json", b"b")
obstore.put(store, "other/d.json", b"d")
said["get"] = bytes(obstore.get(store, "health/a.json").bytes()).decode()
said["head"] = obstore.head(store, "health/a.json")["size"]
said["list"] = sorted(entry["path"] for entry in obstore.list(store, prefix="health/").collect())
said["folders"] = obstore.list_with_delimiter(store)["common_prefixes"]
said["range"] = bytes(obstore.get_range(store, "health/a.json", start=1, length=2)).decode()
obstore.delete(store, ["health/a.json", "health/b c.json"])
said["after"] = [entry["path"] for entry in obstore.list(store).collect()]
print(json.dumps(said))
"""
)
TRY = (
    STORE
    + """
print(json.dumps({
    "put": attempt(lambda: bool(obstore.put(store, "health/x.json", b"x"))),
    "get": attempt(lambda: bytes(obstore.get(store, "kept.json").bytes()).decode()),
    "list": attempt(lambda: len(obstore.list(store).collect())),
}))
"""
)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Lab]:
    async with lab(tmp_path) as running:
        yield running


async def world(here: Lab, *grants: Grant, secrets: Mapping[str, str] | None = None) -> None:
    buckets = tuple(Bucket(cloud, BUCKETS[cloud], here.folder / "buckets" / cloud) for cloud in CLOUDS)
    for bucket in buckets:
        bucket.folder.mkdir(parents=True, exist_ok=True)
        (bucket.folder / "kept.json").write_bytes(b"kept")
    await here.deploy(desired=DesiredState(buckets=buckets, grants=grants, secrets=secrets or {}))


def grants_of(cloud: Cloud, *actions: str) -> list[Grant]:
    return [Grant(f"{cloud}-agent", f"object:{action}", BUCKETS[cloud]) for action in actions]


def child_environment(here: Lab, cloud: Cloud) -> dict[str, str]:
    """What a child of the cloud's host would find."""
    spec = here.spec(cloud)
    place = Place(here.folder, target())
    credentials = here.emulator.identities.credentials(cloud, spec.principal)
    api = here.emulator.api[cloud]
    match cloud:
        case "aws":
            return dict(environment.aws(spec, place, credentials, api, 1, "x"))
        case "azure":
            return dict(environment.azure(spec, place, credentials, api, "x"))
        case "gcp":
            return dict(environment.gcp(spec, place, credentials, api, 1))


async def run(program: str, cloud: Cloud, environ: Mapping[str, str]) -> dict[str, object]:
    """Run `program` under the project's interpreter (which has obstore) with exactly that environment."""

    def call() -> bytes:
        kept = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", program, cloud], env=kept, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return dict(json.loads(await asyncio.to_thread(call)))


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_obstore_finds_its_bucket_by_the_environment(here: Lab, cloud: Cloud) -> None:
    """Put, get, head, list, delete and both conditional writes work with nothing but the child's
    environment.
    """
    await world(here, *grants_of(cloud, "read", "write", "delete", "list"))
    said = await run(JOURNEY, cloud, child_environment(here, cloud))
    assert said == {
        "missing": "FileNotFoundError",
        "create twice": "AlreadyExistsError",
        "stale": "PreconditionError",
        "get": "two",
        "head": 3,
        "list": ["health/a.json", "health/b c.json"],
        "folders": ["health", "other"],
        "range": "wo",
        "after": ["kept.json", "other/d.json"],
    }
    assert (here.folder / "buckets" / cloud / "other" / "d.json").read_bytes() == b"d"


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_each_permission_is_asked_for_by_itself(here: Lab, cloud: Cloud) -> None:
    """With the right to read alone, writing and listing are refused; with none, so is reading."""
    await world(here, *grants_of(cloud, "read"))
    environ = child_environment(here, cloud)
    said = await run(TRY, cloud, environ)
    assert said["get"] == "kept"
    assert "Error" in str(said["put"])
    assert "Error" in str(said["list"])
    await world(here)
    assert "Error" in str((await run(TRY, cloud, environ))["get"])


async def test_credentials_that_were_made_up_are_refused(here: Lab) -> None:
    """Another secret, identity header or metadata path has no identity."""
    changes: dict[Cloud, dict[str, str]] = {
        "aws": {"AWS_SECRET_ACCESS_KEY": "wrong"},
        "azure": {"IDENTITY_HEADER": "wrong"},
        "gcp": {"GCE_METADATA_HOST": here.emulator.api["gcp"].removeprefix("http://") + "/instance/wrong"},
    }
    for cloud in CLOUDS:
        await world(here, *grants_of(cloud, "read", "write", "delete", "list"))
        said = await run(TRY, cloud, child_environment(here, cloud) | changes[cloud])
        assert all("Error" in str(value) for value in said.values())


SECRET = """
import json, os, sys, time
sys.path.insert(0, sys.argv[2] if len(sys.argv) > 2 else os.environ["CHECKOUT"])
from functions.runtimes.secrets_manager import read_secret
try: print(json.dumps({"value": read_secret("arn:secret", dict(os.environ), time.time, lambda s: None)}))
except Exception as error: print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


async def test_the_functions_own_client_reads_its_secret(here: Lab) -> None:
    """With the grant the secret comes; with a wrong key or without it not, and it stays unsaid."""
    grant = Grant("aws-agent", "secret:read", "arn:*")
    environ = child_environment(here, "aws") | {"CHECKOUT": str(CHECKOUT)}
    await world(here, grant, secrets={"arn:secret": "hush"})
    assert await run(SECRET, "aws", environ) == {"value": "hush"}
    wrong = await run(SECRET, "aws", environ | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    assert "hush" not in str(wrong)
    assert "error" in wrong
    await world(here, secrets={"arn:secret": "hush"})
    ungranted = await run(SECRET, "aws", environ)
    assert "AccessDenied" in str(ungranted) or "error" in ungranted
    assert "hush" not in str(ungranted)


def test_no_variable_of_the_daemon_is_in_a_childs_environment() -> None:
    """The three environments are made from the function's own and the vendor's variables alone."""
    assert "os.environ" not in Path(environment.__file__).read_text()
    assert os.environ
