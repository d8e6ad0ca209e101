"""Each case directly and through a router, both in the emulated clouds under the vendors' own runtimes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread

from emulator.desired.model import CLOUDS, Cloud, Function
from tests.differential import compare, emulated, platforms, reply_cases, request_cases
from tests.differential.client import Got
from tests.differential.emulated import PAIRS
from tests.differential.model import Case
from tests.differential.recorder import Seen
from tests.end_to_end.kit import lab

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("differential-clouds")]

CASES = tuple(case for case in (*request_cases.CASES, *reply_cases.CASES) if not case.wire)
PLACED = [pytest.param(case, cloud, to, id=f"{case}-{cloud}-{to}") for case in CASES for cloud, to in PAIRS]


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
        agents: dict[Cloud, Function] = {cloud: emulated.agent(running, cloud, records) for cloud in CLOUDS}
        routers: dict[Cloud, Function] = {
            cloud: emulated.router(running, cloud, agents[to]) for cloud, to in PAIRS
        }
        await running.deploy(*agents.values(), *routers.values())
        yield Clouds(agents, routers, records)


@pytest.mark.parametrize(("case", "cloud", "to"), PLACED)
async def test_a_router_changes_only_what_is_documented(
    case: Case, cloud: Cloud, to: Cloud, clouds: Clouds
) -> None:
    """The agent sees the same request as directly, and the client gets the same reply."""
    agent, router = clouds.agents[to], clouds.routers[cloud]

    def both() -> tuple[Seen, Got, Seen, Got]:
        signed = emulated.signature(agent, case.request)
        direct = emulated.through(clouds.records, agent, case, signed)
        return *direct, *emulated.through(clouds.records, router, case)

    direct_seen, direct, seen, got = await to_thread.run_sync(both)
    sent = frozenset(name.lower() for name, _ in case.request.fields)
    differences = [
        *compare.replies(platforms.reply(direct, to, to), platforms.reply(got, cloud, to)),
        *compare.requests(
            platforms.request(direct_seen, cloud, to, sent), platforms.request(seen, cloud, to, sent)
        ),
    ]
    assert not differences, "\n".join(differences)
