"""Each case directly and through a router, both in the emulated clouds under the vendors' own runtimes."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from anyio import to_thread

from emulator.desired.model import CLOUDS, Cloud, Function
from emulator.runtime.instances.wheels import Wheels, cache_folder
from tests.differential import compare, emulated, httpbin_cases, platforms, reply_cases, request_cases
from tests.differential.client import Got, exchange
from tests.differential.emulated import PAIRS
from tests.differential.httpbin_view import plain
from tests.differential.model import Case
from tests.differential.recorder import Seen
from tests.end_to_end.kit import UV, lab, target

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("differential-clouds")]

# With a field that leads to httpbin.
OF_HTTPBIN = tuple(
    replace(case, request=replace(case.request, fields=((b"x-agent", b"httpbin"), *case.request.fields)))
    for case in httpbin_cases.CASES
)
CASES = tuple(case for case in (*request_cases.CASES, *reply_cases.CASES) if not case.wire)


@dataclass(frozen=True, slots=True)
class Clouds:
    """The running functions and the folder of what agents record."""

    agents: dict[Cloud, Function]
    routers: dict[Cloud, Function]
    records: Path


@pytest.fixture(scope="module")
async def clouds(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Clouds]:
    folder = tmp_path_factory.mktemp("clouds")
    records = tmp_path_factory.mktemp("records")
    async with lab(folder) as running:
        wheels = Wheels(cache_folder(os.environ), UV, os.environ)
        httpbin = await wheels.install(emulated.httpbin_lock(), target())
        agents: dict[Cloud, Function] = {
            cloud: emulated.agent(running, cloud, records, httpbin) for cloud in CLOUDS
        }
        routers: dict[Cloud, Function] = {
            cloud: emulated.router(running, cloud, agents[to]) for cloud, to in PAIRS
        }
        await running.deploy(*agents.values(), *routers.values())
        yield Clouds(agents, routers, records)


@pytest.mark.parametrize(
    ("case", "cloud", "to"),
    [(case, *pair) for case in CASES for pair in PAIRS if platforms.carries(case, pair)],
    ids=str,
)
async def test_a_router_changes_only_what_is_documented(
    case: Case, cloud: Cloud, to: Cloud, clouds: Clouds
) -> None:
    """The agent sees the same request as directly, and the client gets the same reply."""
    agent, router = clouds.agents[to], clouds.routers[cloud]
    pair: tuple[Cloud, Cloud] = (cloud, to)

    def both() -> tuple[Seen, Got, Seen, Got]:
        signed = emulated.signature(agent, case.request)
        direct = emulated.through(clouds.records, agent, case, signed)
        return *direct, *emulated.through(clouds.records, router, case)

    direct_seen, direct, seen, got = await to_thread.run_sync(both)
    sent = frozenset(name.lower() for name, _ in case.request.fields)
    differences = [
        *compare.replies(platforms.reply(direct, to, pair), platforms.reply(got, cloud, pair)),
        *compare.requests(
            platforms.request(direct_seen, cloud, to, sent), platforms.request(seen, cloud, to, sent)
        ),
    ]
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize(("cloud", "to"), PAIRS)
@pytest.mark.parametrize("case", OF_HTTPBIN, ids=str)
async def test_httpbin_tells_no_difference(case: Case, cloud: Cloud, to: Cloud, clouds: Clouds) -> None:
    """Its replies are equal, and what it says of the request too, but for what routers and clouds add."""
    agent, router = clouds.agents[to], clouds.routers[cloud]
    pair: tuple[Cloud, Cloud] = (cloud, to)

    def both() -> tuple[Got, Got]:
        authorities = [b"127.0.0.1:%d" % (spec.port or 0) for spec in (agent, router)]
        signed = emulated.signature(agent, case.request)
        direct = exchange(("127.0.0.1", agent.port or 0), case.request, authorities[0], signed)
        got = exchange(("127.0.0.1", router.port or 0), case.request, authorities[1])
        direct, got = platforms.reply(direct, to, pair), platforms.reply(got, cloud, pair)
        return plain(direct, authorities[0], platforms.ADDED), plain(got, authorities[1], platforms.ADDED)

    differences = list(compare.replies(*await to_thread.run_sync(both)))
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("case", [case for case in CASES if "beyond ASCII" in case.name], ids=str)
async def test_azure_passes_on_no_octets_beyond_ascii(case: Case, clouds: Clouds) -> None:
    """Its host answers 502 to those of a request. Those of a reply are encoded before they reach it."""
    agent = clouds.agents["azure"]
    signed = emulated.signature(agent, case.request)

    def one() -> Got:
        emulated.tell(clouds.records, case.reply)
        port = agent.port or 0
        return exchange(("127.0.0.1", port), case.request, b"127.0.0.1:%d" % port, signed)

    got = await to_thread.run_sync(one)
    if case.request.fields:
        assert got.status == 502
    else:
        assert got.status == 200
        assert (b"x-latin", b"caf%E9") in got.fields
