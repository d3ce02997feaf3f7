"""The same years again, with other amounts of money: what an optimiser compares."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from engine import simulation
from engine.kernels import layout
from engine.scenario import arrays, blocks
from engine.simulation import Run


class Replay:
    """The same paths of the same worlds again and again, under other amounts of lines and funds.

    Parameters
    ----------
    run : Run
        Random paths; a Sobol' run cannot be replayed.
    detail : collection of {"targets"}, optional
        Also keep what each target measures.
    """

    def __init__(self, run: Run, detail: Collection[str] = ()) -> None:
        assert run.scrambles == 1
        self.run = run
        self._detail = (*detail, blocks.LEAN)
        value, flag = blocks.results(run.scenario, self._detail)
        self._dry = flag.fund_exhausted
        measures = range(value.target_value, value.target_value + (1 + len(run.scenario.targets)))
        self._kept = np.array([value.revenue] if "targets" not in self._detail else list(measures))
        self._plan = simulation.prepared(run, self._detail)
        self._buffer: layout.Outputs | None = None
        self.done = 0
        """Paths simulated so far."""

    def sample(self, amounts: Mapping[str, float], paths: int | None = None, first: int = 0) -> np.ndarray:
        """Simulate all worlds under other amounts.

        Parameters
        ----------
        amounts : mapping of str to float
            Amounts by knob, such as ``lines.ads.amount``; those not named are as in the scenario. [CNY]
        paths : int, optional
            Paths of each world; by default all of the run.
        first : int, optional
            The first of them.

        Returns
        -------
        ndarray, shape (1, worlds, paths) or (targets, worlds, paths)
            Revenue [CNY]; or what each target measures, revenue first.
        """
        worlds = self.run.worlds
        count = len(worlds)
        plan = arrays.revise(self._plan, worlds.changed(amounts))
        wanted = self.run.paths_per_world if paths is None else paths
        step = max(1, simulation.CHUNK_PATHS // count)
        found = np.empty((self._kept.size, count, wanted))
        for start in range(0, wanted, step):
            n = min(step, wanted - start)
            out = self._outputs(count * n)
            simulation.fill(self.run, simulation.Chunk(0, count, first + start, n), plan, 0, n, out)
            for j, row in enumerate(self._kept):
                found[j, :, start : start + n] = out.values[row].reshape(count, n)
        self.done += count * wanted
        return found

    def of_paths(
        self, amounts: Mapping[str, float], ends: np.ndarray, paths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Simulate some paths of each world under other amounts.

        Parameters
        ----------
        amounts : mapping of str to float
            As for `sample`. [CNY]
        ends : ndarray of int64, shape (worlds,)
            Where the paths of each world end in the list.
        paths : ndarray of int64
            Their numbers, world by world.

        Returns
        -------
        found : ndarray, shape (1, len(paths)) or (targets, len(paths))
            As for `sample`.
        dry : ndarray of bool, shape (funds, len(paths))
            Whether some need could not be paid in full.
        """
        plan = arrays.revise(self._plan, self.run.worlds.changed(amounts))
        found = np.empty((self._kept.size, paths.size))
        dry = np.empty((len(self.run.scenario.funds), paths.size), bool)
        for start in range(0, paths.size, simulation.CHUNK_PATHS):
            part = paths[start : start + simulation.CHUNK_PATHS]
            out, every = self._outputs(part.size), np.full(part.size, layout.ALL_RISKS)
            within = np.clip(ends - start, 0, part.size)
            simulation.fill_chosen(self.run, plan, within, part, every, out)
            found[:, start : start + part.size] = out.values[self._kept]
            dry[:, start : start + part.size] = out.flags[self._dry : self._dry + len(dry)]
        self.done += paths.size
        return found, dry

    def _outputs(self, columns: int) -> layout.Outputs:
        if self._buffer is None or self._buffer.values.shape[1] < columns:
            self._buffer = simulation.allocate(self.run.scenario, columns, self._detail)
        return simulation.narrow(self._buffer, columns)


def require(run: Run, detail: Collection[str] = ()) -> None:
    """Refuse a replay that would not fit, before it starts.

    Raises
    ------
    SimulationError
        With the sum and the remedy.
    """
    rows = 1 + len(run.scenario.targets) if "targets" in detail else 1
    columns = max(simulation.CHUNK_PATHS, len(run.worlds))
    needed = 3 * 8 * rows * run.n_paths + columns * simulation.bytes_per_path(run.scenario, detail)
    simulation.require_memory(needed, f"{run.n_paths:,} paths", "ask for fewer paths")
