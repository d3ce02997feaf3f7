"""A chunk of worlds -> what is kept of each: simulated and reduced at once, paths are never stored.

Worlds of many paths are simulated in parts. What a part says merges with that of the next: counts are whole
numbers, and sums are added in the order of the parts, whatever the order in which they come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.attainment import LEVELS
from engine.batch import grid
from engine.batch.design import Batch, Chunk, Part
from engine.batch.grid import Grid, Histogram
from engine.errors import ScenarioError
from engine.names import QUANTILES, SUMMARIES
from engine.scenario import arrays, blocks
from engine.scenario.model import Scenario
from engine.scenario.worlds import Worlds
from engine.simulation import Run

if TYPE_CHECKING:
    from engine.kernels import layout

ERROR = "_se"  # suffix of a variable that holds the standard errors of another
SUFFIXES = ("", ERROR, grid.SUFFIX)  # of an output and of what says how exact it is

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


@dataclass(frozen=True)
class Summary:
    """What some paths of some worlds say: small, whatever the number of paths, and merged with that of the next ones.

    Attributes
    ----------
    part : Part
        The last that is in it, with the number of all paths that are.
    which : ndarray of int, shape (worlds,)
        Worlds of the chunk that can be simulated.
    values : dict of str to ndarray, shape (worlds, ...)
        Of the worlds, whatever the paths: knobs. Of whole worlds their quantiles too.
    sums : dict of str to ndarray, shape (3, rows, worlds)
        A value of the world, the sum of the paths' distances to it, and of their squares.
    histograms : dict of str to list of Histogram, one a world
    errors : dict of int to str
        Why a world cannot be simulated.
    """

    part: Part
    which: np.ndarray
    values: dict[str, np.ndarray]
    sums: dict[str, np.ndarray]
    histograms: dict[str, list[Histogram]]
    errors: dict[int, str]

    def followed_by(self, other: Summary) -> Summary:
        """Merged with the part that comes next."""
        part = replace(other.part, path=self.part.path, n_paths=self.part.n_paths + other.part.n_paths)
        sums = {name: _added(rows, other.sums[name], other.part.n_paths) for name, rows in self.sums.items()}
        histograms = {
            name: [a + b for a, b in zip(counted, other.histograms[name], strict=True)]
            for name, counted in self.histograms.items()
        }
        return replace(self, part=part, sums=sums, histograms=histograms)


def _added(first: np.ndarray, then: np.ndarray, paths: int) -> np.ndarray:
    """Sums about the value of the first; `paths` are those of the second. Of flags they are whole numbers: exact."""
    away = then[0] - first[0]
    square = then[2] + 2.0 * away * then[1] + paths * away**2
    return np.stack([first[0], first[1] + (then[1] + paths * away), first[2] + square])


class Gathering:
    """Puts what parts of chunks say together, in whatever order they come.

    Of a chunk only what is next in order is merged at once; the rest waits.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._merged: dict[Chunk, Summary] = {}
        self._waiting: dict[Chunk, dict[int, Summary]] = {}

    def add(self, found: Summary) -> Result | None:
        """Add what a part says, once; gives what is known of the worlds where it was the last to come."""
        chunk = found.part.chunk
        merged, waiting = self._merged.pop(chunk, None), self._waiting.setdefault(chunk, {})
        waiting[found.part.index] = found
        while (after := waiting.pop(0 if merged is None else merged.part.index + 1, None)) is not None:
            merged = after if merged is None else merged.followed_by(after)
        if merged is None:
            return None
        if merged.part.index + 1 == merged.part.of:
            del self._waiting[chunk]
            return finished(self._batch, merged)
        self._merged[chunk] = merged
        return None


