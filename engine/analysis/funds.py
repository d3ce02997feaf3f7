"""A fund: how sure each size of it is, when it runs dry, for which risks, and how it may be given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.levels import Level, level, levels
from engine.analysis.needs import Needs, Present
from engine.replay import Replay

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
EARLY = 0.1  # of the years in which a fund is used up: the month by which the earliest of them are
CURVE = 21  # sizes at which P(attain) is looked at
_CLOSE = 0.002  # of the largest size: how near the smallest sufficient one is found
_NEVER = Chance(0.0, 0.0, 0.0, 0.0, 0.0)
_HALVINGS = 7  # of the search for the release that covers the year


@dataclass(frozen=True)
class FundFacts:
    """One fund, or all together.

    Attributes
    ----------
    current : float
        What it holds. [CNY]
    confidence : Chance
        P(it suffices).
    levels : dict of str to Level
    need, unspent : Figure
        Mean need, and mean money left of what it holds. [CNY]
    exhausted_month : Figure or None
        Mean month, from 1, in which it is used up, over the years in which it is.
    exhausted_early : float or None
        Month by which a tenth of those years have used it up.
    """

    current: float
    confidence: Chance
    levels: dict[str, Level]
    need: Figure
    unspent: Figure
    exhausted_month: Figure | None
    exhausted_early: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        month = self.exhausted_month
        return {
            "current": self.current, "confidence": self.confidence.to_json(),
            "levels": {name: _as_fund(level) for name, level in self.levels.items()},
            "need": self.need.to_json(), "expected_unspent": self.unspent.value, "expected_unspent_se": self.unspent.se,
            "exhausted_month": None if month is None else month.to_json(), "exhausted_early": self.exhausted_early,
        }  # fmt: skip


def _as_fund(found: Level) -> dict[str, float]:
    """A level by the names of a fund's report."""
    plain = found.to_json()
    return {"fund": plain.pop("value"), **plain}


@dataclass(frozen=True)
class CurvePoint:
    """What a fund of one size does: P(it suffices), P(attain), P(both), on the same paths."""

    fund: float
    suffices: Chance
    attains: Chance
    both: Chance

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {name: v if name == "fund" else v.to_json() for name, v in vars(self).items()}


@dataclass(frozen=True)
class Release:
    """End of one month: what must be kept so that the rest of the year stays covered, and what has been given back."""

    month: int
    keep: float
    returned: Figure  # so far, mean over all years

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"month": self.month, "keep": self.keep, "returned": self.returned.to_json()}


def facts(needs: Needs, present: Present, fund: str, confidences: Sequence[float] = LEVELS) -> FundFacts:
    """What there is to say about one fund, or all; levels are of needs without a limit, of all funds as one pool."""
    month = present.dry_month_of(fund)
    dry = np.sort(month[month > 0])
    need = needs.of(fund)
    return FundFacts(
        current=needs.held(fund),
        confidence=estimates.chance(month == 0),
        levels=levels(need, confidences),
        need=estimates.mean(need),
        unspent=estimates.mean(present.left_of(fund)),
        exhausted_month=estimates.ratio(month, month > 0),
        exhausted_early=float(estimates.at(dry, np.array([EARLY]))[0]) if dry.size else None,
    )


def euler(parts: np.ndarray, confidence: float) -> tuple[np.ndarray, float]:
    """Share of each part in the mean of the worst totals (CVaR), shape (parts,), and that mean; they add up exactly.

    Parameters
    ----------
    parts : ndarray, shape (parts, ...)
        On every path; their sum over the first axis is the total.
    confidence : float
        The worst 1 - confidence of all paths count.

    Notes
    -----
    The allocation of Euler's rule for CVaR: E[part | total among the worst] (Tasche 1999). Where several paths tie at
    the edge each of them counts by the same fraction.
    """
    flat = parts.reshape(parts.shape[0], -1)
    total = flat.sum(axis=0)
    count = (1.0 - confidence) * total.size
    edge = float(estimates.at(np.sort(total), np.array([confidence]))[0])
    beyond, at_edge = total > edge, total == edge
    fraction = np.clip((count - beyond.sum()) / max(1, int(at_edge.sum())), 0.0, 1.0)
    weight = beyond + fraction * at_edge
    weight = weight / weight.sum()
    return flat @ weight, float(total @ weight)


@dataclass(frozen=True)
class Schedule:
    """How a fund may be given back.

    Attributes
    ----------
    confidence : float
        With which each month's amount covers the rest of the year, seen from that month alone.
    start : float
        What the fund begins with. [CNY]
    months : list of Release
    covers : Chance
        P(the whole year stays covered) under it.
    """

    confidence: float
    start: float
    months: list[Release]
    covers: Chance

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "confidence": self.confidence, "start": self.start, "covers": self.covers.to_json(),
            "months": [month.to_json() for month in self.months],
        }  # fmt: skip


