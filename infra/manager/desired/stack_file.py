"""Read and change the config in the file of a stack; comments and what does not change stay as they are.

Rules
- The version of a config is a hash of its `skyfleet:` keys, so a change made by hand has another version.
- A change is compare-and-set: it names the version that it was made for, and is refused for any other.
- A file is replaced by a rename: a killed process leaves the former one or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO, cast

from infra.config.namespace import NAMESPACE
from infra.manager.errors import Conflict, Unavailable

# Hexadecimal digits of a version: enough to tell the configs of one stack apart.
DIGITS = 12


def version(config: Mapping[str, object]) -> str:
    """The version of a config: twelve hexadecimal digits."""
    own = {
        name if name.startswith(NAMESPACE) else NAMESPACE + name: value
        for name, value in config.items()
        if name.startswith(NAMESPACE) or ":" not in name
    }
    text = json.dumps(own, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@dataclass(frozen=True, slots=True)
class StackFile:
    """The file `Pulumi.<stack>.yaml`."""

    path: Path

    def text(self) -> str:
        """The text of the file. Raises Unavailable."""
        try:
            return self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise Unavailable(
                f"{self.path.name} cannot be read: {reason}. The config of the stack is the desired state"
            ) from None

    def config(self) -> dict[str, object]:
        """The config by full key. Raises Unavailable."""
        return config_of(self.text(), self.path.name)

    def version(self) -> str:
        """The version of the config. Raises Unavailable."""
        return version(self.config())

    def replace(self, config: Mapping[str, object], *, expected: str) -> None:
        """Write a new config over the version `expected`. Raises Conflict for any other, Unavailable."""
        text = self.text()
        found = version(config_of(text, self.path.name))
        if found != expected:
            raise Conflict(
                f"the config was changed to version {found} meanwhile; this change was made for {expected}",
                version=found,
            )
        self.write(changed_text(text, config))

    def write(self, text: str) -> None:
        """Replace the file by a rename. Raises Unavailable."""
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise Unavailable(
                f"{self.path.name} cannot be written: {error.strerror}. It is as it was"
            ) from None
        finally:
            fresh.unlink(missing_ok=True)


def config_of(text: str, name: str) -> dict[str, object]:
    """The config in the text of a stack's file. name: of the file. Raises Unavailable."""
    import yaml

    try:
        parsed: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise Unavailable(f"{name} is not YAML: {first}") from None
    return {str(key): value for key, value in _mapping(_mapping(parsed).get("config")).items()}


def changed_text(text: str, config: Mapping[str, object]) -> str:
    """The text of a stack's file with another config; keys that `config` does not have are removed."""
    yaml = _round_trip()
    document = cast("dict[str, object]", yaml.load(text))
    _merge(cast("dict[str, object]", document.setdefault("config", {})), config)
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


class _RoundTrip(Protocol):
    """The part of ruamel.yaml's `YAML` that is used; its own types are incomplete."""

    preserve_quotes: bool
    width: int

    def load(self, stream: str) -> object: ...

    def dump(self, data: object, stream: TextIO) -> None: ...


class _Styled(Protocol):
    """The style of a mapping or list of ruamel.yaml."""

    def set_flow_style(self) -> None: ...


def _round_trip() -> _RoundTrip:
    from ruamel.yaml import YAML

    yaml = cast("_RoundTrip", YAML())
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken that was not
    return yaml


def _merge(node: dict[str, object], wanted: Mapping[str, object]) -> None:
    """Change the parsed mapping `node` to `wanted` with as few edits as there are differences."""
    for key in [key for key in node if key not in wanted]:
        del node[key]
    for key, value in wanted.items():
        present = node.get(key)
        if isinstance(present, dict) and isinstance(value, Mapping):
            _merge(cast("dict[str, object]", present), cast("Mapping[str, object]", value))
        elif key not in node or present != value:
            node[key] = _on_one_line(value)


def _on_one_line(value: object) -> object:
    """A mapping or list that is written in braces or brackets, as the config examples have it."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, Mapping):
        made = CommentedMap(
            {key: _on_one_line(item) for key, item in cast("Mapping[str, object]", value).items()}
        )
        cast("_Styled", made.fa).set_flow_style()
        return made
    if isinstance(value, list):
        listed = CommentedSeq([_on_one_line(item) for item in cast("list[object]", value)])
        cast("_Styled", listed.fa).set_flow_style()
        return listed
    return value


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
