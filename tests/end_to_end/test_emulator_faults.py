"""Tests of each fault at the ingress of a running emulator, during the fault and after `heal`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from emulator.desired.model import CLOUDS, Cloud, Function
from emulator.runtime import faults
from emulator.runtime.faults import Injected
from tests.end_to_end.kit import Lab, lab, until

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
async def lab_of_module(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    folder = tmp_path_factory.mktemp("faults")
    async with lab(folder) as running:
        for cloud in CLOUDS:
            await running.deploy(running.spec(cloud, GATE_FILE=str(folder / f"{cloud}-gate")))
        await running.deploy(running.spec("gcp", role="router"))
        yield running


@pytest.fixture
async def here(lab_of_module: Lab) -> AsyncGenerator[Lab]:
    """The module's emulator, healed after each test."""
    try:
        yield lab_of_module
    finally:
        await lab_of_module.emulator.set_faults(())


async def inject(here: Lab, cloud: Cloud, text: str, scope: str = "agents") -> None:
    new = Injected(cloud, faults.parse_scope(scope), faults.parse(text))
    await here.emulator.set_faults(faults.inject(here.emulator.active_faults.current, new))


def agent(here: Lab, cloud: Cloud) -> Function:
    return here.functions[f"{cloud}/here/mini-agent"]


async def status(here: Lab, spec: Function, path: str = "/x") -> int:
    async with here.session.get(here.url(spec, path)) as reply:
        await reply.read()
        return reply.status


@pytest.mark.parametrize(("cloud", "code"), [("aws", 502), ("azure", 503), ("gcp", 503)])
async def test_kill_ends_processes_and_cuts_what_is_in_flight(here: Lab, cloud: Cloud, code: int) -> None:
    """A stream breaks off, new calls get the cloud's answer, and healing lets instances start again."""
    spec = agent(here, cloud)
    gate = here.folder / f"{cloud}-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(spec, "/stream")) as held:
        await held.content.readuntil(b"\n\n")
        pids = [member.instance.pid for member in here.emulator.hosts[spec.key].version.pool.members]
        await inject(here, cloud, "kill")
        with pytest.raises(aiohttp.ClientError):
            await held.content.read()
    assert await status(here, spec) == code
    await until(lambda: not any(map(_runs, pids)))
    await here.emulator.set_faults(())
    assert await status(here, spec) == 201


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_refuse_closes_the_port_and_resets_open_connections(here: Lab, cloud: Cloud) -> None:
    """The port is closed and open connections are reset; after `heal` the same port answers."""
    spec = agent(here, cloud)
    reader, writer = await asyncio.open_connection("127.0.0.1", spec.port)
    writer.write(f"GET /x HTTP/1.1\r\nhost: {spec.authority}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await inject(here, cloud, "refuse")
    with pytest.raises(ConnectionResetError):
        await reader.readuntil(b"never sent")
    writer.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await status(here, spec)
    await here.emulator.set_faults(())
    assert await status(here, spec) == 201


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_blackhole_answers_nothing_not_even_on_open_connections(here: Lab, cloud: Cloud) -> None:
    """A request on a kept-alive connection and one on a new connection both stay without a byte."""
    spec = agent(here, cloud)
    request = f"GET /x HTTP/1.1\r\nhost: {spec.authority}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", spec.port)
    writer.write(request)
    await reader.readuntil(b"\r\n0\r\n\r\n")
    await inject(here, cloud, "blackhole")
    fresh_reader, fresh_writer = await asyncio.open_connection("127.0.0.1", spec.port)
    writer.write(request)
    fresh_writer.write(request)
    waits = [asyncio.create_task(each.read(1)) for each in (reader, fresh_reader)]
    done, _ = await asyncio.wait(waits, timeout=0.3)
    assert not done
    await here.emulator.set_faults(())
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert all(result == b"" or isinstance(result, ConnectionError) for result in results)
    writer.close()
    fresh_writer.close()
    assert await status(here, spec) == 201


async def test_blackhole_also_swallows_the_rest_of_a_stream(here: Lab) -> None:
    """What a function says while its cloud swallows everything is lost, and the stream does not end well."""
    spec = agent(here, "gcp")
    gate = here.folder / "gcp-gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(spec, "/stream")) as held:
        await held.content.readuntil(b"\n\n")
        await inject(here, "gcp", "blackhole")
        gate.touch()
        rest = asyncio.create_task(held.content.read())
        done, _ = await asyncio.wait({rest}, timeout=0.3)
        assert not done
        await here.emulator.set_faults(())
        with pytest.raises(aiohttp.ClientError):
            await rest


@pytest.mark.parametrize(("cloud", "code"), [("aws", 502), ("azure", 500), ("gcp", 500)])
async def test_error_answers_for_the_function(here: Lab, cloud: Cloud, code: int) -> None:
    """The chosen share of calls gets the cloud's answer to a failed function."""
    await inject(here, cloud, "error:100%")
    assert await status(here, agent(here, cloud)) == code


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_throttle_is_429_with_retry_after(here: Lab, cloud: Cloud) -> None:
    """Throttled callers are told when to come back."""
    await inject(here, cloud, "throttle:100%")
    async with here.session.get(here.url(agent(here, cloud), "/x")) as reply:
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1