def finished(batch: Batch, whole: Summary) -> Result:
    """What all paths of some worlds say: means and quantiles with their standard errors; NaN for worlds that failed."""
    chunk, found = whole.part.chunk, dict(whole.values)
    for name, sums in whole.sums.items():
        moments = estimates.moments(batch.paths, 1, *sums)
        error = np.sqrt(estimates.sampling_variance(moments))
        for key, rows in ((name, moments.mean), (name + ERROR, error)):
            found[key] = rows[0] if SUMMARIES[name].dims == ("world",) else rows.T
    for name, counted in whole.histograms.items():
        read = [_grid(batch, chunk, name).quantiles(histogram, LEVELS) for histogram in counted]
        for suffix, rows in zip(SUFFIXES, zip(*read, strict=True), strict=True):
            found[name + QUANTILES + suffix] = np.stack(rows)
    values = {name: np.full((len(chunk), *shape), np.nan) for name, shape in shapes(batch).items()}
    for name, rows in found.items():
        values[name][whole.which - chunk.start] = rows
    return Result(chunk.start, chunk.stop, values, whole.errors)


def _grid(batch: Batch, chunk: Chunk, name: str) -> Grid:
    """The grid of an output: the same for all worlds of a scenario, whatever target a world has."""
    return Grid(1.0 if SUMMARIES[name].units == "1" else float(batch.scenario(chunk.start).plan.target.central()))


