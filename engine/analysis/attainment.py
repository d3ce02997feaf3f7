"""forecast(): how likely the plan is, month by month, with error bars; keeps summaries, not paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Estimate, Moments
from engine.errors import SimulationError
from engine.kernels import jit, layout, reduce
from engine.names import run_text
from engine.scenario import arrays, blocks, knobs
from engine.scenario.model import Scenario
from engine.scenario.volume import plan_shares
from engine.scenario.worlds import central, parameters_of
from engine.simulation import Chunk, Run

if TYPE_CHECKING:
    import xarray as xr

LEVELS = np.array([0.05, 0.1, 0.5, 0.9, 0.95])
FAN_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
CURVE_LEVELS = np.round(np.linspace(0.001, 0.999, 999), 3)
STATUS = ("green", "yellow", "red")
_FAN_PATHS = 100_000
_MAX_PATHS = 2_000_000_000

Progress = Callable[[int, int], None]


class _Groups:
    """Groups of the kernel's output rows under names; a group of several rows is their sum, or whether all say yes."""

    def __init__(self, named: dict[str, Sequence[Sequence[int]]], start: int = 0) -> None:
        groups = [group for part in named.values() for group in part]
        self.source = np.array([row for group in groups for row in group], np.int64)
        self.bounds = np.cumsum([0, *map(len, groups)], dtype=np.int64)
        self.count = len(groups)
        ends = start + np.cumsum([len(part) for part in named.values()])
        self.part = {
            name: slice(int(end) - len(part), int(end)) for (name, part), end in zip(named.items(), ends, strict=True)
        }


class _Rows:
    """What is summed over paths, and which row of the estimates holds it."""

    def __init__(self, scenario: Scenario) -> None:
        value, flag = blocks.results(scenario)
        self.months = scenario.plan.months
        self.revenue = value.revenue
        self.needs = slice(value.fund_need, value.fund_need + len(scenario.funds))
        self.monthly = slice(value.monthly_revenue, value.monthly_revenue + self.months)
        streams = [s.labels.get("channel") for s in scenario.streams.values()]
        self.channels = list(dict.fromkeys(c for c in streams if c is not None))

        def each(start: int, count: int) -> list[list[int]]:
            return [[start + j] for j in range(count)]

        year = (value.revenue, value.gross_margin, value.contribution, value.incentive_cost, value.deferred_out)
        self.values = _Groups({
            "year": [[row] for row in year],
            "month": each(value.monthly_revenue, self.months),
            "stream": each(value.stream_revenue, len(streams)),
            "channel": [[value.stream_revenue + i for i, of in enumerate(streams) if of == c] for c in self.channels],
            "loss": each(value.loss, len(scenario.risks)),
            "need": each(value.fund_need, len(scenario.funds)),
            "customers": each(value.customers, sum(s.customers is not None for s in scenario.streams.values())),
        })  # fmt: skip
        met = each(flag.target_met, len(scenario.targets) + 1)
        self.flags = _Groups({
            "exhausted": each(flag.fund_exhausted, len(scenario.funds)),
            "acted": each(flag.acted, len(scenario.review.levels)),
            "met": met,
            "all": [[row for (row,) in met]],
            "status": each(flag.status, self.months),
        }, start=self.values.count)  # fmt: skip
        self.part = self.values.part | self.flags.part
        # the months' status, 0 to 2, is summed as such; the shares of the three colours follow from the sums
        first = self.part["status"].start
        for status in STATUS:
            self.part[status] = slice(first, first + self.months)
            first += self.months


