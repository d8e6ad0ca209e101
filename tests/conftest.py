"""Options and fixtures of the whole test suite.

`--long` (`make test-long`) runs further examples of the same claims: tests and cases marked `long`, longer
simulated worlds, 300 examples of each property, and the benches' own processes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from functions.execution.loop import agent_loop
from infra.setup.progress import Console
from infra.setup.pulumi.choose import ensure_pulumi
from tests.grouping import pytest_xdist_make_scheduler

__all__ = ["pytest_xdist_make_scheduler"]

CHECKOUT: Final = Path(__file__).resolve().parents[1]

# Files of minutes or half a minute. Those that share a deployed fleet are one xdist_group, in which the files
# that deploy another agent come last: what ran before is not deployed again after them.
LONGEST_FIRST: Final = (
    "test_bad_input",
    "test_main_job",
    "test_bad_days",
    "test_azure_vaults",
    "test_providers",
    "test_keys",
    "test_operators",
    "test_idempotency",
    "test_contract",
    "test_clients",
    "test_examples",
    "test_protocols",
    "test_manager",
    "test_redeploy",
    "test_preflight",
    "test_lifecycle",
    "test_openai_sdks",
    "test_emulator",
)
# Of the others, those of ten seconds and more, so that no worker ends with one.
LONG_FILES: Final = (
    "test_packaging",
    "test_review",
    "test_agent_check",
    "test_lost_cloud",
    "test_page",
    "test_abandoned",
    "test_checker",
    "test_replies",
    "test_openapi",
    "test_quality",
    "test_stalls",
    "test_model_errors",
)

# No deadline for one example: the machine may be busy.
settings.register_profile("default", max_examples=20, stateful_step_count=30, deadline=None)
settings.register_profile("long", max_examples=300, stateful_step_count=30, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long` and `--screenshots`."""
    parser.addoption("--long", action="store_true", help="run further examples of the same claims")
    parser.addoption(
        "--screenshots", action="store_true", help="tests/browser writes docs/images/manager-*.png"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the number of examples of each property before test modules are imported."""
    settings.load_profile("long" if config.getoption("--long") else "default")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `long` without `--long`, and put the longest groups first.

    Two tests with one id are an error: pytest-xdist runs one of them only."""
    twice = [nodeid for nodeid, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"several tests share an id, of which one would run: {twice[:5]}")
    items.sort(key=lambda item: _rank(item.path.stem, item.get_closest_marker("emulator") is not None))
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave modules and collected tests out of garbage collection: a million objects that stay to the end.

    Nothing is collected while they are created, and a test that collects garbage, or looks for objects that
    are left, sees what was created after this."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """Cancel what tests have left on the agents' loop: lifespans of applications that no host has ended."""
    if agent_loop().thread_id:
        asyncio.run_coroutine_threadsafe(_cancel_all(), agent_loop().get()).result(10)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)


def _rank(stem: str, emulated: bool) -> int:
    """Place of a test in the run: workers take groups in this order, so that none ends with a long one."""
    if emulated:
        return LONGEST_FIRST.index(stem) if stem in LONGEST_FIRST else len(LONGEST_FIRST)
    after = len(LONGEST_FIRST) + 1
    return after + (LONG_FILES.index(stem) if stem in LONG_FILES else len(LONG_FILES))


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a test may take its time: more seeds, longer worlds."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of `async def` tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def pulumi_path() -> str:
    """Folders to put first on PATH so that `pulumi` is a usable one, with its Python language host."""
    found = ensure_pulumi(CHECKOUT, os.environ, Console(sys.stderr))
    return os.pathsep.join(str(folder) for folder in found.path)
