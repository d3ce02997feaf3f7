"""What is to be decided: amounts of lines and funds, and the constraints that they keep to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.budget import quarters
from engine.budget.milp import Model, Status
from engine.budget.quarters import Quarters
from engine.errors import AllocationError, Fault
from engine.scenario.model import Fund, Line, Scenario
from engine.scenario.model import Group as RuleGroup
from engine.scenario.quantity import Quantity

BUDGET = "plan.budget"
MOST_UNITS = 10**9  # where there is no maximum
TOLERANCE = 1e-9  # relative, as for the budget of a scenario file


@dataclass(frozen=True)
class Item:
    """A line or a fund: what it may get. Money in the plan's currency."""

    table: str  # "lines" or "funds"
    name: str
    plan: float
    low: float
    high: float
    unit: float  # 0: any amount
    quarter: int | None = None  # from 0: this part of a line whose money is split by quarter
    maximum: float = math.inf  # as the scenario has it; `high` is what the budget leaves of it

    @property
    def knob(self) -> str:
        """Knob of its amount; a part of a line is called after its quarter."""
        part = "amount" if self.quarter is None else f"quarter.{self.quarter + 1}"
        return f"{self.table}.{self.name}.{part}"

    @property
    def whole(self) -> bool:
        """Whether money goes in whole units; an amount that is held has no unit."""
        return self.unit > 0

    def units(self) -> tuple[int, int]:
        """Least and greatest number of whole units; the first exceeds the second where none fits."""
        most = self.high / self.unit
        return math.ceil(self.low / self.unit - TOLERANCE), math.floor(min(most, MOST_UNITS) + TOLERANCE)


@dataclass(frozen=True)
class Group:
    """Items whose money together lies between two amounts."""

    knob: str  # where it stands in the file
    members: tuple[int, ...]
    low: float
    high: float
    share: bool = True  # of the budget: moves with it


