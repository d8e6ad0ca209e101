"""Evidence from abandoned attempts: those that lost to a hedge and those whose client gave up.

Rules
- Such an attempt reports its elapsed time, if that exceeds what was expected of its target.
- If it has shown nothing, or no more than the beginning of a held reply, its target's /health is verified.
  New requests avoid the target meanwhile, and a failed probe ejects it. So clients that give up before a
  stall is noticed count as evidence.
- A client that gives up after three times the hedge delay counts as an error of the target for outlier
  detection, which compares it with the others: a target that answers /health and never a request is derated
  for it, and none is ejected because of impatient clients. A client that gives up earlier causes only the
  probe.
"""

from __future__ import annotations

from typing import Final

from router.core.outcomes import Outcome
from router.core.request.actions import Abandoned
from router.proxy.attempt import Attempt
from router.proxy.context import Context

_TIMES: Final = 3.0
# Between continents no reply begins sooner.
_LEAST_S: Final = 0.05


def abandon(context: Context, attempt: Attempt, why: Abandoned) -> None:
    """Report what this attempt shows of its target, and close it."""
    if why is Abandoned.OUTRUN:
        if attempt.censored():
            context.prober.verify(attempt.key)
    elif why is Abandoned.CLIENT_GONE:
        elapsed = context.ticks() - attempt.started
        if elapsed >= _LEAST_S:
            delay = context.balancer.hedge_delay_s()
            if delay is not None and elapsed > _TIMES * delay and attempt.censored():
                attempt.record(Outcome.CLIENT_GAVE_UP)
            context.prober.verify(attempt.key)
    attempt.close()
