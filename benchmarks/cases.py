"""The benchmarks: a registry of named cases. Each returns ratios to a baseline of the same run, with their bars."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine import simulation
from engine.kernels import jit
from engine.scenario import arrays, changes, knobs
from engine.scenario.model import Scenario
from engine.scenario.worlds import central
from engine.simulation import Chunk

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "scenarios" / "reference.toml"
REGIONAL = ROOT / "scenarios" / "regional.toml"
ATTAIN = [sys.executable, "-m", "engine"]


@dataclass(frozen=True)
class Figure:
    """One measured figure; `bar` is what it has to keep to ("<= 3", ">= 25"), empty where it only informs."""

    name: str
    value: float
    unit: str = "x"
    bar: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the bar holds; None where there is none."""
        if not self.bar:
            return None
        sign, bound = self.bar.split()
        return bool(self.value <= float(bound) if sign == "<=" else self.value >= float(bound))


Case = Callable[[float], list[Figure]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Put a case into the registry."""
    CASES[function.__name__] = function
    return function


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Median seconds of a piece of work, warm: run once before."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def ratio(work: Callable[[], object], baseline: Callable[[], object], repeats: int = 5) -> float:
    """Median of the ratios of work to baseline, measured in turn: the speed of a shared machine drifts."""
    work()
    baseline()
    ratios = []
    for _ in range(repeats):
        times = []
        for one in (work, baseline):
            started = time.perf_counter()
            one()
            times.append(time.perf_counter() - started)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def folded(scenario: Scenario) -> dict[str, Any]:
    """The central world as a plain dict in the shape of the file, for implementations that know nothing of worlds."""
    raw = tomllib.loads(scenario.resolved_text())
    values = central(scenario).values
    for name in knobs.uncertain(scenario):
        if not any(name.startswith(f"{other}.") for other in values):
            changes.apply(raw, f"{name}={float(values[name][0])!r}")
    return raw


def kernel(scenario: Scenario, paths: int, worlds: int = 1) -> Callable[[], object]:
    """The kernel alone on so many paths: in chunks, outputs reused."""
    run = simulation.plan_run(scenario, paths, worlds, 1, "random")
    chunks = list(simulation.chunks(len(run.worlds), 0, run.paths_per_world, simulation.CACHED_PATHS))
    columns = max((c.stop - c.start) * c.n_paths for c in chunks)
    plan = arrays.build(run.worlds) if worlds == 1 else None
    out = simulation.allocate(scenario, columns)

    def work() -> None:
        for chunk in chunks:
            part = plan or arrays.build(run.worlds.part(chunk.start, chunk.stop))
            simulation.fill(run, Chunk(chunk.start, chunk.stop, chunk.path, chunk.n_paths), part, 0, chunk.n_paths, out)

    return work


@case
def numpy_twin(scale: float) -> list[Figure]:
    """(a) The kernel against vectorised NumPy on the reference scenario, everything on, results compared."""
    from benchmarks import numpy_tuned, numpy_twin

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    scenario = engine.load(REFERENCE)
    assert isinstance(scenario, Scenario)
    raw, paths = folded(scenario), int(200_000 * scale)
    ours = kernel(scenario, paths)
    return [
        Figure("NumPy / kernel, all threads", ratio(lambda: numpy_twin.simulate(raw, paths, 1), ours), bar=">= 25"),
        Figure("hand-tuned NumPy / kernel, all threads", ratio(lambda: numpy_tuned.simulate(raw, paths, 1), ours)),
        Figure("largest |z| of means, kernel against NumPy", float(agreement(scenario, raw, paths)), "sigma", "<= 5"),
        Figure("kernel, all threads", 1e6 * best(ours) / paths, "us/path"),
    ]


def agreement(scenario: Scenario, raw: dict[str, Any], paths: int) -> float:
    """Largest difference of the means of two implementations, in standard errors."""
    from benchmarks import numpy_twin

    ours = engine.simulate(scenario, paths=paths, worlds=1, seed=2)
    theirs = numpy_twin.simulate(raw, paths, 3)
    worst = 0.0
    for name in ("revenue", "gross_margin", "contribution", "incentive_cost", "monthly_revenue", "loss", "fund_need"):
        a, b = ours[name].values[0], theirs[name]
        a = a.T if a.ndim == 2 else a[None]
        for x, y in zip(a, np.atleast_2d(b), strict=True):
            error = np.sqrt((x.var() + y.var()) / paths)
            worst = max(worst, abs(x.mean() - y.mean()) / error if error > 0 else 0.0)
    return worst


@case
def draw_floor(scale: float) -> list[Figure]:
    """(b) The kernel against the same random draws made and summed with no model."""
    from benchmarks import floor

    scenario = engine.load(REFERENCE)
    assert isinstance(scenario, Scenario)
    paths = int(500_000 * scale)
    run = simulation.plan_run(scenario, paths, 1, 1, "random")
    plan = arrays.build(run.worlds)
    figures = []
    for threads in (1, 2):
        jit.set_threads(threads)
        share = ratio(kernel(scenario, paths), lambda: floor.draw(plan, paths))
        figures.append(Figure(f"kernel / draw floor, {threads} threads", share, bar="<= 3"))
    jit.set_threads(None)
    return figures


@case
def growth(scale: float) -> list[Figure]:
    """(c) How time grows with paths, streams, months, threads and worlds."""
    scenario, regional = engine.load(REFERENCE), engine.load(REGIONAL)
    assert isinstance(scenario, Scenario) and isinstance(regional, Scenario)
    unit = int(1_000_000 * scale)
    few, base, many = (best(kernel(scenario, n), repeats=3) for n in (unit // 10, unit, 10 * unit))
    streams = best(kernel(regional, unit // 4), repeats=3) / best(kernel(scenario, unit // 4), repeats=3)
    long = best(kernel(_of_months(36), unit // 4), repeats=3) / best(kernel(scenario, unit // 4), repeats=3)
    jit.set_threads(1)
    one = best(kernel(scenario, unit // 4), repeats=3)
    jit.set_threads(None)
    two = best(kernel(scenario, unit // 4), repeats=3)
    return [
        Figure(f"{unit:,} / {unit // 10:,} paths", base / few),
        Figure(f"{10 * unit:,} / {unit:,} paths", many / base, bar="<= 11"),
        Figure(f"{len(regional.streams)} / {len(scenario.streams)} streams", streams),
        Figure("36 / 12 months", long),
        Figure("1 thread / all threads", one / two),
    ]


def _of_months(months: int) -> Scenario:
    """The reference with a longer horizon: whatever is a list by month repeats."""
    raw = tomllib.loads(engine.load(REFERENCE).resolved_text())
    times = months // 12
    raw["plan"]["months"] = months
    raw["plan"]["phasing"] *= times
    for stream in raw["streams"].values():
        if "customers" in stream:
            stream["customers"]["wins"] *= times
    for line in raw["lines"].values():
        if isinstance(line.get("phasing"), list):
            line["phasing"] *= times
    for risk in raw["risks"].values():
        if "rate" in risk:
            risk["rate"] = 1.0
    from engine.scenario.text import dump

    return engine.parse(dump(raw))


@case
def many_worlds(scale: float) -> list[Figure]:
    """(c) 1000 worlds of 1000 paths against one world of a million, the worlds' preparation included."""
    scenario = engine.load(REFERENCE)
    assert isinstance(scenario, Scenario)
    worlds = int(1000 * scale)
    share = ratio(
        lambda: engine.forecast(scenario, paths=1000 * worlds, worlds=worlds),
        lambda: engine.forecast(scenario, paths=1000 * worlds, worlds=1),
        repeats=3,
    )
    return [Figure(f"{worlds} worlds x 1000 paths / 1 x {1000 * worlds:,}", share, bar="<= 2")]


@case
def memory(scale: float) -> list[Figure]:
    """(d) Peak memory of ten million paths."""
    paths = int(10_000_000 * scale)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    subprocess.run(
        [*ATTAIN, "run", str(REFERENCE), "--paths", str(paths), "--json"], check=True, capture_output=True, cwd=ROOT
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak >= before
    return [Figure(f"peak memory of {paths:,} paths", peak / 1e6, "GB", "<= 1.5")]


@case
def command_line(scale: float) -> list[Figure]:
    """Start, run and first compile of the command."""
    start = best(lambda: subprocess.run([*ATTAIN, "--help"], check=True, capture_output=True, cwd=ROOT))
    arguments = [*ATTAIN, "run", str(REFERENCE), "--paths", str(int(1_000_000 * scale))]
    run = best(lambda: subprocess.run(arguments, check=True, capture_output=True, cwd=ROOT), repeats=3)
    return [
        Figure("attain --help", start, "s", "<= 0.5"),
        Figure("attain run --paths 1000000, compiled", run, "s", "<= 5"),
        Figure("first compile", _first_compile(), "s", "<= 60"),
    ]


def _first_compile() -> float:
    """Seconds of a first run of a fresh copy of the package, less those of its second run."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "engine", Path(folder) / "engine", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "scenarios", Path(folder) / "scenarios")
        arguments = [*ATTAIN, "run", "scenarios/reference.toml", "--paths", "1000"]
        environment = os.environ | {"PYTHONPATH": folder}
        times = []
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True, cwd=folder, env=environment)
            times.append(time.perf_counter() - started)
    return times[0] - times[1]
