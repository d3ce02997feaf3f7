"""The optimiser against global search and against a sample average model, all judged on the same fresh paths."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import engine
from benchmarks.cases import REFERENCE, Figure, case
from engine import simulation
from engine.analysis import estimates
from engine.budget import goals, sample_average
from engine.budget.optimise import Setting, prepare, tidy
from engine.budget.oracle import Oracle
from engine.replay import Replay
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed
from engine.simulation import Run

HELD_BACK = tuple(Path(__file__).parent / f"{name}.toml" for name in ("retailer", "subscriptions", "hills"))
EVALUATIONS, PATHS = 2_000, 20_000  # of the global search, at scale 1; at scale 10 20 000 of 100 000 paths
FRESH = 1_000_000
SAMPLE, SECONDS = 1000, 60.0
# allocations looked at for what a path may earn, and the margin around it as a share of the target
LOOKS, DOUBT = 60, 0.03
CHECK = 1000  # evaluations from one check of the short cut to the next


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
    evolved, short_cut = evolve(setting, evaluations, paths)
    rivals = {"differential evolution": evolved, "sample average": average(setting)}
    run = simulation.plan_run(scenario, FRESH, None, fresh_seed(1), "random")
    fresh = Oracle(setting.problem, setting.curves, setting.goal, run)
    ours = attained(fresh, x)
    figures = [
        Figure(f"{name}: paths that allocations decide", 100 * short_cut.open_share, "%"),
        Figure(f"{name}: largest error of looking at those alone", 100 * short_cut.error, "points"),
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


class ShortCut:
    """P(attain) over all paths of a run, simulating only those whose outcome the allocation decides.

    Most paths attain under every allocation or under none. Which do is judged by the least and the most that a path
    earns under many allocations, with a margin, and checked against all paths now and then.
    """

    def __init__(self, setting: Setting, run: Run, looks: list[np.ndarray]) -> None:
        self._problem, self._replay = setting.problem, Replay(run)
        self._target = float(run.scenario.plan.target.central())
        least, most = np.full((len(run.worlds), run.paths_per_world), np.inf), np.zeros(())
        for x in looks:
            earned = self._replay.sample(self._problem.knobs(x))[0]
            least, most = np.minimum(least, earned), np.maximum(most, earned)
        self._sure = int((least >= self._target * (1.0 + DOUBT)).sum())
        undecided = (least < self._target * (1.0 + DOUBT)) & (most > self._target * (1.0 - DOUBT))
        self._ends = np.cumsum(undecided.sum(axis=1))
        self._paths = np.nonzero(undecided)[1]
        self._evaluations, self._all = 0, run.n_paths
        self.open_share, self.error = float(undecided.mean()), 0.0

    def value(self, x: np.ndarray) -> float:
        """P(attain), by the short cut."""
        earned = self._replay.of_paths(self._problem.knobs(x), self._ends, self._paths)[0][0]
        found = (self._sure + int(self._met(earned).sum())) / self._all
        self._evaluations += 1
        if self._evaluations % CHECK == 0:
            self.check(x, found)
        return found

    def check(self, x: np.ndarray, found: float) -> None:
        """Compare with all paths."""
        every = float(self._met(self._replay.sample(self._problem.knobs(x))[0]).mean())
        self.error = max(self.error, abs(every - found))

    def _met(self, earned: np.ndarray) -> np.ndarray:
        return earned >= self._target * (1.0 + goals.MET)


def evolve(setting: Setting, evaluations: int, paths: int) -> tuple[np.ndarray, ShortCut]:
    """The best that differential evolution finds; what breaks the budget or the units is put right first."""
    from scipy.optimize import differential_evolution

    problem, curves = setting.problem, setting.curves
    run = simulation.plan_run(problem.scenario, paths, None, 1, "random")
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
    # many mixed allocations, and those that give one item all it may have, or nothing
    mixed = np.random.default_rng(1).beta(0.5, 0.5, (LOOKS, len(items)))
    one = np.eye(len(items))
    looks = [repaired(u) for u in np.concatenate([mixed, one, 1.0 - one])]
    oracle = ShortCut(setting, run, [*looks, problem.plan, setting.best()[1]])
    found = differential_evolution(
        lambda u: -oracle.value(repaired(u)), [(0.0, 1.0)] * len(items), popsize=max(1, members // len(items)),
        maxiter=max(1, evaluations // members - 1), tol=0.0, polish=False, seed=1, init="sobol",
    )  # fmt: skip
    best = repaired(found.x)
    oracle.check(best, oracle.value(best))
    return best, oracle


def average(setting: Setting) -> np.ndarray:
    """The optimum of one sample average model, made at the plan's own amounts."""
    problem = setting.problem
    run = simulation.plan_run(problem.scenario, SAMPLE, SAMPLE, 77, "random")
    local = Oracle(problem, setting.curves, setting.goal, run).local(problem.plan, run.paths_per_world)
    return sample_average.build(problem, local, problem.plan).solve("highs", SECONDS)[0]
