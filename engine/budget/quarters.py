"""Phasing as part of the decision: a line's money by calendar quarter, its course within a quarter being the plan's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.scenario.derive import with_amounts
from engine.scenario.model import Scenario
from engine.scenario.volume import line_phasing


@dataclass(frozen=True)
class Quarters:
    """Which lines are split by quarter.

    Attributes
    ----------
    of_month : ndarray, shape (months,)
        Quarter of each month, from 0: those of the calendar, so that the first and the last may be short.
    weights : dict of str to ndarray, shape (months,)
        The plan's phasing of each such line, normalised to sum 1.
    """

    of_month: np.ndarray
    weights: Mapping[str, np.ndarray]

    @property
    def count(self) -> int:
        """Number of quarters."""
        return int(self.of_month[-1]) + 1

    def shares(self, line: str) -> np.ndarray:
        """Share of a line's money in each quarter of the plan, shape (quarters,)."""
        return np.bincount(self.of_month, self.weights[line], self.count)

    def spread(self, line: str, money: np.ndarray) -> tuple[float, np.ndarray]:
        """Amount and phasing, shape (months,), of a line with so much money in each quarter."""
        weights, shares = self.weights[line], self.shares(line)
        total = float(money.sum())
        if total <= 0:
            return total, weights
        inside = np.bincount(self.of_month, minlength=self.count)
        # a quarter in which the plan spends nothing has no course of its own
        course = np.where(shares[self.of_month] > 0, weights / np.where(shares > 0, shares, 1.0)[self.of_month], 0.0)
        course = np.where(shares[self.of_month] > 0, course, 1.0 / inside[self.of_month])
        return total, money[self.of_month] * course / total


def build(scenario: Scenario) -> Quarters:
    """Quarters of a scenario, and its lines that may be split: those with a response that are not held or in units."""
    first = int(scenario.plan.start[5:7]) - 1
    number = (first + np.arange(scenario.plan.months)) // 3
    chosen = {
        name: line_phasing(scenario, name)
        for name, line in scenario.lines.items()
        if line.response is not None and name not in scenario.optimise.fixed and line.unit.central() == 0
    }
    return Quarters(number - number[0], chosen)


def phased(scenario: Scenario, quarters: Quarters) -> Scenario:
    """The scenario with the phasing of these lines month by month, so that each month is a knob."""
    return with_amounts(scenario, {}, "", {line: list(weights) for line, weights in quarters.weights.items()})
