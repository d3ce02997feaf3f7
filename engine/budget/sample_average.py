"""Route two: the chance constraint on a sample of paths as one mixed-integer model (sample average approximation).

Each path has a binary that says whether it attains. A path's big-M is no larger than its slack can fall short within
the bounds, and paths that no allocation, or every one, attains have no binary at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.budget.goals import MET
from engine.budget.milp import Model, Solution
from engine.budget.oracle import Effect, Local
from engine.budget.problem import Problem

PRICES = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 41)])  # of money, relative to its mean effect, in the bound
PERCENT = 100.0  # slacks in percent of the target: numbers near 1


@dataclass(frozen=True)
class SampleAverage:
    """One sample's model: P(attain) over its paths at the best allocation for them."""

    problem: Problem
    local: Local
    model: Model
    sure: int  # paths that attain whatever is done
    open: int  # paths that may or may not

    @property
    def paths(self) -> int:
        return self.local.slack[0].size

    def share(self, objective: float) -> float:
        """P(attain) that belongs to an objective of the model."""
        return min(1.0, (self.sure + objective) / self.paths)

    def solve(self, solver: str, time_limit: float | None) -> tuple[np.ndarray, Solution]:
        """The best allocation found, and the solver's answer."""
        solution = self.model.solve(solver, time_limit, gap=1e-4)
        return self.problem.read(solution.values), solution


def build(problem: Problem, local: Local, x: np.ndarray) -> SampleAverage:
    """Build the model of a sample; effects are those of `local`, over piecewise linear responses with a corner at `x`.

    With several targets a path counts where all of them are met.
    """
    local = replace(local, curves=local.curves.pieced(problem, x))
    model = problem.model()
    terms = _terms(problem, local, model)
    slack = local.slack.reshape(local.slack.shape[0], -1)
    best, worst = _range(problem, local)
    sure, hopeless = (worst >= MET).all(axis=0), (best < MET).any(axis=0)
    open_paths = np.flatnonzero(~sure & ~hopeless)
    for p in open_paths:
        attains = model.add(f"path.{p}", 0.0, 1.0, whole=True)
        model.reward(attains, 1.0)
        for r in np.flatnonzero(worst[:, p] < MET):
            # slack + effects >= worst (1 - attains)
            row = {name: PERCENT * float(change[r, p]) for name, change in terms.items() if change[r, p] != 0.0}
            row[attains] = PERCENT * float(worst[r, p])
            model.require(f"path.{p}.{r}", row, low=PERCENT * float(worst[r, p] - slack[r, p]))
    return SampleAverage(problem, local, model, int(sure.sum()), open_paths.size)


def _terms(problem: Problem, local: Local, model: Model) -> dict[str, np.ndarray]:
    """Variables that stand for the items' effects, with the change of slacks for a unit of each, (rows, paths)."""
    found: dict[str, np.ndarray] = {}
    for j, effect in local.effects.items():
        item, curves = problem.items[j], local.curves
        change = _flat(effect)
        if effect.knots.size > 2:
            amounts = np.interp(effect.knots, curves.height[j], curves.at[j])
            weights = model.between(f"{item.knob}.fund", item.knob, amounts / problem.money)
            found |= dict(zip(weights, change, strict=True))
            continue
        grid = np.unique(curves.at[j])
        share = effect.shares(curves.height_of(j, grid))[:, 1]  # of the second knot: the effect is linear in it
        scale = max(float(np.ptp(share)), 1e-300)
        height = model.piecewise(f"{item.knob}.height", item.knob, grid / problem.money, share / scale)
        constant = model.add(f"{item.knob}.one", 1.0, 1.0)
        found[height] = scale * (change[1] - change[0])
        found[constant] = change[0]
    return found


def _flat(effect: Effect) -> np.ndarray:
    """Changes by knot, target and path."""
    return effect.change.reshape(*effect.change.shape[:2], -1)


def _range(problem: Problem, local: Local) -> tuple[np.ndarray, np.ndarray]:
    """No allocation brings a slack above the first or below the second, shape (rows, paths) each.

    Above: the least over prices of money of what each item brings at best once its money is paid for, plus the price
    of all the money there is: a Lagrange bound, which holds for any shape of response. Below: each item at its worst.
    """
    slack, items = local.slack.reshape(local.slack.shape[0], -1), problem.items
    grids = {j: np.unique(local.curves.at[j]) for j in local.effects}
    gains = {
        j: np.tensordot(effect.shares(local.curves.height_of(j, grids[j])), _flat(effect), axes=1)
        for j, effect in local.effects.items()
    }  # (amounts, rows, paths)
    money = problem.budget - sum(item.low for j, item in enumerate(items) if j not in grids)
    worst = slack + sum((gain.min(axis=0) for gain in gains.values()), np.zeros_like(slack))
    best = np.full(slack.shape, np.inf)
    typical = max((float(np.ptp(gain, axis=0).mean()) for gain in gains.values()), default=0.0) / max(money, 1e-9)
    for price in PRICES * typical:
        bound = slack + price * money
        for j, gain in gains.items():
            bound += (gain - price * grids[j][:, None, None]).max(axis=0)
        best = np.minimum(best, bound)
    return best, worst
