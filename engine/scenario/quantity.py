"""A quantity: a number in a scenario, or a distribution in its place, with its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic_core import core_schema

from engine.errors import did_you_mean
from engine.scenario.distributions import FAMILIES, Distribution, scipy_shapes

LARGEST = 1e15  # nothing in a sales plan is larger; beyond it sums lose whole units
WORDS = ("value", "source", "note", "per", "truncate")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a raw quantity, at a suffix of its knob."""

    suffix: str
    message: str
    remedy: str = ""


class QuantityError(ValueError):
    """A raw value that is no quantity."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(p.message for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Quantity:
    """A number, or a distribution in its place.

    Attributes
    ----------
    value : float or None
        The number; None where there is a distribution.
    distribution : Distribution or None
    source, note : str
        Where the number comes from, and why.
    per : str
        "world" where a field that is drawn on every path is to be drawn once a world.
    """

    value: float | None = None
    distribution: Distribution | None = None
    source: str = ""
    note: str = ""
    per: str = ""

    @property
    def origin(self) -> str:
        """``plan`` (it has a source), ``assumption`` or ``none``."""
        if not self.source:
            return "none"
        return "assumption" if self.source.lower().startswith("assumption") else "plan"

    @property
    def known(self) -> bool:
        """False for the placeholder of a number that could not be read."""
        return self.value is not None or self.distribution is not None

    def central(self) -> float:
        """Median, nested parameters at their own medians."""
        if self.distribution is None:
            return math.nan if self.value is None else self.value
        values = {suffix: np.full(1, q.central()) for suffix, q in self.distribution.params.items()}
        return float(np.ravel(self.distribution.quantile(0.5, values))[0])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Callable) -> dict[str, Any]:
        return {"x-quantity": True}


UNKNOWN = Quantity()


def number(raw: Any) -> float | None:
    """A finite number; None where it is none."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    try:
        value = float(raw)
    except OverflowError:
        return math.inf
    return value


def parse(raw: Any) -> Quantity:
    """Read a quantity as it stands in a TOML file.

    Raises
    ------
    QuantityError
        With everything that is wrong.
    """
    if isinstance(raw, Quantity):
        return raw
    reader = _Reader()
    quantity = reader.quantity(raw, "")
    if reader.problems:
        raise QuantityError(reader.problems)
    return quantity


