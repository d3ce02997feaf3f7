"""What a study looks at: one output of every world, a function on the unit cube of the factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engine import simulation
from engine.analysis.sensitivity.factors import Factor, worlds_at
from engine.kernels import layout
from engine.names import SENSITIVITY_OUTPUTS
from engine.scenario import blocks
from engine.scenario.model import Scenario
from engine.simulation import Run

Progress = Callable[[int, int], None]
IS_MONEY = {name: name != "p_attain" for name in SENSITIVITY_OUTPUTS}


class WorldOutput:
    """Mean of one output over the paths of a world, all worlds on the same paths.

    Given the paths this is a plain function of the levels, without noise: two worlds that agree have the same output.

    Parameters
    ----------
    scenario : Scenario
    factors : sequence of Factor
    output : str
        One of `engine.names.SENSITIVITY_OUTPUTS`.
    paths : int
        Of each world.
    seed : int
    progress : callable, optional
        Called with the paths done and to do.
    """

    def __init__(
        self, scenario: Scenario, factors: Sequence[Factor], output: str, paths: int, seed: int,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._scenario, self._factors, self._output = scenario, factors, output
        self._paths, self._seed, self._progress = paths, seed, progress
        self._value, self._flag = blocks.results(scenario, (blocks.LEAN,))
        self.path_noise = 0.0
        """Of the last call: the share of the variance across worlds that stems from the paths being finitely many."""
        self.path_error = 0.0
        """Of the last call: standard error of the mean over all worlds for the paths that they share."""

    def __call__(self, levels: np.ndarray) -> np.ndarray:
        """Output at each row of levels, shape (n, factors) -> (n,); no more than a chunk of paths is kept.

        Notes
        -----
        Of output + path effect + interaction, the two-way layout of worlds and paths, the path effect is the same in
        all worlds: what other paths would change of the differences between worlds is the interaction's variance over
        the number of paths.
        """
        total = np.zeros(len(levels))
        by_path, square = np.zeros((2, self._paths))
        shift = None
        for cells, paths, scores in self._chunks(levels):
            shift = float(scores[0].mean()) if shift is None else shift
            scores = scores - shift
            total[cells] += scores.sum(axis=1)
            by_path[paths] += scores.sum(axis=0)
            square[paths] += (scores**2).sum(axis=0)
        by_path /= len(levels)
        self.path_error = float(by_path.std()) / self._paths**0.5
        mean, across = total / self._paths, square / len(levels) - by_path**2
        spread = float(mean.var())
        interaction = max(float(across.mean()) - spread, 0.0)
        self.path_noise = interaction / self._paths / spread if spread > 0.0 else 0.0
        return mean + (shift or 0.0)

    def scores(self, levels: np.ndarray) -> np.ndarray:
        """Output of every path, shape (n, paths); differences between rows are paired by path."""
        found = np.empty((len(levels), self._paths))
        for cells, paths, scores in self._chunks(levels):
            found[cells, paths] = scores
        return found

    def _chunks(self, levels: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Slices of worlds and of paths, with the scores of both, shape (worlds, paths)."""
        run = Run(worlds_at(self._scenario, self._factors, levels), self._paths, self._seed, 1)
        target = run.worlds.read("plan.target")
        for chunk, out in simulation.outputs(run, (blocks.LEAN,), self._progress):
            cells = slice(chunk.start, chunk.stop)
            scores = self._scores(out).reshape(chunk.stop - chunk.start, chunk.n_paths)
            if self._output == "shortfall":
                scores = np.maximum(target[cells, None] - scores, 0.0)
            yield cells, slice(chunk.path, chunk.path + chunk.n_paths), scores

    def _scores(self, out: layout.Outputs) -> np.ndarray:
        """What the output is made of, path by path: for the shortfall the revenue."""
        value = self._value
        if self._output == "p_attain":
            return np.asarray(out.flags[self._flag.target_met], float)
        if self._output == "margin":
            return out.values[value.gross_margin]
        if self._output == "fund_need":
            needs: np.ndarray = out.values[value.fund_need :][: len(self._scenario.funds)].sum(axis=0)
            return needs
        return out.values[value.revenue]
