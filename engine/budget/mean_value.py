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
    solution = master.model(problem, curves, worth, problem.plan, radius=2.0).solve(solver)
    assert solution.status is not Status.INFEASIBLE
    return problem.read(solution.values)


def equal_split(problem: Problem, curves: Curves) -> np.ndarray:
    """All that can be moved, shared out alike among the lines and funds that do something, as far as bounds allow."""
    low = np.array([item.low for item in problem.items])
    moving = curves.moves
    share = max(0.0, problem.budget - low[~moving].sum()) / max(1, int(moving.sum()))
    return problem.nearest(np.where(moving, share, low))
