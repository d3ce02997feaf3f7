"""The answer: who gets how much, what that is worth, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.analysis.estimates import Chance, Figure
from engine.budget.curves import PIECES, Curves
from engine.budget.prices import Price
from engine.budget.problem import Problem
from engine.errors import StoreError
from engine.names import run_text
from engine.scenario.derive import extension, with_amounts
from engine.scenario.model import Scenario
from engine.store import write_text

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Certificate:
    """How good the allocation is; None where it was not asked for.

    Attributes
    ----------
    in_sample : float
        The objective on the paths on which it was chosen, which flatters it a little.
    upper_bound : dict with value, lo, hi
        No allocation has more P, with this interval, in the model that `bounds_what` names.
    gap, gap_high : float
        The bound over the allocation, and its one-sided bound at 95 %.
    status : str
        "optimal": no move helps any more; "time limit": the best found until then.
    vss : Figure
        Value of the stochastic solution: P over that of the mean-value plan's optimum.
    """

    in_sample: float
    solver: str
    solver_version: str
    status: str
    mip_gap: float
    vss: Figure
    upper_bound: dict[str, float] | None = None
    gap: float | None = None
    gap_high: float | None = None
    bounds_what: str | None = None
    routes_agree: bool | None = None
    route_two: Figure | None = None  # P of the second route's best less that of the first's
    replications: int | None = None
    proved: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        found = dict(vars(self))
        for name in ("vss", "route_two"):
            figure = getattr(self, name)
            found[name] = None if figure is None else figure.to_json()
        return found


@dataclass(frozen=True)
class Allocation:
    """Amounts of all lines and funds, and what they are worth on fresh paths.

    Attributes
    ----------
    objective : str
    amounts : dict of str to float
        By knob. [CNY]
    value, value_plan : Figure
        The objective at the allocation and at the plan's own amounts; probabilities, or shares of the target.
    p_attain, p_attain_plan : Chance
    gain : Figure
        P(attain) of both, and the paired difference.
    rivals : dict of str to dict
        Other allocations by name, amounts by knob: the plan, the equal split, the mean-value optimum.
    """

    scenario: Scenario
    problem: Problem
    whole: Problem  # the same decision with every line in one piece
    curves: Curves  # of `whole`
    objective: str
    x: np.ndarray
    value: Figure
    value_plan: Figure
    value_gain: Figure
    p_attain: Chance
    p_attain_plan: Chance
    gain: Figure
    fresh_paths: int
    worlds: int
    seed: int
    certificate: Certificate
    prices: Mapping[str, Price]
    rivals: Mapping[str, Mapping[str, float]]
    timing: Mapping[str, float]
    confidence: float | None = None

    @property
    def amounts(self) -> dict[str, float]:
        """Amounts by knob."""
        return self.problem.amounts(self.x)

    @property
    def phasing(self) -> dict[str, np.ndarray]:
        """Share of each month, of the lines whose money was split by quarter, shape (months,) each."""
        return self.problem.phasing(self.x)

    @property
    def totals(self) -> np.ndarray:
        """Amounts of lines and funds in the order of `whole.items`. [CNY]"""
        return np.array(list(self.amounts.values()))

    @property
    def unspent(self) -> float:
        """Money of the budget that no line and no fund gets."""
        return max(0.0, self.problem.budget - float(self.x.sum()))

    @property
    def plan_unspent(self) -> float:
        """Money of the scenario's own budget that the plan gives to no line and no fund."""
        budget = self.scenario.plan.budget
        return 0.0 if budget is None else max(0.0, float(budget.central() - self.whole.plan.sum()))

    def apply(self, scenario: Scenario | None = None) -> Scenario:
        """The scenario with these amounts; by default the one that was optimised."""
        phasing = {line: list(map(float, shares)) for line, shares in self.phasing.items()}
        return with_amounts(self.scenario if scenario is None else scenario, self.amounts, self._source, phasing)

    def save(self, path: str | Path, extends: str | Path | None = None) -> Path:
        """Write the scenario with these amounts as a file that extends another, or as one that stands alone.

        Raises
        ------
        StoreError
            If the file cannot be written, or would be its own parent.
        """
        target, scenario = Path(path), self.apply()
        if extends is None:
            return write_text(target, scenario.resolved_text())
        if target.resolve() == Path(extends).resolve():
            raise StoreError(f"{target}: a scenario cannot extend itself; name another file")
        comment = f"{self._source}: P(attain) {self.p_attain.value:.4f}, the plan's own {self.p_attain_plan.value:.4f}."
        return write_text(target, extension(scenario, Path(extends), target.parent, comment))

    @property
    def _source(self) -> str:
        return f"attain optimise: {self.objective}, seed {self.seed}"

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency."""
        items = list(zip(self.whole.items, self.totals, strict=True))
        return {
            "scenario": self.scenario.title,
            "objective": self.objective,
            "allocation": {item.name: float(v) for item, v in items if item.table == "lines"},
            "funds": {item.name: float(v) for item, v in items if item.table == "funds"},
            "phasing": {line: shares.tolist() for line, shares in self.phasing.items()},
            "unspent": self.unspent,
            "budget": self.problem.budget,
            "p_attain": self.p_attain.to_json(),
            "p_attain_plan": self.p_attain_plan.to_json(),
            "gain": self.gain.to_json(),
            "value": self.value.to_json(),
            "value_plan": self.value_plan.to_json(),
            "value_gain": self.value_gain.to_json(),
            "certificate": self.certificate.to_json(),
            "prices": {name: price.to_json() for name, price in self.prices.items()},
            "rivals": {name: dict(amounts) for name, amounts in self.rivals.items()},
            "fresh_paths": self.fresh_paths,
            "worlds": self.worlds,
            "seed": self.seed,
            "timing": dict(self.timing),
        }

    @property
    def dataset(self) -> xr.Dataset:
        """Amounts, prices and response curves by item, for the charts."""
        import xarray as xr

        items, currency = self.whole.items, self.scenario.plan.currency
        money = {"units": currency}
        prices = [self.prices[item.name] for item in items]
        nothing = Figure(np.nan, np.nan)
        return xr.Dataset(
            {
                "plan": ("item", self.whole.plan, money | {"long_name": "the plan's amount"}),
                "optimum": ("item", self.totals, money | {"long_name": "the optimum's amount"}),
                "low": ("item", np.array([i.low for i in items]), money | {"long_name": "least amount"}),
                "high": ("item", np.array([i.high for i in items]), money | {"long_name": "greatest amount"}),
                "price_up": ("item", np.array([p.up.value for p in prices]), {"units": "points/M"}),
                "price_up_se": ("item", np.array([p.up.se for p in prices]), {"units": "points/M"}),
                "price_down": ("item", np.array([(p.down or nothing).value for p in prices]), {"units": "points/M"}),
                "price_down_se": ("item", np.array([(p.down or nothing).se for p in prices]), {"units": "points/M"}),
                "amount": (("item", "point"), self.curves.at, money | {"long_name": "amount"}),
                "response": (("item", "point"), self.curves.height, {"units": "1", "long_name": "lift"}),
                "acts": ("item", self.curves.acts, {"units": "1"}),
            },
            {"item": [item.name for item in items], "table": ("item", [item.table for item in items])},
            {
                "currency": currency, "scenario": self.scenario.title,
                "run": run_text(self.fresh_paths, self.worlds, self.seed),
                "objective": self.objective, "budget": self.problem.budget, "pieces": PIECES,
                "unspent": self.unspent, "plan_unspent": self.plan_unspent,
                "p_attain": self.p_attain.value, "p_attain_se": self.p_attain.se,
                "p_attain_plan": self.p_attain_plan.value, "gain": self.gain.value, "gain_se": self.gain.se,
            },
        )  # fmt: skip
