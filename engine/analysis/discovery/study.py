"""discover(): what kind of year misses the plan, found in one set of years and measured in another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from engine import simulation
from engine.analysis import estimates
from engine.analysis.discovery import boxes, prim, words
from engine.analysis.discovery.boxes import Cases, Found, Limits, Restriction, Step
from engine.analysis.discovery.reverse import Reverse, reverse
from engine.analysis.discovery.years import (
    OF_RISKS,
    SIGNS,
    Factor,
    Kind,
    Years,
    list_factors,
    searched_factors,
    simulate_years,
)
from engine.analysis.estimates import Chance, Figure
from engine.analysis.needs import Progress
from engine.errors import SimulationError
from engine.names import run_text
from engine.scenario import knobs
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed

if TYPE_CHECKING:
    import xarray as xr

WORLDS = 2000  # a year's unknown numbers are factors like any other: few worlds would be few cases of them
FEWEST = 100  # years that miss, and years that do not, below which no box is searched


@dataclass(frozen=True)
class Measured:
    """One restriction of a box, in the fresh years.

    Attributes
    ----------
    restriction : Restriction
    text : str
        Its limits in words.
    usual : tuple of float
        1 % and 99 % quantiles of the factor over all years.
    without : Figure
        Density of the box without this restriction.
    gain : Figure
        By how much the restriction raises the density; the error is paired.
    p : float
        Quasi-p-value: how often a restriction that says nothing would raise the density as clearly, one-sided.
    """

    restriction: Restriction
    text: str
    usual: tuple[float, float]
    without: Figure
    gain: Figure
    p: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; a limit that there is not is None."""
        factor = self.restriction.factor
        limits = [limit if math.isfinite(limit) else None for limit in (self.restriction.low, self.restriction.high)]
        return {
            "factor": factor.name, "unit": factor.unit, "low": limits[0], "high": limits[1], "text": self.text,
            "usual": self.usual, "without": self.without.to_json(), "gain": self.gain.to_json(), "p": self.p,
        }  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A kind of year, and how often it misses.

    Attributes
    ----------
    conditions : list of str
        What holds in these years, in words. Of all boxes but the first: besides that no earlier one holds the year.
    density : Figure
        Share of these years that miss.
    coverage : Figure
        Share of all misses that these years are.
    mass : Figure
        Share of all years.
    searched : dict of str to Figure
        The same three as the years of the search have them: flattered, since the limits were fitted to these years.
    restrictions : tuple of Measured
    signs : dict of str to tuple of Figure
        By fund: the share of it that is left at the end, on average in these years and in all.
    years : int
        Fresh years in the box.
    steps : tuple of Step
        The search's steps; `chosen` is the place of the one taken.
    """

    conditions: list[str]
    density: Figure
    coverage: Figure
    mass: Figure
    searched: dict[str, Figure]
    restrictions: tuple[Measured, ...]
    signs: dict[str, tuple[Figure, Figure]]
    years: int
    steps: tuple[Step, ...]
    chosen: int

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "conditions": self.conditions, "density": self.density.to_json(), "coverage": self.coverage.to_json(),
            "mass": self.mass.to_json(), "years": self.years,
            "searched": {name: figure.to_json() for name, figure in self.searched.items()},
            "restrictions": [measured.to_json() for measured in self.restrictions],
            "signs": {
                fund: {"there": there.to_json(), "usual": usual.to_json()}
                for fund, (there, usual) in self.signs.items()
            },
            "steps": [
                {
                    "restricted": s.restricted, "mass": s.mass,
                    **{f"{name}_{of}": at for of, pair in (("search", s.searched), ("choice", s.chosen))
                       for name, at in zip(("coverage", "density"), pair, strict=True)},
                }
                for s in self.steps
            ],
            "chosen": self.chosen,
        }  # fmt: skip


@dataclass(frozen=True)
class Discovery:
    """What kind of year misses the target.

    Attributes
    ----------
    title : str
    miss : float
        A year misses where its revenue is below the target by more than this share of it.
    share : Chance
        Of all years that miss.
    boxes : tuple of Box
        One after the other: each among the years that no earlier one holds.
    together : tuple of Figure or None
        Coverage and mass of all boxes together; `None` where there is none.
    too_few : bool
        Nothing was searched: hardly any year misses, or hardly any does not.
    reverse : Reverse or None
    paths, searched, worlds, seed : int
        Fresh years; years searched, and as many again to choose on; worlds of each; seed.
    """

    title: str
    miss: float
    share: Chance
    boxes: tuple[Box, ...]
    together: tuple[Figure, Figure] | None
    too_few: bool
    reverse: Reverse | None
    scenario: Scenario
    paths: int
    searched: int
    worlds: int
    seed: int

    @property
    def _about(self) -> dict[str, Any]:
        run = run_text(self.paths, self.worlds, self.seed)
        return {"scenario": self.title, "run": run, "miss": self.miss, "share": self.share.value}

    @property
    def share_figure(self) -> Figure:
        """The share of all years that miss, with the error that other worlds and paths would show."""
        return Figure(self.share.value, self.share.se)

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers: shares of 1, months from the plan's start."""
        return {
            "scenario": self.title, "miss": self.miss, "share": self.share.to_json(),
            "boxes": [box.to_json() for box in self.boxes],
            "together": None if self.together is None else {
                name: figure.to_json() for name, figure in zip(("coverage", "mass"), self.together, strict=True)
            },
            "too_few": self.too_few, "reverse": None if self.reverse is None else self.reverse.to_json(),
            "paths": self.paths, "searched": self.searched, "worlds": self.worlds, "seed": self.seed,
        }  # fmt: skip

    def box_dataset(self, number: int = 0) -> xr.Dataset:
        """Limits of a box within the usual range of each factor, for the chart."""
        import xarray as xr

        box, plan = self.boxes[number], self.scenario.plan
        held = [measured.restriction for measured in box.restrictions]
        ends = [measured.usual for measured in box.restrictions]
        columns = {
            "low": [r.low for r in held], "high": [r.high for r in held], "least": [e[0] for e in ends],
            "most": [e[1] for e in ends], "low_text": [_limit(r, r.low, plan) for r in held],
            "high_text": [_limit(r, r.high, plan) for r in held], "text": [m.text for m in box.restrictions],
            "least_text": [_end(r.factor, e[0], plan) for r, e in zip(held, ends, strict=True)],
            "most_text": [_end(r.factor, e[1], plan) for r, e in zip(held, ends, strict=True)],
        }  # fmt: skip
        attrs = self._about | {"number": number + 1}
        for name in ("density", "coverage", "mass"):
            figure: Figure = getattr(box, name)
            attrs |= {name: figure.value, f"{name}_se": figure.se}
        names = [r.factor.name for r in held]
        return xr.Dataset({key: ("factor", np.array(at)) for key, at in columns.items()}, {"factor": names}, attrs)

    @property
    def peeling_dataset(self) -> xr.Dataset:
        """Coverage and density of every step of each box's search, for the chart."""
        import xarray as xr

        most = max(len(box.steps) for box in self.boxes)

        def padded(of: Callable[[Step], float]) -> np.ndarray:
            rows = [[of(step) for step in box.steps] for box in self.boxes]
            return np.array([row + [math.nan] * (most - len(row)) for row in rows])

        columns = {
            "coverage": padded(lambda s: s.chosen[0]), "density": padded(lambda s: s.chosen[1]),
            "coverage_search": padded(lambda s: s.searched[0]), "density_search": padded(lambda s: s.searched[1]),
        }  # fmt: skip
        points = {
            f"fresh_{name}{end}": np.array([getattr(getattr(box, name), of) for box in self.boxes])
            for name in ("coverage", "density") for end, of in (("", "value"), ("_se", "se"))
        }  # fmt: skip
        variables = {key: (("box", "step"), at) for key, at in columns.items()}
        labels = [words.joined(box.conditions) for box in self.boxes]
        return xr.Dataset(
            {**variables, **{key: ("box", at) for key, at in points.items()}}, {"box": labels},
            self._about,
        )  # fmt: skip


