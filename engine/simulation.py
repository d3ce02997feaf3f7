"""simulate(): a scenario, or a list of worlds, -> Dataset.

xarray is imported where a Dataset is made: it takes half a second, which a run that prints a summary does not need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import SimulationError
from engine.kernels import horizon, jit, layout, reduce
from engine.scenario import arrays, blocks, knobs
from engine.scenario.model import Scenario
from engine.scenario.worlds import Worlds, draw, key

if TYPE_CHECKING:
    import xarray as xr

DEFAULT_WORLDS = 256
PATHS_PER_WORLD = 1000  # never fewer by default: fewer worlds then
SCRAMBLES = 8  # independent scrambles of a Sobol' run, for its standard errors
SAMPLERS = ("random", "sobol")
DETAILS = ("streams", "funds", "targets")
CHUNK_PATHS = 131_072  # paths at a time where all their outputs are kept, or where worlds share their draws
PREPARED_WORLDS = 256  # for the kernel at a time, however few their paths: a world's own tables may take a megabyte
CACHED_PATHS = 32_768  # paths of which the outputs stay in the cache until they have been taken in
_GIB = 2**30


@dataclass(frozen=True)
class Run:
    """What is to be simulated: worlds, paths of each, seed and sampler.

    With the Sobol' sampler a world stands `scrambles` times in the list, once for each independent scramble.
    """

    worlds: Worlds
    paths_per_world: int
    seed: int
    scrambles: int

    @property
    def scenario(self) -> Scenario:
        return self.worlds.scenario

    @property
    def n_worlds(self) -> int:
        return len(self.worlds) // self.scrambles

    @property
    def n_paths(self) -> int:
        return len(self.worlds) * self.paths_per_world


def default_worlds(scenario: Scenario, paths: int) -> int:
    """256 worlds where something is uncertain, fewer where a world would get fewer than 1000 paths; else one."""
    if not knobs.uncertain(scenario):
        return 1
    return max(1, min(DEFAULT_WORLDS, paths // PATHS_PER_WORLD))


def check(paths: int, worlds: int | None, seed: int, sampler: str, threads: int | None = None) -> None:
    """Refuse sizes that make no sense.

    Raises
    ------
    SimulationError
        Naming option, value and bound.
    """
    sizes: dict[str, object] = {"paths": paths, "worlds": worlds, "seed": seed, "threads": threads}
    faults = [
        f"{name}: {size!r} is not a whole number, such as 100_000"
        for name, size in sizes.items()
        if size is not None and not isinstance(size, Integral)
    ]
    if faults:
        raise SimulationError("; ".join(faults))
    if paths < 1:
        faults.append(f"paths: {paths} is below 1")
    if paths > 2**32 - 1:
        faults.append(f"paths: {paths} is above {2**32 - 1}, the number of distinct paths of a world")
    if worlds is not None and worlds < 1:
        faults.append(f"worlds: {worlds} is below 1")
    if worlds is not None and worlds > max(paths, 1):
        faults.append(f"worlds: {worlds} exceeds the {paths} paths; a world needs at least one path")
    if not 0 <= seed < 2**64:
        faults.append(f"seed: {seed} lies outside 0 to 2**64 - 1")
    if sampler not in SAMPLERS:
        faults.append(f"sampler: {sampler!r} is neither of {', '.join(SAMPLERS)}")
    if threads is not None and threads < 1:
        faults.append(f"threads: {threads} is below 1")
    if faults:
        raise SimulationError("; ".join(faults))


def set_threads(threads: int | None) -> int:
    """Set the number of threads of all runs that follow; `None` means all that the machine offers."""
    return jit.set_threads(threads)


def plan_run(scenario: Scenario | Worlds, paths: int, worlds: int | None, seed: int, sampler: str) -> Run:
    """Draw the worlds of a run and share the paths out, whose number is rounded up to a multiple of the worlds."""
    check(paths, worlds, seed, sampler)
    if isinstance(scenario, Worlds):
        chosen = scenario
    else:
        chosen = draw(scenario, default_worlds(scenario, paths) if worlds is None else worlds, seed)
    scrambles = 1
    if sampler == "sobol":
        scrambles = SCRAMBLES
        chosen = _repeat(chosen, scrambles)
    return Run(chosen, -(-paths // len(chosen)), seed, scrambles)


def _repeat(worlds: Worlds, times: int) -> Worlds:
    values = {name: np.repeat(v, times) for name, v in worlds.values.items()}
    copies = np.tile(np.arange(times, dtype=np.uint64), len(worlds))
    return Worlds(worlds.scenario, values, np.repeat(worlds.streams, times) * np.uint64(times) + copies)


def bytes_per_path(scenario: Scenario, detail: Collection[str] = ()) -> int:
    """Memory that the outputs of one path take. [bytes]"""
    value, flag = blocks.results(scenario, detail)
    return 8 * value.size + flag.size


def result_bytes_per_path(scenario: Scenario, detail: Collection[str] = ()) -> int:
    """Memory that one path takes in the Dataset of `simulate`, and while that is written to a file. [bytes]"""
    months, streams, lines = scenario.plan.months, len(scenario.streams), len(scenario.lines)
    derived = 8 * (1 + streams + lines)  # attainment, customers of every stream, spend
    # variables stand in a file with the path first, and each is turned round when its turn comes
    turned = 8 * max(months * (streams if "streams" in detail else 1), streams, lines, len(scenario.risks))
    return bytes_per_path(scenario, detail) + derived + turned


def allocate(scenario: Scenario, paths: int, detail: Collection[str] = ()) -> layout.Outputs:
    """Arrays for the outputs of so many paths."""
    value, flag = blocks.results(scenario, detail)
    return layout.Outputs(jit.aligned((value.size, paths)), jit.aligned((flag.size, paths), np.int8))


def available_memory() -> int:
    """Memory that can be had without swapping. [bytes]"""
    try:
        with open("/proc/meminfo") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse a request that would not fit.

    Raises
    ------
    SimulationError
        With the sum and the remedy.
    """
    free = available_memory()
    if needed > 0.9 * free:
        raise SimulationError(f"{what} need {needed / _GIB:.1f} GiB, {free / _GIB:.1f} GiB are free; {remedy}")


