"""What the caller is told when there is no reply to pass on.

Rules: the message says what happened to each attempt and what to do next. Only what surely did not run, or
may be repeated, is said to be worth trying again.
"""

from __future__ import annotations

from collections.abc import Sequence

from skyfleet.values import frozen


@frozen
class GiveUp:
    """Give the caller an error of our own. again: with the time after which asking again may help."""

    status: int
    code: str
    reason: str
    again: bool = False


def nobody_answered(causes: Sequence[str], *, slow: bool, sent: bool) -> GiveUp:
    """Every attempt failed. causes: how each one did. slow: one of them by silence. sent: any of them was."""
    found = "; ".join(causes) or "no target may be tried"
    what = "It was sent, but no agent gave a whole reply" if sent else "Nothing could be sent to any target"
    reason = f"{what} ({found}). Try again later."
    return GiveUp(504, "no-answer", reason, True) if slow else GiveUp(503, "no-target", reason, True)


def too_late(causes: Sequence[str], running: Sequence[str], *, safe: bool) -> GiveUp:
    """The deadline passed. running: targets that had not replied. safe: the request may be repeated."""
    found = "; ".join([*causes, *(f"{key}: no reply yet" for key in running)]) or "nothing was sent"
    reason = f"The deadline passed before a reply could be passed on ({found})."
    if running:
        reason += " It may be repeated." if safe else " It may have run; check before you repeat it."
    return GiveUp(504, "deadline", reason)


def may_have_run(key: str, how: str, *, slow: bool = False) -> GiveUp:
    """Sent once, without a usable reply. how: it ended. slow: by silence."""
    reason = (
        f"The request was sent to {key}, which gave no reply ({how}): it may have run there, so it was "
        "not sent again. Check before you repeat it, or send an Idempotency-Key header with requests "
        "that may be repeated."
    )
    return GiveUp(504 if slow else 502, "may-have-run", reason)
