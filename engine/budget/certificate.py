"""How good an allocation is: the statistical upper bound of the sample average models, and the second opinion.

References
----------
Mak, Morton and Wood (1999), Monte Carlo bounding techniques for determining solution quality in stochastic programs:
the mean over samples of (best value on the sample - value of the candidate on it) is at least the candidate's true
gap, since the best on a sample is chosen after the sample is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.analysis.estimates import Chance, Figure
from engine.budget import sample_average
from engine.budget.curves import PIECES, Curves
from engine.budget.goals import Goal
from engine.budget.milp import NoAnswer, Status
from engine.budget.oracle import Oracle
from engine.budget.problem import Problem
from engine.simulation import plan_run

REPLICATIONS = 16
FEWEST = 4  # replications without which there is no interval
PATHS = 1000
LEVEL = 0.95  # confidence of the interval, and of the one-sided bound of the gap
BOUNDS_WHAT = (
    "the piecewise linear model of the year: responses of about {pieces} pieces, effects of lines as at the optimum, "
    "funds looked at in a few amounts; at the optima of its samples it lies {error} points of P {side} the full model"
)


@dataclass(frozen=True)
class Gap:
    """What the replications say.

    Attributes
    ----------
    gap : Figure
        Mean of (bound of the best - candidate) over the replications, with its error; and what the full model has over
        the piecewise linear one at the samples' optima, where it has anything.
    high : float
        One-sided bound of the gap.
    error : Figure
        Mean of (piecewise linear - full model) of P at the samples' optima, on the samples.
    candidates : list of ndarray
        The samples' optima.
    replications, proved : int
        How many there were, and of how many the optimum was proved; of the others the solver's bound is taken.
    """

    gap: Figure
    high: float
    error: Figure
    candidates: list[np.ndarray]
    replications: int
    proved: int


def gap(
    problem: Problem, curves: Curves, goal: Goal, x: np.ndarray, seed: int, solver: str, seconds: float,
    report: Callable[[str], None], one_world: bool = False,
) -> Gap | None:  # fmt: skip
    """Solve replications of the sample average model; None where the time does not allow enough of them.

    Every path stands in a world of its own, so that paths know nothing of each other; `one_world` takes the central
    world alone.
    """
    started = time.perf_counter()
    gaps, errors, candidates, proved = [], [], [], 0
    for number in range(REPLICATIONS):
        left = seconds - (time.perf_counter() - started)
        if left <= 0 and number >= FEWEST:
            break
        report(f"second route, sample {number + 1} of {REPLICATIONS}")
        run = plan_run(problem.scenario, PATHS, 1 if one_world else PATHS, (seed + number) % 2**64, "random")
        oracle = Oracle(problem, curves, goal, run)
        model = sample_average.build(problem, oracle.local(x, run.paths_per_world), x)
        try:
            y, solution = model.solve(solver, max(2.0, left / (REPLICATIONS - number)))
        except NoAnswer:
            continue  # no answer in its time: this sample says nothing
        proved += solution.status is Status.OPTIMAL
        gaps.append(model.share(solution.bound) - model.local.value(x))
        errors.append(model.local.value(y) - oracle.value(y))
        candidates.append(y)
    if len(gaps) < FEWEST:
        return None
    found, error = _mean(gaps), _mean(errors)
    if error.value < 0:
        found = Figure(found.value - error.value, float(np.hypot(found.se, error.se)))
    high = found.value + _student(LEVEL, len(gaps)) * found.se
    return Gap(found, high, error, candidates, len(gaps), proved)


def _mean(values: list[float]) -> Figure:
    return Figure(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))


def _student(level: float, n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, level))


def bound(candidate: Chance, found: Gap) -> dict[str, float]:
    """Upper bound of P at the best allocation: that of the candidate plus the gap, with its interval.

    The interval holds the errors of sampling: of the candidate on its fresh paths and of the gap. What other worlds
    would change of P moves candidate and bound together; that error stands beside P itself.
    """
    value = min(1.0, candidate.value + found.gap.value)
    half = _student(0.5 + LEVEL / 2, found.replications) * float(np.hypot(candidate.se_sampling, found.gap.se))
    return {"value": value, "lo": max(0.0, value - half), "hi": min(1.0, value + half)}


def bounds_what(found: Gap) -> str:
    """What is bounded, in words."""
    error = found.error.value
    return BOUNDS_WHAT.format(pieces=PIECES, error=f"{abs(100 * error):.2f}", side="above" if error >= 0 else "below")
