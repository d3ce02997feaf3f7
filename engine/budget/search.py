"""Route one: the master moves, the kernel scores, until no move helps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.budget import master
from engine.budget.oracle import Local, Oracle
from engine.budget.problem import Problem

LOCAL_PATHS = 12_800  # on which the effects of the items are measured; the score takes all
ROUNDS = 8
SMALLEST = 0.01  # trust region, as a share of each item's range, at which a search ends
EXCHANGES = (0.1, 0.03, 0.01)  # shares of the smaller range that are tried from each item to each other


@dataclass
class Search:
    """One search, and what it has cost.

    Attributes
    ----------
    deadline : float
        By `time.perf_counter`, when to end with the best found; `late` says whether that happened.
    """

    problem: Problem
    oracle: Oracle
    solver: str = "highs"
    deadline: float = np.inf
    late: bool = False
    masters: int = 0
    rounds: int = 0
    mip_gap: float = 0.0  # the largest of the masters'
    scores: dict[bytes, float] = field(default_factory=dict)

    def climb(self, start: np.ndarray, rounds: int = ROUNDS) -> tuple[np.ndarray, float]:
        """The best allocation found from a start, and its value by the kernel."""
        x = self.problem.nearest(start)
        best = self.score(x)
        for _ in range(rounds):
            if self._over():
                break
            self.rounds += 1
            local = self.oracle.local(x, self._local_paths())
            y = self.best_of(local, x)
            promised, value = local.value(y) - local.value(x), self.score(y)
            gained = value - best
            if gained > 0:
                x, best = y, value
            if min(promised, gained) < self.oracle.goal.tolerance(best):
                break
        return x, best

    def best_from(self, starts: Sequence[np.ndarray], rounds: int = ROUNDS) -> np.ndarray:
        """The best allocation found from several starts."""
        return max((self.climb(start, rounds) for start in starts), key=lambda found: found[1])[0]

    def best_of(self, local: Local, start: np.ndarray) -> np.ndarray:
        """The best allocation by a local model: moves of the master while they help, then exchanges."""
        x, best, radius = start, local.value(start), 1.0
        while radius >= SMALLEST and not self._over():
            y = self.move(local, x, radius)
            value = local.value(y)
            if value > best or (value == best and y.sum() < x.sum() - 1e-6 * self.problem.money):
                x, best = y, value
            else:
                radius *= 0.5
        return self._exchange(local, x, best)

    def move(self, local: Local, x: np.ndarray, radius: float) -> np.ndarray:
        """The master's move."""
        self.masters += 1
        solution = master.model(self.problem, local.curves, local.worth(x), x, radius).solve(self.solver)
        self.mip_gap = max(self.mip_gap, solution.gap)
        return self.problem.read(solution.values)

    def score(self, x: np.ndarray) -> float:
        """Value by the kernel, on all paths."""
        key = x.tobytes()
        if key not in self.scores:
            self.scores[key] = self.oracle.value(x)
        return self.scores[key]

    def _exchange(self, local: Local, x: np.ndarray, best: float) -> np.ndarray:
        """Move money from one item to another as long as the model gains by it."""
        items, moves = self.problem.items, np.flatnonzero(local.curves.moves)
        pairs = [(i, j) for i in moves for j in moves if i != j]
        for share in EXCHANGES:
            found = True
            while found and not self._over():
                found = False
                for i, j in pairs:
                    step = share * min(items[i].high - items[i].low, items[j].high - items[j].low)
                    step = max(step, items[i].unit, items[j].unit)
                    y = x.copy()
                    y[i], y[j] = y[i] - step, y[j] + step
                    if not self.problem.holds(y):
                        continue
                    value = local.value(y)
                    if value > best:
                        x, best, found = y, value, True
        return x

    def _local_paths(self) -> int:
        worlds = len(self.oracle.run.worlds)
        return min(self.oracle.run.paths_per_world, max(1, LOCAL_PATHS // worlds))

    def _over(self) -> bool:
        self.late = self.late or time.perf_counter() > self.deadline
        return self.late
