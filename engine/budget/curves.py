"""What money does before chance comes in: the response of every line as a curve of its amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.budget.problem import Item, Problem
from engine.scenario.packing import Builder
from engine.scenario.volume import Lifts, plan_shares
from engine.scenario.worlds import design

POINTS = 193  # of the fine curve, from which effects between are read
PIECES = 24  # of the piecewise linear curve in a model


@dataclass(frozen=True)
class Curves:
    """Response of each item to its amount, in the central world.

    Attributes
    ----------
    at : ndarray, shape (items, POINTS)
        Amounts from the least to the greatest. [CNY]
    height : ndarray, shape (items, POINTS)
        Of a line its response U, averaged over the months with the plan's revenue as weights; of a fund the amount as
        a share of the budget.
    acts : ndarray of bool, shape (items,)
        Whether the amount can change revenue at all.
    moves : ndarray of bool, shape (items,)
        Whether it can, and may be chosen.
    """

    at: np.ndarray
    height: np.ndarray
    acts: np.ndarray
    moves: np.ndarray

    def height_of(self, j: int, amount: np.ndarray | float) -> np.ndarray:
        """Height of one item at an amount."""
        return np.interp(amount, self.at[j], self.height[j])

    def pieced(self, problem: Problem, x: np.ndarray) -> Curves:
        """The same curves as straight pieces, with corners at `x` and where the curves bend."""
        corners = [_corners(item, self.at[j], self.height[j], float(x[j])) for j, item in enumerate(problem.items)]
        most = max(map(len, corners))
        at = np.array([np.append(c, np.full(most - len(c), c[-1])) for c in corners])
        height = np.array([self.height_of(j, row) for j, row in enumerate(at)])
        return Curves(at, height, self.acts, self.moves)


def _corners(item: Item, at: np.ndarray, height: np.ndarray, x: float) -> np.ndarray:
    """Where the pieces of a curve meet: at whole units where there are not too many."""
    low, high = item.low, item.high
    if item.whole and (high - low) / item.unit <= 2 * PIECES:
        least, most = item.units()
        inside = np.arange(least, most + 1) * item.unit
    else:
        # the error of straight pieces is spread evenly where their corners lie by the square root of the curvature
        bends = np.abs(np.diff(np.diff(height) / np.maximum(np.diff(at), 1e-300)))
        bent = np.concatenate([[0.0, 0.0], np.cumsum(np.sqrt(bends))])
        bent[1:] += bent[-1] * np.arange(1, bent.size) / (4.0 * bent.size)  # a few corners where nothing bends
        inside = np.interp(np.linspace(0.0, bent[-1], PIECES + 1), bent, at[: bent.size]) if bent[-1] > 0 else at[:1]
    found = np.unique(np.clip(np.concatenate([[low, high, x], inside]), low, high))
    apart = np.append(True, np.diff(found) > 1e-7 * max(high - low, 1e-300)) | (found == x)
    return found[apart]


def build(problem: Problem, x: np.ndarray | None = None, targets: bool = False) -> Curves:
    """Evaluate the responses of a problem's lines.

    With `targets` an item also acts where only a target other than revenue depends on it.
    The response to one quarter's money depends on that of the others: these are as in `x`, by default the plan.
    """
    items = problem.items
    x = problem.plan if x is None else x
    at = np.array([np.linspace(item.low, item.high, POINTS) for item in items])
    height = at / max(problem.budget, 1e-9)
    acts = np.array([_acts(problem, item) or (targets and _counts(problem, item)) for item in items])
    together = [j for j, item in enumerate(items) if item.quarter is None and _responds(problem, item)]
    if together:
        height[together] = _responses(problem, {items[j].knob: at[j] for j in together})[
            [_line_number(problem, items[j]) for j in together]
        ]
    for j, item in enumerate(items):
        if item.quarter is not None:
            height[j] = _responses(problem, _quarter_knobs(problem, x, j, at[j]))[_line_number(problem, item)]
    return Curves(at, height, acts, acts & np.array([item.low < item.high for item in items]))


def _responses(problem: Problem, values: dict[str, np.ndarray]) -> np.ndarray:
    """Response of every line, averaged over the months with the plan's revenue as weights, shape (lines, POINTS)."""
    response = Lifts.of(Builder(design(problem.scenario, values))).response  # (points or 1, lines, months)
    weighted = np.broadcast_to(response, (POINTS, *response.shape[1:])) @ plan_shares(problem.scenario)[0]
    return weighted.T


def _line_number(problem: Problem, item: Item) -> int:
    return list(problem.scenario.lines).index(item.name)


def _quarter_knobs(problem: Problem, x: np.ndarray, j: int, at: np.ndarray) -> dict[str, np.ndarray]:
    """Amount and phasing of a line by the money of one of its quarters."""
    assert problem.quarters is not None
    name = problem.items[j].name
    own = problem.parts()["lines", name]
    money = np.repeat(x[own][None, :], at.size, axis=0)
    money[:, own.index(j)] = at
    spread = [problem.quarters.spread(name, row) for row in money]
    months = np.array([shares for _, shares in spread])
    amounts = {f"lines.{name}.amount": np.array([total for total, _ in spread])}
    return amounts | {f"lines.{name}.phasing.{t + 1}": months[:, t] for t in range(months.shape[1])}


def _responds(problem: Problem, item: Item) -> bool:
    """Whether an item is a line with a response that reaches a stream."""
    line = problem.scenario.lines.get(item.name) if item.table == "lines" else None
    return line is not None and line.response is not None and bool(line.reach)


def _acts(problem: Problem, item: Item) -> bool:
    """Whether revenue depends on an amount: a line by its response, a fund by who draws on it."""
    scenario = problem.scenario
    if item.table == "lines":
        return _responds(problem, item)
    answers = [risk.response for risk in scenario.risks.values() if risk.response is not None]
    return any(answer.fund == item.name for answer in answers) or any(
        level.fund == item.name for level in scenario.review.levels
    )


def _counts(problem: Problem, item: Item) -> bool:
    """Whether a target looks at an amount itself: what is left of a fund, or what was budgeted for incentives."""
    scenario = problem.scenario
    measures = {target.measure for target in scenario.targets.values()}
    if item.table == "lines":
        pays = scenario.incentives is not None and scenario.incentives.line == item.name
        return pays and "incentive_overrun" in measures
    left = {target.where for target in scenario.targets.values() if target.measure == "fund_left"}
    return bool(left & {item.name, "*"})
