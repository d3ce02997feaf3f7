"""The simulation as an oracle: what an allocation is worth, and what more money does on each path.

All allocations are tried on the same paths of the same worlds, so that they differ by what the money does alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.budget import curves
from engine.budget.curves import Curves
from engine.budget.goals import Goal
from engine.budget.problem import Problem
from engine.replay import Replay
from engine.scenario import arrays
from engine.simulation import Run

STEP = 0.15  # of the range of a response: how far a line's amount is moved to see what it does
HALVINGS = 8  # of a fund's range
NEAREST = 0.2  # of that step, for lines: nearer by, rounding would show


@dataclass(frozen=True)
class Effect:
    """What one item does to every path near an allocation: slacks change piecewise linearly with the item's height.

    Attributes
    ----------
    knots : ndarray, shape (knots,)
        Heights, rising.
    change : ndarray, shape (knots, rows, worlds, paths)
        Change of the slacks there; beyond the outer knots the outer pieces go on.
    """

    knots: np.ndarray
    change: np.ndarray

    def shares(self, height: np.ndarray) -> np.ndarray:
        """Weights of the knots by which a height is interpolated, shape (len(height), knots)."""
        found = np.zeros((height.size, self.knots.size))
        piece = np.clip(np.searchsorted(self.knots, height) - 1, 0, self.knots.size - 2)
        width = self.knots[piece + 1] - self.knots[piece]
        share = (height - self.knots[piece]) / width
        rows = np.arange(height.size)
        found[rows, piece], found[rows, piece + 1] = 1.0 - share, share
        return found


@dataclass(frozen=True)
class Local:
    """The year near one allocation: every path's slacks, and what each item's height does to them.

    A line's effect on a path is taken as proportional to the height of its response, which makes the model good far
    from where it was made; a fund's is looked up between a few amounts. Only the kernel's own word counts in the end.

    Attributes
    ----------
    slack : ndarray, shape (rows, worlds, paths)
        At the allocation where the model was made.
    effects : dict of int to Effect
        By item; the others do nothing.
    """

    goal: Goal
    curves: Curves
    slack: np.ndarray
    effects: dict[int, Effect]

    def slacks(self, x: np.ndarray) -> np.ndarray:
        """Slacks of every path at an allocation, shape (rows, worlds, paths)."""
        return self.slack + sum((self.change(j, x[j]) for j in self.effects), np.zeros_like(self.slack))

    def change(self, j: int, amount: float) -> np.ndarray:
        """What one item's amount adds to the slacks of every path, shape (rows, worlds, paths)."""
        effect = self.effects[j]
        shares = effect.shares(self.curves.height_of(j, np.array([amount])))[0]
        first, *more = np.flatnonzero(shares)
        found: np.ndarray = shares[first] * effect.change[first]
        for k in more:
            found += shares[k] * effect.change[k]
        return found

    def value(self, x: np.ndarray) -> float:
        """Objective at an allocation, by this model."""
        return self.goal.value(self.slacks(x))

    def worth(self, x: np.ndarray) -> np.ndarray:
        """Value of each item's amount on the grid of its curve, to first order at `x`, shape (items, POINTS)."""
        weights = self.goal.weights(self.slacks(x))
        found = np.zeros_like(self.curves.height)
        for j, effect in self.effects.items():
            at_knots = np.einsum("krwp,rwp->k", effect.change, weights)
            found[j] = effect.shares(self.curves.height[j]) @ at_knots
        return found


