"""Studies: Sobol' indices of many knobs, exact Shapley values of ten risks."""

from __future__ import annotations

import math
import resource
import time

import engine
from benchmarks.cases import REFERENCE, Figure, case
from engine import simulation
from engine.analysis import shapley
from engine.scenario import knobs
from engine.scenario.model import Scenario

KNOBS, SAMPLES, PATHS = 40, 2048, 2000
PLAYERS, SPLIT_PATHS = 10, 100_000


def _reference() -> Scenario:
    scenario = engine.load(REFERENCE)
    assert isinstance(scenario, Scenario)
    return scenario


def forty(scenario: Scenario) -> list[str]:
    """All uncertain knobs, and as many plain amounts and volatilities as make forty, 10 % to both sides."""
    uncertain = list(knobs.uncertain(scenario))
    plain = [f"lines.{name}.response.ceiling" for name in scenario.lines if scenario.lines[name].response is not None]
    plain += [f"streams.{name}.volatility" for name in scenario.streams]
    others = [name for name in plain if name not in uncertain and name in knobs.index(scenario)]
    return [*uncertain, *(f"{name}=10%" for name in others)][:KNOBS]


@case
def sobol(scale: float) -> list[Figure]:
    """Sobol' indices of 40 knobs from 2048 base samples, 2000 paths a world; the bar is for the full size."""
    scenario = _reference()
    samples = 2 ** round(math.log2(SAMPLES * scale))
    chosen = forty(scenario)
    engine.sensitivity(scenario, method="morris", knobs=chosen, samples=10, paths=PATHS)  # warm
    started = time.perf_counter()
    found = engine.sensitivity(scenario, method="sobol", knobs=chosen, samples=samples, paths=PATHS)
    seconds = time.perf_counter() - started
    worlds = (len(chosen) + 2) * samples
    width = float((found.dataset["total_hi"] - found.dataset["total_lo"]).max())
    return [
        Figure(f"{len(chosen)} knobs, {worlds:,} worlds of {PATHS:,} paths", seconds, "s", f"<= {300 * scale:g}"),
        Figure("of it for a path", 1e6 * seconds / worlds / PATHS, "us"),
        Figure("widest interval of a total index", width, ""),
    ]


@case
def exact_shapley(scale: float) -> list[Figure]:
    """Exact Shapley values of ten risks on 100,000 paths; the bar on time is for the full size."""
    scenario = _reference()
    run = simulation.plan_run(scenario, int(SPLIT_PATHS * scale), None, 1, "random")
    simulation.compile_kernels(run)
    started = time.perf_counter()
    shapley.split(run, list(scenario.risks)[:PLAYERS])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [
        Figure(f"{PLAYERS} risks, {run.n_paths:,} paths", seconds, "s", f"<= {60 * scale:g}"),
        Figure("peak memory, of all cases of this run", peak, "GB", "<= 2"),
    ]
