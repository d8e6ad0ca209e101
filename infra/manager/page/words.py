"""States, numbers and times as an operator reads them. Pure.

Times are UTC, as in the clouds' own logs. A value that is not known is a dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from infra.manager.fleet.picture import Minute, Picture, RouterView, TargetView

Tone = Literal["good", "warn", "bad", "idle"]
DASH = "–"  # noqa: RUF001  an en dash stands for "not known" in tables
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown. tone: its colour. mark: a sign that tells states apart without colour."""

    tone: Tone
    mark: str
    meaning: str


UNKNOWN = Look("idle", "?", "no router has reported it yet")
LOOKS: Mapping[str, Look] = {
    "healthy": Look("good", "✓", "serves its full share"),
    "slow-start": Look("warn", "↗", "was out and gets a growing share"),
    "degraded": Look("warn", "!", "serves, but slower or with more errors than the others"),
    "cold": Look("idle", "❄", "starts its first instance; requests are answered later, not lost"),
    "draining": Look("idle", "⇣", "gets no new requests because an operator said so"),
    "ejected": Look("bad", "✕", "taken out because requests failed there"),
    "down": Look("bad", "✕", "does not answer its health checks"),
    "unknown": UNKNOWN,
}


def look(state: str) -> Look:
    """How a state is shown; one that is not in the table looks like an unknown one."""
    return LOOKS.get(state, UNKNOWN)


def percent(fraction: float | None) -> str:
    """0.4567 as `46 %`; below 10 % with a digit more, since 0.4 % of errors is not none."""
    if fraction is None:
        return DASH
    value = fraction * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def milliseconds(value: float | None) -> str:
    """`340 ms`, from ten seconds on `12 s`."""
    if value is None:
        return DASH
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.0f} s"


def number(value: float | None) -> str:
    """With thousands separators; a weight of 1.0 is `1`."""
    return DASH if value is None else f"{value:,.6g}"


def sentence(text: str) -> str:
    """With a capital and a full stop; a name such as `aws/us-east-1` in front stays as it is."""
    said = text.strip()
    if said.partition(" ")[0].isalpha():
        said = said[0].upper() + said[1:]
    return said if not said or said[-1] in ".!?…" else f"{said}."


def plural(count: int, word: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def clock(at: float) -> str:
    """`13:05:12`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def iso(at: float) -> str:
    """For the attribute of `<time>`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_and_clock(at: float, now: float) -> str:
    """`13:05:12`, before today with its date."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return clock(at) if then.date() == today.date() else then.strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Coarse, so that a page is not drawn again each second: `< 1 min`, `12 min`, `3 h`, `2 days`."""
    minutes = int(max(seconds, 0) // MINUTE_S)
    if minutes < 1:
        return "< 1 min"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else plural(minutes // (24 * 60), "day")


def exact(seconds: float) -> str:
    """The time that a job took: `8.2 s`, `3 min 12 s`."""
    if seconds < MINUTE_S:
        return f"{max(seconds, 0):.1f} s"
    return f"{int(seconds // MINUTE_S)} min {int(seconds % MINUTE_S)} s"


def names(keys: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(keys[:-1]), keys[-1]) if part) if keys else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fleet in one sentence, and the colour of it."""

    tone: Tone
    sentence: str


def verdict(picture: Picture | None) -> Verdict:
    """What an operator reads first: whether requests are served, and which target is not well."""
    if picture is None:
        return Verdict("idle", "No router has answered yet.")
    if not picture.targets:
        return Verdict("bad", "The fleet has no target, so no request can be served.")
    if is_silent(picture):
        return Verdict(
            "bad", "No router answers the manager, so nothing is known. Clients may be served all the same."
        )
    return _of_targets(picture.targets, has_problems=bool(picture.problems))


def is_silent(picture: Picture) -> bool:
    """Whether no router answers the manager."""
    return bool(picture.routers) and all(router.problem for router in picture.routers)


def is_undeployed(target: TargetView) -> bool:
    """Whether a target is in the config and does not exist yet; that is no fault of the fleet."""
    return bool(target.planned) and target.state == "unknown" and not target.url


def marked(target: TargetView) -> str:
    """The state with its mark: `✓ healthy`; `… not deployed` for a target that does not exist yet."""
    return "… not deployed" if is_undeployed(target) else f"{look(target.state).mark} {target.state}"


def meaning(target: TargetView, *, is_silent: bool) -> str:
    """What the state of a target means, where no router gives a reason. is_silent: no router answers."""
    if is_undeployed(target):
        return "It does not exist yet, and gets no requests."
    if is_silent:
        return "No router answers the manager, so nothing is known of it."
    if target.state == "healthy" and not target.weight:
        return "Its weight is 0, so it gets requests only when no target with a weight serves."
    return sentence(look(target.state).meaning)


def share(target: TargetView) -> str:
    """`48 % of requests`; where the strategy decides for each request, there is no fixed share."""
    if target.share is not None:
        return f"{percent(target.share)} of requests"
    if is_undeployed(target):
        return ""
    return "share varies" if target.state != "unknown" else "share not known"


def _of_targets(all_targets: Sequence[TargetView], *, has_problems: bool) -> Verdict:
    targets = [each for each in all_targets if not is_undeployed(each)]
    coming = [each.key for each in all_targets if is_undeployed(each)]
    found = _of_deployed(targets, has_problems=has_problems) if targets else Verdict("idle", "")
    if not coming:
        return found
    news = f"{names(coming)} {'is' if len(coming) == 1 else 'are'} not deployed yet."
    return Verdict(found.tone, f"{found.sentence} {news}".strip())


def _of_deployed(targets: Sequence[TargetView], *, has_problems: bool) -> Verdict:
    total = len(targets)
    out = [each for each in targets if look(each.state).tone == "bad"]
    drained = [each for each in targets if each.state == "draining"]
    weak = [each for each in targets if each.state in ("degraded", "slow-start")]
    other = [each for each in targets if each.state in ("cold", "unknown")]
    if not out and not weak and not drained and not other:
        return Verdict(
            "warn" if has_problems else "good",
            f"All {total} targets are healthy." if total > 1 else f"{targets[0].key} is healthy.",
        )
    rest = total - len(out) - len(drained)
    if out and not rest:
        return Verdict("bad", f"No target serves: {_states(out + drained)}.")
    said = [f"{_states(group)}." for group in (out, weak, drained, other) if group]
    if out or drained:
        said.append(f"{rest} of {total} targets {'serves' if rest == 1 else 'serve'}.")
    tone: Tone = "bad" if out else "warn" if weak or has_problems or drained else "idle"
    return Verdict(tone, " ".join(said))


def _states(targets: Sequence[TargetView]) -> str:
    """`aws/a and gcp/b are down, azure/c is ejected`."""
    by_state: dict[str, list[str]] = {}
    for target in targets:
        by_state.setdefault(_phrase(target.state), []).append(target.key)
    return ", ".join(
        f"{names(keys)} {'is' if len(keys) == 1 else 'are'} {state}" for state, keys in by_state.items()
    )


def _phrase(state: str) -> str:
    return {"slow-start": "in slow start", "unknown": "not known yet"}.get(state, state)


def complete(minutes: Sequence[Minute], at: float) -> Sequence[Minute]:
    """Without the minute that is still running: its numbers are too small."""
    return [minute for minute in minutes if minute.at + MINUTE_S <= at]


def router_name(router: RouterView) -> str:
    """`aws/eu-west-1`."""
    return f"{router.cloud}/{router.region}"
