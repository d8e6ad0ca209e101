"""Every number the router decides with, once, with its reason.

Rules: a field that a deployment may set has a camelCase name in `SKYFLEET_POLICY`; all others are fixed here.
Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from skyfleet import contract
from skyfleet.values import frozen


@frozen
class Policy:
    """The numbers of all decisions, with their defaults."""

    # One lost SYN is sent again after 1 s, and TLS adds two round trips between continents.
    connect_timeout_s: float = 3.0
    # Most warm replies begin well within 2 s; a model that thinks longer costs one free probe.
    # Sooner shortens an outage a little (docs/benchmarks/plots/probe-after.svg).
    probe_after_s: float = 2.0
    # Azure's platform front end replies in place of the function after 230 s, so no reply begins later.
    deadline_s: float = 230.0
    # Long enough for caches and autoscaling behind the target, short enough that a drill sees it end
    # (docs/benchmarks/plots/slow-start.svg).
    slow_start_s: float = 10.0
    # Envoy's base is 30 s at hundreds of hosts; with 1 to 5 targets each one is missed sooner
    # (docs/benchmarks/plots/ejection.svg).
    ejection_s: float = 10.0
    # Three failed probes in a row: one may be a packet, two a deployment (docs/benchmarks/plots/fall.svg).
    fall: int = 3
    # Two successes in a row: a failing target may still answer once (docs/benchmarks/plots/rise.svg).
    rise: int = 2
    # A checker runs each minute; two and a half minutes tolerate one lost invocation.
    fresh_s: float = 150.0

    # Failed attempts in a row before ejection; Envoy waits for 5, but has more hosts to lose them to
    # (docs/benchmarks/plots/failures.svg).
    failures: int = 3
    # Envoy's cap of ejection time.
    ejection_cap_s: float = 300.0
    # Every target of a fleet of up to five gets its chance; more only adds load to an outage.
    # See docs/benchmarks/plots/attempts.svg.
    attempts: int = 5
    # /health never does work, so a warm function answers within one slow round trip.
    # See docs/benchmarks/plots/ask-timeout.svg.
    ask_timeout_s: float = 2.0
    # Above the slowest cold start seen with an image this small: cold is not down.
    # See docs/benchmarks/plots/cold-timeout.svg.
    cold_timeout_s: float = 30.0
    # The vendors freeze idle functions after some minutes; within two an answer proves a warm one.
    warm_for_s: float = 120.0
    # A probe's result is reused for all requests that need it within this time.
    ask_fresh_s: float = 1.0
    # Pauses between probes of one attempt double from probe_after_s up to this.
    ask_pause_cap_s: float = 30.0

    # Choice of a target (router.core.balance).
    # Half-life of what traffic shows: long enough for some evidence at a request a second, short enough that
    # a fault and its end are both seen within seconds (docs/benchmarks/plots/memory.svg).
    memory_s: float = 10.0
    # Half-life of a bad latency without new samples: a target that was ten times as slow counts as normal
    # again after about 100 s, which is how long a bad deployment or a busy neighbour lasts at least
    # (docs/benchmarks/plots/fade.svg).
    fade_s: float = 30.0
    # A quality at most doubles in this time: from the minimum to 1 in about three seconds. That is slower
    # than evidence arrives, so the instances together do not overload a target that has just recovered
    # (docs/benchmarks/plots/regain.svg).
    regain_s: float = 0.5
    # Time between two pickers: at 100 requests a second 25 are sent by the older one.
    # See docs/benchmarks/plots/learn.svg.
    learn_s: float = 0.25
    # `cost`: a person who waits for an agent notices a second.
    latency_goal_ms: float = 1000.0
    # A target's own baseline spans minutes: longer than the detection of a fault, shorter than the daily
    # cycle of load (docs/benchmarks/plots/baseline.svg).
    baseline_s: float = 300.0

    # Attempts and overrides (router.core.request).
    # Sending a slow request a second time elsewhere: "auto" does it with the strategies that learn; the
    # others promise exact shares, which a hedge would bend. "on" also hedges what only a key allows to
    # repeat.
    hedge: str = "auto"
    # One request in twenty is slower than the learned delay; most of what a hedge gains lies in the slower
    # half of those (docs/benchmarks/plots/hedge-share.svg).
    hedge_share: float = 0.03
    # A fault begins at once: this many are hedged before the share counts
    # (docs/benchmarks/plots/hedge-burst.svg).
    hedge_burst: float = 10.0
    # All extra attempts together, by the targets' prices. Five million an hour at the price of a function
    # call: no limit to failing over, but one where `price` says what a model call costs.
    extra_usd_per_hour: float = 1.0
    # What a request may ask for in its header fields.
    allowed_overrides: frozenset[str] = frozenset({"strategy", "redundant"})

    # When nothing can be sent to any target, a request waits this long for one to come back: most callers
    # are more patient than a restart takes, and less than a cold start.
    queue_timeout_s: float = 10.0
    # Between two rounds of probes meanwhile: soon enough to be noticed, rare enough to be free.
    queue_pause_s: float = 0.25

    # Health of targets (router.core.health).
    # Backoff of a target that sends no Retry-After. A full one still takes most requests, so a longer backoff
    # drives the others into their own limits (docs/benchmarks/plots/backoff.svg).
    backoff_s: float = 0.1
    # A Retry-After of a year is a mistake; a minute later one more request finds out.
    backoff_cap_s: float = 60.0
    # Repeated slow starts take up to three times as long: longer than most flapping, and bounded.
    # See docs/benchmarks/plots/slow-start-most.svg.
    slow_start_most: int = 3
    # A single checker's "down" does not count against own good replies younger than this: three failed
    # attempts eject the target sooner.
    proof_s: float = 15.0
    # The least share of a derated target: with three targets below 1 % of the requests, so that it does not
    # decide the p99, and at 50 requests a second still one each four seconds to notice recovery
    # (docs/benchmarks/plots/derating-floor.svg).
    derating_floor: float = 1 / 64
    # From full to the floor within 12 s (docs/benchmarks/plots/derating-step.svg), and back within 12 s of
    # good evidence (docs/benchmarks/plots/derating-back.svg).
    derating_step_s: float = 2.0
    derating_back_s: float = 2.0
    # Shares of errors that the test tells apart; what is between them counts neither way for long.
    outlier_errors_fine: float = 0.05
    outlier_errors_bad: float = 0.35
    # Evidence as a logarithm of odds: 3,000 to 1. A third of errors is seen within about 25 requests
    # (docs/benchmarks/plots/outlier-proof.svg).
    outlier_proof: float = 8.0
    # Slow: times its own usual, times the others, and by so much. Below the tenfold that faults bring, and
    # above what queues and heavy tails do to an average: it derates no target of thousands of healthy fleets
    # (tests/router/core/health/test_outlier.py). Where the others are no measure, as they are near and it is
    # far, its own usual latency alone decides. A heavy tail (lognormal, sigma 1) whose first replies were
    # fast needs a factor of six there.
    # See docs/benchmarks/plots/outlier-times.svg.
    outlier_times: float = 5.0
    outlier_times_far: float = 6.0
    outlier_peers: float = 3.0
    outlier_gap_ms: float = 50.0
    # Slow from the start: no way around the Earth explains a second.
    outlier_slow_times: float = 5.0
    outlier_slow_ms: float = 1000.0
    # An average of fewer is no average; and how many requests at a slow average make it an answer
    # (docs/benchmarks/plots/outlier-slow-requests.svg).
    outlier_samples: int = 10
    outlier_slow_requests: int = 20


DEFAULT: Final = Policy()

_NAMES: Final = {name: contract.snake_case(name) for name in contract.POLICY_NUMBERS}
# Far more than two clocks kept by NTP differ.
SKEW_S: Final = 60.0


def parse(value: Mapping[str, object]) -> tuple[Policy, list[str]]:
    """A policy with the given fields set, and every mistake found on the way."""
    mistakes: list[str] = []
    changes: dict[str, Any] = {}
    for name, got in value.items():
        field = _NAMES.get(name)
        if name == "hedge":
            if got in contract.HEDGES:
                changes[name] = got
            else:
                mistakes.append(f"hedge: got {got!r}, expected one of {', '.join(contract.HEDGES)}")
        elif name == "allowedOverrides":
            if isinstance(got, list) and all(one in contract.OVERRIDES for one in cast("list[object]", got)):
                changes["allowed_overrides"] = frozenset(cast("list[str]", got))
            else:
                mistakes.append(
                    f"allowedOverrides: got {got!r}, expected a list of {', '.join(contract.OVERRIDES)}, "
                    'e.g. ["strategy"]'
                )
        elif field is None:
            expected = ", ".join(contract.POLICY_KEYS)
            mistakes.append(f"{name}: unknown; expected one of {expected}")
        elif _fits(name, got):
            changes[field] = got
        else:
            kind = "a whole number" if name in contract.WHOLE_NUMBERS else "a number"
            least, most = contract.POLICY_NUMBERS[name]
            expected = f"{kind} from {least} to {most}, e.g. {getattr(DEFAULT, field):g}"
            # A number may have thousands of digits.
            mistakes.append(f"{name}: got {repr(got)[:40]}, expected {expected}")
    return replace(DEFAULT, **changes), mistakes


def _fits(name: str, got: object) -> bool:
    """Whether it is a number of this field's kind and range; comparing is exact also where no float is."""
    least, most = contract.POLICY_NUMBERS[name]
    if isinstance(got, bool) or not isinstance(got, int if name in contract.WHOLE_NUMBERS else int | float):
        return False
    return least <= cast("float", got) <= most
