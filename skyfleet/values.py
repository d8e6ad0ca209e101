"""Frozen values: the arguments and results of pure functions.

Rules
- `@frozen` makes a class with slots. The type checker rejects assignments to its fields, in the tests too;
  the interpreter does not. An instance of a dataclass that is frozen at run time takes five times as long to
  create (1.4 us with seven fields), and each request creates ten.
- The class becomes a dataclass at its first instance, `fields` or `replace`. Until then it costs a tenth of
  a dataclass. Each cold start defines fifty of these classes and uses half of them.
- No class compiles text for equality, hash and repr. A field with `repr=False` is not shown.
- Only the annotations of the class itself are its fields: the classes do not inherit from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields, make_dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar, cast, dataclass_transform

T = TypeVar("T")
_FIELDS: Final = "__dataclass_fields__"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make the class a frozen dataclass with slots."""
    types = cls.__annotations__
    names = tuple(types)
    own = dict(cls.__dict__)
    defaults = {name: own.pop(name) for name in names if name in own}
    for slot in ("__dict__", "__weakref__"):
        own.pop(slot, None)
    parts: Callable[[object], object] = attrgetter(*names)

    def complete() -> Any:  # noqa: ANN401 - a class of any fields
        """Take from a real dataclass what takes long to make."""
        parameters = [(name, types[name], defaults.get(name, field())) for name in names]
        real: Any = make_dataclass(cls.__qualname__, parameters, repr=False, eq=False)
        setattr(made, _FIELDS, getattr(real, _FIELDS))
        made.__init__ = real.__init__
        return made

    def __init__(self: object, *args: object, **keywords: object) -> None:
        complete().__init__(self, *args, **keywords)

    def __eq__(self: object, other: object) -> bool:
        return parts(self) == parts(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(parts(self))

    own |= {"__slots__": names, "__match_args__": names, _FIELDS: _Later(complete)}
    own |= {"__init__": __init__, "__repr__": _shown, "__eq__": __eq__, "__hash__": __hash__}
    made: Any = type(cls)(cls.__name__, cls.__bases__, own)
    return made


class _Later:
    """The attribute that `dataclasses` looks for, until it does."""

    def __init__(self, complete: Callable[[], Any]) -> None:
        self._complete = complete

    def __get__(self, instance: object, owner: type) -> Mapping[str, Field[Any]]:
        return getattr(self._complete(), _FIELDS)


def _shown(self: object) -> str:
    its = fields(cast("Any", self))
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in its if one.repr)
    return f"{type(self).__qualname__}({shown})"
