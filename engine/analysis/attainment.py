"""forecast(): how likely the plan is, month by month, with error bars; keeps summaries, not paths."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Estimate, Moments
from engine.errors import SimulationError
from engine.kernels import jit, layout, reduce
from engine.scenario import arrays
from engine.scenario.model import Scenario
from engine.scenario.worlds import central
from engine.simulation import Chunk, Run

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
FAN_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
CURVE_LEVELS = np.round(np.linspace(0.001, 0.999, 999), 3)
_FAN_PATHS = 100_000
_GIB = 2**30
_MAX_PATHS = 2_000_000_000

Progress = Callable[[int, int], None]


@dataclass
class _Tally:
    """Running sums over chunks, by row and cell; the year's revenue and fund needs are kept path by path."""

    run: Run
    shift: np.ndarray | None = None
    total: np.ndarray = field(init=False)
    square: np.ndarray = field(init=False)
    seen: np.ndarray = field(init=False)
    revenue: list[list[np.ndarray]] = field(init=False)
    need: list[list[np.ndarray]] = field(init=False)
    fan: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        cells = len(self.run.worlds)
        self.seen = np.zeros(cells, np.int64)
        self.revenue = [[] for _ in range(cells)]
        self.need = [[] for _ in range(cells)]

    def add(self, chunk: Chunk, rows: np.ndarray, out: layout.Outputs) -> None:
        """Add one chunk, `rows` being its summarised rows, shape (rows, cells * paths)."""
        cells, n = chunk.stop - chunk.start, chunk.n_paths
        if self.shift is None:
            self.shift = np.zeros((rows.shape[0], self.seen.size))
            self.total = np.zeros_like(self.shift)
            self.square = np.zeros_like(self.shift)
        part = slice(chunk.start, chunk.stop)
        if chunk.path == 0:
            self.shift[:, part] = rows[:, : cells * n : n]
        total, square = np.ascontiguousarray(self.total[:, part]), np.ascontiguousarray(self.square[:, part])
        reduce.add_moments(rows, cells, n, np.ascontiguousarray(self.shift[:, part]), total, square)
        self.total[:, part], self.square[:, part] = total, square
        self.seen[part] += n
        self._keep(chunk, out)

    def _keep(self, chunk: Chunk, out: layout.Outputs) -> None:
        n = chunk.n_paths
        wanted = max(1, _FAN_PATHS // len(self.run.worlds))
        for j, cell in enumerate(range(chunk.start, chunk.stop)):
            part = slice(j * n, (j + 1) * n)
            self.revenue[cell].append(out.revenue[part].copy())
            self.need[cell].append(out.fund_need[:, part].copy())
            if chunk.path < wanted:
                some = slice(j * n, j * n + min(n, wanted - chunk.path))
                self.fan.append(np.cumsum(out.monthly_revenue[:, some], axis=0))

    @property
    def paths(self) -> int:
        """Paths of a cell so far."""
        return int(self.seen[0])

    def moments(self) -> Moments:
        """Means and variances of every row by cell."""
        assert self.shift is not None
        return estimates.moments(self.paths, self.run.scrambles, self.shift, self.total, self.square)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Revenue (cells, paths) and fund needs (funds, cells, paths)."""
        revenue = np.stack([np.concatenate(parts) for parts in self.revenue])
        need = np.stack([np.concatenate(parts, axis=1) for parts in self.need], axis=1)
        return revenue, need


class _Rows:
    """Which row of the tally holds what."""

    def __init__(self, scenario: Scenario) -> None:
        self.channels = list(dict.fromkeys(s.labels["channel"] for s in scenario.streams.values() if "channel" in s.labels))
        streams = list(scenario.streams)
        self.members = [
            [i for i, s in enumerate(streams) if scenario.streams[s].labels.get("channel") == c] for c in self.channels
        ]
        sizes = {
            "year": 5, "month": scenario.plan.months, "stream": len(streams), "channel": len(self.channels),
            "loss": len(scenario.risks), "need": len(scenario.funds), "exhausted": len(scenario.funds),
            "customers": sum(s.customers is not None for s in scenario.streams.values()),
            "acted": len(scenario.review.levels), "met": len(scenario.targets) + 1, "all": 1,
            "response_cost": len(scenario.risks), "balance": len(scenario.funds), "status": 3 * scenario.plan.months,
        }  # fmt: skip
        ends = np.cumsum(list(sizes.values()))
        self.part = {name: slice(int(e) - n, int(e)) for (name, n), e in zip(sizes.items(), ends, strict=True)}
        self.count = int(ends[-1])

    def fill(self, out: layout.Outputs, rows: np.ndarray) -> None:
        """Copy the outputs of a chunk into the rows of the tally."""
        part = self.part
        for j, name in enumerate(("revenue", "gross_margin", "contribution", "incentive_cost", "deferred_out")):
            rows[part["year"].start + j] = getattr(out, name)
        for name, source in (
            ("month", out.monthly_revenue), ("stream", out.stream_revenue), ("loss", out.loss), ("need", out.fund_need),
            ("exhausted", out.fund_exhausted), ("customers", out.customers), ("acted", out.acted), ("met", out.target_met),
            ("response_cost", out.response_cost), ("balance", out.fund_balance),
        ):  # fmt: skip
            rows[part[name]] = source
        for j, members in enumerate(self.members):
            np.add.reduce(out.stream_revenue[members], axis=0, out=rows[part["channel"].start + j])
        rows[part["all"].start] = out.target_met.all(axis=0)
        months = out.status.shape[0]
        for status in range(3):
            start = part["status"].start + status * months
            rows[start : start + months] = out.status == status


@dataclass(frozen=True)
class Forecast:
    """What a run says; every figure with its error. `to_json()` gives the numbers, the Datasets serve the charts."""

    scenario: Scenario
    run: Run
    paths: int
    estimate: Estimate
    moments: Moments
    rows: _Rows
    revenue: np.ndarray
    need: np.ndarray
    plan_monthly: list[float]
    fan: xr.Dataset
    timing: dict[str, float]

    @property
    def scenario_name(self) -> str:
        return self.scenario.plan.name or self.scenario.file

    @property
    def currency(self) -> str:
        return self.scenario.plan.currency

    @property
    def target(self) -> float:
        at = self.run.worlds.values.get("plan.target")
        return float(np.mean(at)) if at is not None else float(self.scenario.plan.target.value or 0.0)

    @property
    def months(self) -> list[str]:
        return [str(m)[:7] for m in simulation.months(self.scenario)]

    @property
    def optimism(self) -> dict[str, float]:
        """Mean effectiveness of the lines whose mean is not 1: above 1 the plan is pessimistic of itself, below optimistic."""
        found = {}
        middle = central(self.scenario).values
        for name, line in self.scenario.lines.items():
            knob = f"lines.{name}.effectiveness"
            if line.response is None:
                continue
            if line.effectiveness.distribution is None:
                mean = float(line.effectiveness.value or 0.0)
            else:
                from engine.scenario.worlds import parameters_of

                mean = float(np.mean(line.effectiveness.distribution.mean(parameters_of(knob, line.effectiveness, middle))))
            if abs(mean - 1.0) > 1e-9:
                found[name] = mean
        return found

    @property
    def curve(self) -> xr.Dataset:
        """Distribution of annual revenue: a quantile per level, with the target and P(attain) as attributes."""
        values = np.quantile(self.revenue, CURVE_LEVELS, method="inverted_cdf")
        p = self.to_json()["p_attain"]
        return xr.Dataset(
            {"revenue": ("quantile", values, {"units": self.currency, "long_name": "revenue of the horizon"})},
            {"quantile": CURVE_LEVELS},
            {"target": self.target, "currency": self.currency, "scenario": self.scenario_name, **{f"p_{k}": v for k, v in p.items()}},
        )

    def pair(self, part: str, index: int = 0) -> dict[str, float]:
        """Mean and standard error of one row."""
        row = self.rows.part[part].start + index
        return {"mean": float(self.estimate.mean[row]), "se": float(self.estimate.se[row])}

    def _named(self, part: str, names: list[str]) -> dict[str, dict[str, float]]:
        return {name: self.pair(part, j) for j, name in enumerate(names)}

    def p_attain(self) -> dict[str, float]:
        """P(attain) with both its uncertainties."""
        row = self.rows.part["met"].start
        worlds = estimates.by_world(self.moments.mean[row : row + 1], self.moments.scrambles)[0]
        sampling = estimates.sampling_variance(self.moments)[row]
        low, high = estimates.band(worlds, sampling)
        e = self.estimate
        return {
            "value": float(e.mean[row]), "se": float(e.se[row]), "se_sampling": float(e.se_sampling[row]), "lo": low, "hi": high,
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency."""
        scenario = self.scenario
        revenue = self.pair("year", 0) | {"sd": float(self.estimate.sd[0])} | self._quantiles(self.revenue)
        funds = list(scenario.funds)
        needs = self._named("need", funds)
        for j, fund in enumerate(funds):
            needs[fund] |= self._quantiles(self.need[j])
        clients = [n for n, s in scenario.streams.items() if s.customers is not None]
        levels = [float(v.lag.value or 0.0) for v in scenario.review.levels]
        return {
            "scenario": self.scenario_name,
            "paths": self.paths,
            "worlds": self.run.n_worlds,
            "seed": self.run.seed,
            "p_attain": self.p_attain(),
            "revenue": revenue,
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
            "review_acted": [{"lag": lag} | self._probability("acted", j, "p") for j, lag in enumerate(levels)],
            "targets": {n: self._probability("met", j, "p") for j, n in enumerate(arrays.target_names(scenario))},
            "p_all_targets": self._probability("all", 0, "value"),
            "timing": self.timing,
        }

    def _probability(self, part: str, index: int, name: str) -> dict[str, float]:
        found = self.pair(part, index)
        return {name: found["mean"], "se": found["se"]}

    def _quantiles(self, cells: np.ndarray) -> dict[str, dict[str, float]]:
        values, errors = estimates.quantiles(cells, self.run.scrambles, np.array(LEVELS))
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
    chunk_paths: int = simulation.CHUNK_PATHS,
) -> Forecast:
    """Simulate a scenario and keep what is to be said about it.

    Parameters
    ----------
    scenario : Scenario
    paths, worlds, seed, sampler, threads : see `engine.simulate`
    precision : float, optional
        Run on, in rounds of `paths`, until the sampling error of P(attain) is at or below this. (0, 0.5)
    progress : callable, optional
        Called with the paths done and to do, after each chunk.
    announce : callable, optional
        Called when the kernels take more than a second to compile.
    chunk_paths : int, optional
        Paths at a time; changes no digit.

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
        raise SimulationError(f"precision: {precision} lies outside 0 to 0.5; a standard error of P(attain) is asked for")
    jit.set_threads(threads)
    run = simulation.plan_run(scenario, paths, worlds, seed, sampler)
    _require(run, run.n_paths)
    compiled = simulation.compile_kernels(run, announce)
    rows, tally = _Rows(scenario), _Tally(run)
    simulating = time.perf_counter()
    first = 0
    while True:
        _round(run, first, chunk_paths, rows, tally, progress)
        if precision is None:
            break
        row = rows.part["met"].start
        error = estimates.estimate(tally.moments()).se_sampling[row]
        if error <= precision:
            break
        first = tally.paths
        run = _next_round(run, tally, error, precision)
    finished = time.perf_counter()
    revenue, need = tally.kept()
    found = tally.moments()
    shares = arrays.plan_shares(scenario)
    target = scenario.plan.target.value if scenario.plan.target.value is not None else central(scenario).values["plan.target"][0]
    plan = [float(v) for v in shares[0] * float(target)]
    timing = {"compile_s": compiled, "simulate_s": finished - simulating}
    result = Forecast(
        scenario=scenario, run=run, paths=tally.paths * len(run.worlds), estimate=estimates.estimate(found), moments=found,
        rows=rows, revenue=revenue, need=need, plan_monthly=plan, fan=_fan(scenario, tally, plan), timing=timing,
    )  # fmt: skip
    timing["total_s"] = time.perf_counter() - started
    return result


def _require(run: Run, paths: int) -> None:
    kept = 8 * (1 + len(run.scenario.funds))
    buffers = simulation.CHUNK_PATHS * (simulation.bytes_per_path(run.scenario) + 8 * _Rows(run.scenario).count)
    needed = int(2.5 * kept * paths) + buffers
    simulation.require_memory(needed, f"{paths} paths", "ask for fewer paths or a larger --precision")


def _next_round(run: Run, tally: _Tally, error: float, precision: float) -> Run:
    """Size of the next round: what the error so far asks for, at most ten times what is done."""
    from dataclasses import replace

    done = tally.paths
    more = int(np.ceil(done * min(10.0, 1.05 * (error / precision) ** 2 - 1.0)))
    more = max(reduce.BLOCK, -(-more // reduce.BLOCK) * reduce.BLOCK)
    cells = len(run.worlds)
    _require(run, (done + more) * cells)
    if (done + more) * cells > _MAX_PATHS:
        raise SimulationError(f"precision: {precision} asks for more than {_MAX_PATHS} paths; the error is {error:.2g} after {done * cells}")
    return replace(run, paths_per_world=more)


def _round(run: Run, first: int, size: int, rows: _Rows, tally: _Tally, progress: Progress | None) -> None:
    """Simulate paths_per_world more paths of each cell and add them to the tally."""
    buffers: dict[int, tuple[layout.Outputs, np.ndarray]] = {}
    done, todo = 0, run.n_paths
    span, plan = None, None
    for chunk in simulation.chunks(len(run.worlds), first, run.paths_per_world, size):
        if span != (chunk.start, chunk.stop):
            span, plan = (chunk.start, chunk.stop), arrays.build(run.worlds.part(chunk.start, chunk.stop))
        columns = (chunk.stop - chunk.start) * chunk.n_paths
        if columns not in buffers:
            buffers.clear()
            buffers[columns] = (simulation.allocate(run.scenario, columns), np.empty((rows.count, columns)))
        out, values = buffers[columns]
        assert plan is not None
        simulation.fill(run, chunk, plan, 0, chunk.n_paths, out)
        rows.fill(out, values)
        tally.add(chunk, values, out)
        done += columns
        if progress is not None:
            progress(done, todo)


def _fan(scenario: Scenario, tally: _Tally, plan: list[float]) -> xr.Dataset:
    """Quantiles of cumulative revenue by month, with the plan and the review's lags."""
    paths = np.concatenate(tally.fan, axis=1)
    values = np.quantile(paths, FAN_LEVELS, axis=1)
    money = {"units": scenario.plan.currency}
    return xr.Dataset(
        {
            "cumulative": (("quantile", "month"), values, money | {"long_name": "cumulative revenue"}),
            "plan": ("month", np.cumsum(plan), money | {"long_name": "cumulative plan"}),
        },
        {"quantile": list(FAN_LEVELS), "month": simulation.months(scenario)},
        {
            "scenario": scenario.plan.name or scenario.file, "currency": scenario.plan.currency, "paths": paths.shape[1],
            "lags": [float(level.lag.value or 0.0) for level in scenario.review.levels],
        },
    )  # fmt: skip
