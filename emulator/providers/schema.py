"""The SDKs' types are the schema: the emulator accepts what a typed program may express.

Nothing about a cloud is written here. The class `FunctionArgs` of `pulumi_aws.lambda_` says which properties
`aws:lambda/function:Function` has, which are required and what they hold. Values are checked against it and
*all*
failures are reported, each with its path. An unknown (the value of another resource's output) passes. SDK
modules
are imported when first needed: all three together would need gigabytes of memory.
"""

from __future__ import annotations

import difflib
import enum
import gc
import importlib
import importlib.metadata
import inspect
import keyword
import sys
import threading
import typing
import warnings
from collections.abc import Awaitable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, cast

import pulumi

from emulator.providers.values import ARCHIVE, ASSET, Json, Properties, is_marked, is_unknown

_importing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Failure:
    """One mistake. path: of the property (`environment.variables`)."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Property:
    """One input. name: on the wire (camelCase); annotation: the SDK's."""

    name: str
    annotation: Json
    required: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Strictness of a cloud: Azure refuses values outside an enum even where the SDK accepts any text."""

    open_enums: bool


# Packages whose Python name is not `pulumi_` and their own name.
_MODULES = {"time": "pulumiverse_time"}


def module_of(package: str) -> str:
    """The SDK's Python package: `azure-native` -> `pulumi_azure_native`."""
    return _MODULES.get(package, f"pulumi_{package.replace('-', '_')}")


def package_of(token: str) -> str:
    return token.partition(":")[0]


