"""Which defaults were chosen by simulation, over which range, and what the plot says."""

from __future__ import annotations

from typing import Final

from bench.simulation.grid import Dial, Sweep
from bench.simulation.worlds import World

SWEEPS: Final = (
    Sweep(
        "hedge-share",
        Dial("policy", "hedge_share"),
        (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
        (
            ("normal", "p99_ms"),
            ("slow", "p99_ms"),
            ("cold", "p99_ms"),
            ("normal", "extra"),
            ("slow", "extra"),
            ("cold", "extra"),
        ),
        "more hedges than 3 % cost more and gain little.",
    ),
    Sweep(
        "failures",
        Dial("policy", "failures"),
        (1, 2, 3, 4, 5, 8),
        (
            ("down", "errors"),
            ("flapping", "errors"),
            ("gray", "errors"),
            ("down", "p99_ms"),
            ("flapping", "p99_ms"),
            ("gray", "p99_ms"),
        ),
        "three failures in a row put a dead target out at once and a gray one seldom.",
        rule="ours/weighted",
    ),
    Sweep(
        "ejection",
        Dial("policy", "ejection_s"),
        (2, 5, 10, 20, 30),
        (
            ("down", "errors"),
            ("flapping", "errors"),
            ("down", "recovered_s"),
            ("flapping", "recovered_s"),
        ),
        "a longer ejection asks a dead target less often and misses a healed one longer.",
        rule="ours/weighted",
    ),
    Sweep(
        "slow-start",
        Dial("policy", "slow_start_s"),
        (1, 5, 10, 30, 60),
        (("down", "after_ms"), ("down", "recovered_s")),
        "who comes back cold and gets everything at once makes callers wait.",
        rule="ours/weighted",
    ),
    Sweep(
        "memory",
        Dial("policy", "memory_s"),
        (2, 5, 10, 20, 40),
        (("gray", "errors"), ("gray", "recovered_s"), ("flapping", "errors"), ("flapping", "recovered_s")),
        "how long failures are remembered.",
        world=World(3, 100),
    ),
    Sweep(
        "fade",
        Dial("policy", "fade_s"),
        (5, 10, 30, 60, 120),
        (("slow", "p99_ms"), ("slow", "recovered_s")),
        "how soon a slow target is tried again.",
        world=World(3, 100),
    ),
    Sweep(
        "floor",
        Dial("learning", "FLOOR"),
        (1 / 1024, 1 / 512, 1 / 256, 1 / 128, 1 / 64, 1 / 32, 1 / 16),
        (("slow", "p99_ms"), ("gray", "errors"), ("slow", "recovered_s"), ("gray", "recovered_s")),
        "a smaller floor notices recovery later, a larger one owns the tail.",
    ),
)