async def test_slow_delays_every_request(here: Lab) -> None:
    """The delay comes before the function sees the request; `/health` is delayed too."""
    spec = agent(here, "aws")
    seen = here.folder / "aws-events"
    before = seen.read_bytes() if seen.exists() else b""
    await inject(here, "aws", "slow:600s")
    for path in ("/events", "/health"):
        called = asyncio.create_task(status(here, spec, path))
        done, _ = await asyncio.wait({called}, timeout=0.3)
        assert not done
        called.cancel()
        await asyncio.wait({called})
    assert (seen.read_bytes() if seen.exists() else b"") == before
    await here.emulator.set_faults(())
    assert await status(here, spec, "/events") == 200
    assert seen.read_bytes() != before


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_gray_delays_all_but_the_question_for_health(here: Lab, cloud: Cloud) -> None:
    """Probes see a target as it was, callers do not."""
    spec = agent(here, cloud)
    await inject(here, cloud, "gray:600s")
    assert await status(here, spec, "/health") == 201
    called = asyncio.create_task(status(here, spec, "/x"))
    done, _ = await asyncio.wait({called}, timeout=0.3)
    assert not done
    called.cancel()
    await asyncio.wait({called})


async def test_cold_drops_warm_instances_and_delays_new_ones(here: Lab) -> None:
    """The next call pays for a start, made longer; the one after it does not."""
    spec = agent(here, "gcp")
    assert await status(here, spec) == 201
    await inject(here, "gcp", "cold:300ms")
    began = time.monotonic()
    assert await status(here, spec) == 201
    assert time.monotonic() - began >= 0.3
    starts = here.emulator.hosts[spec.key].version.pool.starts
    assert await status(here, spec) == 201
    assert here.emulator.hosts[spec.key].version.pool.starts == starts


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_cut_breaks_a_reply_in_the_middle(here: Lab, cloud: Cloud) -> None:
    """The head and a part of the body arrive, the end does not."""
    await inject(here, cloud, "cut:100%")
    async with here.session.get(here.url(agent(here, cloud), "/x")) as reply:
        assert reply.status == 201
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_cut_breaks_a_stream_after_its_first_event(here: Lab) -> None:
    """Its reader has something in hand already."""
    spec = agent(here, "gcp")
    gate = here.folder / "gcp-gate"
    gate.unlink(missing_ok=True)
    await inject(here, "gcp", "cut:100%")
    async with here.session.get(here.url(spec, "/stream")) as reply:
        assert await reply.content.readexactly(13) == b"data: first\n\n"
        gate.touch()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.read()


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_reply_without_its_end_is_cut_and_one_line_in_the_log(here: Lab, cloud: Cloud) -> None:
    """What a router does when a reply breaks off that it has passed on. Lambda's adapter makes it look whole,
    but for the error at its end; the other runtimes cut it.
    """
    spec = agent(here, cloud)
    async with here.session.get(here.url(spec, "/half")) as reply:
        assert reply.status == 200
        if cloud == "aws":
            assert (await reply.read()).startswith(b"halfLambda-Runtime-Function-Error-Type: ")
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
    logs = here.folder / "logs"
    await until(lambda: any("id-7" in line for line in _logged(logs, cloud)))
    own = [line for line in _logged(logs, cloud) if "[emulator]" not in line]
    assert len([line for line in own if "id-7 The reply of aws/r0 broke off." in line]) == 1
    assert not [line for line in own if "Traceback" in line or "ASGI" in line]


async def test_stale_keeps_the_old_version_until_healed(here: Lab) -> None:
    """A deploy says done, the old version serves; healing brings the new one."""
    spec = agent(here, "gcp")
    await inject(here, "gcp", "stale")
    await here.deploy(replace(spec, environment={**spec.environment, "NAME": "new"}))
    async with here.session.get(here.url(spec, "/x")) as reply:
        assert (await reply.json())["name"] is None
    await here.emulator.set_faults(())
    async with here.session.get(here.url(spec, "/x")) as reply:
        assert (await reply.json())["name"] == "new"
    await here.deploy(spec)


async def test_a_scope_hits_its_roles_only(here: Lab) -> None:
    """A fault on agents leaves the same cloud's router alone, and the other way round."""
    router = here.functions["gcp/here/mini-router"]
    await inject(here, "gcp", "kill")
    assert (await status(here, agent(here, "gcp")), await status(here, router)) == (503, 201)
    await here.emulator.set_faults(())
    await inject(here, "gcp", "kill", "routers")
    assert (await status(here, agent(here, "gcp")), await status(here, router)) == (201, 503)


def _logged(folder: Path, cloud: Cloud) -> list[str]:
    return [
        line
        for path in folder.rglob("*")
        if path.is_file() and cloud in str(path.relative_to(folder))
        for line in path.read_text(errors="replace").splitlines()
    ]