def schedule(drawn: np.ndarray, held: float, confidence: float) -> Schedule:
    """`release` of what covers the year with a confidence, or of what the fund holds where that is more."""
    start = max(held, level(drawn[-1], confidence).value)
    months, covers = release(drawn, start, confidence)
    return Schedule(confidence, start, months, covers)


def release(drawn: np.ndarray, fund: float, confidence: float) -> tuple[list[Release], Chance]:
    """The schedule of giving money back, and P(the year stays covered) under it.

    At each month's end what is above the amount to keep goes back. That amount is the quantile of what the rest of
    the year will ask for, over all years; it does not look at how this year has gone.

    Parameters
    ----------
    drawn : ndarray, shape (months, worlds, paths)
        Asked for by the end of each month. [CNY]
    """
    months = drawn.shape[0]
    left = np.full(drawn.shape[1:], float(fund))
    covered = np.ones(drawn.shape[1:], bool)
    returned = np.zeros(drawn.shape[1:])
    found, before = [], np.zeros(drawn.shape[1:])
    for t in range(months):
        left -= drawn[t] - before
        before = drawn[t]
        covered &= left >= -1e-9 * max(fund, 1.0)
        rest = np.sort(drawn[-1] - drawn[t], axis=None)
        keep = float(estimates.at(rest, np.array([confidence]))[0]) if t < months - 1 else 0.0
        back = np.maximum(left - keep, 0.0)
        left -= back
        returned += back
        found.append(Release(t + 1, keep, estimates.mean(returned)))
    return found, estimates.chance(covered)


def release_for_year(drawn: np.ndarray, held: float, confidence: float) -> Schedule:
    """The release that keeps the whole year covered with a confidence.

    Each month keeps what covers its rest with a higher confidence, found by halving; the fund begins with what covers
    the year with that, or with what it holds where that is more.
    """
    low, high = confidence, 1.0 - 1.0 / drawn[0].size
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        covers = schedule(drawn, held, middle).covers.value
        low, high = (low, middle) if covers >= confidence else (middle, high)
    return schedule(drawn, held, high)


class Sizes:
    """What a fund of any size does, on the paths of a run, all other funds as they are.

    A year in which no fund runs dry is the year of `needs`: only the others are simulated for each size.
    """

    def __init__(self, needs: Needs, replay: Replay, fund: str) -> None:
        self.held = needs.held(fund)
        self._needs, self._replay, self._fund = needs, replay, fund
        self._need, worlds = needs.of(fund), replay.run.worlds
        self._target = worlds.read("plan.target")[:, None] * estimates.MET
        self._place = list(needs.scenario.funds).index(fund)
        self._others = np.zeros(self._need.shape, bool)
        for name in needs.scenario.funds:
            if name != fund:
                self._others |= needs.of(name) > worlds.read(f"funds.{name}.amount")[:, None]

    def point(self, size: float) -> CurvePoint:
        """P(suffices), P(attain) and P(both) at one size."""
        asked = self._others | (self._need > size)
        revenue, dry = self._needs.revenue.copy(), np.zeros(asked.shape, bool)
        if asked.any():
            ends, paths = np.cumsum(asked.sum(axis=1)), np.nonzero(asked)[1]
            found, exhausted = self._replay.of_paths({f"funds.{self._fund}.amount": size}, ends, paths)
            revenue[asked], dry[asked] = found[0], exhausted[self._place]
        attains = revenue >= self._target
        return CurvePoint(size, *map(estimates.chance, (~dry, attains, attains & ~dry)))

    def curve(self, report: Callable[[int], None]) -> list[CurvePoint]:
        """Points from nothing to what 99.9 % of all years need, and at what the fund holds.

        `report` is called with the paths simulated so far.
        """
        points = []
        for size in np.unique(np.append(np.linspace(0.0, float(np.quantile(self._need, 0.999)), CURVE), self.held)):
            points.append(self.point(float(size)))
            report(self._replay.done)
        return points

    def smallest(self, points: Sequence[CurvePoint], confidence: float) -> float | None:
        """The smallest size with P(both) at a confidence, by halving between the points; None where none is."""
        for before, after in pairwise([CurvePoint(0.0, *[_NEVER] * 3), *points]):
            if after.both.value >= confidence:
                low, high = before.fund, after.fund
                while high - low > _CLOSE * points[-1].fund:
                    middle = 0.5 * (low + high)
                    low, high = (low, middle) if self.point(middle).both.value >= confidence else (middle, high)
                return high
        return None
