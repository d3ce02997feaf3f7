"""The plan that plans with averages: the allocation that is best if nothing ever happens, and the equal split."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from engine.budget import master
from engine.budget.curves import Curves
from engine.budget.milp import Status
from engine.budget.problem import Problem
from engine.scenario.volume import expected_revenue
from engine.scenario.worlds import design


def mean_value_optimum(problem: Problem, curves: Curves, solver: str) -> np.ndarray:
    """The allocation with the most revenue in the central year with no risk, no noise and lines as planned.

    Funds bring nothing in such a year, so they get their minimum. The value of the stochastic solution is what the
    optimum has over this one (Birge 1982).
    """
    worth = np.zeros_like(curves.height)
    for j, item in enumerate(problem.items):
        if item.table == "lines" and curves.moves[j]:
            others = {i.knob: np.fromiter(repeat(i.plan, curves.at.shape[1]), float) for i in problem.items}
            worlds = design(problem.scenario, others | {item.knob: curves.at[j]})
            worth[j] = np.broadcast_to(expected_revenue(worlds).sum(axis=(1, 2)), worth[j].shape)
            worth[j] -= worth[j, 0]
    start = problem.nearest(problem.plan)
    solution = master.model(problem, curves, worth, start, radius=np.inf).solve(solver)
    assert solution.status is not Status.INFEASIBLE
    return problem.read(solution.values)


def equal_split(problem: Problem, curves: Curves) -> np.ndarray:
    """All that can be moved, shared out alike among the lines and funds that do something, as far as bounds allow."""
    low, high = (np.array([getattr(item, end) for item in problem.items]) for end in ("low", "high"))
    moving = curves.moves

    def shared(share: float) -> np.ndarray:
        return np.where(moving, np.clip(share, low, high), low)

    least, most = 0.0, float(high.max(initial=0.0))
    for _ in range(60):  # the share that uses the budget up, what bounds cut off given to the others
        share = 0.5 * (least + most)
        least, most = (least, share) if shared(share).sum() > problem.budget else (share, most)
    return problem.nearest(shared(least))
