"""The decision again with one number changed: where a move would pay, and what the best found then has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import replay, simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.sensitivity.factors import Factor
from engine.budget import goals
from engine.budget.goals import MET
from engine.budget.optimise import Setting, prepare, tidy
from engine.budget.oracle import Oracle
from engine.budget.switch import Switch
from engine.scenario.model import Scenario
from engine.scenario.worlds import fresh_seed

SCREEN_PATHS = 6_400  # on which a screen looks for a move that pays
POLISHES = 6  # searches at most that start from the optimum of the one before
FAR = 2.0  # times the gain that is worth a search: such a promise may be of an optimum elsewhere
SEARCH_WORK = 6  # a search takes about as long as so many screens

Progress = Callable[[int, int], None]
Ends = dict[str, tuple[Scenario, Scenario]]  # the scenario with a knob low and high, by knob


@dataclass(frozen=True)
class KnobEnd:
    """The decision with one knob at one end of its range.

    Attributes
    ----------
    value : float
        Of the knob.
    promise : float
        What moves away from the present optimum would gain by the local model of the optimiser. [1]
    allowed : bool
        Whether the present optimum keeps to the constraints there; else the nearest amounts that do count as kept.
    searched : bool
        False where the screen saw no move that pays: all that follows then has no value.
    amounts : dict of str to float or None
        The best found there, by knob of line and fund; those kept where nothing better was found. [CNY]
    moved : float or None
        Money that goes elsewhere. [CNY]
    p_kept : Chance or None
        P(attain) there if the present optimum is kept.
    regret : Figure or None
        What the best found has over it, on the same fresh paths. The best found is not surely the best there is, so
        this is the least that keeping gives up, and may be negative by chance.
    switch : Switch or None
        Where the decision changes at this end: the value from which on the best found here is ahead of the present one.
    """

    value: float
    promise: float
    allowed: bool
    searched: bool
    amounts: dict[str, float] | None = None
    moved: float | None = None
    p_kept: Chance | None = None
    regret: Figure | None = None
    switch: Switch | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "value": self.value, "promise": self.promise, "allowed": self.allowed, "searched": self.searched,
            "allocation": self.amounts, "moved": self.moved,
            "p_kept": None if self.p_kept is None else self.p_kept.to_json(),
            "regret": None if self.regret is None else self.regret.to_json(),
            "switch": None if self.switch is None else self.switch.to_json(),
        }  # fmt: skip


class Bar:
    """Work done and to do, for a progress bar."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def more(self, work: int) -> None:
        """Work that has come up."""
        self._total += work

    def done(self, work: int) -> None:
        self._done += work
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True)
class Study:
    """How all decisions of a study are looked at: sizes, seed and solver are the same."""

    scenario: Scenario
    paths: int
    worlds: int
    seed: int
    solver: str
    fresh_paths: int
    announce: Callable[[], None] | None

    def setting(self, scenario: Scenario) -> Setting:
        """The decision of a scenario; draws have addresses, so its paths are those of all others but for the knob."""
        goal = goals.choose("p_attain", 0.9)
        found, _ = prepare(
            scenario, goal, self.paths, self.worlds, self.seed, self.solver, None, self.announce, by_quarter=False
        )
        return found

    def fresh(self, setting: Setting) -> Oracle:
        """The same decision on paths that its choice has not seen."""
        run = simulation.plan_run(
            setting.problem.scenario, self.fresh_paths, self.worlds, fresh_seed(self.seed), "random"
        )
        replay.require(run)
        return Oracle(setting.problem, setting.curves, setting.goal, run)


def polished(setting: Setting) -> np.ndarray:
    """The present optimum: what a search that starts from it does not improve, so that no knob gets the credit."""
    search, x = setting.best()
    x = tidy(setting.problem, x)
    for _ in range(POLISHES):
        y = tidy(setting.problem, search.climb(x)[0])
        if search.score(y) <= search.score(x):
            break
        x = y
    return x


