"""The master: which move within a trust region is worth most, to first order, over piecewise linear responses."""

from __future__ import annotations

import numpy as np

from engine.budget.curves import PIECES, Curves
from engine.budget.milp import Model
from engine.budget.problem import Item, Problem

THRIFT = 1e-7  # worth of money left unspent, by which money that does nothing stays in hand; as a share of the best


def model(problem: Problem, curves: Curves, worth: np.ndarray, x: np.ndarray, radius: float) -> Model:
    """Build the master.

    Parameters
    ----------
    problem : Problem
    curves : Curves
    worth : ndarray, shape (items, POINTS)
        Value of each item's amount on the grid of its curve.
    x : ndarray, shape (items,)
        The middle of the trust region.
    radius : float
        Half its width, as a share of each item's range; at least one whole unit.
    """
    master = problem.model()
    scale = max(float(np.ptp(worth, axis=1).max(initial=0.0)), 1e-300)
    for j, item in enumerate(problem.items):
        reach = max(radius * (item.high - item.low), item.unit) if item.high > item.low else 0.0
        low, high = max(item.low, x[j] - reach), min(item.high, x[j] + reach)
        master.require(f"{item.knob}.near", {item.knob: 1.0}, low / problem.money, high / problem.money)
        master.reward(item.knob, -THRIFT)
        if np.ptp(worth[j]) > 0 and low < high:
            at = breaks(item, low, high)
            heights = np.interp(at, curves.at[j], worth[j]) / scale * 1000.0
            master.reward(master.piecewise(f"{item.knob}.worth", item.knob, at / problem.money, heights), 1.0)
    return master


def breaks(item: Item, low: float, high: float) -> np.ndarray:
    """Where the pieces of a curve meet: at whole units where there are not too many, else evenly."""
    if item.whole and (high - low) / item.unit <= 2 * PIECES:
        inside = np.arange(np.ceil(low / item.unit), np.floor(high / item.unit) + 1) * item.unit
        return np.unique(np.concatenate([[low], inside[(inside > low) & (inside < high)], [high]]))
    return np.linspace(low, high, PIECES + 1)
