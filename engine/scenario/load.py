"""A scenario file -> Scenario: parents, changes and samples put in, every fault reported at once."""

from __future__ import annotations

import copy
import csv
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine.errors import Fault, ScenarioError, did_you_mean, nearest
from engine.scenario import changes, checks, shape
from engine.scenario.model import Scenario
from engine.scenario.quantity import UNKNOWN, QuantityError
from engine.scenario.quantity import parse as parse_quantity
from engine.scenario.text import dump

LARGEST_FILE = 50_000_000
MOST_FILES = 32  # parents of parents; more is a mistake
MOST_LEVELS = 40  # tables within tables; a scenario needs 10, and what walks them does so by recursion
_DIRECTIVES = ("extends", "remove")


def reference_path() -> Path:
    """File of the reference scenario: of the repository where there is one, else the copy in the package."""
    package = Path(__file__).parents[1]
    packaged = package / "scenarios_data" / "reference.toml"
    return packaged if packaged.exists() else package.parent / "scenarios" / "reference.toml"


def load(path: str | Path, set: Sequence[str] = ()) -> Scenario:
    """Read a scenario file.

    Parameters
    ----------
    path : str or Path
    set : sequence of str
        Changes, each ``"knob=value"``, the value as in TOML.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
        With every fault of the file and the changes.
    """
    path = Path(path)
    return _finish(_chain(path, []), path.name, set)


def files(path: str | Path) -> list[Path]:
    """A scenario file and all its parents, nearest first, as far as they can be read."""
    found: list[Path] = []
    here: Path | None = Path(path)
    while here is not None and _real(here) not in found and len(found) < MOST_FILES:
        found.append(_real(here))
        try:
            extends = _toml(_read(here), here.name).get("extends")
        except ScenarioError:
            break
        here = here.parent / extends if isinstance(extends, str) and extends else None
    return found


def parse(text: str, file: str = "scenario.toml", folder: str | Path = ".", set: Sequence[str] = ()) -> Scenario:
    """As `load`, from text; parents and samples are looked for in `folder`.

    Examples
    --------
    >>> plan = parse("plan.target = 1e6\\nstreams.shop = { baseline = 1e6, margin = 0.3 }")
    >>> plan.streams["shop"].margin.value
    0.3
    """
    raw = _toml(text, file)
    return _finish(_resolve(raw, file, Path(folder), []), file, set)


# ------------------------------------------------------------------------------------------------- files and parents


def _fail(file: str, knob: str, message: str, remedy: str = "") -> ScenarioError:
    return ScenarioError(faults=[Fault(file, knob, message, remedy)])


