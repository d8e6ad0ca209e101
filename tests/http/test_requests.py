"""Each hostile request of the corpus against the router on its own server."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from bench.http import judge
from bench.http.cases import HostileRequest, Passed
from bench.http.corpus import REQUESTS
from bench.http.wire import converse
from tests.http.support import Setup, running

CASES = [case for cases in REQUESTS.values() for case in cases]
# A wrong answer takes so long; a right one comes at once. An incomplete request is given a moment.
_PATIENCE_S, _SHORT_S = 60.0, 0.1


# On Google's router it is for /ws, and all other paths answer 404.
WEBSOCKET = "upgrade to a WebSocket on an agent's path"


@pytest.fixture(scope="module")
def setup() -> Generator[Setup]:
    """One router for all cases: a case must not change what happens to the next one."""
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def setup_with_websockets() -> Generator[Setup]:
    """The same as on Google."""
    with running(websockets=True) as one:
        yield one


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_request_is_refused_or_reaches_the_agent_as_a_strict_reading_gives(
    case: HostileRequest, setup: Setup
) -> None:
    """What is ambiguous is refused with words; all else arrives with its method, target, body and fields."""
    assert _faults(case, setup) == []


@pytest.mark.long
@pytest.mark.parametrize("case", [one for one in CASES if one.name != WEBSOCKET], ids=lambda case: case.name)
def test_a_server_that_takes_websockets_reads_requests_alike(
    case: HostileRequest, setup_with_websockets: Setup
) -> None:
    """As the test above."""
    assert _faults(case, setup_with_websockets) == []


def _faults(case: HostileRequest, setup: Setup) -> list[str]:
    setup.upstream.take()
    methods = [one.method if isinstance(one, Passed) else "GET" for one in case.expected]
    patience_s = _PATIENCE_S if case.expected else _SHORT_S
    talk = converse(setup.port, case.writes, patience_s=patience_s, methods=methods)
    return judge.faults(case, judge.result(talk, setup.upstream.take()))


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    """The table and the failing tests name a case."""
    assert len(CASES) >= 80
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.rests_on and case.writes for case in CASES)
