"""The same miniature app in the three function hosts: one request in, one reply out, streams, limits,
crashes.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from emulator.desired.model import CLOUDS, Cloud, Function
from emulator.errors import ApplyError
from tests.end_to_end.kit import Lab, files_of, idle, lab, last_used, pack, pid_of, until

pytestmark = pytest.mark.emulator

MB = 1024 * 1024


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    """One emulator for the module with the miniature agent in each cloud."""
    folder = tmp_path_factory.mktemp("hosts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTS_TEST_CANARY", "must not be inherited")
        async with deployed(folder) as running:
            yield running


@asynccontextmanager
async def deployed(folder: Path) -> AsyncGenerator[Lab]:
    async with lab(folder) as running:
        for cloud in CLOUDS:
            await running.deploy(running.spec(cloud, GATE_FILE=str(folder / f"{cloud}-gate"), NAME="first"))
        yield running


def agent(here: Lab, cloud: Cloud) -> Function:
    return here.functions[f"{cloud}/here/mini-agent"]


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_request_arrives_as_it_was_sent(here: Lab, cloud: Cloud) -> None:
    """Method, escaped path, query, body and headers reach the app unchanged, status and headers come back."""
    url = here.url(agent(here, cloud), "/a%20b/c?x=1&y=%2F")
    async with here.session.put(url, data=b"12345", headers={"x-mine": "yes", "cookie": "a=1"}) as reply:
        seen = await reply.json()
        assert reply.status == 201
        assert reply.headers["x-own"] == "1"
        assert "server" not in reply.headers or "aiohttp" not in reply.headers["server"]
    headers = dict(seen["headers"])
    assert (seen["method"], seen["path"], seen["size"]) == ("PUT", "/a b/c", 5)
    assert seen["query"] == "x=1&y=%2F"
    assert headers["x-mine"] == "yes"
    assert headers["cookie"] == "a=1"
    assert headers["host"] == f"127.0.0.1:{agent(here, cloud).port}"
    assert headers["x-forwarded-for"] == ("127.0.0.1:49152" if cloud == "azure" else "127.0.0.1")


@pytest.mark.parametrize(("cloud", "refused"), [("aws", 403), ("azure", 404), ("gcp", 404)])
async def test_an_ingress_serves_its_own_name_and_no_other(here: Lab, cloud: Cloud, refused: int) -> None:
    """A proxy that passes on the Host of its own caller is found out here, as in the cloud."""
    spec = agent(here, cloud)
    for host, status in ((spec.authority, 201), ("127.0.0.1:1", refused), ("example.net", refused)):
        async with here.session.get(here.url(spec, "/x"), headers={"host": host}) as reply:
            assert reply.status == status, host
            if status == 201:
                assert dict((await reply.json())["headers"])["host"] == spec.authority


async def test_each_cloud_adds_its_own_headers(here: Lab) -> None:
    """Requests carry the platform's marks, and so do replies."""
    marks = {"aws": "x-amzn-lambda-context", "azure": "x-ms-invocation-id", "gcp": "x-cloud-trace-context"}
    for cloud in CLOUDS:
        async with here.session.get(here.url(agent(here, cloud), "/x")) as reply:
            assert marks[cloud] in dict((await reply.json())["headers"])
            if cloud == "aws":
                assert reply.headers["x-amzn-requestid"]
            if cloud == "gcp":
                assert reply.headers["server"] == "Google Frontend"


async def test_lambda_renames_the_length_of_a_streamed_reply(here: Lab) -> None:
    """Its body is chunked; in the other clouds the function's own length frames it."""
    for cloud in CLOUDS:
        async with here.session.get(here.url(agent(here, cloud), "/big?500")) as reply:
            size = str(len(await reply.read()))
            length = reply.headers.get("content-length")
            renamed = reply.headers.get("x-amzn-remapped-content-length")
            assert (length, renamed) == ((None, size) if cloud == "aws" else (size, None))


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_stream_arrives_while_it_is_made(here: Lab, cloud: Cloud) -> None:
    """The first chunk is in the caller's hands before the app makes the last: the caller opens the gate."""
    gate = here.folder / f"{cloud}-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(agent(here, cloud), "/stream")) as reply:
        assert await reply.content.readuntil(b"\n\n") == b"data: first\n\n"
        gate.touch()
        assert await reply.content.read() == b"data: last\n\n"


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_crash_is_502_and_the_next_call_runs_again(here: Lab, cloud: Cloud) -> None:
    """An app that kills its process costs one answer; a new instance takes the next call."""
    spec = agent(here, cloud)
    before = await last_used(here, spec)
    await idle(here, spec)
    async with here.session.get(here.url(spec, "/crash")) as reply:
        assert reply.status == 502
    assert await last_used(here, spec) != before


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_children_get_only_the_clouds_environment(here: Lab, cloud: Cloud) -> None:
    """Nothing of the daemon's environment leaks; the vendor's variables are there."""
    async with here.session.get(here.url(agent(here, cloud), "/env")) as reply:
        seen = await reply.json()
    own = {
        "aws": "AWS_LAMBDA_FUNCTION_NAME",
        "azure": "WEBSITE_SITE_NAME",
        "gcp": "K_SERVICE",
    }
    assert seen[own[cloud]] == "mini-agent"
    assert seen["NAME"] == "first"
    assert "HOSTS_TEST_CANARY" not in seen


