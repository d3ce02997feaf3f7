"""Boxes: kinds of years, described by limits on a few factors, in which the target is missed more often than usual."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.analysis import estimates
from engine.analysis.discovery import prim
from engine.analysis.discovery.years import OF_RISKS, Factor, Kind, Years

OFFERED = 30  # factors that one search looks at: those that differ most between years that miss and years that do not
WORTH = 0.1  # part by which a restriction has to lower the share of years in the box that do not miss
_STEPS = 20.0  # a limit is rounded to a step of at most the factor's usual spread over this


@dataclass(frozen=True)
class Restriction:
    """Years in which low <= factor < high; infinite where there is no such limit."""

    factor: Factor
    low: float
    high: float

    def holds(self, years: Years) -> np.ndarray:
        """Shape (worlds, paths)."""
        values = years.of(self.factor)
        found: np.ndarray = (values >= self.low) & (values < self.high)
        return found

    def without(self, side: str) -> Restriction | None:
        """The same without its ``low`` or ``high`` limit; `None` where nothing is left."""
        left = replace(self, low=-math.inf) if side == "low" else replace(self, high=math.inf)
        return None if math.isinf(left.low) and math.isinf(left.high) else left


Limits = tuple[Restriction, ...]


def inside(limits: Iterable[Restriction], years: Years) -> np.ndarray:
    """Years that keep to all restrictions, shape (worlds, paths)."""
    found = np.ones(years.short.shape, bool)
    for restriction in limits:
        found &= restriction.holds(years)
    return found


@dataclass(frozen=True)
class Cases:
    """Years that are searched or judged: which of them miss, and which no earlier box holds; shape (worlds, paths)."""

    years: Years
    missed: np.ndarray
    open: np.ndarray

    def quality(self, box: np.ndarray) -> float:
        """How clearly a box stands out: (density - share) sqrt(mass), both among the open years.

        It is, but for a constant, the number of standard errors by which its density exceeds that of as many years
        taken at random, so that neither a tiny box of high density nor a large one of hardly more than the usual wins
        (Kloesgen 1996, the binomial test quality).
        """
        box = box & self.open
        held, remaining = int(np.count_nonzero(box)), int(np.count_nonzero(self.open))
        if held == 0:
            return -math.inf
        usual = np.count_nonzero(self.missed & self.open) / remaining
        density = np.count_nonzero(self.missed & box) / held
        return float((density - usual) * math.sqrt(held / remaining))

    def raises(self, box: np.ndarray, wider: np.ndarray) -> bool:
        """Whether the density of a box is clearly above that of a wider one around it."""
        narrow = estimates.ratio_scores(self.missed & box & self.open, box & self.open)
        wide = estimates.ratio_scores(self.missed & wider & self.open, wider & self.open)
        if narrow is None or wide is None:
            return False
        gain = narrow.minus(wide)
        return gain.value > estimates.CLEAR * gain.se and gain.value > 0

    def says_something(self, box: np.ndarray, wider: np.ndarray) -> bool:
        """Whether what makes a box of a wider one raises the density clearly, and takes enough other years out."""
        others = [1.0 - _share(self.missed & at & self.open, at & self.open) for at in (box, wider)]
        return self.raises(box, wider) and others[0] <= (1.0 - WORTH) * others[1]


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return int(np.count_nonzero(part)) / max(1, int(np.count_nonzero(whole)))


@dataclass(frozen=True)
class Step:
    """One step of a search: its limits, and what they hold among the open years of the search and of the choice."""

    restricted: int
    mass: float
    searched: tuple[float, float]
    chosen: tuple[float, float]


@dataclass(frozen=True)
class Found:
    """A box as it was found: its limits, and the last search's steps with the place of the chosen one."""

    limits: Limits
    steps: tuple[Step, ...]
    chosen: int


def find(search: Cases, choice: Cases, most: int, least_mass: float) -> Found | None:
    """Find the box that stands out most clearly; `None` where none does.

    Parameters
    ----------
    search, choice : Cases
        Independent years. Limits are peeled on the first; the step at which to stop, and which restrictions say
        something, are decided on the second, where the search has had no chance to fit them to accidents.
    most : int
        Restricted factors at most.
    least_mass : float
        Share of all years that the box holds at least.

    Notes
    -----
    A first search may restrict any factor. Of its best box the restrictions are dropped one by one, each time the one
    whose loss hurts least, until no more than `most` factors are left and each says something: it raises the density
    clearly, and lowers the share of years in the box that do not miss by a tenth at least, since among many thousand
    years trifles are clear too. A second search over these factors alone then sets their limits anew.
    """
    factors, found = _offered(search), None
    while factors:
        steps = [_tidy(limits, search.years) for limits in _search(search, factors, least_mass)]
        best = _best(steps, choice, least_mass)
        if best is None:
            return None
        limits = _tidy(_sharpened(steps[best], search, choice, least_mass), search.years)
        kept = reduce(limits, choice, most, least_mass)
        if not kept:
            return None
        if found is not None and set(_factors(kept)) == set(factors):
            return Found(_strongest_first(kept, choice), _describe(steps, search, choice), best)
        factors, found = _factors(kept), kept
    return None