def onward(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of a piece of some work, as that of the whole."""
    return None if progress is None else lambda done, _: progress(before + done, total)


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
        # worlds on the same paths share their draws, the more of them the better
        self._at_a_time = simulation.CHUNK_PATHS if batch.common_paths else simulation.CACHED_PATHS

    def simulate(self, chunk: Chunk, progress: Progress | None = None) -> Result:
        """Simulate the worlds of a chunk, part by part, and reduce their paths.

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
        gathering, result, total = Gathering(self._batch), None, len(chunk) * self._batch.paths
        for part in self._batch.parts(chunk):
            result = gathering.add(self.reduce(part, onward(progress, len(chunk) * part.path, total)))
        assert result is not None
        return result

    def reduce(self, part: Part, progress: Progress | None = None) -> Summary:
        """Simulate a part and reduce its paths.

        A world that cannot be (a value out of its range, an order that breaks) is recorded and the rest is simulated.
        """
        which = np.arange(part.chunk.start, part.chunk.stop)
        try:
            return self._reduced(part, which, {}, progress)
        except ScenarioError:
            every = {int(world): self._error(world) for world in which}
            errors = {world: text for world, text in every.items() if text is not None}
            which = np.setdiff1d(which, list(errors))
            if which.size == 0:
                return Summary(part, which, {}, {}, {}, errors)
            return self._reduced(part, which, errors, progress)

    def _reduced(self, part: Part, which: np.ndarray, errors: dict[int, str], progress: Progress | None) -> Summary:
        batch, worlds = self._batch, self._batch.worlds(which)
        run = Run(worlds, part.n_paths, batch.seed, 1)
        tally, memory, plan, done = _Tally(run, batch, part), self._memory(worlds.scenario), self._plan(worlds), 0
        for piece in simulation.chunks(len(worlds), part.path, part.n_paths, self._at_a_time):
            columns = (piece.stop - piece.start) * piece.n_paths
            out = simulation.narrow(memory, columns)
            simulation.fill(run, piece, plan, 0, piece.n_paths, out, start=0)
            tally.add(piece, out)
            done += columns
            if progress is not None:
                progress(done, run.n_paths)
        names = [name for name in batch.knobs if name in worlds.values and name not in batch.given]
        values = {name: worlds.read(name) for name in names} | tally.quantiles()
        return Summary(part, which, values, tally.sums, tally.histograms, errors)

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
            return arrays.build(worlds, detail_of(self._batch))
        finally:
            simulation.set_threads(self._threads)

    def _memory(self, scenario: Scenario) -> layout.Outputs:
        if self._buffer is None or self._buffer[0] != scenario.hash:
            self._buffer = None  # before the next is made
            paths = min(self._batch.n_worlds * self._batch.paths, self._at_a_time)
            self._buffer = scenario.hash, simulation.allocate(scenario, paths, detail_of(self._batch))
        return self._buffer[1]


def detail_of(batch: Batch) -> Collection[str]:
    """What the kernel is to give: no losses by risk where none are kept."""
    return () if any(name.startswith("loss") for name in batch.keep) else (blocks.LEAN,)


def shapes(batch: Batch) -> dict[str, tuple[int, ...]]:
    """Shape of a world's part of every variable that a chunk gives; what the design sets is known without it."""
    found: dict[str, tuple[int, ...]] = {name: () for name in batch.knobs if name not in batch.given}
    for name in batch.keep:
        shape = tuple(len(labels) for labels in coordinates(batch, name).values())
        found |= {name + suffix: shape for suffix in suffixes(batch, name)}
    return found


def suffixes(batch: Batch, name: str) -> tuple[str, ...]:
    """Of the variables of an output: itself, its error, and where it is read off a grid the width of its bin."""
    return SUFFIXES if batch.is_split and name.endswith(QUANTILES) else SUFFIXES[:2]


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
    """Running sums over the paths of each world; of what quantiles are asked for, every path or counts on a grid."""

    def __init__(self, run: Run, batch: Batch, part: Part) -> None:
        self.run, self._first, self._paths = run, part.path, _Paths(run.scenario, run.worlds, detail_of(batch))
        self._means = [name for name in batch.keep if not name.endswith(QUANTILES)]
        ordered = [name.removesuffix(QUANTILES) for name in batch.keep if name.endswith(QUANTILES)]
        self._grids = {name: _grid(batch, part.chunk, name) for name in ordered if batch.is_split}
        self.sums: dict[str, np.ndarray] = {}  # (shift, total, square) of each row and world
        self.histograms: dict[str, list[Histogram]] = {name: [] for name in self._grids}
        self._kept = self._room([] if batch.is_split else ordered)

    def _room(self, ordered: Sequence[str]) -> dict[str, np.ndarray]:
        """Memory for every path."""
        needed = 8 * 3 * len(ordered) * self.run.n_paths
        simulation.require_memory(
            needed, f"{self.run.n_paths:,} paths", "ask for fewer, keep fewer quantiles, or give a lower part_paths"
        )
        return {name: np.empty((len(self.run.worlds), self.run.paths_per_world)) for name in ordered}

    def add(self, chunk: simulation.Chunk, out: layout.Outputs) -> None:
        """Add the paths of one piece of the run."""
        part, path = slice(chunk.start, chunk.stop), chunk.path - self._first
        for name in self._means:
            rows = self._paths.of(name, chunk, out)
            if name not in self.sums:
                self.sums[name] = np.zeros((3, rows.shape[0], len(self.run.worlds)))
            shift, total, square = self.sums[name][:, :, part]
            if path == 0:  # any value near the mean: it keeps the variance of nearly constant rows exact
                shift[:] = rows[:, :, 0]
            apart = rows - shift[:, :, None]
            total += apart.sum(axis=2)
            square += np.einsum("rwp,rwp->rw", apart, apart)
        for name, kept in self._kept.items():
            kept[part, path : path + chunk.n_paths] = self._paths.of(name, chunk, out)[0]
        for name, on in self._grids.items():
            self._count(name, path, [on.count(paths) for paths in self._paths.of(name, chunk, out)[0]])

    def _count(self, name: str, path: int, counted: list[Histogram]) -> None:
        """Pieces are whole worlds, or the next paths of one."""
        if path == 0:
            self.histograms[name] += counted
        else:
            self.histograms[name][-1] += counted[0]

    def quantiles(self) -> dict[str, np.ndarray]:
        """Quantiles of whole worlds with their standard errors, shape (worlds, levels)."""
        found: dict[str, np.ndarray] = {}
        for name, kept in self._kept.items():
            pairs = [estimates.quantiles([paths[None, :]], 1, LEVELS) for paths in kept]
            found[name + QUANTILES] = np.stack([value for value, _ in pairs])
            found[name + QUANTILES + ERROR] = np.stack([error for _, error in pairs])
        return found


class _Paths:
    """Reads an output off what the kernel gives, path by path."""

    def __init__(self, scenario: Scenario, worlds: Worlds, detail: Collection[str]) -> None:
        value, flag = blocks.results(scenario, detail)
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