def _limit(restriction: Restriction, limit: float, plan: Any) -> str:
    """A limit in words, nothing where there is none."""
    if not math.isfinite(limit) or restriction.factor.kind is Kind.STRIKES:
        return ""
    if restriction.factor.kind is Kind.CUSTOMERS:
        limit = math.ceil(limit) if limit == restriction.low else math.floor(limit)
    return words.value_text(restriction.factor, limit, plan)


def _end(factor: Factor, value: float, plan: Any) -> str:
    """An end of a factor's usual range, in few digits."""
    if factor.kind is Kind.STRIKES:
        return "strikes" if value > 0.5 else "stays away"
    if factor.kind is Kind.START:
        return "never" if value >= plan.months else words.value_text(factor, math.floor(value), plan)
    return words.value_text(factor, float(f"{value:.3g}"), plan)


def discover(
    scenario: Scenario,
    *,
    miss: float = 0.0,
    reverse_by: float | None = None,
    paths: int = 100_000,
    search: int = 20_000,
    worlds: int | None = None,
    seed: int = 1,
    most: int = 4,
    least_mass: float = 0.05,
    most_boxes: int = 3,
    signs: bool = False,
    leave_out: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
) -> Discovery:
    """Say what kind of year misses the target.

    Parameters
    ----------
    scenario : Scenario
    miss : float, optional
        A year misses where its revenue is below the target by more than this share of it, 0 <= miss < 1.
    reverse_by : float, optional
        Also find the most likely way to miss by about this share, 0 < reverse_by < 1.
    paths : int, optional
        Fresh years on which everything is measured.
    search : int, optional
        Years that are searched, and as many more on which it is decided which restrictions say something.
    worlds : int, optional
        Worlds of each of the three samples. By default 2000, or as many as there are years to search; 1 where nothing
        is uncertain.
    seed, threads : see `engine.simulate`
    most : int, optional
        Factors restricted in one box, at most.
    least_mass : float, optional
        Share of all years that a box holds at least, 0 < least_mass < 1.
    most_boxes : int, optional
    signs : bool, optional
        Search also what follows from a bad year, the money left in the funds, and not only what makes it one.
    leave_out : sequence of str, optional
        Names of factors that are not searched; ``*`` stands for anything.
    progress : callable, optional
        Called with the work done and to do.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Returns
    -------
    Discovery

    Raises
    ------
    SimulationError
        If a size or share makes no sense, a pattern fits no factor, the years would not fit in memory, or boxes cannot
        be searched because ema-workbench is missing.

    Notes
    -----
    Boxes come from the patient rule induction method (Friedman and Fisher 1999), as scenario discovery uses it (Bryant
    and Lempert 2010). Three independent samples keep the search honest. The first is peeled. The second decides where
    to stop and which restrictions say something: each must raise the share of misses by three standard errors,
    clustered by world. The third, on which nothing has been decided, gives the figures. Limits are rounded before they
    are judged, so that a figure belongs to the very words that are printed. A further box is kept only if it misses
    clearly more often than all years do.
    """
    _check(miss, reverse_by, paths, search, worlds, seed, most, least_mass, most_boxes, threads)
    prim.require()
    simulation.set_threads(threads)
    count = default_worlds(scenario, min(paths, search)) if worlds is None else worlds
    seeds = [seed, fresh_seed(seed), fresh_seed(fresh_seed(seed))]
    runs = [
        simulation.plan_run(scenario, n, count, at, "random")
        for n, at in zip((search, search, paths), seeds, strict=True)
    ]
    factors = list_factors(scenario, runs[0])
    kept = searched_factors(factors, signs, leave_out)
    simulation.compile_kernels(runs[0], announce)
    stages = _Stages(progress, sum(run.n_paths for run in runs), search * most_boxes)
    searched, chosen, fresh = (simulate_years(run, factors, stages.part(run.n_paths)) for run in runs)
    first, second = (_cases(years, miss, kept) for years in (searched, chosen))
    too_few = any(min(np.count_nonzero(c.missed), np.count_nonzero(~c.missed)) < FEWEST for c in (first, second))
    report = stages.part(search * most_boxes)
    found = [] if too_few else _cover(first, second, most, least_mass, most_boxes, report)
    missed = fresh.missed(miss)
    measured = _measure(found, fresh, searched, miss)
    together = None
    if found:
        held = np.any([boxes.inside(box.limits, fresh) for box in found], axis=0)
        whole = estimates.ratio(held & missed, missed)
        together = None if whole is None else (whole, estimates.mean(held))
    return Discovery(
        scenario.title, miss, estimates.chance(missed), tuple(measured), together, too_few,
        None if reverse_by is None else reverse(fresh, reverse_by), scenario, runs[2].n_paths, runs[0].n_paths, count,
        seed,
    )  # fmt: skip