def _strongest_first(limits: Limits, choice: Cases) -> Limits:
    """Restrictions in the order of what the box would lose without them."""

    def without(restriction: Restriction) -> float:
        return choice.quality(inside((r for r in limits if r is not restriction), choice.years))

    return tuple(sorted(limits, key=without))


def _factors(limits: Limits) -> list[Factor]:
    return [restriction.factor for restriction in limits]


def _offered(search: Cases) -> list[Factor]:
    """Factors whose law differs most between open years that miss and open years that do not (Kolmogorov, Smirnov)."""
    open_, missed = search.open.ravel(), search.missed.ravel()[search.open.ravel()]
    distances = [_distance(values.ravel()[open_], missed) for values in search.years.values]
    order = np.argsort(-np.array(distances), kind="stable")[:OFFERED]
    # in their own order: of limits that part the years alike the search takes the first factor's
    return [search.years.factors[j] for j in sorted(order) if distances[j] > 0.0]


def _distance(values: np.ndarray, missed: np.ndarray) -> float:
    """Largest difference of the two distribution functions."""
    order = np.argsort(values, kind="stable")
    hits = np.cumsum(missed[order])
    last = np.append(np.diff(values[order]) > 0, True)
    total, count = hits[-1], values.size
    if total in (0, count):
        return 0.0
    gap = hits / total - (np.arange(1, count + 1) - hits) / (count - total)
    return float(np.abs(gap[last]).max())


def _search(search: Cases, factors: Sequence[Factor], least_mass: float) -> list[Limits]:
    """Limits after every step of a search among the open years."""
    open_ = search.open
    missed = search.missed[open_]
    if missed.all() or not missed.any():
        return []
    values = np.stack([search.years.of(factor)[open_] for factor in factors])
    several = np.flatnonzero(values.min(axis=1) < values.max(axis=1))
    if several.size == 0:
        return []
    mass = least_mass / open_.mean()
    if mass >= 1.0:
        return []
    return [
        tuple(
            Restriction(factors[j], float(low), float(high))
            for j, low, high in zip(several, *limits, strict=True) if math.isfinite(low) or math.isfinite(high)
        )
        for limits in prim.trajectory(values[several], missed, mass)
    ]  # fmt: skip


def _best(steps: Sequence[Limits], choice: Cases, least_mass: float) -> int | None:
    """Place of the step that stands out most clearly in other years, and holds enough of them."""
    held = [inside(limits, choice.years) & choice.open for limits in steps]
    quality = [
        choice.quality(box) if limits and box.mean() >= least_mass else -math.inf
        for limits, box in zip(steps, held, strict=True)
    ]
    best = max(range(len(steps)), key=quality.__getitem__, default=None)
    return None if best is None or quality[best] <= 0.0 else best


def reduce(limits: Limits, choice: Cases, most: int, least_mass: float) -> Limits:
    """Drop what says nothing, and what is too much, always the limit whose loss hurts least."""
    while limits:
        box = inside(limits, choice.years)
        options = [(choice.quality(inside(left, choice.years)), left) for left in _shorter(limits)]
        quality, wider = max(options, key=lambda option: option[0])
        empty = (box & choice.open).mean() < least_mass
        idle = [left for _, left in options if not choice.says_something(box, inside(left, choice.years))]
        if quality >= choice.quality(box) or len(limits) > most or empty:
            limits = wider
        elif idle:
            limits = max(idle, key=lambda left: choice.quality(inside(left, choice.years)))
        else:
            break
    return limits


def _shorter(limits: Limits) -> list[Limits]:
    """The box without one of its limits, for each of them."""
    found = []
    for j, restriction in enumerate(limits):
        for side in ("low", "high"):
            if math.isfinite(getattr(restriction, side)):
                left = restriction.without(side)
                found.append((*limits[:j], *((left,) if left is not None else ()), *limits[j + 1 :]))
    return found


