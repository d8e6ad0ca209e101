"""How long somebody asks us to stay away: the Retry-After field (RFC 9110, section 10.2.3).

Rule: seconds or a date; what is neither counts as if nothing was said. How much of it is believed is the
policy's business.
"""

from __future__ import annotations


def retry_after_s(value: bytes | None, now: float) -> float | None:
    """Seconds from `now` (unix seconds), at least 0; None when nothing usable is said."""
    if value is None:
        return None
    text = value.strip()
    if text.isdigit():
        # More digits than a float can hold are "for ever" too.
        return float(text[:12])
    # Loaded for the first date only: most instances never see one, and it takes milliseconds.
    from email.utils import mktime_tz, parsedate_tz

    date = parsedate_tz(text.decode("latin-1"))
    if date is None:
        return None
    try:
        return max(0.0, mktime_tz(date) - now)
    except (ValueError, OverflowError):
        return None
