"""Check config values one by one and collect every error, so that one run reports all of them.

Each method returns a usable value even after an error (the default, or the valid part), so that later checks
can run. Such values are never used: `parse_settings` raises the collected errors at its end.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

from skyfleet.contract import Range

# A longer list of allowed names is cut in a message: the keys of a config fit, a cloud's regions do not.
LISTED = 16
# Former config keys and their present names.
_POLICY = "skyfleet:router.policy"
RENAMED: Mapping[str, str] = {
    "skyfleet:sky": "skyfleet:emulator",
    f"{_POLICY}.holdS": f"{_POLICY}.queueTimeoutS",
    f"{_POLICY}.stallS": f"{_POLICY}.probeAfterS",
    f"{_POLICY}.callersMay": f"{_POLICY}.allowedOverrides",
    f"{_POLICY}.goalMs": f"{_POLICY}.latencyGoalMs",
}


@dataclass(slots=True)
class Validator:
    """errors: complete sentences, each with the key, the value found, what is expected and an example."""

    errors: list[str] = field(default_factory=list[str])

    def error(self, key: str, got: object, expected: str, example: str) -> None:
        self.errors.append(f"{key}: got {_shown(got)}; expected {expected}, e.g. {example}")

    def mapping(self, key: str, value: object, example: str) -> dict[str, object]:
        """A mapping with string keys; a missing value counts as an empty one."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.error(key, value, "a mapping", example)
            return {}
        return {str(name): item for name, item in cast("Mapping[object, object]", value).items()}

    def known_keys(
        self, key: str, value: Mapping[str, object], allowed: Collection[str], example: str
    ) -> None:
        """An error for each key of `value` that is not in `allowed`.

        The error of a former name has the present one, with the value that was given, as its example.
        """
        for name, given in value.items():
            if (renamed := RENAMED.get(_join(key, name))) is not None:
                expected = f"its present name, {renamed}"
                self.error(_join(key, name), "a former key", expected, _setting(key, renamed, given))
            elif name not in allowed:
                self.error(_join(key, name), "an unknown key", one_of(allowed, name), example)

    def strings(self, key: str, value: object, example: str) -> list[str]:
        """A list of distinct strings, not empty."""
        items = cast("list[object]", value) if isinstance(value, list) else []
        if not items or not all(isinstance(item, str) for item in items):
            self.error(key, cast("object", value), "a list with at least one name", example)
            return []
        names = [str(item) for item in items]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.error(key, f"{name} twice", "each name once", example)
        return list(dict.fromkeys(names))

    def choice(self, key: str, value: object, allowed: Collection[str], default: str) -> str:
        if value is None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        self.error(key, value, one_of(allowed, str(value)), default)
        return default

    def number(
        self,
        key: str,
        value: object,
        default: float,
        allowed: Range,
        *,
        example: str = "",
        integer: bool = False,
    ) -> float:
        """A finite number of the range `allowed`; its end may be infinite."""
        if value is None:
            return default
        minimum, maximum = allowed
        kind = "an integer" if integer else "a number"
        expected = (
            f"{kind} of at least {minimum:g}"
            if maximum == math.inf
            else f"{kind} from {minimum:g} to {maximum}"
        )
        # Compared with a float, because an int can be too large to become one.
        finite = isinstance(value, int | float) and abs(value) < 1e300
        if isinstance(value, bool) or not isinstance(value, int | float) or not finite:
            self.error(key, value, expected, example or f"{default:g}")
            return default
        if not minimum <= value <= maximum or (integer and value != int(value)):
            self.error(key, value, expected, example or f"{default:g}")
            return default
        return int(value) if value == int(value) else float(value)

    def flag(self, key: str, value: object, *, default: bool) -> bool:
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.error(key, value, "true or false", "true")
        return default


def suggestion(name: str, allowed: Collection[str]) -> str | None:
    """The allowed name most similar to `name`, or None."""
    return next(iter(difflib.get_close_matches(name.lower(), allowed, n=1, cutoff=0.6)), None)


def one_of(allowed: Collection[str], got: str) -> str:
    """`one of a, b, c (did you mean b?)`; a long list is cut to the most similar names."""
    meant = suggestion(got, allowed)
    hint = f" (did you mean {meant}?)" if meant else ""
    names = list(allowed)
    if len(names) > LISTED:
        near = difflib.get_close_matches(got.lower(), names, n=4, cutoff=0.3) or names[:4]
        return f"one of {', '.join(near)}, ...{hint}"
    return f"one of {', '.join(names)}{hint}"


def present_name(key: str) -> str:
    """The name of a config key today: another one for a former name."""
    return RENAMED.get(key, key)


def _setting(parent: str, key: str, value: object) -> str:
    """A key and its value in YAML: `skyfleet:name: "x"` at the top, `{fall: 3}` below a parent."""
    shown = json.dumps(value, default=str)
    return f"{key}: {shown}" if parent.endswith(":") else f"{{{key.removeprefix(f'{parent}.')}: {shown}}}"


def _join(key: str, name: str) -> str:
    return f"{key}{name}" if key.endswith(":") else f"{key}.{name}"


def _shown(got: object) -> str:
    if got is None:
        return "nothing"
    if isinstance(got, str):
        return got if " " in got else repr(got)
    return json.dumps(got, default=str)
