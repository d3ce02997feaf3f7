"""A raw scenario as TOML text: tables as sections, quantities on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.scenario import shape

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dump(raw: Mapping[str, Any]) -> str:
    """TOML text that reads back as `raw`."""
    lines: list[str] = []
    _section(raw, shape.ROOT, "", lines)
    return "\n".join(lines).strip() + "\n"


def _section(raw: Mapping[str, Any], kind: Any, prefix: str, lines: list[str]) -> None:
    below = {key: value for key, value in raw.items() if _is_section(value, shape.inner(kind, key))}
    for key, value in raw.items():
        if key not in below:
            lines.append(f"{_key(key)} = {inline(value)}")
    for key, value in below.items():
        name, inside = f"{prefix}.{_key(key)}" if prefix else _key(key), shape.inner(kind, key)
        if not value or not all(_is_section(v, shape.inner(inside, k)) for k, v in value.items()):
            lines += ["", f"[{name}]"]
        _section(value, shape.inner(kind, key), name, lines)


def _is_section(value: Any, kind: Any) -> bool:
    return isinstance(value, Mapping) and shape.is_table(kind)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """A basic string: as in JSON, but TOML also wants the control character DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def inline(value: Any) -> str:
    """One value on one line.

    Examples
    --------
    >>> inline({"pert": [0, 0.5, 3], "source": "plan 2.4"})
    '{ pert = [0, 0.5, 3], source = "plan 2.4" }'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {inline(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return repr(value)
    return str(value)
