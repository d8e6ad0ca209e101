"""Each case directly and through a router that runs as its package does on AWS and on Google, on loopback."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.differential import compare, platforms, reply_cases, request_cases
from tests.differential.client import Got, exchange
from tests.differential.model import Case
from tests.differential.recorder import Recorder, Seen, recording
from tests.differential.routers import Form, Running, started

pytestmark = [pytest.mark.xdist_group("differential")]

CASES = (*request_cases.CASES, *reply_cases.CASES)
FORMS = ("aws", pytest.param("gcp", marks=pytest.mark.emulator))


@pytest.fixture(scope="module")
def recorder() -> Generator[Recorder]:
    with recording() as one:
        yield one


@pytest.fixture(scope="module", params=FORMS)
def router(
    request: pytest.FixtureRequest, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Running]:
    form: Form = request.param
    with started(form, tmp_path_factory.mktemp(form), f"http://127.0.0.1:{recorder.port}") as one:
        yield one


def test_names_are_not_used_twice() -> None:
    """A case is found by its name."""
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_router_changes_only_what_is_documented(case: Case, recorder: Recorder, router: Running) -> None:
    """The agent sees the same request as directly, and the client gets the same reply."""
    direct_seen, direct = through(recorder, recorder.address, case)
    seen, got = through(recorder, router.address, case)
    if router.form == "aws":
        direct, got = platforms.once(direct), platforms.once(got)
    differences = [*compare.replies(direct, got), *compare.requests(direct_seen, seen)]
    assert not differences, "\n".join(differences)


def through(recorder: Recorder, address: tuple[str, int], case: Case) -> tuple[Seen, Got]:
    """One exchange: what the agent saw and what the client got."""
    recorder.reply = case.reply
    recorder.seen.clear()
    got = exchange(address, case.request, b"agent.example.net:8080")
    assert len(recorder.seen) == 1, f"the agent saw {len(recorder.seen)} requests; the client got {got}"
    return recorder.seen[0], got