async def test_a_sandbox_takes_one_request_at_a_time(here: Lab) -> None:
    """While a Lambda sandbox streams, the next request gets another one; afterwards the last used is warm."""
    spec = agent(here, "aws")
    gate = here.folder / "aws-gate"
    gate.unlink(missing_ok=True)
    await idle(here, spec)
    async with here.session.get(here.url(spec, "/stream")) as held:
        await held.content.readuntil(b"\n\n")
        first = await pid_of(here, spec)
        await idle(here, spec, held=1)
        assert await pid_of(here, spec) == first
        await idle(here, spec, held=1)
        pool = here.emulator.hosts[spec.key].version.pool
        assert {member.inflight for member in pool.members} == {0, 1}
        gate.touch()
        await held.content.read()


async def test_beyond_its_sandboxes_lambda_throttles(here: Lab) -> None:
    """With all sandboxes busy the next request is 429 at once, with Retry-After."""
    spec = replace(agent(here, "aws"), max_instances=1)
    await here.deploy(spec)
    await idle(here, spec)
    gate = here.folder / "aws-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(spec, "/stream")) as held:
        await held.content.readuntil(b"\n\n")
        async with here.session.get(here.url(spec, "/x")) as reply:
            assert reply.status == 429
            assert reply.headers["retry-after"]
        gate.touch()
        await held.content.read()
    await here.deploy(replace(spec, max_instances=4))


@pytest.mark.parametrize(("cloud", "status"), [("azure", 201), ("gcp", 201), ("aws", 413)])
async def test_lambda_takes_6_mb_the_others_more(here: Lab, cloud: Cloud, status: int) -> None:
    """7 MB are too much for a function URL and nothing for the others."""
    async with here.session.post(
        here.url(agent(here, cloud), "/x"), data=io.BytesIO(b"x" * (7 * MB))
    ) as reply:
        assert reply.status == status
        if status == 201:
            assert (await reply.json())["size"] == 7 * MB


@pytest.mark.parametrize(
    ("size", "kind", "char", "status"),
    [
        (5 * MB, "application/octet-stream", b"x", 413),  # 6.7 MB as base64
        (4 * MB, "application/octet-stream", b"x", 201),
        (4 * MB, "application/json", b'"', 413),  # each quote is escaped
        (6 * MB - 4096, "text/plain", b"x", 201),
        (6 * MB, "text/plain", b"x", 413),  # the event holds more than the body
    ],
)
async def test_lambda_measures_the_event(here: Lab, size: int, kind: str, char: bytes, status: int) -> None:
    """Base64 and the escapes of JSON count, and so do the headers and the context."""
    url = here.url(agent(here, "aws"), "/x")
    async with here.session.post(url, data=io.BytesIO(char * size), headers={"content-type": kind}) as reply:
        assert reply.status == status


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_lambda_freezes_a_sandbox_between_invocations(here: Lab) -> None:
    """What a function left running goes on with the next invocation, and not before."""
    spec = agent(here, "aws")
    pid = await last_used(here, spec)
    await until(lambda: state_of(pid) == "T")
    await idle(here, spec)
    written, gate = here.folder / "aws-events-later", here.folder / "aws-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(spec, "/later")) as reply:
        assert reply.status == 200
    await until(lambda: state_of(pid) == "T")
    gate.touch()
    await asyncio.sleep(0.1)
    assert not written.exists()
    async with asyncio.timeout(20):
        while not written.exists():
            assert await last_used(here, spec) == pid


@pytest.mark.parametrize("cloud", ["azure", "gcp"])
async def test_the_others_let_it_go_on(here: Lab, cloud: Cloud) -> None:
    """Nothing stops an instance of Azure or of Google after its reply."""
    (here.folder / f"{cloud}-gate").touch()
    async with here.session.get(here.url(agent(here, cloud), "/later")) as reply:
        assert reply.status == 200
    await until((here.folder / f"{cloud}-events-later").exists)


async def test_cloud_run_takes_32_mb_also_when_it_cannot_know_before(here: Lab) -> None:
    """A chunked upload is cut off at the limit with 413."""

    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(33):
            yield b"x" * MB

    spec = agent(here, "gcp")
    async with here.session.post(here.url(spec, "/x"), data=io.BytesIO(b"x" * (33 * MB))) as reply:
        assert reply.status == 413
    try:
        async with here.session.post(here.url(spec, "/x"), data=chunks()) as reply:
            assert reply.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the answer can be lost when the connection closes under an upload; accepted it is not


