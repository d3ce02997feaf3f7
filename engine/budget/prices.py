"""The price of each line and fund: what a little more, or less, money changes in P(attain)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.analysis import estimates
from engine.analysis.estimates import Figure
from engine.budget.goals import MET
from engine.budget.oracle import Oracle

MILLION = 1e6
STEP = 1 / 250  # of the budget


@dataclass(frozen=True)
class Price:
    """Percentage points of P(attain) for 1 M more and 1 M less (as a fall of P, so that both are alike where smooth).

    `None` where there is nothing to take away. `step` is the money that was moved to see it.
    """

    up: Figure
    down: Figure | None
    step: float

    def to_json(self) -> dict[str, float | None]:
        """Plain numbers."""
        down = self.down
        return {
            "up": self.up.value, "down": None if down is None else down.value,
            "se": max(self.up.se, 0.0 if down is None else down.se), "se_up": self.up.se,
            "se_down": None if down is None else down.se, "step": self.step,
        }  # fmt: skip


def prices(oracle: Oracle, x: np.ndarray, paths: int) -> dict[str, Price]:
    """Prices of all items by the kernel, on common random numbers; a line that changes no revenue has the price 0.

    The budget is left aside: a price says what money would be worth if it came from outside.
    """
    problem, found = oracle.problem, {}
    base = _attained(oracle, x, paths)
    for (_, name), own in problem.parts().items():
        unit = problem.items[own[0]].unit
        step = unit if unit > 0 else problem.budget * STEP
        if not oracle.curves.acts[own].any() or step <= 0:
            found[name] = Price(Figure(0.0, 0.0), Figure(0.0, 0.0), step)
            continue
        have = x[own]
        course = have / have.sum() if have.sum() > 0 else np.full(len(own), 1.0 / len(own))
        move = np.zeros_like(x)
        move[own] = step * course
        up = _slope(oracle, x, move, step, base)
        down = _slope(oracle, x, -move, -step, base) if have.sum() >= step else None
        found[name] = Price(up, down, step)
    return found


def _slope(oracle: Oracle, x: np.ndarray, move: np.ndarray, step: float, base: np.ndarray) -> Figure:
    """Points of P(attain) a million, from a step up or down."""
    change = estimates.mean(_attained(oracle, x + move, base.shape[1]) - base)
    scale = 100.0 * MILLION / step
    return Figure(scale * change.value, abs(scale) * change.se)


def _attained(oracle: Oracle, x: np.ndarray, paths: int) -> np.ndarray:
    """Whether each path attains the revenue target, shape (worlds, paths)."""
    return (oracle.slack(x, paths)[0] >= MET).astype(float)