@dataclass(frozen=True)
class Chunk:
    """A part of a run: worlds start..stop-1, the paths path..path+n_paths-1 of each."""

    start: int
    stop: int
    path: int
    n_paths: int


def chunks(n_worlds: int, first: int, paths: int, size: int = CHUNK_PATHS) -> Iterator[Chunk]:
    """Split the paths first..first+paths-1 of all worlds: some whole worlds where they are short, or part of one."""
    size = max(reduce.BLOCK, size - size % reduce.BLOCK)
    step = min(max(1, size // paths), PREPARED_WORLDS)
    for start in range(0, n_worlds, step):
        stop = min(start + step, n_worlds)
        for path in range(0, paths, size if step == 1 else paths):
            yield Chunk(start, stop, first + path, min(size if step == 1 else paths, paths - path))


def _world_bytes(plan: layout.PlanArrays) -> int:
    """Memory of what worlds have of their own, and of the tables that they share."""
    return plan.numbers.nbytes + plan.tables.nbytes


def prepared(run: Run, detail: Collection[str] = ()) -> layout.PlanArrays:
    """All worlds of a run, for what simulates them again and again.

    Raises
    ------
    SimulationError
        If they would not fit in memory.
    """
    one, two = (_world_bytes(arrays.build(run.worlds.part(0, n), detail)) for n in (1, min(2, len(run.worlds))))
    needed = 2 * (one + (len(run.worlds) - 1) * (two - one))  # twice while they are put together
    require_memory(needed, f"{len(run.worlds):,} worlds", "ask for fewer worlds")
    return arrays.build(run.worlds, detail)


def fill(
    run: Run, chunk: Chunk, plan: layout.PlanArrays, column: int, stride: int, out: layout.Outputs,
    start: int | None = None,
) -> None:  # fmt: skip
    """Simulate one chunk into the columns `column + world * stride`.

    The worlds of `plan` begin with that of the chunk, or with the world `start` of the run.
    """
    given = np.empty((0, 0))
    if run.scrambles > 1:
        given = _sobol(run, chunk)
    first = 0 if start is None else chunk.start - start
    span = first, first + chunk.stop - chunk.start
    horizon.simulate_paths(plan, *span, chunk.path, chunk.n_paths, column, stride, *key(run.seed), given, out)


def fill_chosen(
    run: Run, plan: layout.PlanArrays, ends: np.ndarray, paths: np.ndarray, acting: np.ndarray, out: layout.Outputs
) -> None:  # fmt: skip
    """Simulate chosen paths of every world, each with the risks that are to act: see `horizon.simulate_chosen`."""
    horizon.simulate_chosen(plan, ends, paths, acting, *key(run.seed), out)


def outputs(
    run: Run, detail: Collection[str] = (), progress: Callable[[int, int], None] | None = None, first: int = 0,
    size: int = CACHED_PATHS,
) -> Iterator[tuple[Chunk, layout.Outputs]]:  # fmt: skip
    """Simulate a run chunk by chunk, from the path `first` of each world on.

    The outputs of a chunk lie in the memory of the one before: fresh memory for each would cost time. `progress` is
    called with the paths done and to do once a chunk has been taken in.
    """
    parts = list(chunks(len(run.worlds), first, run.paths_per_world, size))
    buffer = allocate(run.scenario, max((c.stop - c.start) * c.n_paths for c in parts), detail)
    start, stop, done = 0, 0, 0
    for chunk in parts:
        if chunk.stop > stop:  # worlds beyond those that are prepared
            start, stop = chunk.start, max(chunk.stop, chunk.start + PREPARED_WORLDS)
            plan = arrays.build(run.worlds.part(start, min(stop, len(run.worlds))), detail)
        columns = (chunk.stop - chunk.start) * chunk.n_paths
        out = narrow(buffer, columns)
        fill(run, chunk, plan, 0, chunk.n_paths, out, start)
        yield chunk, out
        done += columns
        if progress is not None:
            progress(done, run.n_paths)


def _sobol(run: Run, chunk: Chunk) -> np.ndarray:
    """Scrambled Sobol' points for the path-level drivers, shape (drivers, worlds * paths) of the chunk."""
    from scipy.stats import qmc

    scenario = run.scenario
    launches = sum(s.launch is not None for s in scenario.streams.values())
    rows = layout.SLOTS_PER_RISK * len(scenario.risks) + len(scenario.lines) + launches + 2 * scenario.plan.months
    given = np.empty((rows, (chunk.stop - chunk.start) * chunk.n_paths))
    for j, world in enumerate(range(chunk.start, chunk.stop)):
        rng = np.random.default_rng([run.seed, int(run.worlds.streams[world])])
        points = qmc.Sobol(rows, scramble=True, rng=rng)
        if chunk.path:
            points.fast_forward(chunk.path)
        block = _points(points, chunk.n_paths)
        given[:, j * chunk.n_paths : (j + 1) * chunk.n_paths] = block.T
    return given


def _points(engine: object, count: int) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        # balance holds for powers of 2 only; the errors come from the scrambles and hold for any number of points
        warnings.simplefilter("ignore", UserWarning)
        raw = engine.random(count)  # type: ignore[attr-defined]
    return (np.floor(raw * 2.0**32) + 0.5) * 2.0**-32


def compile_kernels(run: Run, announce: Callable[[], None] | None = None) -> float:
    """Compile, or load from the cache, what a run needs; returns the time it took. [s]

    `announce` is called if it takes longer than a second.
    """
    from threading import Timer

    if getattr(horizon.simulate_blocks, "signatures", True):
        return 0.0
    started = time.perf_counter()
    timer = Timer(1.0, announce) if announce is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    first = replace(run, worlds=run.worlds.part(0, 1))
    out = allocate(run.scenario, 1)
    fill(first, Chunk(0, 1, 0, 1), arrays.build(first.worlds), 0, 1, out)
    _add_nothing(out)
    if timer is not None:
        timer.cancel()
    return time.perf_counter() - started


def _add_nothing(out: layout.Outputs) -> None:
    """Compile the sums over paths."""
    groups, sums, counts = np.zeros(1, np.int64), np.zeros((1, 1)), np.zeros((1, 1), np.int64)
    reduce.add_moments(out.values, groups[:0], groups, 1, 1, sums, sums, sums)
    reduce.add_counts(out.flags, groups[:0], groups, 1, 1, counts, counts)


def simulate(
    scenario: Scenario | Worlds,
    *,
    paths: int = 100_000,
    worlds: int | None = None,
    seed: int = 1,
    sampler: str = "random",
    detail: Collection[str] = (),
    threads: int | None = None,
    chunk_paths: int = CHUNK_PATHS,
) -> xr.Dataset:
    """Simulate a scenario and keep every path.

    Parameters
    ----------
    scenario : Scenario or Worlds
        A scenario, whose worlds are drawn, or a list of worlds.
    paths : int, optional
        Paths in all; rounded up to a multiple of the worlds.
    worlds : int, optional
        Worlds to draw: 1 runs the central world. Default: 256 where something is uncertain, at least 1000 paths each.
    seed : int, optional
        0 to 2**64 - 1. The same seed gives the same bits for any number of threads and chunks.
    sampler : {"random", "sobol"}, optional
    detail : collection of {"streams", "funds", "targets"}, optional
        Also keep the months of each stream, or of each fund, or what each target measures.
    threads : int, optional
        Default: all cores.
    chunk_paths : int, optional
        Paths at a time; changes no digit.

    Returns
    -------
    xarray.Dataset
        The variables of `engine.names.VARIABLES`.

    Raises
    ------
    SimulationError
        If a size makes no sense or the result would not fit in memory.
    ScenarioError
        If a nested distribution breaks in a world.
    """
    check(paths, worlds, seed, sampler, threads)
    unknown = sorted(set(detail) - set(DETAILS))
    if unknown:
        raise SimulationError(f"detail: {', '.join(unknown)} is none of {', '.join(DETAILS)}")
    run = plan_run(scenario, paths, worlds, seed, sampler)
    needed = run.n_paths * result_bytes_per_path(run.scenario, detail)
    require_memory(needed, f"{run.n_paths} paths", "ask for fewer paths, or use forecast(), which keeps summaries only")
    jit.set_threads(threads)
    out = allocate(run.scenario, run.n_paths, detail)
    for chunk in chunks(len(run.worlds), 0, run.paths_per_world, chunk_paths):
        plan = arrays.build(run.worlds.part(chunk.start, chunk.stop), detail)
        column = chunk.start * run.paths_per_world + chunk.path
        fill(run, chunk, plan, column, run.paths_per_world, out)
    return to_dataset(run, out, detail)


def narrow(buffer: layout.Outputs, columns: int) -> layout.Outputs:
    """Outputs of fewer columns in the same memory: fresh memory for each chunk would cost time."""
    values, flags = (a.reshape(-1)[: a.shape[0] * columns].reshape(a.shape[0], columns) for a in buffer)
    return layout.Outputs(values, flags)


def months(scenario: Scenario) -> np.ndarray:
    """Start of every month of the horizon, datetime64."""
    first = np.datetime64(scenario.plan.start, "M")
    return (first + np.arange(scenario.plan.months)).astype("datetime64[ns]")


def to_dataset(run: Run, out: layout.Outputs, detail: Collection[str] = ()) -> xr.Dataset:
    """Label the outputs of a run."""
    scenario = run.scenario
    value, flag = blocks.results(scenario, detail)
    months, streams = scenario.plan.months, len(scenario.streams)
    risks, funds = len(scenario.risks), len(scenario.funds)
    shape = (run.n_worlds, run.scrambles * run.paths_per_world)

    def labelled(rows: np.ndarray, *inner: int) -> np.ndarray:
        """Rows as (world, path, ...)"""
        folded = rows.reshape(*(inner or (rows.shape[0],)), *shape)
        return np.moveaxis(folded, (-2, -1), (0, 1))

    def values(name: str, count: int) -> np.ndarray:
        return out.values[getattr(value, name) :][:count]

    def flags(name: str, count: int) -> np.ndarray:
        return out.flags[getattr(flag, name) :][:count]

    result = {
        name: out.values[getattr(value, source)].reshape(shape)
        for name, source in (
            ("revenue", "revenue"), ("gross_margin", "gross_margin"), ("contribution", "contribution"),
            ("incentive_cost", "incentive_cost"), ("revenue_deferred_out", "deferred_out"),
        )
    }  # fmt: skip
    result["attainment"] = result["revenue"] / _by_world(run, "plan.target", scenario.plan.target.value)
    for name, source, count in (
        ("monthly_revenue", "monthly_revenue", months), ("lag", "lag", months), ("loss", "loss", risks),
        ("response_cost", "response_cost", risks), ("fund_balance", "fund_balance", funds),
        ("fund_need", "fund_need", funds), ("revenue_by_stream", "stream_revenue", streams),
    ):  # fmt: skip
        result[name] = labelled(values(source, count))
    result["status"] = labelled(flags("status", months))
    for name, source, count in (
        ("fund_exhausted", "fund_exhausted", funds), ("review_acted", "acted", len(scenario.review.levels)),
        ("target_met", "target_met", len(scenario.targets) + 1),
    ):  # fmt: skip
        result[name] = labelled(flags(source, count).view(np.bool_))
    clients = [i for i, s in enumerate(scenario.streams.values()) if s.customers is not None]
    customers = np.full((streams, out.values.shape[1]), np.nan)
    customers[clients] = values("customers", len(clients))
    result["customers"] = labelled(customers)
    result["spend"] = labelled(_spend(run, values("corrective", len(scenario.lines))))
    if "streams" in detail:
        result["monthly_revenue_by_stream"] = labelled(values("stream_months", months * streams), months, streams)
    if "funds" in detail:
        result["monthly_fund_balance"] = labelled(values("fund_months", months * funds), months, funds)
    if "targets" in detail:
        result["target_value"] = labelled(values("target_value", 1 + len(scenario.targets)))
    from engine import dataset

    return dataset.build(result, coordinates(run), scenario.plan.currency, provenance(run))


def _by_world(run: Run, knob: str, value: float | None) -> np.ndarray:
    at = run.worlds.values.get(knob, np.full(len(run.worlds), value))
    return at[:: run.scrambles, None]


def _spend(run: Run, corrective: np.ndarray) -> np.ndarray:
    """Spend of every line, corrective money included."""
    spent = corrective.copy()
    for b, (name, line) in enumerate(run.scenario.lines.items()):
        amount = run.worlds.values.get(f"lines.{name}.amount", np.full(len(run.worlds), line.amount.value))
        spent[b] += np.repeat(amount, run.paths_per_world)
    return spent


def coordinates(run: Run) -> dict[str, object]:
    """Coordinates of the result's dimensions."""
    scenario = run.scenario
    return {
        "world": np.arange(run.n_worlds), "path": np.arange(run.scrambles * run.paths_per_world),
        "month": months(scenario), "stream": list(scenario.streams), "line": list(scenario.lines),
        "risk": list(scenario.risks),
        "fund": list(scenario.funds), "level": np.arange(1, len(scenario.review.levels) + 1),
        "target": arrays.target_names(scenario),
    }  # fmt: skip


def provenance(run: Run) -> dict[str, object]:
    """Attributes that reproduce the result."""
    scenario = run.scenario
    return {
        "scenario": scenario.title, "scenario_hash": scenario.hash,
        "scenario_text": scenario.resolved_text(), "seed": str(run.seed), "paths": run.n_paths, "worlds": run.n_worlds,
        "sampler": "sobol" if run.scrambles > 1 else "random",
    }  # fmt: skip
