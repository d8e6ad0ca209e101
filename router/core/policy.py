"""The numbers that a deployment may set, with their reasons, and those that several modules share.

Rules
- A field that a deployment may set has a camelCase name in `SKYFLEET_POLICY` (`skyfleet.contract`). The
  fields below `# Fixed` are not settable; they are fields because tests and simulations change them.
- A number that one module decides with is a constant of that module, beside its reason.
- Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from skyfleet import contract
from skyfleet.values import frozen


@frozen
class Policy:
    """Settable and fixed numbers with their values; lengths in seconds, money in USD."""

    # One lost SYN is sent again after 1 s, and TLS adds two round trips between continents.
    connect_timeout_s: float = 3.0
    # Most warm replies begin well within 2 s; a model that thinks longer costs one free probe.
    # Sooner shortens an outage a little (docs/benchmarks/plots/probe-after.svg).
    probe_after_s: float = 2.0
    # As long as a platform waits for the router (`contract.REQUEST_S`), without its cold start.
    deadline_s: float = contract.MAX_DEADLINE_S
    # Long enough for caches and autoscaling behind the target, short enough that a drill sees it end
    # (docs/benchmarks/plots/slow-start.svg).
    slow_start_s: float = 10.0
    # Envoy's base is 30 s at hundreds of hosts; with 1 to 5 targets each one is missed sooner
    # (docs/benchmarks/plots/ejection.svg).
    ejection_s: float = 10.0
    fall: int = contract.DEFAULT_FALL
    # Two successes in a row: a failing target may still answer once (docs/benchmarks/plots/rise.svg).
    rise: int = 2
    # A checker runs each minute; two and a half minutes tolerate one lost invocation.
    fresh_s: float = 150.0
    # Every target of a fleet of up to five gets its chance; more only adds load to an outage.
    # See docs/benchmarks/plots/attempts.svg.
    attempts: int = 5
    # `cost`: a person who waits for an agent notices a second.
    latency_goal_ms: float = 1000.0
    # Sending a slow request a second time elsewhere: "auto" does it with the strategies that learn; the
    # others promise exact shares, which a hedge would bend. "on" also hedges what only a key allows to
    # repeat.
    hedge: str = "auto"
    # One request in twenty is slower than the learned delay; most of what a hedge gains lies in the slower
    # half of those (docs/benchmarks/plots/hedge-share.svg).
    hedge_share: float = 0.03
    # All extra attempts together, by the targets' prices. Five million an hour at the price of a function
    # call: no limit to failing over, but one where `price` says what a model call costs.
    extra_usd_per_hour: float = 1.0
    # What a request may ask for in its header fields.
    allowed_overrides: frozenset[str] = frozenset({"strategy", "redundant"})
    # When nothing can be sent to any target, a request waits this long for one to come back: most clients
    # are more patient than a restart takes, and less than a cold start.
    queue_timeout_s: float = 10.0
    # A silent event stream gets a comment. The HTML standard advises one "every 15 seconds or so" (section
    # "Authoring notes" of server-sent events), and the shortest idle timeout on the way is often 60 s: that
    # of nginx (`proxy_read_timeout`) and of AWS's load balancers (`idle_timeout.timeout_seconds`).
    heartbeat_s: float = 15.0

    # Fixed.

    # /health never does work, so a warm function answers within one slow round trip.
    # See docs/benchmarks/plots/probe-timeout.svg.
    probe_timeout_s: float = 2.0
    # Above the slowest cold start seen with an image this small: cold is not down.
    # See docs/benchmarks/plots/cold-timeout.svg.
    cold_timeout_s: float = 30.0
    # A probe's result is reused for all requests that need it within this time.
    probe_fresh_s: float = 1.0
    # Between two rounds of probes while a request is queued: soon enough to be noticed, rare enough to be
    # free.
    queue_pause_s: float = 0.25
    # Time between two pickers: at 100 requests a second 25 are sent by the older one.
    # See docs/benchmarks/plots/learn.svg.
    learn_s: float = 0.25
    # A fault begins at once: this many are hedged before the share counts
    # (docs/benchmarks/plots/hedge-burst.svg).
    hedge_burst: float = 10.0


DEFAULT: Final = Policy()

_NAMES: Final = {name: contract.snake_case(name) for name in contract.POLICY_NUMBERS}
# The vendors freeze idle functions after some minutes; within two an answer proves a warm one.
WARM_S: Final = 120.0
# Envoy's cap of ejection time.
EJECTION_CAP_S: Final = 300.0
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
        elif contract.is_within(got, contract.POLICY_NUMBERS[name], whole=name in contract.WHOLE_NUMBERS):
            changes[field] = got
        else:
            kind = "a whole number" if name in contract.WHOLE_NUMBERS else "a number"
            least, most = contract.POLICY_NUMBERS[name]
            expected = f"{kind} from {least} to {most}, e.g. {getattr(DEFAULT, field):g}"
            # A number may have thousands of digits.
            mistakes.append(f"{name}: got {repr(got)[:40]}, expected {expected}")
    return replace(DEFAULT, **changes), mistakes
