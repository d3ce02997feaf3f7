"""Reverse stress test: the most likely way to miss the target by so much."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis import estimates
from engine.analysis.discovery.years import OF_RISKS, Factor, Kind, Years
from engine.analysis.estimates import CLEAR, Figure

WIDTHS = (0.01, 0.02, 0.03)  # of the target: how far from the miss asked for a year may lie, the first that suffices
ENOUGH = 1000  # years that make a width suffice
FEWEST = 200  # years below which no pattern is given
CARRIED = 0.8  # share of all losses to risks in those years that the risks of the combination carry
MOST_RISKS = 5  # of the combination: of many risks every combination is rare, and none is typical
COMBINATIONS = 3
_INTERVAL = 1.96  # standard errors, for 95 %


@dataclass(frozen=True)
class Ratio:
    """How many times as often; the interval at 95 % is that of the logarithm."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """More often by three standard errors: a score of risks is looked at, and each may seem to differ by chance."""
        return math.log(self.value) > CLEAR / _INTERVAL * math.log(self.value / self.low) > 0.0


@dataclass(frozen=True)
class Strikes:
    """How often a risk strikes in the years in question, and in all years.

    Attributes
    ----------
    there, usual : Figure
    ratio : Ratio or None
        `None` where it strikes in none of them.
    """

    there: Figure
    usual: Figure
    ratio: Ratio | None


@dataclass(frozen=True)
class Shift:
    """How a driver differs in the years in question; of a risk's start, severity and duration where it strikes.

    Attributes
    ----------
    mean, usual : Figure
        In the driver's unit.
    spreads : Figure
        Their difference in units of the driver's standard deviation over all years.
    typical : Figure or None
        Median in the most probable combination of those years; `None` for a risk that stays away in it.
    """

    mean: Figure
    usual: Figure
    spreads: Figure
    typical: Figure | None


@dataclass(frozen=True)
class Combination:
    """Which of the risks that carry the loss strike together.

    Attributes
    ----------
    strike, stay_away : tuple of str
    share : Figure
        Of the years in question.
    usual : Figure
        Of all years.
    ratio : Ratio or None
    """

    strike: tuple[str, ...]
    stay_away: tuple[str, ...]
    share: Figure
    usual: Figure
    ratio: Ratio | None


@dataclass(frozen=True)
class Reverse:
    """The years that miss the target by about so much, and what is typical of them.

    Attributes
    ----------
    by : float
        Share of the target.
    width : float
        A year belongs to them where its shortfall lies within this of `by`.
    years : int
        So many were found; where they are fewer than 200 all else is empty.
    share : Figure
        Of all years.
    worst : float
        Largest shortfall of all years, as a share of the target.
    risks : dict of str to Strikes
        Most overrepresented first.
    shifts : dict of Factor to Shift
        Largest first.
    combinations : tuple of Combination
        The most probable first.
    lead : Figure or None
        By how much the share of the first exceeds that of the second; the error is paired.
    """

    by: float
    width: float
    years: int
    share: Figure
    worst: float
    risks: dict[str, Strikes]
    shifts: dict[Factor, Shift]
    combinations: tuple[Combination, ...]
    lead: Figure | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "by": self.by, "width": self.width, "years": self.years, "share": self.share.to_json(),
            "worst": self.worst,
            "risks": {
                name: {"there": s.there.to_json(), "usual": s.usual.to_json(), "ratio": _ratio_json(s.ratio)}
                for name, s in self.risks.items()
            },
            "drivers": {
                factor.name: {
                    "unit": factor.unit, "mean": s.mean.to_json(), "usual": s.usual.to_json(),
                    "spreads": s.spreads.to_json(), "typical": None if s.typical is None else s.typical.to_json(),
                }
                for factor, s in self.shifts.items()
            },
            "combinations": [
                {
                    "strike": c.strike, "stay_away": c.stay_away, "share": c.share.to_json(),
                    "usual": c.usual.to_json(), "ratio": _ratio_json(c.ratio),
                }
                for c in self.combinations
            ],
            "lead": None if self.lead is None else self.lead.to_json(),
        }  # fmt: skip


def _ratio_json(ratio: Ratio | None) -> dict[str, float] | None:
    return None if ratio is None else {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def reverse(years: Years, by: float) -> Reverse:
    """Find the most likely way to miss the target by about a share of it.

    Notes
    -----
    The law of a year given its shortfall has a mode only where its coordinates are discrete: the densest point of a
    start or a severity changes with the scale on which it is measured. The most likely way is therefore the most
    probable combination of striking risks given the shortfall, among those risks that carry the losses of such years,
    and of everything else the median given that combination. Glasserman, Kang and Kang (2015, Quantitative Finance 15)
    choose stress scenarios from the conditional law given a loss in the same spirit, by its mean or mode.
    """
    width = next((w for w in WIDTHS if np.count_nonzero(_near(years, by, w)) >= ENOUGH), WIDTHS[-1])
    near = _near(years, by, width)
    count = int(np.count_nonzero(near))
    share, worst = estimates.mean(near), float(years.short.max())
    if count < FEWEST:
        return Reverse(by, width, count, share, worst, {}, {}, (), None)
    struck = {f.owner: years.of(f) > 0.5 for f in years.factors if f.kind is Kind.STRIKES}
    combinations, lead = _combinations(years, struck, near)
    risks = {name: _strikes(at, near) for name, at in struck.items()}
    risks = dict(sorted(risks.items(), key=lambda item: -_excess(item[1])))
    shifts = {
        factor: shift
        for factor in years.factors
        if factor.kind is not Kind.STRIKES
        and (shift := _shift(years.of(factor), struck.get(factor.owner), near, _mode(combinations, struck, factor)))
    }
    shifts = dict(sorted(shifts.items(), key=lambda item: -abs(item[1].spreads.value)))
    return Reverse(by, width, count, share, worst, risks, shifts, combinations, lead)


def _near(years: Years, by: float, width: float) -> np.ndarray:
    found: np.ndarray = np.abs(years.short - by) <= width
    return found


def _excess(strikes: Strikes) -> float:
    return 0.0 if strikes.ratio is None else strikes.ratio.value


def _strikes(struck: np.ndarray, near: np.ndarray) -> Strikes:
    there = estimates.ratio(struck & near, near)
    assert there is not None
    return Strikes(there, estimates.mean(struck), _times(struck, near))


def _times(event: np.ndarray, near: np.ndarray) -> Ratio | None:
    """P(event | near) / P(event), with the interval of its logarithm by the delta method."""
    there, usual = estimates.ratio_scores(event & near, near), estimates.mean_scores(event)
    if there is None or there.value == 0.0 or usual.value == 0.0:
        return None
    scores = there.scores / there.value - (usual.scores - usual.value) / usual.value
    reach = math.exp(_INTERVAL * estimates.mean(scores).se)
    value = there.value / usual.value
    return Ratio(value, value / reach, value * reach)


def _combinations(
    years: Years, struck: dict[str, np.ndarray], near: np.ndarray
) -> tuple[tuple[Combination, ...], Figure | None]:
    """The most probable combinations of the risks that carry the losses of those years, and the lead of the first."""
    names = _carriers(years, struck, near)
    if not names:
        return (), None
    codes = sum((struck[name].astype(np.int64) << j for j, name in enumerate(names)), np.zeros(near.shape, np.int64))
    # of equally frequent ones that in which fewer risks strike
    often = sorted(Counter(codes[near].tolist()).items(), key=lambda item: (-item[1], item[0].bit_count(), item[0]))
    places = [code for code, _ in often[:COMBINATIONS]]
    found = tuple(_combination(code, names, codes, near) for code in places)
    if len(found) < 2:
        return found, None
    first, second = (estimates.ratio_scores((codes == code) & near, near) for code in places[:2])
    assert first is not None and second is not None
    return found, first.minus(second)


def _combination(code: int, names: list[str], codes: np.ndarray, near: np.ndarray) -> Combination:
    event = codes == code
    share = estimates.ratio(event & near, near)
    assert share is not None
    strike = tuple(name for j, name in enumerate(names) if code >> j & 1)
    away = tuple(name for name in names if name not in strike)
    return Combination(strike, away, share, estimates.mean(event), _times(event, near))


def _carriers(years: Years, struck: dict[str, np.ndarray], near: np.ndarray) -> list[str]:
    """Risks that together take most of what such years lose to risks, the largest first."""
    lost = dict(zip(years.scenario.risks, years.loss[:, near].mean(axis=1), strict=True))
    order = sorted((name for name in struck if lost[name] > 0.0), key=lambda name: -lost[name])
    carried = np.cumsum([lost[name] for name in order])
    count = int(np.searchsorted(carried, CARRIED * carried[-1]) + 1) if order else 0
    return order[: min(count, MOST_RISKS)]


def _mode(combinations: tuple[Combination, ...], struck: dict[str, np.ndarray], factor: Factor) -> np.ndarray | None:
    """Years of the most probable combination, all where there is none.

    `None` where the factor is that of a risk that stays away in it.
    """
    if not combinations:
        return np.array(True)
    first = combinations[0]
    if factor.kind in OF_RISKS and factor.owner in first.stay_away:
        return None
    found: np.ndarray = np.all([struck[name] for name in first.strike], axis=0)
    return found & ~np.any([struck[name] for name in first.stay_away], axis=0)


def _shift(values: np.ndarray, struck: np.ndarray | None, near: np.ndarray, mode: np.ndarray | None) -> Shift | None:
    """How a driver differs in those years; `None` for one that never differs from anything."""
    whole = np.ones(near.shape, bool) if struck is None else struck
    there, usual = (estimates.ratio_scores(np.where(at, values, 0.0), at) for at in (whole & near, whole))
    if there is None or usual is None:
        return None
    spread = float(values[whole].std())
    if spread <= 1e-12 * max(1.0, abs(usual.value)):
        return None
    apart = there.minus(usual)
    typical = None if mode is None else median_of(values, whole & near & mode)
    return Shift(there.figure, usual.figure, Figure(apart.value / spread, apart.se / spread), typical)


def median_of(values: np.ndarray, among: np.ndarray) -> Figure | None:
    """Median of some of the paths, shape (worlds, paths) each; `None` where there are none.

    Notes
    -----
    Woodruff (1952): the share below the median has an error, clustered by world; half the distance of the quantiles one
    such error above and below is the median's.
    """
    if not among.any():
        return None
    ordered = np.sort(values[among])
    middle = float(estimates.at(ordered, np.array([0.5]))[0])
    below = estimates.ratio(among & (values <= middle), among)
    assert below is not None
    low, high = estimates.at(ordered, np.clip([0.5 - below.se, 0.5 + below.se], 0.0, 1.0))
    return Figure(middle, float(high - low) / 2)