def _describe(steps: Sequence[Limits], search: Cases, choice: Cases) -> tuple[Step, ...]:
    """Coverage and density of every step."""
    masses = [float((inside(limits, choice.years) & choice.open).mean()) for limits in steps]
    return tuple(
        Step(len(limits), mass, _both(limits, search), _both(limits, choice))
        for limits, mass in zip(steps, masses, strict=True)
    )


def _both(limits: Limits, cases: Cases) -> tuple[float, float]:
    """Coverage of all misses, and density."""
    box = inside(limits, cases.years) & cases.open
    hits = box & cases.missed
    return _share(hits, cases.missed), _share(hits, box)


def _tidy(limits: Limits, years: Years) -> Limits:
    """Limits as people say them: rounded, and as "it strikes" where they say no more than that."""
    found: dict[str, Restriction] = {}
    for restriction in limits:
        tidied = _plain(restriction, years)
        name = tidied.factor.name
        other = found.get(name, tidied)
        found[name] = replace(tidied, low=max(tidied.low, other.low), high=min(tidied.high, other.high))
    return tuple(found.values())


def _plain(restriction: Restriction, years: Years) -> Restriction:
    factor, low, high = restriction.factor, restriction.low, restriction.high
    if factor.kind in OF_RISKS:
        strikes = next((f for f in years.factors if f.kind is Kind.STRIKES and f.owner == factor.owner), None)
        if strikes is not None and _says_strikes(restriction, years.of(strikes) > 0.5, years.of(factor)):
            return Restriction(strikes, 0.5, math.inf)
    return replace(restriction, low=rounded(factor, low, years), high=rounded(factor, high, years))


def _says_strikes(restriction: Restriction, struck: np.ndarray, values: np.ndarray) -> bool:
    holds = (values >= restriction.low) & (values < restriction.high)
    return bool(struck.any()) and np.array_equal(holds, struck)


def rounded(factor: Factor, limit: float, years: Years) -> float:
    """A limit in round numbers: whole months for a start, between whole numbers for customers, else few digits."""
    step = _step(factor, years)
    if not math.isfinite(limit) or step == 0.0:
        return limit
    if factor.kind is Kind.CUSTOMERS:
        return math.floor(limit) + 0.5
    return _on_grid(limit / step, step)


def _on_grid(count: float, step: float) -> float:
    """The nearest multiple of a step, without the digits that binary fractions add."""
    return round(round(count) * step, max(0, 1 - math.floor(math.log10(step))))


def _step(factor: Factor, years: Years) -> float:
    """What a factor's limits are rounded to; 0 where they stay as they are."""
    if factor.kind is Kind.STRIKES:
        return 0.0
    if factor.kind is Kind.CUSTOMERS:
        return 1.0
    values = years.of(factor)
    if factor.kind in OF_RISKS:
        values = values[values < years.scenario.plan.months if factor.kind is Kind.START else values > 0.0]
    if values.size == 0:
        return 0.0
    low, high = np.quantile(values, [0.05, 0.95])
    spread = float(high - low)
    if factor.kind is Kind.START:
        return 1.0 if spread >= 3.0 else 0.5
    return 10.0 ** math.floor(math.log10(spread / _STEPS)) if spread > 0.0 else 0.0


def _sharpened(limits: Limits, search: Cases, choice: Cases, least_mass: float) -> Limits:
    """Limits moved by round steps as long as the box stands out more clearly: a peel takes a twentieth at a time."""

    def large(other: Limits) -> bool:
        return all((inside(other, cases.years) & cases.open).mean() >= least_mass for cases in (search, choice))

    best = search.quality(inside(limits, search.years))
    moved = True
    while moved:
        moved = False
        for j, restriction in enumerate(limits):
            for nearby in _nearby(restriction, _step(restriction.factor, search.years)):
                other = (*limits[:j], nearby, *limits[j + 1 :])
                quality = search.quality(inside(other, search.years))
                if quality > best and large(other):
                    limits, best, moved = other, quality, True
    return limits


def _nearby(restriction: Restriction, step: float) -> list[Restriction]:
    """The same restriction with one limit a step further up or down."""
    found = []
    for side in ("low", "high"):
        limit = getattr(restriction, side)
        if step > 0.0 and math.isfinite(limit):
            half = 0.5 * step if restriction.factor.kind is Kind.CUSTOMERS else 0.0
            for way in (-1, 1):
                to = _on_grid((limit - half) / step + way, step) + half
                found.append(replace(restriction, low=to) if side == "low" else replace(restriction, high=to))
    return found
