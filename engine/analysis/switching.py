"""The same years with some of the risks switched off: what a set of risks does, path by path.

A draw has an address, so a year without a risk is the same year in everything else. And a risk that does not strike
in a year does nothing there: a path has to be simulated only for sets of the risks that strike on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine import simulation
from engine.analysis.needs import endless
from engine.errors import SimulationError
from engine.kernels.layout import ALL_RISKS, SWITCHABLE, Outputs, PlanArrays
from engine.scenario import arrays, blocks
from engine.simulation import Run

_LEAN = (blocks.LEAN,)
_WHICH = ("risks", blocks.LEAN)
BATCH = 1_000_000  # pairs of a path and a set that are sorted at a time, so that neighbours have the same set

Report = Callable[[int], None]


@dataclass(frozen=True)
class Figures:
    """What is measured on every pair of a path and a set of risks.

    Attributes
    ----------
    revenue : ndarray, shape (pairs,)
        [CNY]
    need : ndarray, shape (pairs,)
        Of all funds, had they no limit. [CNY]
    """

    revenue: np.ndarray
    need: np.ndarray


class Switched:
    """The paths of a run, numbered world by world, under sets of acting risks.

    Parameters
    ----------
    run : Run
        Random paths.
    players : sequence of str
        Risks that can be switched off; all others act always. A set is a whole number whose bit j is player j.

    Raises
    ------
    SimulationError
        If a player is beyond the first 52 risks of the scenario.
    """

    def __init__(self, run: Run, players: Sequence[str]) -> None:
        assert run.scrambles == 1
        self.run, self.players = run, list(players)
        names = list(run.scenario.risks)
        self._risk = np.array([names.index(player) for player in players], np.int64)
        late = [player for player, r in zip(players, self._risk, strict=True) if r >= SWITCHABLE]
        if late:
            raise SimulationError(f"risks: {', '.join(late)} come after the first {SWITCHABLE}, which can be switched")
        self._always = ALL_RISKS & ~int(sum(1 << int(r) for r in self._risk))
        self._value, self._flag = blocks.results(run.scenario, _LEAN)
        self._plan = simulation.prepared(run, _LEAN)
        limitless = {f"funds.{name}.amount": endless(run) for name in run.scenario.funds}
        self._endless = arrays.revise(self._plan, run.worlds.changed(limitless))
        self._buffer = simulation.allocate(run.scenario, simulation.CACHED_PATHS, _LEAN)
        self._world = np.arange(len(run.worlds))

    def struck(self, report: Report | None = None) -> np.ndarray:
        """The set of players that strike on each path, shape (paths,)."""
        found = np.zeros(self.run.n_paths, np.int64)
        everyone = np.full(simulation.CACHED_PATHS, ALL_RISKS)
        scenario = self.run.scenario
        plan, (_, flag) = simulation.prepared(self.run, _WHICH), blocks.results(scenario, _WHICH)
        buffer = simulation.allocate(scenario, simulation.CACHED_PATHS, _WHICH)
        for start in range(0, found.size, simulation.CACHED_PATHS):
            paths = np.arange(start, min(start + simulation.CACHED_PATHS, found.size))
            flags = self._simulate(plan, paths, everyone[: paths.size], buffer).flags
            for j, r in enumerate(self._risk):
                found[paths] |= flags[flag.struck + r].astype(np.int64) << j
            if report is not None:
                report(paths.size)
        return found

    def measure(self, paths: np.ndarray, sets: np.ndarray, report: Report | None = None) -> Figures:
        """Revenue and need of pairs of a path and a set; the paths in rising order.

        Parameters
        ----------
        paths, sets : ndarray of int64, shape (pairs,)
        report : callable, optional
            Called with the pairs done since the last call.
        """
        revenue, need = np.empty(paths.size), np.empty(paths.size)
        for start in range(0, paths.size, BATCH):
            part = slice(start, start + BATCH)
            # neighbours with the same set let the kernel leave out the risks that none of them has
            order = start + np.lexsort((sets[part], paths[part] // self.run.paths_per_world))
            for first in range(0, order.size, simulation.CACHED_PATHS):
                pairs = order[first : first + simulation.CACHED_PATHS]
                revenue[pairs], need[pairs] = self._figures(paths[pairs], self._acting(sets[pairs]))
                if report is not None:
                    report(pairs.size)
        return Figures(revenue, need)

    def _acting(self, sets: np.ndarray) -> np.ndarray:
        """Sets of players as sets of risks, with all that act always."""
        found = np.full(sets.size, self._always)
        for j, r in enumerate(self._risk):
            found |= (sets >> j & 1) << r
        return found

    def _figures(self, paths: np.ndarray, acting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = self._simulate(self._plan, paths, acting, self._buffer)
        value, funds = self._value, len(self.run.scenario.funds)
        revenue = out.values[value.revenue].copy()
        need = out.values[value.fund_need :][:funds].sum(axis=0)
        dry = np.flatnonzero(out.flags[self._flag.fund_exhausted :][:funds].any(axis=0))
        if dry.size:
            # up to the month in which a fund runs dry its year is the one with an endless fund
            out = self._simulate(self._endless, paths[dry], acting[dry], self._buffer)
            need[dry] = out.values[value.fund_need :][:funds].sum(axis=0)
        return revenue, need

    def _simulate(self, plan: PlanArrays, paths: np.ndarray, acting: np.ndarray, buffer: Outputs) -> Outputs:
        worlds, numbers = np.divmod(paths, self.run.paths_per_world)
        out = simulation.narrow(buffer, paths.size)
        simulation.fill_chosen(self.run, plan, np.searchsorted(worlds, self._world, "right"), numbers, acting, out)
        return out
