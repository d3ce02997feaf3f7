"""A chunk of worlds -> what is kept of each: simulated and reduced at once, paths are never stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.attainment import LEVELS
from engine.batch.design import Batch, Chunk
from engine.errors import ScenarioError
from engine.names import QUANTILES, SUMMARIES
from engine.scenario import arrays
from engine.scenario.model import Scenario
from engine.scenario.worlds import Worlds
from engine.simulation import Run

if TYPE_CHECKING:
    from engine.kernels import layout

ERROR = "_se"  # suffix of a variable that holds the standard errors of another

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Result:
    """What is known of the worlds start..stop-1: small, and merged with its neighbours by putting them side by side.

    Attributes
    ----------
    start, stop : int
    values : dict of str to ndarray, shape (stop - start, ...)
        By variable of the store; NaN for worlds that failed.
    errors : dict of int to str
        Why a world failed.
    """

    start: int
    stop: int
    values: dict[str, np.ndarray]
    errors: dict[int, str]


def merged(results: Sequence[Result]) -> list[Result]:
    """The same results, neighbours merged."""
    runs: list[list[Result]] = []
    for result in sorted(results, key=lambda r: r.start):
        if runs and runs[-1][-1].stop == result.start:
            runs[-1].append(result)
        else:
            runs.append([result])
    return [_joined(run) for run in runs]


def _joined(run: Sequence[Result]) -> Result:
    values = {name: np.concatenate([r.values[name] for r in run]) for name in run[0].values}
    errors = {world: text for r in run for world, text in r.errors.items()}
    return Result(run[0].start, run[-1].stop, values, errors)


class Worker:
    """Simulates chunks of a batch, one after the other in the same memory: fresh memory for each would cost time.

    Parameters
    ----------
    batch : Batch
    threads : int, optional
        Default: all cores. Never changes a digit.
    """

    def __init__(self, batch: Batch, threads: int | None = None) -> None:
        self._batch, self._threads = batch, threads
        self._buffer: tuple[str, layout.Outputs] | None = None  # and the scenario whose outputs it fits

    def simulate(self, chunk: Chunk, progress: Progress | None = None) -> Result:
        """Simulate the worlds of a chunk and reduce their paths.

        A world that cannot be (a value out of its range, an order that breaks) is recorded and the rest is simulated.

        Parameters
        ----------
        chunk : Chunk
        progress : callable, optional
            Called with the paths done and to do.

        Raises
        ------
        SimulationError
            If the paths of a world do not fit in memory.
        """
        which, errors = np.arange(chunk.start, chunk.stop), {}
        try:
            found = self._summed(which, progress)
        except ScenarioError:
            every = {int(world): self._error(world) for world in which}
            errors = {world: text for world, text in every.items() if text is not None}
            which = np.setdiff1d(which, list(errors))
            found = self._summed(which, progress) if which.size else {}
        values = {name: np.full((len(chunk), *shape), np.nan) for name, shape in shapes(self._batch).items()}
        for name, rows in found.items():
            values[name][which - chunk.start] = rows
        return Result(chunk.start, chunk.stop, values, errors)

    def _summed(self, which: np.ndarray, progress: Progress | None) -> dict[str, np.ndarray]:
        """Knobs and outputs of some worlds, a row each."""
        batch, worlds = self._batch, self._batch.worlds(which)
        run = Run(worlds, batch.paths, batch.seed, 1)
        tally, memory, plan, done = _Tally(run, batch.keep), self._memory(worlds.scenario), self._plan(worlds), 0
        for part in simulation.chunks(len(worlds), 0, batch.paths):
            columns = (part.stop - part.start) * part.n_paths
            out = simulation.narrow(memory, columns)
            simulation.fill(run, part, plan, 0, part.n_paths, out)
            tally.add(part, out)
            done += columns
            if progress is not None:
                progress(done, run.n_paths)
        names = [name for name in batch.knobs if name in worlds.values and name not in batch.given]
        return {name: worlds.read(name) for name in names} | tally.values()

    def _error(self, world: np.integer) -> str | None:
        """Why a world cannot be simulated; None where it can."""
        try:
            self._plan(self._batch.worlds(np.array([world])))
        except ScenarioError as error:
            alone = "in world 0: "  # it is the only one here, and has another number in the batch
            faults = [replace(fault, file="", message=fault.message.replace(alone, "")) for fault in error.faults]
            return "; ".join(map(str, faults))
        return None

    def _plan(self, worlds: Worlds) -> layout.PlanArrays:
        """The worlds for the kernel, on one thread: there is less to do than threads cost that wait for others."""
        simulation.set_threads(1)
        try:
            return arrays.build(worlds)
        finally:
            simulation.set_threads(self._threads)

    def _memory(self, scenario: Scenario) -> layout.Outputs:
        if self._buffer is None or self._buffer[0] != scenario.hash:
            self._buffer = None  # before the next is made
            worlds = min(self._batch.worlds_at_a_time, self._batch.n_worlds)
            paths = min(worlds * self._batch.paths, simulation.CHUNK_PATHS)
            self._buffer = scenario.hash, simulation.allocate(scenario, paths)
        return self._buffer[1]


def shapes(batch: Batch) -> dict[str, tuple[int, ...]]:
    """Shape of a world's part of every variable that a chunk gives; what the design sets is known without it."""
    found: dict[str, tuple[int, ...]] = {name: () for name in batch.knobs if name not in batch.given}
    for name in batch.keep:
        shape = tuple(len(labels) for labels in coordinates(batch, name).values())
        found |= {name: shape, name + ERROR: shape}
    return found