@dataclass
class _Tally:
    """Running sums over chunks, by row and cell; the year's revenue and fund needs are kept path by path."""

    run: Run
    rows: _Rows
    shift: np.ndarray = field(init=False)
    total: np.ndarray = field(init=False)
    square: np.ndarray = field(init=False)
    flag_total: np.ndarray = field(init=False)
    flag_square: np.ndarray = field(init=False)
    paths: int = 0  # of a cell, so far
    first: int = 0  # path at which the present round begins
    kept: list[np.ndarray] = field(default_factory=list)  # a round each: (1 + funds, cells, paths)
    fan: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        cells = len(self.run.worlds)
        self.shift, self.total, self.square = np.zeros((3, self.rows.values.count, cells))
        self.flag_total, self.flag_square = np.zeros((2, self.rows.flags.count, cells), np.int64)
        wanted = min(self.run.paths_per_world, max(1, _FAN_PATHS // cells))
        self.fan = np.empty((self.rows.months, cells, wanted))

    def begin(self, paths: int) -> None:
        """Make room for a round of so many paths of each cell."""
        self.first = self.paths
        self.paths += paths
        self.kept.append(np.empty((1 + len(self.run.scenario.funds), len(self.run.worlds), paths)))

    def add(self, chunk: Chunk, out: layout.Outputs) -> None:
        """Add one chunk."""
        cells, n = chunk.stop - chunk.start, chunk.n_paths
        part, values, flags = slice(chunk.start, chunk.stop), self.rows.values, self.rows.flags
        if chunk.path == 0:
            first = np.ascontiguousarray(out.values[:, ::n])[values.source]
            self.shift[:, part] = np.add.reduceat(first, values.bounds[:-1])
        shift, total, square = (np.ascontiguousarray(a[:, part]) for a in (self.shift, self.total, self.square))
        reduce.add_moments(out.values, values.source, values.bounds, cells, n, shift, total, square)
        self.total[:, part], self.square[:, part] = total, square
        total, square = (np.ascontiguousarray(a[:, part]) for a in (self.flag_total, self.flag_square))
        reduce.add_counts(out.flags, flags.source, flags.bounds, cells, n, total, square)
        self.flag_total[:, part], self.flag_square[:, part] = total, square
        self._keep(chunk, out.values)

    def _keep(self, chunk: Chunk, values: np.ndarray) -> None:
        cells = slice(chunk.start, chunk.stop)
        shape = (-1, chunk.stop - chunk.start, chunk.n_paths)
        here = slice(chunk.path - self.first, chunk.path - self.first + chunk.n_paths)
        self.kept[-1][0, cells, here] = values[self.rows.revenue].reshape(shape)[0]
        self.kept[-1][1:, cells, here] = values[self.rows.needs].reshape(shape)
        some = min(chunk.n_paths, self.fan.shape[2] - chunk.path)
        if some > 0:
            fan = self.fan[:, cells, chunk.path : chunk.path + some]
            np.cumsum(values[self.rows.monthly].reshape(shape)[:, :, :some], axis=0, out=fan)

    def moments(self) -> Moments:
        """Means and variances of every row by cell."""
        scrambles = self.run.scrambles
        found = estimates.moments(self.paths, scrambles, self.shift, self.total, self.square)
        flags = estimates.counts(self.paths, scrambles, *self._shares())
        mean = np.concatenate([found.mean, flags.mean])
        return Moments(self.paths, scrambles, mean, np.concatenate([found.variance, flags.variance]))

    def _shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the flags and of their squares, the status of a month turned into a flag for each colour.

        With n1 yellow and n2 red paths the sum is n1 + 2 n2 and that of the squares n1 + 4 n2.
        """
        first = self.rows.part["status"].start - self.rows.values.count
        total, square = self.flag_total[first:], self.flag_square[first:]
        yellow, red = 2 * total - square, (square - total) // 2
        colours = np.concatenate([self.paths - yellow - red, yellow, red])
        return np.concatenate([self.flag_total[:first], colours]), np.concatenate([self.flag_square[:first], colours])

    def quantiles(self, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All paths' revenue (kind 0) or need of a fund (1, ...) in order, quantiles, and their errors."""
        parts = [kept[kind] for kept in self.kept]
        ordered = estimates.ordered(parts)
        return ordered, *estimates.quantiles(parts, self.run.scrambles, LEVELS, ordered)


@dataclass(frozen=True)
class Forecast:
    """What a run says; every figure with its error. `to_json()` gives the numbers, the Datasets serve the charts."""

    scenario: Scenario
    run: Run
    paths: int
    moments: Moments
    rows: _Rows
    quantiles: list[tuple[np.ndarray, ...]]  # values and errors: of revenue, then of the need of each fund
    curve_values: np.ndarray
    fan_paths: np.ndarray  # cumulative revenue, (months, paths)
    timing: dict[str, float]

    @property
    def scenario_name(self) -> str:
        return self.scenario.title

    @property
    def _run_text(self) -> str:
        return run_text(self.paths, self.run.n_worlds, self.run.seed)

    @property
    def currency(self) -> str:
        return self.scenario.plan.currency

    @property
    def target(self) -> float:
        """Target of the plan; the mean across worlds where it is uncertain."""
        at = self.run.worlds.values.get("plan.target")
        return float(np.mean(at)) if at is not None else float(self.scenario.plan.target.value or 0.0)

    @property
    def plan_monthly(self) -> list[float]:
        """Planned revenue of each month."""
        return [float(v) for v in plan_shares(self.scenario)[0] * self.target]

    @property
    def lags(self) -> list[float]:
        """Lags of the review levels, uncertain ones at their central value."""
        return [float(level.lag.central()) for level in self.scenario.review.levels]

    @property
    def uncertain(self) -> int:
        """How many numbers of the scenario are drawn once a world."""
        return len(knobs.uncertain(self.scenario))

    @property
    def months(self) -> list[str]:
        return [str(m)[:7] for m in simulation.months(self.scenario)]

    @cached_property
    def estimate(self) -> Estimate:
        """Means over all paths with their errors, a row each."""
        return estimates.estimate(self.moments)

    @property
    def optimism(self) -> dict[str, float]:
        """Mean effectiveness of the lines whose mean is not 1: where it is below 1 the plan is too optimistic."""
        found = {}
        middle = central(self.scenario).values
        for name, line in self.scenario.lines.items():
            knob = f"lines.{name}.effectiveness"
            if line.response is None:
                continue
            quantity = line.effectiveness
            if quantity.distribution is None:
                mean = float(quantity.value or 0.0)
            else:
                mean = float(np.mean(quantity.distribution.mean(parameters_of(knob, quantity, middle))))
            if abs(mean - 1.0) > 1e-9:
                found[name] = mean
        return found

    @property
    def curve(self) -> xr.Dataset:
        """Distribution of annual revenue: a quantile per level, with the target and P(attain) as attributes."""
        import xarray as xr

        described = {"units": self.currency, "long_name": "revenue of the horizon"}
        return xr.Dataset(
            {"revenue": ("quantile", self.curve_values, described)},
            {"quantile": CURVE_LEVELS},
            {
                "target": self.target, "currency": self.currency, "scenario": self.scenario_name, "paths": self.paths,
                "worlds": self.run.n_worlds, "run": self._run_text,
                **{f"p_{k}": v for k, v in self.p_attain().items()},
            },
        )  # fmt: skip

    @property
    def fan(self) -> xr.Dataset:
        """Quantiles of cumulative revenue by month, with the plan and the review's lags."""
        import xarray as xr

        money = {"units": self.currency}
        values = np.quantile(self.fan_paths, FAN_LEVELS, axis=1)
        return xr.Dataset(
            {
                "cumulative": (("quantile", "month"), values, money | {"long_name": "cumulative revenue"}),
                "plan": ("month", np.cumsum(self.plan_monthly), money | {"long_name": "cumulative plan"}),
            },
            {"quantile": list(FAN_LEVELS), "month": simulation.months(self.scenario)},
            {
                "scenario": self.scenario_name, "currency": self.currency, "paths": self.fan_paths.shape[1],
                "run": self._run_text, "lags": self.lags,
            },
        )  # fmt: skip

    def pair(self, part: str, index: int = 0) -> dict[str, float]:
        """Mean and standard error of one row."""
        row = self.rows.part[part].start + index
        return {"mean": float(self.estimate.mean[row]), "se": float(self.estimate.se[row])}

    def status(self, colour: str) -> list[dict[str, float]]:
        """Chance that the review finds green, yellow or red at the end of each month."""
        return [self._probability(colour, t, "p") for t in range(self.scenario.plan.months)]

    def p_attain(self) -> dict[str, float]:
        """P(attain) with both its uncertainties."""
        row = self.rows.part["met"].start
        e, m = self.estimate, self.moments
        value = low = high = float(e.mean[row])
        if self.run.n_worlds > 1:
            worlds = estimates.by_world(m.mean[row : row + 1], m.scrambles)[0]
            low, high = estimates.band(worlds, estimates.sampling_variance(m)[row])
        return {"value": value, "se": float(e.se[row]), "se_sampling": float(e.se_sampling[row]), "lo": low, "hi": high}

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency."""
        scenario = self.scenario
        funds = list(scenario.funds)
        needs = self._named("need", funds)
        for j, fund in enumerate(funds, 1):
            needs[fund] |= self._quantiles(j)
        clients = [n for n, s in scenario.streams.items() if s.customers is not None]
        return {
            "scenario": self.scenario_name,
            "paths": self.paths,
            "worlds": self.run.n_worlds,
            "seed": self.run.seed,
            "p_attain": self.p_attain(),
            "revenue": self.pair("year", 0) | {"sd": float(self.estimate.sd[0])} | self._quantiles(0),
            "monthly_revenue": [self.pair("month", t) for t in range(scenario.plan.months)],
            "revenue_by_stream": self._named("stream", list(scenario.streams)),
            "revenue_by_channel": self._named("channel", self.rows.channels),
            "loss_by_risk": self._named("loss", list(scenario.risks)),
            "fund_need": needs,
            "p_fund_exhausted": {f: self._probability("exhausted", j, "value") for j, f in enumerate(funds)},
            "gross_margin": self.pair("year", 1),
            "contribution": self.pair("year", 2),
            "incentive_cost": self.pair("year", 3),
            "customers_end": self._named("customers", clients),
            "revenue_deferred_out": self.pair("year", 4),
            "review_acted": [{"lag": lag} | self._probability("acted", j, "p") for j, lag in enumerate(self.lags)],
            "targets": {n: self._probability("met", j, "p") for j, n in enumerate(arrays.target_names(scenario))},
            "p_all_targets": self._probability("all", 0, "value"),
            "timing": self.timing,
        }

    def _named(self, part: str, names: list[str]) -> dict[str, dict[str, Any]]:
        return {name: self.pair(part, j) for j, name in enumerate(names)}

    def _probability(self, part: str, index: int, name: str) -> dict[str, float]:
        found = self.pair(part, index)
        return {name: found["mean"], "se": found["se"]}

    def _quantiles(self, kind: int) -> dict[str, dict[str, float]]:
        values, errors = self.quantiles[kind]
        return {
            "quantiles": {str(q): float(v) for q, v in zip(LEVELS, values, strict=True)},
            "quantiles_se": {str(q): float(e) for q, e in zip(LEVELS, errors, strict=True)},
        }


def forecast(
    scenario: Scenario,
    *,
    paths: int = 1_000_000,
    worlds: int | None = None,
    seed: int = 1,
    sampler: str = "random",
    precision: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
    chunk_paths: int = simulation.CACHED_PATHS,
    reserve: int = 0,
) -> Forecast:
    """Simulate a scenario and keep what is to be said about it.

    Parameters
    ----------
    scenario : Scenario
    paths, worlds, seed, sampler, threads : see `engine.simulate`
    precision : float, optional
        After the first `paths` run on, in rounds of the size that the error so far asks for, until the sampling error
        of P(attain) is at or below this. (0, 0.5)
    progress : callable, optional
        Called with the paths done and to do, after each chunk.
    announce : callable, optional
        Called when the kernels take more than a second to compile.
    chunk_paths : int, optional
        Paths at a time; changes no digit.
    reserve : int, optional
        Memory that the caller will need afterwards for each path: a run that would leave too little is refused before
        it starts. [bytes]

    Returns
    -------
    Forecast

    Raises
    ------
    SimulationError
        If a size makes no sense or the run would not fit in memory.
    """
    started = time.perf_counter()
    simulation.check(paths, worlds, seed, sampler, threads)
    if precision is not None and not 0 < precision < 0.5:
        raise SimulationError(f"precision: {precision} lies outside 0 to 0.5; give a standard error of P(attain)")
    jit.set_threads(threads)
    run = simulation.plan_run(scenario, paths, worlds, seed, sampler)
    rows = _Rows(scenario)
    _require(run, run.n_paths, reserve)
    compiled = simulation.compile_kernels(run, announce)
    simulating = time.perf_counter()
    tally = _Tally(run, rows)
    more: Run | None = run
    while more is not None:
        _round(more, tally, chunk_paths, progress)
        more = None if precision is None else _next_round(more, tally, precision, reserve)
    timing = {"compile_s": compiled, "simulate_s": time.perf_counter() - simulating}
    ordered, *of_revenue = tally.quantiles(0)
    curve = estimates.at(ordered, CURVE_LEVELS)
    needs = [tally.quantiles(j)[1:] for j in range(1, 1 + len(scenario.funds))]
    result = Forecast(
        scenario=scenario, run=run, paths=tally.paths * len(run.worlds), moments=tally.moments(), rows=rows,
        quantiles=[tuple(of_revenue), *needs], curve_values=curve, fan_paths=tally.fan.reshape(rows.months, -1),
        timing=timing,
    )  # fmt: skip
    timing["total_s"] = time.perf_counter() - started
    return result


def _require(run: Run, paths: int, reserve: int) -> None:
    """Refuse so many paths in all where they, or what is to become of them, would not fit."""
    kept = 8 * (2 + len(run.scenario.funds))  # path by path, and one of them once more while it is sorted
    fan = 8 * _FAN_PATHS * run.scenario.plan.months
    buffers = simulation.CACHED_PATHS * simulation.bytes_per_path(run.scenario) + fan
    remedy = "ask for fewer paths" if run.n_paths == paths else "ask for a larger --precision"
    simulation.require_memory(max(kept, reserve) * paths + buffers, f"{paths:,} paths", remedy)


def _next_round(run: Run, tally: _Tally, precision: float, reserve: int) -> Run | None:
    """The next round: what the error so far asks for, at most ten times what is done; None where that is nothing.

    Paths that all agree show no error; they are not enough as long as one more that does not agree would move the
    estimate by more than the precision.
    """
    cells, row = len(run.worlds), tally.rows.part["met"].start
    done = tally.paths * cells
    error = float(estimates.estimate(tally.moments()).se_sampling[row])
    if max(error, 1.0 / done) <= precision:
        return None
    needed = int(np.ceil(max(done * 1.05 * (error / precision) ** 2, 1.0 / precision)))
    if run.scrambles == 1:  # Sobol' points may do with far fewer
        _refuse(run, needed, done, error, precision, reserve)
    more = -(-min(needed - done, 10 * done) // (cells * reduce.BLOCK)) * reduce.BLOCK
    more = max(reduce.BLOCK, more)
    _refuse(run, done + more * cells, done, error, precision, reserve)
    return replace(run, paths_per_world=more)


def _refuse(run: Run, paths: int, done: int, error: float, precision: float, reserve: int) -> None:
    if paths > _MAX_PATHS:
        raise SimulationError(
            f"precision: {precision:g} asks for some {paths:.2g} paths, more than {_MAX_PATHS:.2g}; after {done:,} "
            f"paths the sampling error is {error:.2g}"
        )
    _require(run, paths, reserve)


def _round(run: Run, tally: _Tally, size: int, progress: Progress | None) -> None:
    """Simulate paths_per_world more paths of each cell and add them to the tally."""
    first = tally.paths
    tally.begin(run.paths_per_world)
    before = first * len(run.worlds)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(before + done, before + total)

    for chunk, out in simulation.outputs(run, progress=report, first=first, size=size):
        tally.add(chunk, out)