@cache
def resource_class(token: str) -> type[Any]:
    """`aws:lambda/function:Function` -> `pulumi_aws.lambda_.Function`, or KeyError."""
    package, module, name = token.split(":")
    top = module_of(package)
    part = module.partition("/")[0]
    path = top if part == "index" else f"{top}.{part}_" if keyword.iskeyword(part) else f"{top}.{part}"
    # One at a time: the SDKs load their parts lazily, and a second thread would see a part half loaded. Parts
    # warn about deprecated neighbours when they are loaded, whatever is used of them.
    with _importing, _uncollected(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return getattr(importlib.import_module(path), name)
        except (ModuleNotFoundError, AttributeError) as error:
            raise KeyError(token) from error


@contextmanager
def _uncollected() -> Generator[None]:
    """No garbage collection inside: an import of an SDK creates thousands of classes that stay, and each
    collection would go through all of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def args_class(token: str) -> type[Any]:
    """The class of a resource's inputs: `pulumi_aws.lambda_.function.FunctionArgs`."""
    resource = resource_class(token)
    name = resource.__name__
    # The generator writes `InitArgs` where a nested input has the plain name: BucketVersioningArgs is the
    # `versioning` of a Bucket, BucketVersioningInitArgs the arguments of the resource BucketVersioning.
    module = sys.modules[resource.__module__]
    return getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")


@cache
def provider_args_class(package: str) -> type[Any]:
    """The class of a provider's own configuration (region, project, ...)."""
    return importlib.import_module(f"{module_of(package)}.provider").ProviderArgs


@cache
def sdk_version(package: str) -> str:
    return importlib.metadata.version(module_of(package).replace("_", "-"))


@cache
def properties_of(args: type[Any]) -> Mapping[str, Property]:
    """Wire name -> property of an SDK input class."""
    hints = typing.get_type_hints(args.__init__, localns={"Output": pulumi.Output, "T": typing.TypeVar("T")})
    found: dict[str, Property] = {}
    for parameter in inspect.signature(args.__init__).parameters.values():
        getter = inspect.getattr_static(args, parameter.name, None)
        if isinstance(getter, property):
            name: str = getattr(getter.fget, "_pulumi_name", parameter.name)
            required = parameter.default is inspect.Parameter.empty
            found[name] = Property(name, hints[parameter.name], required)
    return found


@cache
def outputs_of(token: str) -> tuple[str, ...]:
    """Wire names of all output properties of a resource type."""
    resource = resource_class(token)
    getters = (inspect.getattr_static(resource, name) for name in dir(resource))
    names = (getattr(getter.fget, "_pulumi_name", None) for getter in getters if isinstance(getter, property))
    return tuple(name for name in names if name)


def check(token: str, inputs: Mapping[str, Json]) -> list[Failure]:
    """All mistakes in the inputs of a resource of type `token`."""
    rules = Refuse(open_enums=package_of(token) == "azure-native")
    return list(_check_object(args_class(token), inputs, "", rules))


def check_config(package: str, config: Mapping[str, Json]) -> list[Failure]:
    """All mistakes in a provider's decoded configuration."""
    return list(_check_object(provider_args_class(package), config, "", Refuse(open_enums=False)))


def alternatives(annotation: Json) -> tuple[Json, ...]:
    """The plain types in an SDK annotation: `Input[Optional[Union[str, Kind]]]` -> (str, Kind)."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, UnionType):
        parts = (alternatives(part) for part in typing.get_args(annotation))
        return tuple(dict.fromkeys(kind for part in parts for kind in part))
    if annotation is NoneType or origin in (Awaitable, pulumi.Output) or annotation is pulumi.Output:
        return ()
    return (annotation,)


def suggest(name: str, known: Iterable[str]) -> str:
    """` (did you mean a, b?)`, or an empty text when no known name is similar."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.7)
    return f" (did you mean {', '.join(by_lower[n] for n in near)}?)" if near else ""


def _check_object(args: type[Any], value: Mapping[str, Json], path: str, rules: Refuse) -> Iterator[Failure]:
    known = properties_of(args)
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            yield Failure(where, f"unknown property {name!r}{suggest(name, known)}")
        elif item is not None:
            yield from _check_value(known[name].annotation, item, where, rules)
    for name, prop in known.items():
        if prop.required and value.get(name) is None:
            yield Failure(f"{path}.{name}" if path else name, f"missing required property {name!r}")


def _check_value(annotation: Json, value: Json, path: str, rules: Refuse) -> Iterator[Failure]:
    if is_unknown(value):
        return
    kinds = alternatives(annotation)
    if rules.open_enums and any(_is_enum(kind) for kind in kinds):
        kinds = tuple(kind for kind in kinds if kind is not str)
    attempts = [list(_check_one(kind, value, path, rules)) for kind in kinds]
    if not attempts or any(not attempt for attempt in attempts):
        return
    # The attempt that went deepest names the mistake; otherwise the value has a wrong type altogether.
    deep = [attempt for attempt in attempts if any(failure.path != path for failure in attempt)]
    if deep or len(attempts) == 1:
        yield from (deep or attempts)[0]
    else:
        expected = " or ".join(_name(kind) for kind in kinds)
        yield Failure(path, f"expected {expected}, got {_show(value)}")


def _check_one(kind: Json, value: Json, path: str, rules: Refuse) -> Iterator[Failure]:
    origin = typing.get_origin(kind) or kind
    if _is_args(kind):
        if isinstance(value, dict):
            yield from _check_object(kind, cast("Properties", value), path, rules)
            return
    elif origin in (Mapping, dict):
        if isinstance(value, dict):
            inner = (*typing.get_args(kind), Any, Any)[1]
            for name, item in cast("Properties", value).items():
                yield from _check_value(inner, item, f"{path}.{name}", rules)
            return
    elif origin in (Sequence, list):
        if isinstance(value, list):
            inner = (*typing.get_args(kind), Any)[0]
            for index, item in enumerate(cast("list[Json]", value)):
                yield from _check_value(inner, item, f"{path}[{index}]", rules)
            return
    elif _is_leaf(kind, value):
        return
    found = f"{value!r}{_near_value(kind, value)}" if _is_enum(kind) else _show(value)
    yield Failure(path, f"expected {_name(kind)}, got {found}")


def _is_leaf(kind: Json, value: Json) -> bool:
    """Whether a value without inner structure is of `kind`."""
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        # An int property refuses 1.5: from_struct already made integral doubles ints.
        wanted = int if kind is int else (int, float)
        return isinstance(value, wanted) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str)
    if _is_enum(kind):
        return _member(kind, value) is not None
    if kind is pulumi.Asset or kind is pulumi.Archive:
        return is_marked(value, ASSET if kind is pulumi.Asset else ARCHIVE)
    return kind is Any or kind is object


def _is_args(kind: Json) -> bool:
    return isinstance(kind, type) and bool(getattr(kind, "_pulumi_input_type", False))


def _is_enum(kind: Json) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _member(kind: type[enum.Enum], value: Json) -> enum.Enum | None:
    """The member of an enum, case-insensitive as in Azure."""
    return next((m for m in kind if str(m.value).casefold() == str(value).casefold()), None)


def _near_value(kind: Json, value: Json) -> str:
    return suggest(str(value), [str(m.value) for m in kind])


def _name(kind: Json) -> str:
    if _is_enum(kind):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if _is_args(kind):
        return "an object of " + kind.__name__
    origin = typing.get_origin(kind) or kind
    if origin in (Mapping, dict):
        return "an object"
    if origin in (Sequence, list):
        return "a list"
    plain = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    return plain.get(kind, f"a pulumi.{getattr(kind, '__name__', kind)}")


def _show(value: Json) -> str:
    """The type and size of a value; never a text itself, which may be a secret."""
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, list):
        return f"a list of {len(cast('list[Json]', value))}"
    if is_marked(value, ASSET, ARCHIVE):
        return "an asset" if is_marked(value, ASSET) else "an archive"
    return "an object" if isinstance(value, dict) else repr(value)
