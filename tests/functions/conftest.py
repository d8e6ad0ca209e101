"""Fixtures of the tests of functions/."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.functions.idempotency import memory_bucket
from tests.functions.idempotency.memory_bucket import RUNS


@pytest.fixture
def no_runs() -> Iterator[None]:
    RUNS.clear()
    memory_bucket.GO_ON = threading.Event()
    yield
    RUNS.clear()
