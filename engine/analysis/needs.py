"""What responses and corrective actions would draw from each fund if it had no limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine import simulation
from engine.errors import SimulationError
from engine.scenario import blocks
from engine.scenario.model import Scenario
from engine.simulation import Run

TOTAL = "all funds"  # together; no id has a space
_DETAIL = ("funds", blocks.LEAN)
ENDLESS = 100.0  # times the target, or all funds: a fund of this size is never used up

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Needs:
    """Needs on every path under funds without a limit.

    Attributes
    ----------
    drawn : ndarray, shape (funds, months, worlds, paths)
        What has been asked of each fund by the end of each month. [CNY]
    by_risk : ndarray, shape (risks + 1, worlds, paths)
        What the response to each risk costs in the year, and last what the reviews decide; paid from funds. [CNY]
    revenue : ndarray, shape (worlds, paths)
        [CNY]
    current : ndarray, shape (funds,)
        What the funds hold, the mean over the worlds. [CNY]
    """

    scenario: Scenario
    run: Run
    drawn: np.ndarray
    by_risk: np.ndarray
    revenue: np.ndarray
    current: np.ndarray

    @property
    def funds(self) -> list[str]:
        """Names of the funds; with several of them also of all together."""
        names = list(self.scenario.funds)
        return names if len(names) == 1 else [*names, TOTAL]

    def months_of(self, fund: str) -> np.ndarray:
        """Drawn by the end of each month, shape (months, worlds, paths)."""
        found: np.ndarray = self.drawn.sum(axis=0) if fund == TOTAL else self.drawn[self._place(fund)]
        return found

    def of(self, fund: str) -> np.ndarray:
        """Need of the year, shape (worlds, paths)."""
        return self.months_of(fund)[-1]

    def held(self, fund: str) -> float:
        """What a fund holds in the scenario."""
        return float(self.current.sum() if fund == TOTAL else self.current[self._place(fund)])

    def _place(self, fund: str) -> int:
        return list(self.scenario.funds).index(fund)


def simulate_needs(
    scenario: Scenario, paths: int, worlds: int | None, seed: int, progress: Progress | None = None
) -> Needs:
    """Simulate the year with funds that never run dry.

    Raises
    ------
    SimulationError
        If the scenario has no fund, or the run would not fit.
    """
    if not scenario.funds:
        raise SimulationError(f"{scenario.file}: there is no fund; add one, such as [funds.contingency]")
    run = simulation.plan_run(scenario, paths, worlds, seed, "random")
    amount = endless(run)
    current = np.array([run.worlds.read(f"funds.{name}.amount").mean() for name in scenario.funds])
    run = replace(run, worlds=run.worlds.changed({f"funds.{name}.amount": amount for name in scenario.funds}))
    value, _ = blocks.results(scenario, _DETAIL)
    funds, months = len(scenario.funds), scenario.plan.months
    rows = funds * months + len(scenario.risks) + 2
    simulation.require_memory(2 * 8 * rows * run.n_paths, f"{run.n_paths:,} paths", "ask for fewer paths")
    drawn = np.empty((funds, months, len(run.worlds), run.paths_per_world))
    by_risk = np.empty((len(scenario.risks) + 1, len(run.worlds), run.paths_per_world))
    revenue = np.empty((len(run.worlds), run.paths_per_world))
    paid = _paid_from_funds(scenario)
    for chunk, out in simulation.outputs(run, _DETAIL, progress):
        shape = (chunk.stop - chunk.start, chunk.n_paths)
        place = (slice(chunk.start, chunk.stop), slice(chunk.path, chunk.path + chunk.n_paths))
        balance = out.values[value.fund_months :][: months * funds].reshape(months, funds, *shape).swapaxes(0, 1)
        drawn[:, :, *place] = amount[place[0], None] - balance
        revenue[place] = out.values[value.revenue].reshape(shape)
        costs = out.values[value.response_cost :][: len(paid)].reshape(len(paid), *shape)
        by_risk[:-1][:, *place] = costs * paid[:, None, None]
        asked = out.values[value.fund_need :][:funds].reshape(funds, *shape).sum(axis=0)
        by_risk[-1][place] = asked - by_risk[:-1][:, *place].sum(axis=0)
    return Needs(scenario, run, drawn, by_risk, revenue, current)


@dataclass(frozen=True)
class Present:
    """What the funds do as they are.

    Attributes
    ----------
    left : ndarray, shape (funds, worlds, paths)
        At the end of the year. [CNY]
    dry_month : ndarray of int, shape (funds, worlds, paths)
        Month, from 1, by whose end a fund that cannot pay some need is used up; 0 where it pays all.
    attained : ndarray of bool, shape (worlds, paths)
    """

    scenario: Scenario
    left: np.ndarray
    dry_month: np.ndarray
    attained: np.ndarray

    def left_of(self, fund: str) -> np.ndarray:
        """Money left, shape (worlds, paths)."""
        found: np.ndarray = self.left.sum(axis=0) if fund == TOTAL else self.left[self._place(fund)]
        return found

    def dry_month_of(self, fund: str) -> np.ndarray:
        """Month in which a fund, or the first of all, is used up; 0 where it pays all; shape (worlds, paths)."""
        if fund != TOTAL:
            found: np.ndarray = self.dry_month[self._place(fund)]
            return found
        first = np.where(self.dry_month > 0, self.dry_month, self.scenario.plan.months + 1).min(axis=0)
        return np.where(first <= self.scenario.plan.months, first, 0)

    def _place(self, fund: str) -> int:
        return list(self.scenario.funds).index(fund)


def simulate_present(run: Run, progress: Progress | None = None) -> Present:
    """Simulate the year with the funds as they are."""
    scenario = run.scenario
    value, flag = blocks.results(scenario, _DETAIL)
    funds, months, shape = len(scenario.funds), scenario.plan.months, (len(run.worlds), run.paths_per_world)
    left, month, attained = np.empty((funds, *shape)), np.zeros((funds, *shape), np.int8), np.empty(shape, bool)
    for chunk, out in simulation.outputs(run, _DETAIL, progress):
        part = (chunk.stop - chunk.start, chunk.n_paths)
        place = (slice(chunk.start, chunk.stop), slice(chunk.path, chunk.path + chunk.n_paths))
        attained[place] = out.flags[flag.target_met].reshape(part)
        balance = out.values[value.fund_months :][: months * funds].reshape(months, funds, *part)
        dry = out.flags[flag.fund_exhausted :][:funds].reshape(funds, *part) != 0
        left[:, *place] = balance[-1]
        # a need that is not paid in full takes all that there is
        month[:, *place] = np.where(dry, 1 + (balance <= 0.0).argmax(axis=0), 0)
    return Present(scenario, left, month, attained)


def endless(run: Run) -> np.ndarray:
    """A size of a fund that is never used up, shape (worlds,). [CNY]"""
    held = sum(run.worlds.read(f"funds.{name}.amount") for name in run.scenario.funds)
    return np.asarray(ENDLESS * np.maximum(run.worlds.read("plan.target"), held))


def _paid_from_funds(scenario: Scenario) -> np.ndarray:
    """1 for each risk whose response draws on a fund, else 0, shape (risks,)."""
    return np.array(
        [float(r.response is not None and r.response.fund is not None) for r in scenario.risks.values()]
    )  # fmt: skip
