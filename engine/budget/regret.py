"""Regret: what each allocation gives up in each scenario against the best that scenario allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.budget import goals, mean_value
from engine.budget.goals import MET
from engine.budget.optimise import check, prepare, tidy
from engine.budget.oracle import Oracle
from engine.budget.problem import Problem
from engine.budget.search import Search
from engine.scenario import library
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed

ALLOCATIONS = ("plan", "optimum", "equal split", "mean value", "worst case")
OWN = "own optimum"


@dataclass(frozen=True)
class Cell:
    """One allocation in one scenario."""

    p: Chance
    regret: Figure  # P of the scenario's own optimum less this, on the same paths

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"p_attain": self.p.to_json(), "regret": self.regret.to_json()}


@dataclass(frozen=True)
class RegretTable:
    """Allocations made for the first scenario, tried in all of them."""

    scenarios: list[str]
    allocations: dict[str, dict[str, float]]
    cells: dict[str, list[Cell | None]]  # by allocation, a cell for each scenario
    paths: int
    seed: int

    def worst(self, allocation: str) -> float | None:
        """Greatest regret over the scenarios in which the allocation can be made."""
        known = [cell.regret.value for cell in self.cells[allocation] if cell is not None]
        return max(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "scenarios": self.scenarios, "allocations": self.allocations, "paths": self.paths, "seed": self.seed,
            "table": {n: [None if c is None else c.to_json() for c in row] for n, row in self.cells.items()},
            "worst_regret": {name: self.worst(name) for name in self.cells},
        }  # fmt: skip


def regret(
    scenarios: Sequence[Scenario],
    *,
    paths: int = 100_000,
    worlds: int | None = None,
    seed: int = 1,
    solver: str = "highs",
    fresh_paths: int = 200_000,
    threads: int | None = None,
    report: Callable[[str], None] | None = None,
    announce: Callable[[], None] | None = None,
) -> RegretTable:
    """Try five allocations of the first scenario in all scenarios.

    They are the plan's own, the optimum, the equal split, the optimum of the mean-value plan, and the one with the most
    revenue in the worst tenth of the worlds.
    An allocation names every line and fund of the first scenario; lines and funds that another scenario has besides
    keep their own amounts there. The plan's own amounts are as uncertain as the plan has them, wherever a scenario has
    the same. Regret is against that scenario's own optimum, on the same fresh paths.

    Parameters
    ----------
    scenarios : sequence of Scenario
    paths, worlds, seed, solver, fresh_paths, threads, report, announce : see `optimise`
    """
    check("p_attain", 0.9, 0.8, solver, None)
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.set_threads(threads)
    found: dict[str, dict[str, float]] = {}
    cells: dict[str, list[Cell | None]] = {name: [] for name in (*ALLOCATIONS, OWN)}
    total = 0
    names = library.names(scenarios)
    for label, scenario in zip(names, scenarios, strict=True):
        if report is not None:
            report(f"optimum of {label}")
        setting, _ = prepare(
            scenario, goals.choose("p_attain", 0.9), paths, worlds, seed, solver, None, announce, False
        )
        decision = setting.problem
        carried = [x for x in (_carried(decision, amounts) for amounts in found.values()) if x is not None]
        search = setting.search()
        starts = [decision.plan, *([max(carried, key=search.score)] if carried else [])]
        best = tidy(decision, search.best_from(starts))
        if not found:
            robust = Oracle(decision, setting.curves, goals.Robust(), setting.oracle.run)
            worst = tidy(decision, Search(decision, robust, solver).best_from([best, decision.plan]))
            made = (
                decision.plan, best, mean_value.equal_split(decision, setting.curves),
                mean_value.mean_value_optimum(decision, setting.curves, solver), worst,
            )  # fmt: skip
            found = {name: decision.amounts(x) for name, x in zip(ALLOCATIONS, made, strict=True)}
        run = simulation.plan_run(scenario, fresh_paths, worlds, fresh_seed(seed), "random")
        fresh = Oracle(decision, setting.curves, setting.goal, run)
        total += run.n_paths
        own = _attained(fresh, best)
        cells[OWN].append(Cell(estimates.chance(own), Figure(0.0, 0.0)))
        for name, amounts in found.items():
            x = _carried(decision, amounts)
            uncertain = name == ALLOCATIONS[0] and x is not None and np.array_equal(x, decision.plan)
            cells[name].append(None if x is None else _cell(_attained(fresh, None if uncertain else x), own))
    return RegretTable(names, found, cells, total, seed)


def _attained(oracle: Oracle, x: np.ndarray | None) -> np.ndarray:
    """Whether each path attains; without an allocation with the plan's own amounts, as uncertain as they may be."""
    slack = oracle.plan_slack() if x is None else oracle.slack(x)
    return (slack[0] >= MET).astype(np.float32)


def _cell(attained: np.ndarray, own: np.ndarray) -> Cell:
    return Cell(estimates.chance(attained), estimates.mean(own - attained))


def _carried(decision: Problem, amounts: dict[str, float]) -> np.ndarray | None:
    """The allocation in another scenario; None where a line is not there, or a constraint does not allow it."""
    if not set(amounts) <= {item.knob for item in decision.items}:
        return None
    x = np.array([amounts.get(item.knob, item.plan) for item in decision.items])
    return x if decision.holds(x) else None
