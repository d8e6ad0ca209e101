"""The sweeps: defaults that were chosen by simulation, their ranges, and the conclusion from each plot."""

from __future__ import annotations

from typing import Final

from bench.simulation.fleet.topologies import Topology
from bench.simulation.study.grid import Parameter, Sweep

_MANY: Final = Topology(3, 100)
_THIRTY: Final = Topology(30, 100)

_REQUESTS: Final = (
    Sweep(
        "hedge-share",
        Parameter("policy", "hedge_share"),
        (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
        (
            ("slow", "p99_ms"),
            ("cold", "p99_ms"),
            ("normal", "p99_ms"),
            ("slow", "extra"),
            ("cold", "extra"),
            ("normal", "extra"),
        ),
        "most of what hedges gain, they gain by 3 %; 5 % would take more off cold starts.",
    ),
    Sweep(
        "probe-after",
        Parameter("policy", "probe_after_s"),
        (0.5, 1.0, 2.0, 4.0, 8.0),
        (("down", "p99_ms"), ("slow", "p99_ms"), ("down", "settled_s"), ("slow", "settled_s")),
        "no difference to an outage in these topologies; at half a second slow agents are probed too often.",
    ),
    Sweep(
        "backoff",
        Parameter("health.machine", "BACKOFF_S"),
        (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
        (("load", "p50_ms"), ("load", "p99_ms"), ("load", "extra")),
        "a long backoff after a 429 without Retry-After drives the others into their own limits.",
    ),
    Sweep(
        "hedge-burst",
        Parameter("policy", "hedge_burst"),
        (1, 3, 10, 30),
        (("slow", "p99_ms"), ("cold", "p99_ms"), ("slow", "extra"), ("normal", "extra")),
        "a small burst is spent before a cold start is over; a larger one costs extra requests always.",
    ),
    Sweep(
        "attempts",
        Parameter("policy", "attempts"),
        (1, 2, 3, 5),
        (("gray", "errors"), ("down", "errors"), ("load", "errors"), ("load", "extra")),
        "two are needed, a third for two bad targets at once; more is not seen in these topologies, so a "
        "fleet of up to five decides it.",
        topology=_THIRTY,
    ),
    Sweep(
        "probe-timeout",
        Parameter("policy", "probe_timeout_s"),
        (0.5, 1.0, 2.0, 4.0),
        (("down", "p99_ms"), ("down", "errors"), ("slow", "errors"), ("cold", "errors")),
        "a shorter one shortens an outage by just as much; 2 s forgive a slow round trip and a busy agent.",
        topology=_MANY,
    ),
    Sweep(
        "cold-timeout",
        Parameter("policy", "cold_timeout_s"),
        (5, 10, 30, 60),
        (("cold", "errors"), ("cold", "p99_ms"), ("down", "errors"), ("down", "p99_ms")),
        "no difference in these topologies: it concerns requests that must not be repeated, at targets not "
        "seen alive for two minutes.",
        topology=_MANY,
    ),
)

_HEALTH: Final = (
    Sweep(
        "failures",
        Parameter("health.machine", "FAILURES"),
        (1, 2, 3, 4, 5, 8),
        (
            ("flapping", "errors"),
            ("gray", "errors"),
            ("flapping", "extra"),
            ("gray", "extra"),
            ("flapping", "recovered_s"),
            ("gray", "recovered_s"),
        ),
        "fewer lose less to gray and flapping targets, more take a healed one back sooner.",
        rule="skyfleet/weighted",
        topology=_MANY,
    ),
    Sweep(
        "ejection",
        Parameter("policy", "ejection_s"),
        (2, 5, 10, 20, 30),
        (("flapping", "errors"), ("down", "errors"), ("flapping", "recovered_s"), ("down", "recovered_s")),
        "a longer ejection loses a little less to what goes on failing; probes decide when it is back.",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "slow-start",
        Parameter("policy", "slow_start_s"),
        (1, 5, 10, 20, 30, 60),
        (("down", "after_ms"), ("gray", "after_ms"), ("down", "recovered_s"), ("gray", "recovered_s")),
        "a longer one takes healed targets back later and gains clients little.",
    ),
    Sweep(
        "slow-start-most",
        Parameter("health.machine", "SLOW_START_MOST"),
        (1, 2, 3, 5),
        (("flapping", "errors"), ("flapping", "p99_ms"), ("flapping", "recovered_s")),
        "clients see no difference here; more keeps a flapping target away for longer.",
    ),
    Sweep(
        "fall",
        Parameter("policy", "fall"),
        (1, 2, 3, 5),
        (("down", "errors"), ("flapping", "errors"), ("cold", "errors"), ("down", "settled_s")),
        "fewer find a dead target sooner where traffic is rare; a single one would take a lost packet "
        "for a death.",
        topology=_MANY,
    ),
    Sweep(
        "rise",
        Parameter("policy", "rise"),
        (1, 2, 3, 5),
        (("down", "recovered_s"), ("flapping", "errors"), ("flapping", "recovered_s")),
        "with more than two a target that came back is not taken back within these runs.",
        topology=_MANY,
    ),
    Sweep(
        "outlier-times",
        Parameter("health.outlier", "TIMES"),
        (2.0, 3.0, 5.0, 8.0),
        (("slow", "p95_ms"), ("slow", "p99_ms"), ("load", "p99_ms"), ("normal", "p99_ms")),
        "ten times as slow is seen with any of them; what noise looks like decides "
        "(tests/router/core/health/test_outlier.py).",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "derating-step",
        Parameter("health.outlier", "STEP_S"),
        (0.5, 1.0, 2.0, 4.0, 8.0),
        (("slow", "p95_ms"), ("slow", "p99_ms"), ("gray", "errors")),
        "a longer pause leaves clients at a slow target, a shorter one gains nothing: evidence comes no "
        "sooner.",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "derating-back",
        Parameter("health.outlier", "BACK_S"),
        (1.0, 2.0, 5.0, 10.0),
        (("slow", "recovered_s"), ("slow", "after_ms"), ("slow", "p99_ms")),
        "a shorter pause takes a healed target back sooner; below 2 s clients notice it.",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "outlier-proof",
        Parameter("health.outlier", "PROOF"),
        (2, 4, 8, 16, 32),
        (("gray", "errors"), ("gray", "recovered_s"), ("normal", "p99_ms"), ("normal", "oscillation")),
        "more proof loses more requests; none of these values derates a healthy fleet.",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "outlier-slow-requests",
        Parameter("health.outlier", "SLOW_REQUESTS"),
        (5, 10, 20, 40, 80),
        (("slow", "p95_ms"), ("slow", "p99_ms"), ("slow", "settled_s")),
        "fewer slow requests as proof find a slow target sooner.",
        rule="skyfleet/weighted",
    ),
    Sweep(
        "derating-floor",
        Parameter("health.outlier", "FLOOR"),
        (1 / 256, 1 / 64, 1 / 16, 1 / 4),
        (("slow", "p95_ms"), ("slow", "p99_ms"), ("slow", "recovered_s")),
        "a higher floor finds the recovery sooner and gives more requests to a slow target.",
        rule="skyfleet/weighted",
    ),
)

_BALANCE: Final = (
    Sweep(
        "memory",
        Parameter("balance.metrics", "MEMORY_S"),
        (2, 5, 10, 20, 40),
        (("gray", "errors"), ("slow", "p99_ms"), ("gray", "recovered_s")),
        "a shorter one sees errors sooner where traffic is rare, with less evidence for each; a middle "
        "value.",
        topology=_MANY,
    ),
    Sweep(
        "fade",
        Parameter("balance.metrics", "FADE_S"),
        (5, 10, 30, 60, 120),
        (("slow", "p95_ms"), ("slow", "p99_ms"), ("slow", "recovered_s")),
        "a shorter fade tries slow targets again too soon, a longer one takes them back too late.",
        topology=_MANY,
    ),
    Sweep(
        "baseline",
        Parameter("balance.metrics", "BASELINE_S"),
        (30, 100, 300, 1000),
        (("slow", "p99_ms"), ("load", "p99_ms"), ("slow", "recovered_s")),
        "no strong reason either way, so a middle value.",
    ),
    Sweep(
        "learn",
        Parameter("policy", "learn_s"),
        (0.1, 0.25, 0.5, 1.0, 2.0),
        (("slow", "p99_ms"), ("load", "p99_ms"), ("normal", "oscillation")),
        "clients see no clear difference; learning more often costs the processor more.",
    ),
    Sweep(
        "steep",
        Parameter("balance.quality", "_STEEP"),
        (1, 2, 3, 4, 6),
        (("slow", "p99_ms"), ("load", "p99_ms"), ("normal", "oscillation")),
        "steeper leaves less to a slow target, but drives a full fleet to its few fastest.",
    ),
    Sweep(
        "slow-streak",
        Parameter("balance.metrics", "SLOW_STREAK"),
        (1, 2, 3, 5, 8),
        (("slow", "p99_ms"), ("normal", "p99_ms"), ("cold", "p99_ms")),
        "no clear difference in these topologies; three in a row are chance once in 8,000 replies.",
    ),
    Sweep(
        "slow-s",
        Parameter("balance.metrics", "SLOW_S"),
        (0.5, 1.0, 2.0, 4.0, 8.0),
        (("slow", "p99_ms"), ("slow", "recovered_s"), ("cold", "p99_ms")),
        "a longer one avoids targets that are good again, a shorter one tries slow ones too often.",
    ),
    Sweep(
        "regain",
        Parameter("balance.quality", "REGAIN_S"),
        (0.1, 0.25, 0.5, 1.0, 2.0),
        (("slow", "recovered_s"), ("gray", "recovered_s"), ("slow", "p99_ms"), ("normal", "oscillation")),
        "a quality that doubles more slowly takes healed targets back later and calms nothing; half of it "
        "would do as well.",
    ),
    Sweep(
        "min-share",
        Parameter("balance.quality", "MIN_SHARE"),
        (1 / 1024, 1 / 512, 1 / 256, 1 / 128, 1 / 64, 1 / 32, 1 / 16),
        (("slow", "p99_ms"), ("gray", "errors"), ("slow", "recovered_s")),
        "a larger minimum decides the tail, a smaller one gains nothing.",
    ),
)

SWEEPS: Final = (*_REQUESTS, *_HEALTH, *_BALANCE)
