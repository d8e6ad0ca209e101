"""Read and change the config in the file of a stack; comments and what does not change stay as they are.

Rules
- A file that Pulumi would refuse, as with a key that is there twice, is refused here too.
- The text that is written means the config that was asked for: it is parsed again before it is written. Where
  an edit in place would mean another one, as beside a merge key (`<<`), the whole value is written instead.
- The ends of the lines stay as they are, and a link to the file stays a link.
- The version of a config is a hash of its `skyfleet:` keys, so a change made by hand has another version.
- A change is compare-and-set: it names the version that it was made for, and is refused for any other.
- A file is replaced by a rename: a killed process leaves the former one or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from infra.config.namespace import NAMESPACE
from infra.manager.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from yaml import Node

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
            with self.path.open(newline="") as file:
                return file.read()
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
        path = self.path.resolve()
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(opened, "w", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise Unavailable(
                f"{self.path.name} cannot be written: {error.strerror}. It is as it was"
            ) from None
        finally:
            fresh.unlink(missing_ok=True)


def config_of(text: str, name: str) -> dict[str, object]:
    """The config in the text of a stack's file. name: of the file. Raises Unavailable."""
    import yaml

    from infra.config.yaml_error import yaml_mistake

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _check_keys(root, name)
        construct = cast("Callable[[Node], object]", loader.construct_document)
        parsed = construct(root) if root is not None else None
    except yaml.YAMLError as error:
        raise Unavailable(f"{name} is not YAML: {yaml_mistake(error)}") from None
    return {str(key): value for key, value in _mapping(_mapping(parsed).get("config")).items()}


def changed_text(text: str, config: Mapping[str, object]) -> str:
    """The text of a stack's file with another config; keys that `config` does not have are removed.

    Raises Unavailable when the file cannot be edited.
    """
    plain = text.replace("\r\n", "\n")
    before = config_of(plain, "the stack's file")
    for in_place in (True, False):
        written = _edited(plain, before, config, in_place=in_place)
        if config_of(written, "the stack's file") == config:
            return written.replace("\n", "\r\n") if "\r\n" in text else written
    raise Unavailable("the stack's file cannot be edited without another meaning: change it by hand")


def _edited(text: str, before: Mapping[str, object], config: Mapping[str, object], *, in_place: bool) -> str:
    """The text with the config, whose keys are merged into the present ones or written as a whole."""
    yaml = _round_trip()
    yaml.explicit_start = any(line.startswith("---") for line in text.splitlines())
    document = cast("dict[str, object]", yaml.load(text))
    node = cast("dict[str, object]", document.setdefault("config", {}))
    if in_place:
        _merge(node, before, config)
    else:
        _replace(node, before, config)
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _check_keys(node: Node | None, name: str) -> None:
    """Raise Unavailable for a key that a mapping has twice: PyYAML would take the last, and Pulumi none."""
    from yaml import MappingNode, ScalarNode, SequenceNode

    waiting, seen = [node], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:  # an alias is the node itself
            continue
        seen.add(id(one))
        if isinstance(one, MappingNode):
            keys = [key for key, _ in one.value if isinstance(key, ScalarNode)]
            names = [str(key.value) for key in keys]
            for key, text in zip(keys, names, strict=True):
                if names.count(text) > 1:
                    line = key.start_mark.line + 1
                    raise Unavailable(f"{name} has the key {text} twice (line {line}): remove one of the two")
            waiting += [value for _, value in one.value]
        elif isinstance(one, SequenceNode):
            waiting += one.value


class _RoundTrip(Protocol):
    """The part of ruamel.yaml's `YAML` that is used; its own types are incomplete."""

    preserve_quotes: bool
    width: int
    explicit_start: bool

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


def _merge(node: dict[str, object], before: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Change the parsed mapping `node` to `wanted` with as few edits as there are differences.

    before: the meaning of `node` to Pulumi, which is not that of ruamel.yaml for each scalar.
    """
    for key in [key for key in node if key not in wanted]:
        del node[key]
    for key, value in wanted.items():
        present, former = node.get(key), before.get(key)
        if key in node and former == value:
            continue
        if isinstance(present, dict) and isinstance(former, Mapping) and isinstance(value, Mapping):
            _merge(
                cast("dict[str, object]", present),
                _mapping(cast("object", former)),
                _mapping(cast("object", value)),
            )
        elif isinstance(present, list) and isinstance(former, list) and isinstance(value, list):
            _merge_list(
                cast("list[object]", present), cast("list[object]", former), cast("list[object]", value)
            )
        else:
            node[key] = _on_one_line(value)


def _merge_list(node: list[object], before: list[object], wanted: list[object]) -> None:
    """Change the parsed list `node` by removing, changing and appending items, with their comments."""
    names = [_item_name(value) for value in wanted]
    kept = [number for number, value in enumerate(before) if _item_name(value) in names]
    if [_item_name(before[number]) for number in kept] != names[: len(kept)]:
        kept = []  # in another order: all of them are written
    for number in reversed(range(len(before))):
        if number not in kept:
            del node[number]
    for number, value in enumerate(wanted):
        if number >= len(kept):
            node.append(_on_one_line(value))
        elif before[kept[number]] != value:
            node[number] = _on_one_line(value)


def _item_name(item: object) -> str:
    """The name of an item of a list: a region, or the only key of one with settings."""
    return (
        ",".join(map(str, cast("Mapping[object, object]", item))) if isinstance(item, Mapping) else str(item)
    )


def _replace(node: dict[str, object], before: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Write the values that change as a whole."""
    for key in [key for key in node if key not in wanted]:
        del node[key]
    for key, value in wanted.items():
        if key not in node or before.get(key) != value:
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
