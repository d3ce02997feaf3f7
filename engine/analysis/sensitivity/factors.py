"""Which knobs are varied, and how far: the factors of a sensitivity study, as the sides of a unit cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any

import numpy as np

from engine.errors import Fault, ScenarioError, SimulationError
from engine.kernels.variates import SMALLEST
from engine.scenario import knobs
from engine.scenario.knobs import NUMBER, RANDOM, UNCERTAIN, Knob
from engine.scenario.model import Scenario
from engine.scenario.worlds import Worlds, central, design, pairs, parameters_of

LOW, HIGH = 0.05, 0.95  # quantiles at which a distribution's ends are taken
_LIKE = "*?["  # what makes a name a pattern
_SUCH_AS = "give a share above 0, such as 10%, or LOW:HIGH, such as 0.1:0.3"
_GIVE_RANGE = "say how far it may move, such as --range 10% or --knob NAME=LOW:HIGH"


@dataclass(frozen=True)
class Factor:
    """One knob and its range; a level u in [0, 1] names a value.

    With a distribution u is the level of its quantile function; with a range u goes evenly from `low` to `high`.

    Attributes
    ----------
    knob : Knob
    low, central, high : float
        With a distribution its quantiles 5 %, 50 % and 95 %, nested parameters at their medians; with a range its ends
        and the scenario's own number.
    ranged : bool
    parameters : dict of str to ndarray, shape (1,)
        Of the distribution, each at its median.
    """

    knob: Knob
    low: float
    central: float
    high: float
    ranged: bool
    parameters: Mapping[str, np.ndarray]

    @property
    def name(self) -> str:
        return self.knob.name

    @property
    def ends(self) -> tuple[float, float]:
        """Levels of `low` and `high`."""
        return (0.0, 1.0) if self.ranged else (LOW, HIGH)

    @property
    def middle(self) -> float:
        """Level of `central`."""
        return (self.central - self.low) / (self.high - self.low) if self.ranged else 0.5

    def values(self, levels: np.ndarray) -> np.ndarray:
        """Values at levels, all other knobs central."""
        if self.ranged:
            # rounding must not push a bound of the range over that of the field
            return np.clip(self.low + (self.high - self.low) * levels, self.low, self.high)
        distribution = self.knob.quantity.distribution
        assert distribution is not None
        inside = np.clip(levels, SMALLEST, 1.0 - SMALLEST)
        return np.asarray(distribution.quantile(inside, self.parameters), float)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "name": self.name, "unit": self.knob.unit, "kind": self.knob.kind, "low": self.low,
            "central": self.central, "high": self.high, "range": "ends" if self.ranged else "distribution",
        }  # fmt: skip


def worlds_at(scenario: Scenario, factors: Sequence[Factor], levels: np.ndarray) -> Worlds:
    """The world of each row of levels, shape (n, factors), all on the same paths; all other knobs central."""
    values, uniforms = {}, {}
    for factor, column in zip(factors, levels.T, strict=True):
        if factor.ranged:
            values[factor.name] = factor.values(column)
        else:
            uniforms[factor.name] = np.clip(column, SMALLEST, 1.0 - SMALLEST)
    return design(scenario, values, uniforms=uniforms)


def choose(scenario: Scenario, wanted: Sequence[str] = (), share: float | None = None) -> list[Factor]:
    """Factors for the knobs wanted.

    Parameters
    ----------
    scenario : Scenario
    wanted : sequence of str, optional
        Names or patterns such as ``risks.*.probability``, each with a range of its own where one is wished for:
        ``NAME=10%``, or ``NAME=LOW:HIGH``. A pattern takes the uncertain knobs among its matches, where there are none
        the random ones, and plain numbers only if they have a range and are no parameters of another match. Default:
        all uncertain knobs.
    share : float, optional
        Range of the plain numbers, as a share of their value to both sides.

    Raises
    ------
    SimulationError
        With every name and range that cannot be used.
    """
    found: dict[str, Factor] = {}
    faults: list[Fault] = []
    if not wanted:
        wanted = list(knobs.uncertain(scenario))
        if not wanted:
            message = "nothing is uncertain in this scenario"
            faults.append(Fault(scenario.file, "", message, "name knobs and a range: --knob 'lines.*.amount=10%'"))
    middle = central(scenario)
    for text in wanted:
        name, _, spread = (part.strip() for part in text.partition("="))
        try:
            matches = _matches(scenario, name, bool(spread) or share is not None)
        except _Refused as refused:
            faults.append(Fault(scenario.file, name, *refused.args))
            continue
        except ScenarioError as error:
            faults += error.faults
            continue
        for knob in matches:
            try:
                found[knob.name] = _factor(knob, spread, share, middle)
            except _Refused as refused:
                faults.append(Fault(scenario.file, knob.name, *refused.args))
    if share is not None and found and not any(_has_share(factor) for factor in found.values()):
        message = "no plain number is among the knobs: those with a distribution keep its range"
        faults.append(Fault(scenario.file, "range", message, "leave it out, or name plain numbers with --knob"))
    if faults:
        raise SimulationError(faults=faults)
    return list(found.values())


def _has_share(factor: Factor) -> bool:
    """Whether the common share could be the range of a factor."""
    return factor.knob.quantity.distribution is None


class _Refused(Exception):
    """A name or a range that cannot be used: message and remedy."""


def _matches(scenario: Scenario, name: str, with_range: bool) -> list[Knob]:
    """Knobs that a name or a pattern stands for."""
    every = knobs.index(scenario)
    if not set(name) & set(_LIKE):
        knobs.read(scenario, name)
        return [every[name]]
    found = [knob for knob in every.values() if fnmatchcase(knob.name, name)]
    chosen = [knob for knob in found if knob.kind == UNCERTAIN] or [knob for knob in found if knob.kind == RANDOM]
    if with_range:
        # a share of nothing is nothing: what stands at 0, as many defaults do, has no range; and a parameter beside
        # its own distribution would be the same uncertainty once more
        chosen += [
            knob for knob in found if knob.kind == NUMBER and knob.quantity.value and knob.parent not in found
        ]  # fmt: skip
    if not found:
        raise _Refused("no knob has such a name", "see `attain knobs --match PATTERN`")
    if not chosen:
        raise _Refused("no match is uncertain or random, nor a number with a range", _GIVE_RANGE)
    return chosen


def _factor(knob: Knob, spread: str, share: float | None, middle: Worlds) -> Factor:
    """One knob with its range: that of its own text, its distribution, or the common share."""
    quantity = knob.quantity
    if not spread and quantity.distribution is not None:
        parameters = parameters_of(knob.name, quantity, middle.values)
        low, centre, high = map(float, quantity.distribution.quantile(np.array([LOW, 0.5, HIGH]), parameters))
        return Factor(knob, low, centre, high, False, parameters)
    centre = float(quantity.central())
    if not spread and share is None:
        raise _Refused("a plain number with no range", _GIVE_RANGE)
    low, high = _ends(spread, share, centre)
    for end in (low, high):
        if not knob.spec.holds(end, end):
            unit = "" if knob.unit == "1" else f" {knob.unit}"
            raise _Refused(f"its range reaches {end:.12g}, which is not {knob.spec.bounds}{unit}", "give a smaller one")
    return Factor(knob, low, centre, high, True, {})


def _ends(spread: str, share: float | None, centre: float) -> tuple[float, float]:
    if ":" in spread:
        first, _, second = spread.partition(":")
        try:
            low, high = float(first), float(second)
        except ValueError:
            raise _Refused(f"{spread!r} is no range", _SUCH_AS) from None
        if not (isfinite(low) and isfinite(high) and low < high):
            raise _Refused(f"{spread}: the first number is not below the second", "give LOW:HIGH")
        if not low <= centre <= high:
            raise _Refused(f"{spread} does not hold its central value {centre:.6g}", "give a range around it")
        return low, high
    if spread:
        share = share_of(spread)
        if share is None:
            raise _Refused(f"{spread!r} is no range", _SUCH_AS)
    assert share is not None
    if centre == 0.0:
        raise _Refused("a share of 0 is 0: nothing would move", "give its ends, --knob NAME=LOW:HIGH")
    return centre - share * abs(centre), centre + share * abs(centre)


def share_of(text: str) -> float | None:
    """The share in a text such as ``10%``; None where it is none above 0.

    Examples
    --------
    >>> share_of("10%"), share_of("2.5 %"), share_of("0.1"), share_of("0%")
    (0.1, 0.025, None, None)
    """
    if not text.endswith("%"):
        return None
    try:
        share = float(text[:-1]) / 100.0
    except ValueError:
        return None
    return share if isfinite(share) and share > 0 else None


def linked(scenario: Scenario, factors: Sequence[Factor]) -> list[tuple[str, str]]:
    """Pairs of factors that the scenario correlates: a study moves them independently all the same."""
    names = {factor.name for factor in factors}
    return [(a, b) for a, b, _ in pairs(scenario, of_paths=False) if {a, b} <= names]
