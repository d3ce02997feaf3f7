"""Changes to a raw scenario by dotted name: ``--set knob=value`` and ``remove``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from engine.errors import Fault, did_you_mean
from engine.scenario import shape

_WORD = re.compile(r"[^\W\d][\w\-]*(:[\w\-]+(&[\w\-]+:[\w\-]+)*)?|\*|\d{4}-\d\d")
ORIGIN = "--set"
_WORDS = ("source", "note", "per")  # what a quantity says about its number


class _Wrong(Exception):
    """A change that cannot be made: message and remedy."""


def remove(raw: dict[str, Any], name: str, file: str) -> Fault | None:
    """Drop an item by its dotted name; keys may hold dots themselves."""
    node: Any = raw
    rest = name
    while isinstance(node, dict):
        key = _longest(node, rest)
        if key is None:
            break
        if key == rest:
            del node[key]
            return None
        node, rest = node[key], rest[len(key) + 1 :]
    return Fault(file, "remove", f"the parent has no {name}", _near(rest, node if isinstance(node, dict) else {}))


def _longest(node: Mapping[str, Any], rest: str) -> str | None:
    """The longest key that `rest` is, or begins with."""
    fitting = [key for key in node if rest == key or rest.startswith(f"{key}.")]
    return max(fitting, key=len, default=None)


def _near(word: str, known: Any) -> str:
    of_item = did_you_mean(word.split(".")[0], known, "see `attain knobs`")
    return did_you_mean(word, known, of_item, cutoff=0.5)


def apply(raw: dict[str, Any], change: str) -> Fault | None:
    """Apply one ``knob=value``; the value is read as TOML, a bare word as text."""
    name, equals, text = change.partition("=")
    # a correlation's name holds no equals sign, so the first one ends the name; it may stand in quotes, as in a file
    name = name.strip().replace('"', "")
    if not equals or not name or not text.strip():
        return Fault(ORIGIN, change, "is not of the form knob=value", "such as risks.price_war.probability=0.8")
    try:
        _assign(raw, shape.ROOT, name, _value(text.strip()))
    except _Wrong as wrong:
        return Fault(ORIGIN, name, *wrong.args)
    return None


def _value(text: str) -> Any:
    try:
        found = tomllib.loads(f"v = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        if _WORD.fullmatch(text):
            return text
        raise _Wrong(f"{text!r} is no TOML value", 'such as 0.8, "text" or { pert = [0, 0.1, 0.2] }') from None
    if set(found) != {"v"}:
        raise _Wrong(f"{text!r} is more than one value", "give one value")
    return found["v"]


def _assign(node: Any, kind: Any, rest: str, value: Any) -> None:
    """Set what `rest` names below a node of the given kind."""
    if shape.is_table(kind) and not isinstance(node, dict):
        raise _Wrong(f"{rest!r} lies below {node!r}, which is not a table", "give the whole of it")
    if shape.is_part(kind):
        _into_part(node, kind, rest, value)
    elif shape.is_named(kind):
        _into_named(node, kind, rest, value)
    else:
        _into_value(node, kind, rest, value)


def _into_part(node: dict[str, Any], kind: Any, rest: str, value: Any) -> None:
    key, _, below = rest.partition(".")
    known = shape.fields(kind)
    if key not in known:
        raise _Wrong(f"no knob of this name: {key!r} is not known", _near(key, known))
    _step(node, key, _choose(known[key], node.get(key), below), below, value)


def _choose(annotation: Any, present: Any, below: str) -> Any:
    """The member of a union that a deeper name means: a list where one stands, else the first."""
    options = shape.members(annotation)
    if below and isinstance(present, list):
        return next((m for m in options if get_origin(m) is tuple), options[0])
    return next((m for m in options if shape.is_quantity(m) or shape.is_table(m)), options[0])


def _into_named(node: dict[str, Any], kind: Any, rest: str, value: Any) -> None:
    item = get_args(kind)[1]
    key = _longest(node, rest)
    if key is None and shape.is_part(shape.plain(item)):
        raise _Wrong(f"{rest.partition('.')[0]!r} is not in the scenario", _near(rest.partition(".")[0], node))
    key = rest if key is None else key
    _step(node, key, shape.plain(item), rest[len(key) + 1 :], value)


def _step(node: dict[str, Any], key: str, kind: Any, below: str, value: Any) -> None:
    if not below:
        node[key] = value
        return
    if shape.is_table(kind):
        if not isinstance(node.get(key, {}), dict):
            raise _Wrong(f"{key} is not a table", "give the whole of it")
        _assign(node.setdefault(key, {}), kind, below, value)
    elif key in node:
        _assign(node[key], kind, below, value)
    else:
        raise _Wrong(f"{key} is not given in the scenario", "give the whole of it")


def _into_value(node: Any, kind: Any, rest: str, value: Any) -> None:
    """Below a list, or within a quantity: the raw keys and positions lead the way."""
    if isinstance(node, list):
        place, _, below = rest.partition(".")
        if not place.isdecimal() or not 1 <= int(place) <= len(node):
            raise _Wrong(f"{place!r} is no position in a list of {len(node)}", f"positions count from 1 to {len(node)}")
        if below:
            _assign(node[int(place) - 1], shape.inner(kind, 0), below, value)
        else:
            node[int(place) - 1] = value
        return
    if not isinstance(node, dict):
        raise _Wrong(f"there is nothing below {node!r}", "give the whole quantity")
    key = rest if rest in (*_WORDS, "truncate") else _longest(node, rest)
    if key is None:
        raise _Wrong(f"{rest!r} is not part of this quantity", _near(rest, node))
    if key == rest:
        node[key] = value
    else:
        _into_value(node[key], kind, rest[len(key) + 1 :], value)
    if rest.rpartition(".")[2] not in _WORDS:
        # a new number does not come from where the old one came from
        node.pop("source", None)
        node.pop("note", None)
