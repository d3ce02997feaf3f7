"""A batch file (TOML) -> Batch: strict, with every fault reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.batch.design import PART_PATHS, Batch
from engine.errors import EngineError, Fault, ScenarioError, did_you_mean, nearest
from engine.names import QUANTILES, SUMMARIES
from engine.scenario import knobs
from engine.scenario.load import load as load_scenario
from engine.scenario.load import reference_path
from engine.scenario.model import Scenario

KEPT = ("p_attain", "revenue", "shortfall", "fund_need", "gross_margin")
MOST_WORLDS = 10_000_000
MOST_PATHS = 2**32 - 1
LEAST_PART = 4096  # a smaller part costs more to share out than to simulate
_WHOLE = ("paths", "part_paths", "seed", "worlds", "samples", "steps")  # numbers that may be written as 1e4

_NOTHING: dict[str, np.ndarray] = {}

Values = dict[str, np.ndarray]
Number = float
Kind = Literal["sobol", "latin_hypercube"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Axis(_Table):
    knob: str
    values: list[Number] | None = Field(None, min_length=1)
    first: Number | None = Field(None, alias="from")
    to: Number | None = None
    steps: int | None = Field(None, ge=2, le=MOST_WORLDS)


class _Design(_Table):
    kind: Kind
    samples: int = Field(ge=1, le=MOST_WORLDS)
    knobs: list[str] = []
    ranges: dict[str, list[Number]] = {}


class _File(_Table):
    schema_: Literal[1] = Field(1, alias="schema")
    name: str = ""
    base: str | None = None
    paths: int = Field(10_000, ge=1, le=MOST_PATHS)
    part_paths: int = Field(PART_PATHS, ge=LEAST_PART, le=MOST_PATHS)
    seed: int = Field(1, ge=0, lt=2**64)
    common_paths: bool = True
    worlds: int = Field(1, ge=1, le=MOST_WORLDS)
    keep: list[str] = Field(list(KEPT), min_length=1)
    zip: bool = False
    axes: list[_Axis] = []
    design: _Design | None = None
    files: list[str] | None = Field(None, min_length=1)


_TABLES: dict[str, type[_Table]] = {"": _File, "axes": _Axis, "design": _Design}


def outputs() -> list[str]:
    """Everything that `keep` may name."""
    quantiles = [
        name + QUANTILES for name, v in SUMMARIES.items() if v.dims == ("world",) and not name.startswith("p_")
    ]
    return [*SUMMARIES, *quantiles]


def load(path: str | Path) -> Batch:
    """Read a batch file.

    Raises
    ------
    ScenarioError
        With every fault of the file, and of the scenarios that it names.
    """
    path = Path(path)
    text = _text(path)
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(faults=[Fault(path.name, "", f"not TOML: {error}", "put that line right")]) from error
    for table in [raw, raw.get("design"), *(axes if isinstance(axes := raw.get("axes"), list) else [])]:
        _whole_numbers(table)
    try:
        found, faults = _File.model_validate(raw), []
    except ValidationError as error:
        faults = [_fault(path.name, e) for e in error.errors()]
        found = _File.model_validate(_readable(raw, error))
    return _Reader(path, text, found, faults).batch()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.toml")])
        remedy = "check the path" if near is None else f"did you mean {path.parent / near}?"
        raise ScenarioError(faults=[Fault(str(path), "", "no such file", remedy)]) from error
    except (OSError, ValueError) as error:
        message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ScenarioError(faults=[Fault(str(path), "", message, "give a TOML file in UTF-8")]) from error


def _whole_numbers(table: Any) -> None:
    """Read 1e4 as the whole number that it is."""
    if isinstance(table, dict):
        for key in _WHOLE:
            if isinstance(table.get(key), float) and table[key].is_integer():
                table[key] = int(table[key])


def _readable(raw: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The file without what could not be read, so that the rest can be checked."""
    for wrong in error.errors():
        first, *inner = wrong["loc"]
        if wrong["type"] == "extra_forbidden" and inner:
            table: Any = raw[str(first)]
            for key in inner[:-1]:
                table = table[key]
            del table[inner[-1]]
    unread = {e["loc"][0] for e in error.errors() if e["type"] != "extra_forbidden" or len(e["loc"]) == 1}
    unread |= {"zip"} if "axes" in unread else set()
    return {key: value for key, value in raw.items() if key not in unread}


def _fault(file: str, error: Any) -> Fault:
    """What pydantic found, with the place as in the file and a remedy."""
    where = ".".join(str(key + 1) if isinstance(key, int) else key for key in error["loc"])
    if error["type"] == "extra_forbidden":
        table = _TABLES[str(error["loc"][0]) if len(error["loc"]) > 1 else ""]
        known = [field.alias or name for name, field in table.model_fields.items()]
        remedy = did_you_mean(str(error["loc"][-1]), known, f"known are {', '.join(known)}")
        return Fault(file, where, "unknown key", remedy)
    if error["type"] == "missing":
        return Fault(file, where, "is missing", "give it")
    shown = repr(error["input"])
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    remedy = f"give {' or '.join(get_args(Kind))}" if where == "design.kind" else ""
    return Fault(file, where, f"{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}", remedy)