def _read(path: Path) -> str:
    name = str(path)
    try:
        if path.exists() and not path.is_file():
            raise _fail(name, "", "not a file", "name a file that ends in .toml")
        if path.stat().st_size > LARGEST_FILE:
            raise _fail(name, "", f"larger than {LARGEST_FILE} bytes", "is this the right file?")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _fail(name, "", f"not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    except FileNotFoundError as error:
        raise _fail(name, "", "no such file", _nearby(path)) from error
    except (OSError, ValueError) as error:
        raise _fail(name, "", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _nearby(path: Path) -> str:
    installed = [p for p in reference_path().parent.rglob("*.toml") if p.stem == path.stem]
    if installed:
        return f"the installed one is {installed[0]}"
    try:
        names = [p.name for p in path.parent.glob("*.toml")]
    except OSError:
        return "check the path"
    near = nearest(path.name, names)
    return "check the path" if near is None else f"did you mean {path.parent / near}?"


def _toml(text: str, file: str) -> dict[str, Any]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fail(file, "", f"not TOML: {error}", "put that line right") from error
    except (RecursionError, ValueError) as error:
        raise _fail(file, "", f"not TOML: {error}", "simplify it") from error
    if _is_deep(raw):
        raise _fail(file, "", f"tables within tables, more than {MOST_LEVELS} levels deep", "check its dotted names")
    return raw


def _is_deep(raw: dict[str, Any]) -> bool:
    level: list[Any] = [raw]
    for _ in range(MOST_LEVELS):
        tables = [node for node in level if isinstance(node, dict | list)]
        level = [item for node in tables for item in (node.values() if isinstance(node, dict) else node)]
    return bool(level)


def _chain(path: Path, children: list[Path]) -> dict[str, Any]:
    """A file with all its parents merged."""
    if len(children) >= MOST_FILES:
        raise _fail(path.name, "extends", f"more than {MOST_FILES} files extend one another", "shorten the chain")
    raw = _toml(_read(path), path.name)
    return _resolve(raw, path.name, path.parent, [*children, _real(path)])


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()


def _resolve(raw: dict[str, Any], file: str, folder: Path, seen: list[Path]) -> dict[str, Any]:
    faults: list[Fault] = []
    _inline_samples(raw, file, folder, faults)
    parent: dict[str, Any] = {}
    extends = raw.pop("extends", None)
    removed = raw.pop("remove", [])
    if extends is not None and (not isinstance(extends, str) or not extends):
        faults.append(
            Fault(file, "extends", f"{extends!r} is not the name of a file", 'such as extends = "reference.toml"')
        )
    elif extends is not None:
        path = folder / extends
        if _real(path) in seen:
            loop = " -> ".join(p.name for p in [*seen, path])
            raise _fail(file, "extends", f"a loop: {loop}", "let one of them stand alone")
        parent = _chain(path, seen)
    if not isinstance(removed, list) or not all(isinstance(name, str) for name in removed):
        faults.append(Fault(file, "remove", "not a list of names", 'such as remove = ["risks.supply_delay"]'))
    else:
        for name in removed:
            fault = changes.remove(parent, name, file)
            if fault is not None:
                faults.append(fault)
    if faults:
        raise ScenarioError(faults=faults)
    return merge(parent, raw, shape.ROOT)


def merge(parent: Mapping[str, Any], child: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Tables key by key; arrays and whole quantities are replaced."""
    merged = dict(parent)
    for key, value in child.items():
        below = shape.inner(kind, key)
        old = merged.get(key)
        if shape.is_table(below) and isinstance(value, Mapping) and isinstance(old, Mapping):
            merged[key] = merge(old, value, below)
        else:
            merged[key] = value
    return merged


def _inline_samples(node: Any, file: str, folder: Path, faults: list[Fault], name: str = "") -> None:
    """Put the numbers in the place of ``samples = "file.csv:column"``."""
    if isinstance(node, list):
        for j, item in enumerate(node, 1):
            _inline_samples(item, file, folder, faults, f"{name}.{j}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        knob = f"{name}.{key}" if name else key
        if key == "samples" and isinstance(value, str) and not name.endswith(".labels"):
            found, fault = _samples(value, folder)
            if fault is None:
                node[key] = found
            else:
                faults.append(Fault(file, knob, *fault))
        else:
            _inline_samples(value, file, folder, faults, knob)


def _samples(text: str, folder: Path) -> tuple[list[float], tuple[str, str] | None]:
    name, colon, column = text.rpartition(":")
    if not (colon and name and column):
        return [], (f"{text!r} names no column", 'write "file.csv:column"')
    path = folder / name
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return [], (f"{path}: no such file", "the path is relative to the file that names it")
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            if column not in (rows.fieldnames or ()):
                known = ", ".join(rows.fieldnames or ())
                return [], (f"{path.name} has no column {column!r}", f"its columns are {known}")
            cells = [row[column] for row in rows]
        found = [float(cell) for cell in cells if cell is not None and cell.strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], (f"{path.name} cannot be read: {error}", "give a CSV file with a header")
    except ValueError as error:
        return [], (f"{path.name}, column {column!r}: {error}", "give numbers only")
    if not found or not all(map(math.isfinite, found)):
        return [], (
            f"{path.name}, column {column!r} holds no finite numbers only",
            "give at least one number, all finite",
        )
    return found, None


# ---------------------------------------------------------------------------------------------- from raw to Scenario


def _finish(raw: dict[str, Any], file: str, set: Sequence[str]) -> Scenario:
    raw = copy.deepcopy(raw)
    _sort_levels(raw)
    faults = [fault for change in set if (fault := changes.apply(raw, change)) is not None]
    _inline_samples(raw, changes.ORIGIN, Path(), faults)
    _sort_levels(raw)
    found, more = build(raw, file)
    faults += more
    if faults or found is None:
        raise ScenarioError(faults=faults)
    from engine.scenario.worlds import central

    with np.errstate(all="ignore"):
        central(found)
    return found


def _sort_levels(raw: dict[str, Any]) -> None:
    """Review levels in the order of their lags, by which they are named."""
    review = raw.get("review")
    levels = review.get("levels") if isinstance(review, dict) else None
    if isinstance(levels, list):
        levels.sort(key=_lag)


def _lag(level: Any) -> float:
    try:
        lag = parse_quantity(level["lag"]).central()
    except (TypeError, KeyError, QuantityError):
        return math.inf
    return math.inf if math.isnan(lag) else lag


def build(raw: dict[str, Any], file: str) -> tuple[Scenario | None, list[Fault]]:
    """A Scenario, or all that is wrong with it."""
    try:
        found = Scenario.model_validate(raw)
    except ValidationError as error:
        faults = [fault for e in error.errors() for fault in _faults_of(e, raw, file)]
        patched = _patched(raw, [(e["type"], tuple(_path(e, raw))) for e in error.errors()])
        known = {(f.knob, f.message) for f in faults}
        return None, faults + [f for f in _checked(patched, file) if (f.knob, f.message) not in known]
    found._file = file
    found._text = dump(raw)
    with np.errstate(all="ignore"):
        return found, checks.faults(found)


def _checked(raw: dict[str, Any], file: str) -> list[Fault]:
    """What else is wrong once the faulty fields have been blanked."""
    try:
        found = Scenario.model_validate(raw)
    except ValidationError:
        return []
    found._file = file
    with np.errstate(all="ignore"):
        return checks.faults(found)


def _path(error: Any, raw: Any) -> Iterator[str | int]:
    """Keys of a fault's place in the raw file; what pydantic adds for the members of unions is left out."""
    node = raw
    for key in error["loc"]:
        if isinstance(node, Mapping) and key in node:
            node = node[key]
            yield key
        elif isinstance(node, list | tuple) and isinstance(key, int) and key < len(node):
            node = node[key]
            yield key
    if error["type"] == "missing" and isinstance(error["loc"][-1], str):
        yield error["loc"][-1]


def _knob(path: Sequence[str | int]) -> str:
    return ".".join(str(key + 1) if isinstance(key, int) else key for key in path)


def _faults_of(error: Any, raw: Any, file: str) -> Iterator[Fault]:
    path = list(_path(error, raw))
    knob, kind = _knob(path), error["type"]
    if kind == "extra_forbidden":
        table = _kind_at(path[:-1])
        known = list(shape.fields(table)) if shape.is_part(table) else []
        if not path[:-1]:
            known += _DIRECTIVES
        yield Fault(file, knob, "unknown key", did_you_mean(str(path[-1]), known, f"known are {', '.join(known)}"))
    elif kind == "missing" and isinstance(error["loc"][-1], int):
        yield Fault(file, knob, f"{_shown(error['input'])} has too few items", "give them all")
    elif kind == "missing":
        yield Fault(file, knob, "is missing", "give it")
    elif kind == "too_long":
        most = error["ctx"]["max_length"]
        yield Fault(file, knob, f"{_shown(error['input'])} has too many items", f"give {most}")
    elif isinstance(error.get("ctx", {}).get("error"), QuantityError):
        for problem in error["ctx"]["error"].problems:
            name = f"{knob}.{problem.suffix}" if problem.suffix else knob
            yield Fault(file, name, problem.message, problem.remedy)
    elif kind == "literal_error":
        yield Fault(file, knob, f"{error['input']!r} is not known", f"give {error['ctx']['expected']}")
    else:
        shown = _shown(error.get("input"))
        message, remedy = _WRONG_TYPES.get(kind, (None, ""))
        yield Fault(file, knob, f"{shown} {message}" if message else f"{shown}: {_lower(error['msg'])}", remedy)


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 40 else text[:37] + "..."


_WRONG_TYPES = {
    "model_type": ("is not a table", "give its fields"),
    "dict_type": ("is not a table", "give names and values"),
    "tuple_type": ("is not a list", "put its items in [ ]"),
    "string_type": ("is not text", "put it in quotes"),
    "int_type": ("is not a whole number", "give one, without quotes"),
}


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _kind_at(path: Sequence[str | int]) -> Any:
    kind: Any = shape.ROOT
    for key in path:
        kind = shape.inner(kind, key)
    return kind


# What takes the place of a faulty field that must be there and is no quantity.
_STAND_INS: dict[str | int, Any] = {
    "plan": {"target": UNKNOWN}, "duration": UNKNOWN, "measure": "revenue", "tiers": [], "launch": {"peak": UNKNOWN},
    "customers": {"count": UNKNOWN, "spend": UNKNOWN},
}  # fmt: skip


def _patched(raw: dict[str, Any], errors: Sequence[tuple[str, tuple[str | int, ...]]]) -> dict[str, Any]:
    """The raw file with faulty fields blanked, so that the rest can be checked."""
    patched = copy.deepcopy(raw)
    for kind, path in errors:
        if shape.is_quantity(_kind_at(path)) and kind != "extra_forbidden":
            parent = _at(patched, path[:-1])
            if isinstance(parent, dict | list):
                parent[path[-1]] = UNKNOWN  # type: ignore[index]
            continue
        while path and not isinstance(_at(patched, path[:-1]), dict):
            path = path[:-1]
        if path and path[-1] in _STAND_INS and kind != "extra_forbidden":
            _at(patched, path[:-1])[path[-1]] = copy.deepcopy(_STAND_INS[path[-1]])
        elif path:
            _at(patched, path[:-1]).pop(path[-1], None)
    return patched


def _at(node: Any, path: Sequence[str | int]) -> Any:
    """What stands at a place; None where there is nothing."""
    for key in path:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return None
    return node