async def test_a_buffered_lambda_reply_ends_at_6_mb(here: Lab) -> None:
    """Without response streaming a reply over 6 MB is an error, not a truncated success."""
    spec = agent(here, "aws")
    buffered = replace(spec, environment={**spec.environment, "AWS_LWA_INVOKE_MODE": "buffered"})
    await here.deploy(buffered)
    async with here.session.get(here.url(spec, f"/big?{7 * MB}")) as reply:
        assert reply.status == 502
    async with here.session.get(here.url(spec, f"/big?{5 * MB}")) as reply:
        assert len(await reply.read()) == 5 * MB
    await here.deploy(spec)


@pytest.mark.parametrize(("cloud", "status"), [("aws", 502), ("azure", 504), ("gcp", 504)])
async def test_a_function_that_takes_too_long_is_given_up(here: Lab, cloud: Cloud, status: int) -> None:
    """The function's timeout counts, and the caller gets the cloud's answer to it."""
    spec = agent(here, cloud)
    await here.deploy(replace(spec, timeout_s=0.3))
    async with here.session.get(here.url(spec, "/hang")) as reply:
        assert reply.status == status
    await here.deploy(spec)
    assert await pid_of(here, spec)


async def test_a_closed_url_is_403(here: Lab) -> None:
    """A missing permission shows as the cloud's refusal; giving it opens the door without a restart."""
    for cloud in CLOUDS:
        spec = agent(here, cloud)
        before = await last_used(here, spec)
        await here.deploy(replace(spec, closed="no permission"))
        async with here.session.get(here.url(spec, "/x")) as reply:
            assert reply.status == 403
        await here.deploy(spec)
        assert await last_used(here, spec) == before


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_new_version_takes_over(here: Lab, cloud: Cloud) -> None:
    """A stream that began on the old version ends there, except on Azure, which terminates it; the next
    request reaches the new one."""
    spec = agent(here, cloud)
    gate = here.folder / f"{cloud}-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(spec, "/stream")) as held:
        await held.content.readuntil(b"\n\n")
        await here.deploy(replace(spec, environment={**spec.environment, "NAME": "second"}))
        async with here.session.get(here.url(spec, "/x")) as reply:
            assert (await reply.json())["name"] == "second"
        gate.touch()
        if cloud == "azure":
            with pytest.raises(aiohttp.ClientPayloadError):
                await held.content.read()
        else:
            assert await held.content.read() == b"data: last\n\n"
    await here.deploy(spec)


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_package_that_does_not_come_up_changes_nothing(here: Lab, cloud: Cloud) -> None:
    """The deploy fails with the reason (file and line, where the cloud starts it); the old version serves
    on.
    """
    spec = agent(here, cloud)
    files = files_of(cloud)
    match cloud:
        case "aws":
            files["run.txt"] = files.pop("run.sh")
        case "azure" | "gcp":
            files["app.py"] = b"\n\nimport nothing_like_this\n"
    package, digest = pack(here.folder / "zips", files)
    before = await last_used(here, spec)
    with pytest.raises(ApplyError) as failed:
        await here.deploy(replace(spec, package=package, package_hash=digest))
    assert failed.value.key == spec.key
    assert ("run.sh" if cloud == "aws" else "nothing_like_this") in failed.value.reason
    if cloud != "aws":
        assert "app.py" in failed.value.reason
        assert "line 3" in failed.value.reason
    assert await last_used(here, spec) == before
    await here.deploy(spec)


async def test_azure_takes_settings_that_its_code_cannot_start_with(here: Lab) -> None:
    """As App Service does: the settings stand and requests fail, until a package comes that suits them. The
    others bring settings and code up as one version and keep the old one.
    """
    files = files_of("azure")
    files["app.py"] = (
        b"import os\nif os.environ['NAME'] == 'new': raise ValueError('unsuited')\n" + files["app.py"]
    )
    package, digest = pack(here.folder / "zips", files)
    spec = agent(here, "azure")
    await here.deploy(replace(spec, package=package, package_hash=digest))
    changed = {**spec.environment, "NAME": "new"}
    await here.deploy(replace(spec, package=package, package_hash=digest, environment=changed))
    async with here.session.get(here.url(spec, "/x")) as reply:
        assert reply.status in {502, 503}
    assert "unsuited" in here.emulator.hosts[spec.key].log.tail(0)
    await here.deploy(replace(spec, environment=changed))
    async with here.session.get(here.url(spec, "/x")) as reply:
        assert (await reply.json())["name"] == "new"
    await here.deploy(spec)


async def test_an_unchanged_function_is_not_touched(here: Lab) -> None:
    """Applying the same world again keeps every process."""
    before = [await last_used(here, agent(here, cloud)) for cloud in CLOUDS]
    await here.deploy()
    assert [await last_used(here, agent(here, cloud)) for cloud in CLOUDS] == before


async def test_concurrent_requests_share_an_instance_of_cloud_run(here: Lab) -> None:
    """Eight at once fit into one instance."""
    spec = agent(here, "gcp")
    pids = await asyncio.gather(*(pid_of(here, spec) for _ in range(8)))
    assert len(set(pids)) == 1