class _Reader:
    """Turns the tables of a batch file into the worlds that they mean, gathering all faults."""

    def __init__(self, path: Path, text: str, found: _File, faults: list[Fault]) -> None:
        self.path, self.text, self.found, self.faults = path, text, found, faults

    def say(self, where: str, message: str, remedy: str) -> None:
        self.faults.append(Fault(self.path.name, where, message, remedy))

    def batch(self) -> Batch:
        """The batch, or a ScenarioError with all that is wrong."""
        found = self.found
        self._check_forms()
        self._check_keep()
        scenarios = self._scenarios()
        points, given, places = len(scenarios), _NOTHING, _NOTHING
        if scenarios and found.files is None:
            points, given, places = self._points(scenarios[0])
        if points * found.worlds > MOST_WORLDS:
            message = f"{points:,} points with {found.worlds:,} worlds each are more than {MOST_WORLDS:,} worlds"
            self.say("worlds", message, "ask for fewer")
        if self.faults:
            raise ScenarioError(faults=self.faults)
        return Batch(
            found.name or self.path.stem, self.path.name, self.text, tuple(scenarios), points, found.worlds,
            found.paths, found.seed, found.common_paths, tuple(found.keep), given, places,
            found.part_paths,
        )  # fmt: skip

    def _check_forms(self) -> None:
        found = self.found
        forms = {"axes": bool(found.axes), "design": found.design is not None, "files": found.files is not None}
        given = [name for name, here in forms.items() if here]
        if len(given) > 1:
            self.say("", f"{' and '.join(given)} stand side by side", "keep one of them")
        if found.files is not None and found.base is not None:
            self.say("base", "goes with axes or a design", "drop it: each of the files is a scenario of its own")
        if found.zip and not found.axes:
            self.say("zip", "there are no axes to run side by side", "drop it, or give [[axes]]")

    def _check_keep(self) -> None:
        known = outputs()
        for j, name in enumerate(self.found.keep, 1):
            if name not in known:
                remedy = did_you_mean(name, known, f"known are {', '.join(known)}")
                self.say(f"keep.{j}", f"{name!r} is no output", remedy)
            elif name in self.found.keep[: j - 1]:
                self.say(f"keep.{j}", f"{name!r} stands there twice", "drop one of them")

    def _scenarios(self) -> list[Scenario]:
        """The base or the files, as far as they can be read."""
        folder, found = self.path.parent, self.found
        files = [found.base] if found.files is None else found.files
        scenarios = []
        for file in files:
            try:
                scenarios.append(load_scenario(reference_path() if file is None else folder / file))
            except EngineError as error:
                self.faults += error.faults or (Fault(str(file), "", str(error)),)
        if len(scenarios) == len(files) > 1:
            self._check_alike(scenarios)
        return scenarios

    def _check_alike(self, scenarios: Sequence[Scenario]) -> None:
        """Scenarios of one batch share a year and a currency, and the labels of what is kept by label."""
        alike: dict[str, Callable[[Scenario], Any]] = {
            f"plan.{key}": attrgetter(f"plan.{key}") for key in ("start", "months", "currency")
        }
        labels: dict[str, Callable[[Scenario], Any]] = {
            "risk": lambda s: list(s.risks), "stream": lambda s: list(s.streams), "target": lambda s: list(s.targets),
        }  # fmt: skip
        for name in self.found.keep:
            alike |= {f"{dim}s": of for dim, of in labels.items() if name in SUMMARIES and dim in SUMMARIES[name].dims}
        for scenario in scenarios[1:]:
            for what, of in alike.items():
                if of(scenario) != of(scenarios[0]):
                    remedy = (
                        "scenarios of one batch share them" if what.startswith("plan.") else "keep the total instead"
                    )
                    message = f"differs from that of {scenarios[0].file}"
                    self.faults.append(Fault(scenario.file, what, message, remedy))

    def _points(self, base: Scenario) -> tuple[int, Values, Values]:
        """Number of points, knobs set outright, knobs placed in their distributions."""
        if self.found.axes:
            return *self._axes(base, self.found.axes), _NOTHING
        if self.found.design is not None:
            return self._design(base, self.found.design)
        return 1, _NOTHING, _NOTHING

    def _axes(self, base: Scenario, axes: Sequence[_Axis]) -> tuple[int, Values]:
        self._check_knobs(base, {f"axes.{j}.knob": axis.knob for j, axis in enumerate(axes, 1)})
        values = [self._values(f"axes.{j}", axis) for j, axis in enumerate(axes, 1)]
        lengths = [v.size for v in values]
        if self.found.zip:
            if len(set(lengths)) > 1:
                self.say("zip", f"the axes have {', '.join(map(str, lengths))} values", "give all the same number")
                return 0, {}
            return lengths[0], {axis.knob: v for axis, v in zip(axes, values, strict=True)}
        points = int(np.prod(np.array(lengths, object)))
        if points > MOST_WORLDS:  # refused by the caller, and not made
            return points, {}
        grid = np.meshgrid(*values, indexing="ij")
        return points, {axis.knob: at.ravel() for axis, at in zip(axes, grid, strict=True)}

    def _values(self, where: str, axis: _Axis) -> np.ndarray:
        ends = {"from": axis.first, "to": axis.to, "steps": axis.steps}
        given = [name for name, value in ends.items() if value is not None]
        if axis.values is not None and given:
            self.say(where, f"values and {', '.join(given)} stand side by side", "keep one of them")
        elif axis.values is None and len(given) < len(ends):
            missing = ", ".join(name for name in ends if name not in given)
            self.say(where, f"{missing} missing", "give values, or all of from, to and steps")
        if axis.values is not None:
            self._check_finite(f"{where}.values", axis.values)
            return np.array(axis.values)
        if axis.first is None or axis.to is None or axis.steps is None:
            return np.zeros(1)
        self._check_finite(where, [axis.first, axis.to])
        return np.linspace(axis.first, axis.to, axis.steps)

    def _check_finite(self, where: str, values: Iterable[float]) -> None:
        if not np.isfinite(list(values)).all():
            self.say(where, "holds what is no finite number", "give finite numbers")

    def _check_knobs(self, base: Scenario, names: Mapping[str, str]) -> None:
        """Knobs that are set outright: each is there, stands once, and is not below another."""
        for where, name in names.items():
            others = [other for place, other in names.items() if place != where]
            above = [other for other in others if name.startswith(f"{other}.")]
            if name not in knobs.index(base):
                remedy = did_you_mean(name, knobs.index(base), "see `attain knobs`")
                self.say(where, f"{name!r} is no knob of {base.file}", remedy)
            elif name in others:
                self.say(where, f"{name} stands there twice", "keep one of them")
            elif above:
                self.say(where, f"{name} means nothing where {above[0]} is set", "keep one of them")

    def _design(
        self, base: Scenario, design: _Design
    ) -> tuple[int, Values, Values]:  # fmt: skip
        placed = self._placed(base, design.knobs)
        self._check_knobs(base, {f"design.ranges.{name}": name for name in design.ranges})
        for name, ends in design.ranges.items():
            self._check_finite(f"design.ranges.{name}", ends)
            if len(ends) != 2 or not ends[0] < ends[1]:
                self.say(f"design.ranges.{name}", f"{ends} is no range", "give [low, high], low below high")
            for other in placed:
                if other == name or other.startswith(f"{name}."):
                    self.say(f"design.ranges.{name}", f"{other} is placed in its distribution", "keep one of them")
        if not design.knobs and not design.ranges:
            self.say("design", "no knob is named", "give knobs, ranges or both")
        if design.kind == "sobol" and design.samples & (design.samples - 1):
            power = 2 ** round(np.log2(design.samples))
            message = f"{design.samples} is no power of 2, without which Sobol' points are not balanced"
            self.say("design.samples", message, f'give {power}, or kind = "latin_hypercube"')
        if self.faults:
            return 0, {}, {}
        unit = unit_points(design.kind, design.samples, len(placed) + len(design.ranges), self.found.seed)
        given = {
            name: low + u * (high - low)
            for (name, (low, high)), u in zip(design.ranges.items(), unit[len(placed) :], strict=True)
        }
        return design.samples, given, dict(zip(placed, unit, strict=False))

    def _placed(self, base: Scenario, patterns: Sequence[str]) -> list[str]:
        """Uncertain knobs that match one of the patterns, in the order of the patterns."""
        found: dict[str, None] = {}
        for j, pattern in enumerate(patterns, 1):
            where, uncertain = f"design.knobs.{j}", knobs.uncertain(base)
            matching = [name for name in knobs.index(base) if name in uncertain and fnmatchcase(name, pattern)]
            found |= dict.fromkeys(matching)
            if matching:
                continue
            if pattern in knobs.index(base):
                kind = knobs.index(base)[pattern].kind
                what = "is drawn on every path" if kind == knobs.RANDOM else "is a plain number"
                remedy = f'give it a range: [design.ranges] "{pattern}" = [low, high]'
                self.say(where, f"{pattern} {what}, not once a world", remedy)
            else:
                remedy = did_you_mean(pattern, uncertain, "see `attain knobs --uncertain`")
                self.say(where, f"{pattern!r} matches no uncertain knob of {base.file}", remedy)
        return list(found)


def unit_points(kind: str, samples: int, knobs: int, seed: int) -> np.ndarray:
    """Points of a design in the unit cube, none on its faces; shape (knobs, samples)."""
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    sampler = qmc.Sobol(knobs, scramble=True, rng=rng) if kind == "sobol" else qmc.LatinHypercube(knobs, rng=rng)
    points = np.floor(sampler.random(samples) * 2.0**32)
    return np.ascontiguousarray(((points + 0.5) * 2.0**-32).T)
