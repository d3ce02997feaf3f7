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
EXCHANGES = (0.1, 0.03, 0.01)  # shares of an item's range that are tried from it to each other


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
    mip_gap: float = 0.0  # the largest of the masters'
    scores: dict[bytes, float] = field(default_factory=dict)

    def climb(self, start: np.ndarray, rounds: int = ROUNDS) -> tuple[np.ndarray, float]:
        """The best allocation found from a start, and its value by the kernel."""
        x = self.problem.nearest(start)
        best = self.score(x)
        reach = 1.0
        for _ in range(rounds):
            if self._over():
                break
            local = self.oracle.local(x, self._local_paths(), reach)
            y = self.best_of(local, x, reach)
            promised, gained = local.value(y) - local.value(x), self.score(y) - best
            tolerance = self.oracle.goal.tolerance(best)
            if gained > 0 or (gained == 0 and self._cheaper(y, x)):
                x, best = y, best + gained
            if promised < tolerance:
                break
            if gained < tolerance:
                # the model promised what the kernel did not see: trust it less far
                reach /= 4.0
                if reach < SMALLEST:
                    break
        return x, best

    def best_from(self, starts: Sequence[np.ndarray], rounds: int = ROUNDS) -> np.ndarray:
        """The best allocation found from several starts."""
        return max((self.climb(start, rounds) for start in starts), key=lambda found: found[1])[0]

    def best_of(self, local: Local, start: np.ndarray, reach: float = 1.0) -> np.ndarray:
        """The best allocation by a local model: moves of the master while they help, then exchanges.

        No item leaves its start by more than `reach`, a share of its range (but by one whole unit, if need be).
        """
        problem = self.problem if reach >= 1 else self.problem.near(start, reach)
        x, best, radius = start, local.value(start), 1.0
        while radius >= SMALLEST and not self._over():
            y = self.move(problem, local, x, radius)
            value = local.value(y)
            if value > best or (value == best and self._cheaper(y, x)):
                x, best = y, value
            else:
                radius *= 0.5
        return self._exchange(problem, local, x, best)

    def move(self, problem: Problem, local: Local, x: np.ndarray, radius: float) -> np.ndarray:
        """The master's move."""
        solution = master.model(problem, local.curves, local.worth(x), x, radius).solve(self.solver)
        self.mip_gap = max(self.mip_gap, solution.gap)
        return problem.read(solution.values)

    def score(self, x: np.ndarray) -> float:
        """Value by the kernel, on all paths."""
        key = x.tobytes()
        if key not in self.scores:
            self.scores[key] = self.oracle.value(x)
        return self.scores[key]

    def _exchange(self, problem: Problem, local: Local, x: np.ndarray, best: float) -> np.ndarray:
        """Move money from one item to another as long as the model gains by it."""
        for share in EXCHANGES:
            while not self._over():
                y, value = self._sweep(problem, local, x, best, share)
                if value <= best:
                    break
                x, best = y, value
        return x

    def _sweep(
        self, problem: Problem, local: Local, x: np.ndarray, best: float, share: float
    ) -> tuple[np.ndarray, float]:
        """Try one step from each item to each other, and take every one that helps."""
        items, moves = problem.items, [j for j in local.effects if local.curves.moves[j]]
        x, total, now = x.copy(), local.slacks(x), {j: local.change(j, x[j]) for j in moves}
        for i in moves:
            for j in moves:
                step = max(share * (items[i].high - items[i].low), items[i].unit, items[j].unit)
                moved = x.copy()
                moved[i], moved[j] = x[i] - step, x[j] + step
                if i == j or not problem.holds(moved):
                    continue
                less, more = local.change(i, moved[i]), local.change(j, moved[j])
                changed = total + (less - now[i]) + (more - now[j])
                value = local.goal.value(changed)
                if value > best:
                    x, best, total = moved, value, changed
                    now[i], now[j] = less, more
        return x, best

    def _cheaper(self, y: np.ndarray, x: np.ndarray) -> bool:
        return bool(y.sum() < x.sum() - 1e-6 * self.problem.money)

    def _local_paths(self) -> int:
        worlds = len(self.oracle.run.worlds)
        return min(self.oracle.run.paths_per_world, max(1, LOCAL_PATHS // worlds))

    def _over(self) -> bool:
        self.late = self.late or time.perf_counter() > self.deadline
        return self.late