@dataclass
class _Reader:
    """Reads one raw quantity and gathers what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, suffix: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(suffix, message, remedy))

    def quantity(self, raw: Any, suffix: str, nested: bool = False) -> Quantity:
        plain = number(raw)
        if plain is not None:
            return Quantity(self.finite(plain, suffix))
        if not isinstance(raw, Mapping):
            self.wrong(
                suffix,
                f"{_shown(raw)} is not a number",
                'give a number, or a table such as { value = 0.3, source = "..." }',
            )
            return UNKNOWN
        families = [k for k in raw if k in FAMILIES]
        self._check_keys(raw, suffix, families)
        words = {k: self._word(raw, k, suffix) for k in ("source", "note", "per")}
        if words["per"] not in ("", "world"):
            self.wrong(suffix, f"per: {words['per']!r} is not known", 'give per = "world" or leave it out')
        if "value" in raw:
            value = number(raw["value"])
            if value is None:
                self.wrong(suffix, f"value: {_shown(raw['value'])} is not a number", "give a number")
                return UNKNOWN
            return Quantity(self.finite(value, suffix), None, **words)
        if len(families) != 1:
            return UNKNOWN
        distribution = self.distribution(raw, families[0], suffix)
        return Quantity(None, distribution, **words) if distribution is not None else UNKNOWN

    def _check_keys(self, raw: Mapping[str, Any], suffix: str, families: list[str]) -> None:
        for key in raw:
            if key not in FAMILIES and key not in WORDS:
                self.wrong(_join(suffix, str(key)), "unknown key", _suggest(str(key), [*FAMILIES, *WORDS]))
        given = (["value"] if "value" in raw else []) + families
        if not given:
            self.wrong(suffix, "neither a value nor a distribution", f"give value or one of {', '.join(FAMILIES)}")
        elif len(given) > 1:
            self.wrong(suffix, f"{' and '.join(given)} stand side by side", "keep one of them")
        elif given == ["value"] and "truncate" in raw:
            self.wrong(_join(suffix, "truncate"), "a plain value cannot be truncated", "drop truncate")

    def _word(self, raw: Mapping[str, Any], key: str, suffix: str) -> str:
        word = raw.get(key, "")
        if isinstance(word, str):
            return word
        self.wrong(_join(suffix, key), f"{_shown(word)} is not text", "put it in quotes")
        return ""

    def finite(self, value: float, suffix: str) -> float | None:
        if not math.isfinite(value):
            self.wrong(suffix, f"{value:g} is not a finite number", "give a finite number")
            return None
        if abs(value) > LARGEST:
            self.wrong(suffix, f"{value:g} is larger than {LARGEST:g}", "give the number in plain units")
            return None
        return value

    def distribution(self, raw: Mapping[str, Any], family: str, suffix: str) -> Distribution | None:
        before = len(self.problems)
        params: dict[str, Quantity] = {}
        content = raw[family]
        data: tuple[float, ...] = ()
        name = ""
        parts: tuple[Distribution, ...] = ()
        if FAMILIES[family].count:
            self._listed(content, family, FAMILIES[family].count, suffix, params)
        elif family == "quantiles":
            self._quantiles(content, suffix, params)
        elif family == "samples":
            data = self._samples(content, suffix)
        elif family == "scipy":
            name = self._scipy(content, suffix, params)
        else:
            parts = self._mixture(content, suffix, params)
        if "truncate" in raw:
            self._listed(raw["truncate"], "truncate", 2, suffix, params)
        if len(self.problems) > before:
            return None
        found = Distribution(family, params, data, name, parts, "truncate" in raw)
        self._check_parameters(found, suffix)
        return found

    def _check_parameters(self, found: Distribution, suffix: str) -> None:
        """Parameters that are plain numbers are checked now, uncertain ones in each world."""
        if any(q.distribution is not None for q in found.params.values()):
            return
        values = {key: np.full(1, q.value) for key, q in found.params.items()}
        with np.errstate(all="ignore"):
            wrong = found.fault(values)
        if wrong is not None:
            self.wrong(suffix, wrong, "put the parameters right")

    def _listed(self, content: Any, family: str, count: int, suffix: str, params: dict[str, Quantity]) -> None:
        if not isinstance(content, list | tuple) or len(content) != count:
            self.wrong(
                _join(suffix, family), f"{_shown(content)} is not a list of {count} numbers", f"give {count} numbers"
            )
            return
        for j, item in enumerate(content, 1):
            params[f"{family}.{j}"] = self._parameter(item, _join(suffix, f"{family}.{j}"))

    def _parameter(self, raw: Any, suffix: str) -> Quantity:
        return self.quantity(raw, suffix, nested=True)

    def _quantiles(self, content: Any, suffix: str, params: dict[str, Quantity]) -> None:
        at = _join(suffix, "quantiles")
        if not isinstance(content, Mapping):
            self.wrong(at, f"{_shown(content)} is not a table of quantiles", 'such as { low = 0, high = 6, "0.5" = 2 }')
            return
        for key in ("low", "high"):
            if key not in content:
                self.wrong(at, f"{key} is missing", "give the least and the greatest value, low and high")
        for key, item in content.items():
            level = key if key in ("low", "high") else _level(key)
            if level is None:
                self.wrong(
                    _join(at, str(key)), f"{key!r} is no probability between 0 and 1", 'give keys such as "0.05"'
                )
            else:
                params[f"quantiles.{key}"] = self._parameter(item, _join(at, str(key)))
        levels = [_level(k) for k in content if k not in ("low", "high")]
        if len(set(levels)) < len(levels):
            self.wrong(at, "one probability stands twice", "keep one of them")

    def _samples(self, content: Any, suffix: str) -> tuple[float, ...]:
        at = _join(suffix, "samples")
        if not isinstance(content, list | tuple) or not content:
            self.wrong(at, f"{_shown(content)} is not a list of numbers", 'give numbers, or "file.csv:column"')
            return ()
        found = [number(item) for item in content]
        for item, value in zip(content, found, strict=True):
            if value is None or not math.isfinite(value) or abs(value) > LARGEST:
                self.wrong(at, f"{_shown(item)} is not a finite number", "give finite numbers")
                return ()
        return tuple(sorted(v for v in found if v is not None))

    def _scipy(self, content: Any, suffix: str, params: dict[str, Quantity]) -> str:
        at = _join(suffix, "scipy")
        name = content.get("name") if isinstance(content, Mapping) else None
        if not isinstance(name, str):
            self.wrong(
                at, f"{_shown(content)} names no distribution", 'such as { name = "weibull_min", c = 1.8, scale = 2 }'
            )
            return ""
        shapes = scipy_shapes(name)
        if shapes is None:
            self.wrong(at, f"scipy.stats has no continuous distribution {name!r}", "see the list of scipy.stats")
            return ""
        for key, item in content.items():
            if key == "name":
                continue
            if key not in (*shapes, "loc", "scale"):
                self.wrong(_join(at, str(key)), "unknown parameter", _suggest(str(key), [*shapes, "loc", "scale"]))
            else:
                params[f"scipy.{key}"] = self._parameter(item, _join(at, str(key)))
        missing = [s for s in shapes if s not in content]
        if missing:
            self.wrong(at, f"{name} lacks {', '.join(missing)}", "give every shape parameter")
        return name

    def _mixture(self, content: Any, suffix: str, params: dict[str, Quantity]) -> tuple[Distribution, ...]:
        at = _join(suffix, "mixture")
        if not isinstance(content, list | tuple) or not content:
            self.wrong(
                at, f"{_shown(content)} is not a list of components", "such as [{ weight = 0.7, uniform = [0, 1] }]"
            )
            return ()
        parts = []
        for j, item in enumerate(content, 1):
            place = _join(at, str(j))
            families = [k for k in item if k in FAMILIES and k != "mixture"] if isinstance(item, Mapping) else []
            if len(families) != 1:
                self.wrong(
                    place,
                    f"{_shown(item)} is not one distribution with a weight",
                    "such as { weight = 0.7, uniform = [0, 1] }",
                )
                continue
            for key in item:
                if key not in ("weight", families[0]):
                    self.wrong(
                        _join(place, str(key)), "unknown key in a component", "keep the weight and one distribution"
                    )
            params[f"mixture.{j}.weight"] = self._parameter(item.get("weight", 1.0), _join(place, "weight"))
            part = self.distribution({families[0]: item[families[0]]}, families[0], place)
            if part is not None:
                parts.append(part)
                params.update({f"mixture.{j}.{s}": q for s, q in part.params.items()})
        return tuple(parts)


def _level(key: Any) -> float | None:
    try:
        level = float(key)
    except (TypeError, ValueError):
        return None
    return level if 0.0 < level < 1.0 else None


def _join(first: str, second: str) -> str:
    return f"{first}.{second}" if first else second


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 40 else text[:37] + "..."


def _suggest(word: str, known: list[str]) -> str:
    return did_you_mean(word, known, f"known are {', '.join(known)}")
