"""Tests of how `make setup` stops."""

from __future__ import annotations

import signal

import pytest

from infra.setup.__main__ import stop_once


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_only_the_first_signal_interrupts_the_set_up(first: int) -> None:
    """`timeout` and `make` repeat it while the set-up ends a child and says so."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop_once) for number in numbers]
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(first)
        for number in numbers:
            signal.raise_signal(number)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
