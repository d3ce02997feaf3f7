"""The optimiser against global search and against a sample average model, all judged on the same fresh paths."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import engine
from benchmarks.cases import REFERENCE, ROOT, Figure, case
from engine import simulation
from engine.analysis import estimates
from engine.budget import goals, sample_average
from engine.budget.optimise import Setting, fresh_seed, prepare, tidy
from engine.budget.oracle import Oracle
from engine.scenario.model import Scenario

HELD_BACK = (ROOT / "scenarios" / "matrix_worst.toml", Path(__file__).parent / "hills.toml")
EVALUATIONS, PATHS = 2_000, 20_000  # of the global search, at scale 1; at scale 10 20 000 of 100 000 paths
FRESH = 1_000_000
SAMPLE, SECONDS = 1000, 60.0


@case
def budget(scale: float) -> list[Figure]:
    """Route one against differential evolution and a sample average model of 1000 paths and 60 s."""
    figures = []
    for file in (REFERENCE, *HELD_BACK):
        figures += compare(file, int(EVALUATIONS * scale), int(PATHS * min(scale, 5.0)))
    return figures


def compare(file: Path, evaluations: int, paths: int) -> list[Figure]:
    """How far the rivals' best lie above route one's on fresh paths, in points of P(attain), and what each took."""
    scenario, name = engine.load(file), file.stem
    assert isinstance(scenario, Scenario)
    setting, _ = prepare(scenario, goals.Attain(), 200_000, None, 1, "highs")
    started = time.perf_counter()
    x = tidy(setting.problem, setting.best()[1])
    took = time.perf_counter() - started
    rivals = {"differential evolution": evolve(setting, evaluations, paths), "sample average": average(setting)}
    run = simulation.plan_run(scenario, FRESH, None, fresh_seed(1), "random")
    fresh = Oracle(setting.problem, setting.curves, setting.goal, run)
    ours = attained(fresh, x)
    figures = [
        Figure(f"{name}: route one on 200,000 paths", took, "s", "<= 10"),
        Figure(f"{name}: P(attain) of route one", float(ours.mean()), ""),
    ]
    for rival, y in rivals.items():
        ahead = estimates.mean(attained(fresh, y) - ours)
        figures.append(Figure(f"{name}: {rival} over route one", 100 * ahead.value, "points", "<= 0.2"))
        figures.append(Figure(f"{name}: standard error of that", 100 * ahead.se, "points"))
    return figures


def attained(oracle: Oracle, x: np.ndarray) -> np.ndarray:
    """Whether each path attains."""
    return (oracle.slack(x)[0] >= goals.MET).astype(np.float32)


def evolve(setting: Setting, evaluations: int, paths: int) -> np.ndarray:
    """The best that differential evolution finds; what breaks the budget or the units is put right first."""
    from scipy.optimize import differential_evolution

    problem, curves = setting.problem, setting.curves
    run = simulation.plan_run(problem.scenario, paths, None, 1, "random")
    oracle = Oracle(problem, curves, setting.goal, run)
    moving = np.flatnonzero(curves.moves)
    items = [problem.items[j] for j in moving]
    low = np.array([item.low for item in problem.items])

    def repaired(u: np.ndarray) -> np.ndarray:
        x = low.copy()
        x[moving] = [item.low + v * (item.high - item.low) for item, v in zip(items, u, strict=True)]
        over = x.sum() - problem.budget
        if over > 0:
            x[moving] -= over * (x[moving] - low[moving]) / (x[moving] - low[moving]).sum()
        for j, item in zip(moving, items, strict=True):
            if item.whole:
                x[j] = np.floor(x[j] / item.unit + 1e-9) * item.unit
        return x

    members = 40
    found = differential_evolution(
        lambda u: -oracle.value(repaired(u)), [(0.0, 1.0)] * len(items), popsize=max(1, members // len(items)),
        maxiter=max(1, evaluations // members - 1), tol=0.0, polish=False, seed=1, init="sobol",
    )  # fmt: skip
    return repaired(found.x)


def average(setting: Setting) -> np.ndarray:
    """The optimum of one sample average model, made at the plan's own amounts."""
    problem = setting.problem
    run = simulation.plan_run(problem.scenario, SAMPLE, SAMPLE, 77, "random")
    local = Oracle(problem, setting.curves, setting.goal, run).local(problem.plan, run.paths_per_world)
    return sample_average.build(problem, local, problem.plan).solve("highs", SECONDS)[0]