class Work:
    """The ends of all knobs: screened one by one, then searched, the most promising first."""

    def __init__(self, study: Study, x: np.ndarray, least: float, every: bool, bar: Bar) -> None:
        self._study, self._x, self._least, self._every, self._bar = study, x, least, every, bar

    def run(self, factors: Sequence[Factor], at_ends: Ends) -> dict[str, tuple[KnobEnd, KnobEnd]]:
        """Both ends of every knob, as far as the work went before it was interrupted."""
        found: dict[tuple[str, int], KnobEnd] = {}
        try:
            for key, end in self._steps(factors, at_ends):
                found[key] = end
        except KeyboardInterrupt:
            if not found:
                raise  # there is nothing to show
        whole = [f.name for f in factors if (f.name, 0) in found and (f.name, 1) in found]
        return {name: (found[name, 0], found[name, 1]) for name in whole}

    def _steps(self, factors: Sequence[Factor], at_ends: Ends) -> Iterator[tuple[tuple[str, int], KnobEnd]]:
        """Ends as they are finished."""
        waiting = []
        for factor in factors:
            for k, value in enumerate((factor.low, factor.high)):
                end, pays = self._screen(at_ends[factor.name][k], value)
                if pays or self._every:
                    waiting.append(((factor.name, k), end))
                    self._bar.more(SEARCH_WORK)
                else:
                    yield (factor.name, k), end
                self._bar.done(1)
        for (name, k), end in sorted(waiting, key=lambda pair: -pair[1].promise):
            yield (name, k), self._search(at_ends[name][k], end)
            self._bar.done(SEARCH_WORK)

    def _screen(self, scenario: Scenario, value: float) -> tuple[KnobEnd, bool]:
        """What moves away from the present optimum promise, and whether that is worth a search.

        The promise is that of the optimiser's own next step, which ends a search where it is too small; on fewer paths
        it promises more than it keeps, so a screen errs on the side of a search.
        """
        setting = self._study.setting(scenario)
        decision, search = setting.problem, setting.search()
        kept = decision.nearest(self._x)
        local = setting.oracle.local(kept, max(1, SCREEN_PATHS // self._study.worlds))
        now = local.value(kept)
        promise = local.value(search.best_of(local, kept)) - now
        allowed = bool(decision.holds(self._x))
        return KnobEnd(value, promise, allowed, searched=False), promise >= self._enough(setting, now) or not allowed

    def _enough(self, setting: Setting, now: float) -> float:
        """Gain that is worth a search where P is `now`."""
        return min(setting.goal.tolerance(now), max(self._least, 1e-6))

    def _search(self, scenario: Scenario, end: KnobEnd) -> KnobEnd:
        """Set the budget out anew, and judge both allocations on fresh paths."""
        setting = self._study.setting(scenario)
        decision, search = setting.problem, setting.search()
        kept = decision.nearest(self._x)
        far = self._every or not end.allowed or end.promise >= FAR * self._enough(setting, search.score(kept))
        best = tidy(decision, search.best_from([kept, decision.plan] if far else [kept]))
        if search.score(best) <= search.score(kept):
            best = kept  # a tie is no reason to move money
        fresh = self._study.fresh(setting)
        stays = attained(fresh, kept)
        regret = Figure(0.0, 0.0) if best is kept else estimates.mean(attained(fresh, best) - stays)
        return replace(
            end, searched=True, amounts=decision.amounts(best), moved=_moved(kept, best),
            p_kept=estimates.chance(stays), regret=regret,
        )  # fmt: skip


def _moved(kept: np.ndarray, best: np.ndarray) -> float:
    """Money that goes elsewhere, to or from what is left unspent included. [CNY]"""
    change = best - kept
    return float(max(change[change > 0].sum(), -change[change < 0].sum()))


def attained(oracle: Oracle, x: np.ndarray) -> np.ndarray:
    """Whether each path attains, shape (worlds, paths)."""
    return (oracle.slack(x)[0] >= MET).astype(float)