@dataclass(frozen=True)
class Problem:
    """The decision: items in the order lines, funds; money between bounds, in units, in groups, within the budget."""

    scenario: Scenario
    items: tuple[Item, ...]
    groups: tuple[Group, ...]
    budget: float
    quarters: Quarters | None = None

    @property
    def plan(self) -> np.ndarray:
        """The plan's own amounts, shape (items,). [CNY]"""
        return np.array([item.plan for item in self.items])

    @property
    def money(self) -> float:
        """A unit of money in which the numbers of a model are near 1."""
        return max(self.budget, 1e-9) / 1000.0

    def parts(self) -> dict[tuple[str, str], list[int]]:
        """Items of each line and fund, by table and name: one, or one for each quarter."""
        found: dict[tuple[str, str], list[int]] = {}
        for j, item in enumerate(self.items):
            found.setdefault((item.table, item.name), []).append(j)
        return found

    def amounts(self, x: np.ndarray) -> dict[str, float]:
        """Amounts of lines and funds by knob."""
        return {f"{table}.{name}.amount": float(x[own].sum()) for (table, name), own in self.parts().items()}

    def expand(self, amounts: Mapping[str, float]) -> np.ndarray:
        """Amounts of the items from those of lines and funds by knob, quarters as the plan has them, shape (items,)."""
        x = self.plan
        for (table, name), own in self.parts().items():
            amount = amounts[f"{table}.{name}.amount"]
            split = self.quarters is not None and self.items[own[0]].quarter is not None
            x[own] = amount * self.quarters.shares(name) if split and self.quarters is not None else amount
        return x

    def phasing(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Phasing of the lines that are split by quarter, shape (months,) each."""
        if self.quarters is None:
            return {}
        split = {name: own for (_, name), own in self.parts().items() if self.items[own[0]].quarter is not None}
        return {name: self.quarters.spread(name, x[own])[1] for name, own in split.items()}

    def knobs(self, x: np.ndarray) -> dict[str, float]:
        """All knobs of a scenario that amounts set."""
        months = {
            f"lines.{name}.phasing.{t}": float(share)
            for name, shares in self.phasing(x).items()
            for t, share in enumerate(shares, 1)
        }
        return self.amounts(x) | months

    def model(self, keep: Callable[[str], bool] = lambda _: True) -> Model:
        """Model of the constraints alone, one variable for each item under its knob, in units of `money`.

        Constraints whose name `keep` does not take are left out: an item's bounds and units go by its knob.
        """
        model, money = Model(), self.money
        for item in self.items:
            kept = keep(item.knob)
            model.add(item.knob, *((item.low / money, item.high / money) if kept else (0.0, math.inf)))
            if kept and item.whole:
                least, most = item.units()
                units = model.add(f"{item.knob}.units", float(least), float(most), whole=True)
                model.require(f"{item.knob}.whole", {item.knob: 1.0, units: -item.unit / money}, 0.0, 0.0)
        if keep(BUDGET):
            model.require(BUDGET, dict.fromkeys((i.knob for i in self.items), 1.0), high=self.budget / money)
        for group in self.groups:
            if keep(group.knob):
                terms = dict.fromkeys((self.items[j].knob for j in group.members), 1.0)
                model.require(group.knob, terms, group.low / money, group.high / money)
        return model

    def read(self, values: Mapping[str, float]) -> np.ndarray:
        """Amounts from a model's values: within the bounds and in whole units to the last digit, shape (items,)."""
        x = np.array([values[item.knob] * self.money for item in self.items])
        for j, item in enumerate(self.items):
            if item.whole:
                x[j] = round(x[j] / item.unit) * item.unit
            x[j] = min(max(x[j], item.low), item.high)
        return x

    def holds(self, x: np.ndarray) -> bool:
        """Whether amounts keep to everything."""
        slack = 1e-6 * self.money
        low, high = (np.array([getattr(item, end) for item in self.items]) for end in ("low", "high"))
        inside = bool((x >= low - slack).all() and (x <= high + slack).all()) and x.sum() <= self.budget + slack
        whole = all(
            not item.whole or abs(v / item.unit - round(v / item.unit)) < 1e-6
            for item, v in zip(self.items, x, strict=True)
        )
        groups = all(group.low - slack <= x[list(group.members)].sum() <= group.high + slack for group in self.groups)
        return inside and whole and groups

    def with_budget(self, budget: float) -> Problem:
        """The same decision with more or less money; shares of the budget move with it."""
        ratio = budget / self.budget if self.budget > 0 else 1.0
        groups = tuple(replace(g, low=g.low * ratio, high=g.high * ratio) if g.share else g for g in self.groups)
        return replace(self, budget=budget, groups=groups)._tightened()

    def _tightened(self) -> Problem:
        """The same decision, no item allowed more than the least of the others leaves of the budget.

        What resolves the amounts (pieces, steps, trust regions) goes by the range of an item: one that can never be
        used would blunt it.
        """
        least = sum(item.low for item in self.items)
        items = [
            replace(item, high=max(item.low, min(item.maximum, self.budget - least + item.low))) for item in self.items
        ]
        return replace(self, items=tuple(items))

    def with_amount(self, index: int, amount: float) -> Problem:
        """The same decision with one item held at an amount."""
        items = list(self.items)
        items[index] = replace(items[index], low=amount, high=amount, maximum=amount, unit=0.0)
        return replace(self, items=tuple(items))._tightened()

    def near(self, x: np.ndarray, reach: float) -> Problem:
        """The same decision within a share of each item's range around amounts, or one whole unit."""
        items = []
        for item, value in zip(self.items, x, strict=True):
            width = max(reach * (item.high - item.low), item.unit)
            items.append(replace(item, low=max(item.low, value - width), high=min(item.high, value + width)))
        return replace(self, items=tuple(items))

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The feasible amounts nearest to `x`, in the sum of absolute differences.

        Raises
        ------
        AllocationError
            Naming the constraints that contradict each other, where nothing is feasible.
        """
        if self.holds(x):
            return x
        model = self.model()
        for item, value in zip(self.items, x / self.money, strict=True):
            away = model.add(f"{item.knob}.away")
            model.require(f"{item.knob}.above", {away: 1.0, item.knob: -1.0}, low=-float(value))
            model.require(f"{item.knob}.below", {away: 1.0, item.knob: 1.0}, low=float(value))
            model.reward(away, -1.0)
        solution = model.solve()
        if solution.status is Status.INFEASIBLE:
            raise AllocationError("no allocation keeps to every constraint", conflicts(self))
        return self.read(solution.values)


def build(scenario: Scenario, by_quarter: bool | None = None) -> Problem:
    """Read the decision from a scenario; uncertain bounds at their central values.

    Without `plan.budget` the plan's own amounts are the budget. `by_quarter` overrules `optimise.phasing`.

    Raises
    ------
    AllocationError
        Naming every constraint that contradicts another.
    """
    tables: dict[str, Mapping[str, Line | Fund]] = {"lines": scenario.lines, "funds": scenario.funds}
    plan = scenario.plan
    spent = sum(_value(item.amount) for table in tables.values() for item in table.values())
    budget = spent if plan.budget is None else _value(plan.budget)
    for name in scenario.lines.keys() & scenario.funds.keys():
        fault = Fault(scenario.file, f"lines.{name}", f"{name!r} is both a line and a fund", "rename one of them")
        raise AllocationError(faults=[fault])
    by_quarter = scenario.optimise.phasing == "quarters" if by_quarter is None else by_quarter
    split = quarters.build(scenario) if by_quarter else None
    items = tuple(
        item for table, named in tables.items() for name in named for item in _items(scenario, table, name, split)
    )
    if not items:
        raise AllocationError(f"{scenario.file}: there is no line and no fund to set money out to; add one")
    problem = Problem(scenario if split is None else quarters.phased(scenario, split), items, (), budget, split)
    own = {name: parts for (_, name), parts in problem.parts().items()}
    groups = [_group(name, group, own, budget) for name, group in scenario.optimise.groups.items()]
    groups += [_total(scenario, name, own[name]) for name in (split.weights if split is not None else ())]
    problem = replace(problem, groups=tuple(groups))
    found = conflicts(problem)
    if found:
        raise AllocationError("no allocation keeps to every constraint", found)
    return problem._tightened()


def _value(quantity: Quantity) -> float:
    return float(quantity.central())


def _group(name: str, group: RuleGroup, own: Mapping[str, list[int]], budget: float) -> Group:
    least = 0.0 if group.at_least is None else budget * _value(group.at_least)
    most = math.inf if group.at_most is None else budget * _value(group.at_most)
    members = [j for member in group.members for j in own[member]]
    return Group(f"optimise.groups.{name}", tuple(members), least, most)


def _total(scenario: Scenario, name: str, own: list[int]) -> Group:
    """Bounds of a line whose money is split by quarter."""
    line = scenario.lines[name]
    most = math.inf if line.maximum is None else _value(line.maximum)
    return Group(f"lines.{name}", tuple(own), _value(line.minimum), most, share=False)


def _items(scenario: Scenario, table: str, name: str, split: Quarters | None) -> list[Item]:
    """A line or a fund, or its quarters, with the bounds that its own fields, `fixed` and `away` set."""
    source: Line | Fund = getattr(scenario, table)[name]
    plan, rules = _value(source.amount), scenario.optimise
    unit = _value(source.unit) if isinstance(source, Line) else 0.0
    if name in rules.fixed:
        return [Item(table, name, plan, plan, plan, 0.0, maximum=plan)]
    low, high = _value(source.minimum), math.inf if source.maximum is None else _value(source.maximum)
    away = math.inf if rules.away is None else _value(rules.away)
    if split is None or table != "lines" or name not in split.weights:
        low, high = _near(plan, low, high, away)
        return [Item(table, name, plan, low, high, unit, maximum=high)]
    found = []
    for quarter, part in enumerate(map(float, plan * split.shares(name))):
        low, most = _near(part, 0.0, high, away)
        found.append(Item(table, name, part, low, most, 0.0, quarter, maximum=most))
    return found


def _near(plan: float, low: float, high: float, away: float) -> tuple[float, float]:
    """Bounds that also keep within a share of the plan's amount."""
    return (low, high) if away == math.inf else (max(low, plan * (1.0 - away)), min(high, plan * (1.0 + away)))


def conflicts(problem: Problem) -> list[Fault]:
    """Constraints that contradict each other: those of one item alone, else a smallest set that no money meets."""
    scenario, currency = problem.scenario, problem.scenario.plan.currency
    found = []
    for item in problem.items:
        knob = _place(item)
        if item.low > item.high * (1.0 + TOLERANCE):
            message = f"at least {item.low:,.0f} and at most {item.high:,.0f} {currency} are asked for"
            found.append(Fault(scenario.file, knob, message, "move minimum, maximum or optimise.away"))
        elif item.whole and item.units()[0] > item.units()[1]:
            message = f"no whole unit of {item.unit:,.0f} lies between {item.low:,.0f} and {item.high:,.0f} {currency}"
            found.append(Fault(scenario.file, knob, message, "move minimum, maximum, unit or optimise.away"))
    if found:
        return found
    return [] if _feasible(problem, lambda _: True) else _smallest(problem)


def _feasible(problem: Problem, keep: Callable[[str], bool]) -> bool:
    """Whether the constraints whose names are kept can be met together."""
    return problem.model(keep).solve().status is not Status.INFEASIBLE


def _smallest(problem: Problem) -> list[Fault]:
    """Constraints that cannot be met together, though they could without any one of them: drop one after the other."""
    # items that ask for least are dropped first, which leaves those that matter
    items = [item.knob for item in sorted(problem.items, key=lambda item: item.low)]
    names = [*items, *(group.knob for group in problem.groups), BUDGET]
    kept = set(names)
    for name in names:
        if not _feasible(problem, lambda other, out=name: other in kept and other != out):  # type: ignore[misc]
            kept.remove(name)
    return [_described(problem, name, len(kept)) for name in reversed(names) if name in kept]


def _place(item: Item) -> str:
    """Where an item stands in the file."""
    return f"{item.table}.{item.name}" if item.quarter is None else item.knob


def _described(problem: Problem, name: str, count: int) -> Fault:
    currency, file = problem.scenario.plan.currency, problem.scenario.file
    others = "with the others named here, it cannot be met" if count > 1 else "it cannot be met"
    if name == BUDGET:
        return Fault(file, name, f"at most {problem.budget:,.0f} {currency} in all: {others}", "raise the budget")
    group = next((group for group in problem.groups if group.knob == name), None)
    if group is not None:
        most = "" if group.high == math.inf else f" and at most {group.high:,.0f}"
        message = f"at least {group.low:,.0f}{most} {currency} together: {others}"
        return Fault(file, name, message, "widen its bounds")
    item = next(item for item in problem.items if item.knob == name)
    unit = f" in units of {item.unit:,.0f}" if item.whole else ""
    most = "" if item.high == math.inf else f" and at most {item.high:,.0f}"
    message = f"at least {item.low:,.0f}{most} {currency}{unit}: {others}"
    return Fault(file, _place(item), message, "widen minimum, maximum or optimise.away")