def default_worlds(scenario: Scenario, paths: int) -> int:
    """2000 worlds where something is uncertain, or one a path where there are fewer; else one."""
    return min(WORLDS, paths) if knobs.uncertain(scenario) else 1


def _check(
    miss: float, by: float | None, paths: int, search: int, worlds: int | None, seed: int, most: int,
    least_mass: float, most_boxes: int, threads: int | None,
) -> None:  # fmt: skip
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.check(search, worlds, seed, "random")
    faults = []
    if not 0.0 <= miss < 1.0:
        faults.append(f"miss: {miss:g} is not at least 0 and below 1")
    if by is not None and not 0.0 < by < 1.0:
        faults.append(f"reverse: {by:g} is not above 0 and below 1")
    if not 0.0 < least_mass < 1.0:
        faults.append(f"least mass: {least_mass:g} is not above 0 and below 1")
    faults += [f"{name}: {value} is below 1" for name, value in (("most", most), ("boxes", most_boxes)) if value < 1]
    if faults:
        raise SimulationError("; ".join(faults))


def _cases(years: Years, miss: float, kept: Sequence[Factor]) -> Cases:
    """Years to be searched, with those of their factors that boxes may be made of."""
    rows = [years.factors.index(factor) for factor in kept]
    if len(rows) < len(years.factors):
        years = replace(years, factors=tuple(kept), values=years.values[rows])
    return Cases(years, years.missed(miss), np.ones(years.short.shape, bool))