class Oracle:
    """Scores allocations by the full nonlinear kernel on common random numbers."""

    def __init__(self, problem: Problem, shapes: Curves, goal: Goal, run: Run) -> None:
        self.problem, self.curves, self.goal, self.run = problem, shapes, goal, run
        self._replay = Replay(run, goal.detail)
        self._bounds = _bounds(run, goal)

    def slack(self, x: np.ndarray, paths: int | None = None, first: int = 0) -> np.ndarray:
        """Slacks of every path, shape (rows, worlds, paths): how far each measure is beyond its bound, as a share."""
        return self._slacks(self._replay.sample(self.problem.knobs(x), paths, first))

    def _slacks(self, found: np.ndarray) -> np.ndarray:
        bound, sign = self._bounds
        # in place: with many targets and paths a copy would be large
        found -= bound
        found *= sign / np.where(bound != 0, np.abs(bound), 1.0)
        return found

    def plan_slack(self) -> np.ndarray:
        """Slacks with the plan's own amounts, as uncertain as they may be, shape (rows, worlds, paths)."""
        return self._slacks(self._replay.sample({}))

    def value(self, x: np.ndarray) -> float:
        """Objective at an allocation."""
        return self.goal.value(self.slack(x))

    def local(self, x: np.ndarray, paths: int, reach: float = 1.0) -> Local:
        """Model of the first `paths` paths of each world near an allocation; a smaller `reach` looks nearer by."""
        base = self.slack(x, paths)
        shapes = self.curves if self.problem.quarters is None else curves.build(self.problem, x, bool(self.goal.detail))
        effects = {}
        for j in range(len(self.problem.items)):
            amounts = self._looks(shapes, j, float(x[j]), reach) if shapes.acts[j] else []
            if not amounts:
                continue
            changes = [np.zeros_like(base)]
            for amount in amounts:
                moved = x.copy()
                moved[j] = amount
                changes.append(self.slack(moved, paths) - base)
            heights = shapes.height_of(j, np.array([x[j], *amounts]))
            order = np.argsort(heights)
            if np.diff(heights[order]).min() > 0:
                effects[j] = Effect(heights[order], np.array(changes)[order])
        return Local(self.goal, shapes, base, effects)

    def _looks(self, shapes: Curves, j: int, amount: float, reach: float) -> list[float]:
        """Amounts at which an item's effect is looked at.

        Once for a line, whose response is known: at the nearest amount where the response is clearly another. A fund is
        looked at by halves of its range and near its present amount, since it saves much until the need is met, and
        nothing beyond.
        """
        item = self.problem.items[j]
        if item.table == "lines":
            rise = np.abs(shapes.height[j] - shapes.height_of(j, amount))
            clear = np.flatnonzero(rise >= STEP * max(reach, NEAREST) * float(np.ptp(shapes.height[j])))
            if clear.size == 0 or rise.max() == 0:
                return []
            return [float(min(shapes.at[j][clear], key=lambda at: abs(at - amount)))]
        halves = {item.low + (item.high - item.low) / 2**k for k in range(1, HALVINGS)}
        near = {amount * (1.0 + sign * reach * share) for share in (0.1, 0.3) for sign in (-1.0, 1.0)}
        inside = {end for end in halves | near if item.low < end < item.high}
        return sorted({item.low, item.high, *inside} - {amount})


def _bounds(run: Run, goal: Goal) -> tuple[np.ndarray, np.ndarray]:
    """Bound and direction of every measure, shapes (rows, 1 or worlds, 1) and (rows, 1, 1)."""
    scenario, values = run.scenario, run.worlds.values
    bounds, signs = [], []
    names = arrays.target_names(scenario) if goal.detail else ["revenue"]
    for name in names:
        target = scenario.targets.get(name)
        if target is None:
            knob, quantity, sign = "plan.target", scenario.plan.target, 1.0
        elif target.at_least is not None:
            knob, quantity, sign = f"targets.{name}.at_least", target.at_least, 1.0
        else:
            assert target.at_most is not None
            knob, quantity, sign = f"targets.{name}.at_most", target.at_most, -1.0
        at = values.get(knob)
        bounds.append(np.full(len(run.worlds), quantity.value) if at is None else at)
        signs.append(sign)
    return np.array(bounds, float)[:, :, None], np.array(signs)[:, None, None]
