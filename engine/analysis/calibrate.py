"""The plan believes itself: one common factor on the response ceilings makes the risk-free plan reach its target."""

from dataclasses import dataclass

import numpy as np

from engine.errors import ScenarioError
from engine.scenario.model import Scenario
from engine.scenario.volume import expected_revenue
from engine.scenario.worlds import central, design

MARGIN = 5e-4  # revenue above the target that the factor aims at: the middle of 0.01 % to 0.1 %


@dataclass(frozen=True)
class Calibration:
    """Factor on all response ceilings, and the revenue before and after it."""

    factor: float
    revenue: float
    revenue_after: float
    target: float
    ceilings: dict[str, float]

    @property
    def surplus(self) -> float:
        """Revenue above the target at the present ceilings, as a share of the target."""
        return self.revenue / self.target - 1.0

    @property
    def margin(self) -> float:
        """Revenue above the target with the factor, as a share of the target."""
        return self.revenue_after / self.target - 1.0

    def to_json(self) -> dict[str, object]:
        """All figures as plain numbers."""
        return {
            "factor": self.factor, "revenue": self.revenue, "surplus": self.surplus,
            "revenue_after": self.revenue_after, "target": self.target, "ceilings": self.ceilings,
        }  # fmt: skip


def ceiling_factor(scenario: Scenario, margin: float = MARGIN) -> Calibration:
    """Solve the common factor on the response ceilings that puts revenue `margin` above the target.

    Revenue is that of the plan's own amounts with every risk off, no noise, level 1, E = 1, launches on time and the
    expected number of customers.

    Raises
    ------
    ScenarioError
        If no factor between 0 and 100 reaches the target.
    """
    from scipy.optimize import brentq

    middle = central(scenario).values
    target = scenario.plan.target.value if scenario.plan.target.value is not None else middle["plan.target"][0]
    ceilings = {}
    for name, line in scenario.lines.items():
        if line.response is not None:
            knob = f"lines.{name}.response.ceiling"
            ceilings[knob] = float(middle[knob][0]) if knob in middle else float(line.response.ceiling.value or 0.0)

    def revenue(factor: float) -> float:
        chosen = {knob: np.array([factor * c]) for knob, c in ceilings.items()} or {"plan.target": np.array([target])}
        return float(expected_revenue(design(scenario, chosen)).sum())

    goal = target * (1.0 + margin)
    if not ceilings or revenue(0.0) > goal or revenue(100.0) < goal:
        raise ScenarioError(
            f"{scenario.file}: no common factor on the response ceilings between 0 and 100 brings revenue to "
            f"{goal:,.0f}, {100 * margin:g} % above the target; it is {revenue(0.0):,.0f} without any response and "
            f"{revenue(100.0):,.0f} at factor 100"
        )
    factor = float(brentq(lambda f: revenue(f) - goal, 0.0, 100.0, xtol=1e-12))
    after = {knob: factor * c for knob, c in ceilings.items()}
    return Calibration(factor, revenue(1.0), revenue(factor), float(target), after)