def _cover(
    search: Cases, choice: Cases, most: int, least_mass: float, most_boxes: int, progress: Progress
) -> list[Found]:
    """Boxes one after the other, each among the years that no earlier one holds."""
    found: list[Found] = []
    for done in range(most_boxes):
        box = boxes.find(search, choice, most, least_mass)
        if box is None or not _misses_more(box.limits, choice):
            break
        found.append(box)
        search, choice = (replace(c, open=c.open & ~boxes.inside(box.limits, c.years)) for c in (search, choice))
        progress(done + 1, most_boxes)
    progress(most_boxes, most_boxes)
    return found


def _misses_more(limits: Limits, choice: Cases) -> bool:
    """Whether a box misses clearly more often than all years, not only than those that earlier boxes leave."""
    everything = replace(choice, open=np.ones_like(choice.open))
    box = boxes.inside(limits, choice.years) & choice.open
    return everything.raises(box, everything.open)


def _measure(found: Sequence[Found], fresh: Years, searched: Years, miss: float) -> list[Box]:
    """Figures of every box in the fresh years."""
    measured, open_ = [], [np.ones(years.short.shape, bool) for years in (fresh, searched)]
    for box in found:
        held = [boxes.inside(box.limits, years) & at for years, at in zip((fresh, searched), open_, strict=True)]
        if not held[0].any():
            continue
        figures = [_figures(at, years.missed(miss)) for at, years in zip(held, (fresh, searched), strict=True)]
        measured.append(
            Box(
                words.conditions(box.limits, fresh.scenario.plan), **figures[0], searched=figures[1],
                restrictions=_restrictions(box.limits, fresh, fresh.missed(miss), open_[0]),
                signs=_signs(held[0], fresh), years=int(np.count_nonzero(held[0])), steps=box.steps, chosen=box.chosen,
            )
        )  # fmt: skip
        open_ = [at & ~inside for at, inside in zip(open_, held, strict=True)]
    return measured


def _figures(box: np.ndarray, missed: np.ndarray) -> dict[str, Figure]:
    nothing = Figure(0.0, 0.0)
    return {
        "density": estimates.ratio(box & missed, box) or nothing,
        "coverage": estimates.ratio(box & missed, missed) or nothing,
        "mass": estimates.mean(box),
    }


def _restrictions(limits: Limits, fresh: Years, missed: np.ndarray, open_: np.ndarray) -> tuple[Measured, ...]:
    box = boxes.inside(limits, fresh) & open_
    narrow = estimates.ratio_scores(box & missed, box)
    found = []
    for restriction in limits:
        wider = boxes.inside((r for r in limits if r is not restriction), fresh) & open_
        wide = estimates.ratio_scores(wider & missed, wider)
        assert narrow is not None and wide is not None
        gain = narrow.minus(wide)
        clear = gain.value / gain.se if gain.se > 0 else math.copysign(math.inf, gain.value)
        text = words.joined(words.conditions([restriction], fresh.scenario.plan))
        p = float(ndtr(-clear))
        found.append(Measured(restriction, text, _usual(restriction.factor, fresh), wide.figure, gain, p))
    return tuple(found)


def _usual(factor: Factor, fresh: Years) -> tuple[float, float]:
    values = fresh.of(factor)
    if factor.kind in OF_RISKS:
        return float(values.min()), float(values.max())
    low, high = np.quantile(values, [0.01, 0.99])
    return float(low), float(high)


def _signs(box: np.ndarray, fresh: Years) -> dict[str, tuple[Figure, Figure]]:
    found = {}
    for factor in fresh.factors:
        if factor.kind in SIGNS:
            there = estimates.ratio(np.where(box, fresh.of(factor), 0.0), box)
            assert there is not None
            found[factor.owner] = (there, estimates.mean(fresh.of(factor)))
    return found


class _Stages:
    """One progress for stages that count differently: each has its share of the whole."""

    def __init__(self, progress: Progress | None, *sizes: int) -> None:
        self._progress, self._total, self._before = progress, sum(sizes), 0

    def part(self, size: int) -> Progress:
        """Progress of the next stage."""
        before = self._before
        self._before += size

        def report(done: int, work: int) -> None:
            if self._progress is not None:
                self._progress(before + round(size * min(done / max(work, 1), 1.0)), self._total)

        return report