def coordinates(batch: Batch, name: str) -> dict[str, Sequence[object]]:
    """The dimensions of an output besides `world`, with their coordinates."""
    scenario = batch.scenarios[0]
    if name.endswith(QUANTILES):
        return {"quantile": list(LEVELS)}
    known: dict[str, Callable[[], Sequence[object]]] = {
        "month": lambda: list(simulation.months(scenario)), "risk": lambda: list(scenario.risks),
        "stream": lambda: list(scenario.streams), "target": lambda: arrays.target_names(scenario),
    }  # fmt: skip
    return {dim: known[dim]() for dim in SUMMARIES[name].dims if dim != "world"}


class _Tally:
    """Running sums over the paths of each world; of what quantiles are asked for, every path."""

    def __init__(self, run: Run, keep: Sequence[str]) -> None:
        self.run, self._paths = run, _Paths(run.scenario, run.worlds)
        self._means = [name for name in keep if not name.endswith(QUANTILES)]
        ordered = [name.removesuffix(QUANTILES) for name in keep if name.endswith(QUANTILES)]
        shape = (len(run.worlds), run.paths_per_world)
        needed = 8 * 3 * len(ordered) * run.n_paths
        simulation.require_memory(needed, f"{run.n_paths:,} paths", "ask for fewer, or keep fewer quantiles")
        self._kept = {name: np.empty(shape) for name in ordered}
        self._sums: dict[str, np.ndarray] = {}  # (shift, total, square) of each row and world

    def add(self, chunk: simulation.Chunk, out: layout.Outputs) -> None:
        """Add the paths of one piece of the run."""
        part = slice(chunk.start, chunk.stop)
        for name in self._means:
            rows = self._paths.of(name, chunk, out)
            if name not in self._sums:
                self._sums[name] = np.zeros((3, rows.shape[0], len(self.run.worlds)))
            shift, total, square = self._sums[name][:, :, part]
            if chunk.path == 0:  # any value near the mean: it keeps the variance of nearly constant rows exact
                shift[:] = rows[:, :, 0]
            apart = rows - shift[:, :, None]
            total += apart.sum(axis=2)
            square += np.einsum("rwp,rwp->rw", apart, apart)
        for name, kept in self._kept.items():
            kept[part, chunk.path : chunk.path + chunk.n_paths] = self._paths.of(name, chunk, out)[0]

    def values(self) -> dict[str, np.ndarray]:
        """Means and quantiles with their standard errors, shape (worlds, ...)."""
        found: dict[str, np.ndarray] = {}
        for name, sums in self._sums.items():
            moments = estimates.moments(self.run.paths_per_world, 1, *sums)
            error = np.sqrt(estimates.sampling_variance(moments))
            for key, rows in ((name, moments.mean), (name + ERROR, error)):
                found[key] = rows[0] if SUMMARIES[name].dims == ("world",) else rows.T
        for name, kept in self._kept.items():
            pairs = [estimates.quantiles([paths[None, :]], 1, LEVELS) for paths in kept]
            found[name + QUANTILES] = np.stack([value for value, _ in pairs])
            found[name + QUANTILES + ERROR] = np.stack([error for _, error in pairs])
        return found


class _Paths:
    """Reads an output off what the kernel gives, path by path."""

    def __init__(self, scenario: Scenario, worlds: Worlds) -> None:
        value, flag = arrays.result_rows(scenario)
        self._target = worlds.read("plan.target")
        targets, funds, risks = 1 + len(scenario.targets), len(scenario.funds), len(scenario.risks)
        self._rows = {
            "revenue": (value.revenue, 1), "gross_margin": (value.gross_margin, 1),
            "contribution": (value.contribution, 1), "incentive_cost": (value.incentive_cost, 1),
            "monthly_revenue": (value.monthly_revenue, scenario.plan.months),
            "revenue_by_stream": (value.stream_revenue, len(scenario.streams)), "loss_by_risk": (value.loss, risks),
        }  # fmt: skip
        self._totals = {
            "fund_need": (value.fund_need, funds), "loss": (value.loss, risks),
            "response_cost": (value.response_cost, risks),
        }  # fmt: skip
        self._flags = {
            "p_attain": (flag.target_met, 1), "p_target": (flag.target_met, targets),
            "p_all_targets": (flag.target_met, targets), "p_fund_exhausted": (flag.fund_exhausted, funds),
        }  # fmt: skip

    def of(self, name: str, chunk: simulation.Chunk, out: layout.Outputs) -> np.ndarray:
        """One output of every path of a piece of the run, shape (rows, worlds, paths)."""
        shape = (-1, chunk.stop - chunk.start, chunk.n_paths)
        if name in self._flags:
            first, count = self._flags[name]
            met = out.flags[first : first + count]
            if name == "p_all_targets":
                met = np.minimum.reduce(met, axis=0)
            elif name == "p_fund_exhausted":
                met = np.maximum.reduce(met, axis=0, initial=0)
            return met.reshape(shape).astype(float)
        if name in self._totals:
            first, count = self._totals[name]
            return out.values[first : first + count].sum(axis=0).reshape(shape)
        if name in self._rows:
            first, count = self._rows[name]
            return out.values[first : first + count].reshape(shape)
        target = self._target[chunk.start : chunk.stop, None]
        revenue = self.of("revenue", chunk, out)
        return revenue / target if name == "attainment" else np.maximum(target - revenue, 0.0)
