"""What is to be decided: amounts of lines and funds, and the constraints that they keep to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.budget.milp import Model, Status
from engine.errors import AllocationError, Fault
from engine.scenario.model import Fund, Line, Scenario
from engine.scenario.model import Group as RuleGroup
from engine.scenario.quantity import Quantity

BUDGET = "plan.budget"
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

    @property
    def knob(self) -> str:
        """Knob of its amount."""
        return f"{self.table}.{self.name}.amount"

    @property
    def whole(self) -> bool:
        """Whether money goes in whole units; a held amount stays as it is."""
        return self.unit > 0 and self.low < self.high

    def units(self) -> tuple[int, int]:
        """Least and greatest number of whole units; the first exceeds the second where none fits."""
        return math.ceil(self.low / self.unit - TOLERANCE), math.floor(self.high / self.unit + TOLERANCE)


@dataclass(frozen=True)
class Group:
    """Items whose money together lies between two amounts."""

    name: str
    members: tuple[int, ...]
    low: float
    high: float

    @property
    def knob(self) -> str:
        """Where it stands in the file."""
        return f"optimise.groups.{self.name}"


@dataclass(frozen=True)
class Problem:
    """The decision: items in the order lines, funds; money between bounds, in units, in groups, within the budget."""

    scenario: Scenario
    items: tuple[Item, ...]
    groups: tuple[Group, ...]
    budget: float

    @property
    def plan(self) -> np.ndarray:
        """The plan's own amounts, shape (items,). [CNY]"""
        return np.array([item.plan for item in self.items])

    @property
    def money(self) -> float:
        """A unit of money in which the numbers of a model are near 1."""
        return max(self.budget, 1e-9) / 1000.0

    def amounts(self, x: np.ndarray) -> dict[str, float]:
        """Amounts by knob."""
        return {item.knob: float(v) for item, v in zip(self.items, x, strict=True)}

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
        groups = tuple(replace(g, low=g.low * ratio, high=g.high * ratio) for g in self.groups)
        return replace(self, budget=budget, groups=groups)

    def with_amount(self, index: int, amount: float) -> Problem:
        """The same decision with one item held at an amount."""
        items = list(self.items)
        items[index] = replace(items[index], low=amount, high=amount, unit=0.0)
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


def build(scenario: Scenario) -> Problem:
    """Read the decision from a scenario; uncertain bounds at their central values.

    Without `plan.budget` the plan's own amounts are the budget.

    Raises
    ------
    AllocationError
        Naming every constraint that contradicts another.
    """
    tables: dict[str, Mapping[str, Line | Fund]] = {"lines": scenario.lines, "funds": scenario.funds}
    plan = scenario.plan
    spent = sum(_value(item.amount) for table in tables.values() for item in table.values())
    budget = spent if plan.budget is None else _value(plan.budget)
    rules = scenario.optimise
    items = tuple(_item(scenario, table, name, budget) for table, named in tables.items() for name in named)
    if not items:
        raise AllocationError(f"{scenario.file}: there is no line and no fund to set money out to; add one")
    place = {item.name: j for j, item in enumerate(items)}
    groups = tuple(_group(name, group, place, budget) for name, group in rules.groups.items())
    problem = Problem(scenario, items, groups, budget)
    found = conflicts(problem)
    if found:
        raise AllocationError("no allocation keeps to every constraint", found)
    return problem


def _value(quantity: Quantity) -> float:
    return float(quantity.central())


def _group(name: str, group: RuleGroup, place: Mapping[str, int], budget: float) -> Group:
    least = 0.0 if group.at_least is None else budget * _value(group.at_least)
    most = math.inf if group.at_most is None else budget * _value(group.at_most)
    return Group(name, tuple(place[member] for member in group.members), least, most)


def _item(scenario: Scenario, table: str, name: str, budget: float) -> Item:
    """A line or a fund with the bounds that its own fields, `fixed` and `away` set."""
    source: Line | Fund = getattr(scenario, table)[name]
    plan, rules = _value(source.amount), scenario.optimise
    unit = _value(source.unit) if isinstance(source, Line) else 0.0
    if name in rules.fixed:
        return Item(table, name, plan, plan, plan, 0.0)
    low, high = _value(source.minimum), budget if source.maximum is None else _value(source.maximum)
    if rules.away is not None:
        away = _value(rules.away)
        low, high = max(low, plan * (1.0 - away)), min(high, plan * (1.0 + away))
    return Item(table, name, plan, low, high, unit)


def conflicts(problem: Problem) -> list[Fault]:
    """Constraints that contradict each other: those of one item alone, else a smallest set that no money meets."""
    scenario, currency = problem.scenario, problem.scenario.plan.currency
    found = []
    for item in problem.items:
        knob = f"{item.table}.{item.name}"
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


def _described(problem: Problem, name: str, count: int) -> Fault:
    currency, file = problem.scenario.plan.currency, problem.scenario.file
    others = "with the others named here, it cannot be met" if count > 1 else "it cannot be met"
    if name == BUDGET:
        return Fault(file, name, f"at most {problem.budget:,.0f} {currency} in all: {others}", "raise the budget")
    group = next((group for group in problem.groups if group.knob == name), None)
    if group is not None:
        most = "" if group.high == math.inf else f" and at most {group.high:,.0f}"
        message = f"at least {group.low:,.0f}{most} {currency} together: {others}"
        return Fault(file, name, message, "widen the shares")
    item = next(item for item in problem.items if item.knob == name)
    unit = f" in units of {item.unit:,.0f}" if item.whole else ""
    message = f"{item.low:,.0f} to {item.high:,.0f} {currency}{unit}: {others}"
    return Fault(file, f"{item.table}.{item.name}", message, "widen minimum, maximum or optimise.away")
