"""The shape of a scenario file: which of its keys are tables that merge, and which are whole values."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from engine.scenario.model import Part, Scenario
from engine.scenario.quantity import Quantity

ROOT = Scenario


def plain(annotation: Any) -> Any:
    """A field's type without `Annotated` and `None`; of a union the first member."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [a for a in get_args(annotation) if a is not type(None)]
        return plain(members[0])
    return annotation


def members(annotation: Any) -> list[Any]:
    """All types that a field may hold, unions taken apart."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return [m for a in get_args(annotation) if a is not type(None) for m in members(a)]
    return [annotation]


def is_part(kind: Any) -> bool:
    """A table with fixed fields."""
    return isinstance(kind, type) and issubclass(kind, Part)


def is_named(kind: Any) -> bool:
    """A table whose keys the user chooses."""
    return get_origin(kind) is dict


def is_table(kind: Any) -> bool:
    """A table that merges key by key; anything else is replaced as a whole."""
    return is_part(kind) or is_named(kind)


def is_quantity(kind: Any) -> bool:
    """A quantity, which is never merged."""
    return kind is Quantity


def fields(kind: Any) -> dict[str, Any]:
    """Annotations of a table's fields by the names that a file uses."""
    return {(f.alias or name): f.annotation for name, f in kind.model_fields.items()}


def inner(kind: Any, key: str | int) -> Any:
    """Type of what stands under a key; None where the shape does not know it."""
    if is_part(kind):
        found = fields(kind).get(str(key))
        return None if found is None else plain(found)
    if is_named(kind):
        return plain(get_args(kind)[1])
    if get_origin(kind) is tuple:
        return plain(get_args(kind)[0])
    return None
