"""How an attempt at a target ended: what requests report and health, balancing and outlier detection read."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended, as far as health is concerned.

    FAILURE: a bad reply, or one that broke off. SILENCE: no part of a reply: refused, reset or timed out.
    AGENT_ERROR: the agent's own code answered with an error; only the comparison of targets tells whose
    fault that is (`router.core.health.attribution`). UNRESPONSIVE: not even /health answered. NEUTRAL: says
    nothing of the target: the client left, the request itself was bad. RATE_LIMITED: a 429, or a 503 with
    Retry-After. CLIENT_GAVE_UP: long after the target should have answered; only the comparison with others
    tells what that means.
    """

    SUCCESS = "success"
    COLD = "cold"
    FAILURE = "failure"
    SILENCE = "silence"
    AGENT_ERROR = "agent error"
    UNRESPONSIVE = "unresponsive"
    NEUTRAL = "neutral"
    RATE_LIMITED = "rate-limited"
    CLIENT_GAVE_UP = "client gave up"
