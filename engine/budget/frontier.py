"""P(attain) against money: the budget as a whole, or what one fund holds of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.budget import goals, problem
from engine.budget.goals import MET
from engine.budget.optimise import Setting, check, prepare
from engine.budget.oracle import Oracle
from engine.errors import AllocationError
from engine.names import run_text
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed

if TYPE_CHECKING:
    import xarray as xr

POINTS = 11
SPAN = (0.6, 1.4)  # of the plan's budget
ROUNDS = 2  # of a search that starts from its neighbour's answer
BUDGET = "budget"


@dataclass(frozen=True)
class Point:
    """The best allocation at one amount of money.

    Attributes
    ----------
    money : float
        The budget, or what the fund holds. [CNY]
    p : Chance
        P(attain) on fresh paths.
    change : Figure
        P less that at the plan's amount, on the same paths.
    amounts : dict of str to float
        By knob.
    """

    money: float
    p: Chance
    change: Figure
    amounts: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "money": self.money, "p_attain": self.p.to_json(),
            "change": self.change.to_json(), "amounts": self.amounts,
        }  # fmt: skip


@dataclass(frozen=True)
class Frontier:
    """Points by rising money, of the budget ("budget") or of a fund by its name."""

    scenario: Scenario
    of: str
    plan: float
    points: list[Point]
    paths: int
    worlds: int
    seed: int
    skipped: list[float]  # amounts with which no allocation keeps to the constraints

    @property
    def best(self) -> Point:
        """The point with the highest P(attain)."""
        return max(self.points, key=lambda point: point.p.value)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "of": self.of, "plan": self.plan, "paths": self.paths, "worlds": self.worlds, "seed": self.seed,
            "best": self.best.money,
            "points": [point.to_json() for point in self.points], "skipped": self.skipped,
        }  # fmt: skip

    @property
    def dataset(self) -> xr.Dataset:
        """P(attain) by money, for the chart."""
        import xarray as xr

        currency = self.scenario.plan.currency
        columns = {
            "p_attain": [p.p.value for p in self.points], "se": [p.p.se for p in self.points],
            "change": [p.change.value for p in self.points], "change_se": [p.change.se for p in self.points],
        }  # fmt: skip
        return xr.Dataset(
            {name: ("money", np.array(values), {"units": "1"}) for name, values in columns.items()},
            {"money": ("money", np.array([p.money for p in self.points]), {"units": currency})},
            {
                "of": self.of, "plan": self.plan, "currency": currency, "paths": self.paths,
                "scenario": self.scenario.title, "run": run_text(self.paths, self.worlds, self.seed),
            },
        )  # fmt: skip


def frontier(
    scenario: Scenario,
    *,
    of: str = BUDGET,
    points: int = POINTS,
    low: float | None = None,
    high: float | None = None,
    paths: int = 100_000,
    worlds: int | None = None,
    seed: int = 1,
    solver: str = "highs",
    fresh_paths: int = 200_000,
    threads: int | None = None,
    report: Callable[[str], None] | None = None,
    announce: Callable[[], None] | None = None,
) -> Frontier:
    """The best P(attain) at rising amounts of money, each search started from its neighbour's answer.

    Parameters
    ----------
    scenario : Scenario
    of : str, optional
        "budget", or the name of a fund that is held at each amount while the rest of the budget is set out best.
    points : int, optional
        How many, besides the plan's own amount. At least 2.
    low, high : float, optional
        By default 60 % to 140 % of the budget, or the fund's minimum to its maximum. [CNY]
    paths, worlds, seed, solver, fresh_paths, threads, report, announce : see `optimise`

    Raises
    ------
    AllocationError
        If a name is no fund, or the range is empty.
    """
    check("p_attain", 0.9, 0.8, solver, None)
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.set_threads(threads)
    if points < 2:
        raise AllocationError(f"points: {points} is below 2")
    decision = problem.build(scenario, by_quarter=False)
    money, plan = _range(decision, of, low, high, points)
    most = float(money[-1]) if of == BUDGET else None
    setting, _ = prepare(scenario, goals.choose("p_attain", 0.9), paths, worlds, seed, solver, most, announce, False)
    run = simulation.plan_run(scenario, fresh_paths, worlds, fresh_seed(seed), "random")
    fresh = Oracle(setting.problem, setting.curves, setting.goal, run)
    x = setting.problem.plan
    found, skipped = [], []
    for number, amount in enumerate(money, 1):
        if report is not None:
            report(f"{of} of {amount:,.0f}: point {number} of {money.size}")
        try:
            x = _best(setting, decision, of, float(amount), x)
        except AllocationError as error:
            if not error.faults:
                raise  # the solver failed, which is no matter of money
            skipped.append(float(amount))
            continue
        attained = (fresh.slack(x)[0] >= MET).astype(np.float32)
        found.append((float(amount), x, attained))
    if not found:
        raise AllocationError(f"{of}: no allocation keeps to the constraints from {money[0]:,.0f} to {money[-1]:,.0f}")
    base = min(found, key=lambda point: abs(point[0] - plan))[2]
    return Frontier(
        scenario, of, plan,
        [
            Point(
                amount, estimates.chance(attained), estimates.mean(attained - base),
                decision.amounts(x),
            )
            for amount, x, attained in found
        ],
        run.n_paths, run.n_worlds, seed, skipped,
    )  # fmt: skip


def _range(
    decision: problem.Problem, of: str, low: float | None, high: float | None, points: int
) -> tuple[np.ndarray, float]:
    """Amounts of money to look at, the plan's own among them, and that."""
    if of == BUDGET:
        plan = decision.budget
        least = sum(item.low for item in decision.items)
        ends = [max(SPAN[0] * plan, least), SPAN[1] * plan]
    else:
        item = next((item for item in decision.items if item.table == "funds" and item.name == of), None)
        if item is None:
            known = ", ".join(i.name for i in decision.items if i.table == "funds") or "none"
            raise AllocationError(f"of: {of!r} is neither {BUDGET!r} nor a fund; funds are {known}")
        if item.low == item.high:
            raise AllocationError(f"{of}: this fund is held at {item.low:,.0f}; there is nothing to vary")
        plan, rest = item.plan, sum(other.low for other in decision.items if other is not item)
        ends = [item.low, min(item.high, decision.budget - rest)]
        least = 0.0
    first = ends[0] if low is None else low
    last = ends[1] if high is None else high
    if not least <= first < last:
        raise AllocationError(f"{of}: there is nothing between {first:,.0f} and {last:,.0f} from {least:,.0f} on")
    even = np.linspace(first, last, points)
    even = even[np.abs(even - plan) > 1e-6 * (last - first)]  # the plan's own amount stands there once
    return np.sort(np.append(even, plan)), plan


def _best(setting: Setting, decision: problem.Problem, of: str, amount: float, start: np.ndarray) -> np.ndarray:
    if of == BUDGET:
        changed = decision.with_budget(amount)
    else:
        place = next(j for j, item in enumerate(decision.items) if item.table == "funds" and item.name == of)
        changed = decision.with_amount(place, amount)
    return setting.search(changed).climb(start, ROUNDS)[0]
