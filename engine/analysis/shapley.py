"""What each risk takes, by Shapley values: every risk gets its mean effect over all orders in which risks may come.

The game of a path is played among the risks that strike on it: the others change nothing and get nothing. So its
values need 2^k years for k strikes, not 2^n for n risks, and are still exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial
from typing import Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Figure
from engine.analysis.needs import Progress
from engine.analysis.switching import BATCH, Report, Switched
from engine.scenario import drivers
from engine.simulation import Run

EXACT = 12  # risks up to which every set of them counts; above, random orders
PAIRS = 16  # random orders and their reverses
MEASURES = ("fund_need", "revenue", "p_attain", "revenue_p50")
MEDIAN = 0.5  # the quantile of revenue that is split
_BYTES_PER_PAIR = 64  # values, paths, sets and their order, at the worst moment
_INFLUENCES = 64  # sets whose quantiles are looked at together


@dataclass(frozen=True)
class Share:
    """One risk's part of one measure.

    Attributes
    ----------
    first_in : Figure
        What it does alone.
    last_in : Figure
        What it adds when all the others act.
    shapley : Figure
        Its mean effect over all orders.
    interaction : float
        `shapley` - `first_in`: its part of what the risks do together beyond what each does alone.
    """

    first_in: Figure
    last_in: Figure
    shapley: Figure

    @property
    def interaction(self) -> float:
        return self.shapley.value - self.first_in.value

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, each with its standard error."""
        plain = {"interaction": self.interaction}
        for name in ("first_in", "last_in", "shapley"):
            plain[name], plain[f"{name}_se"] = getattr(self, name)
        return plain


@dataclass(frozen=True)
class Ledger:
    """How one measure comes from none of the risks to all of them; the Shapley values add up to the difference."""

    none: Figure
    all: Figure
    shares: dict[str, Share]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        shares = {name: share.to_json() for name, share in self.shares.items()}
        return {"none": self.none.to_json(), "all": self.all.to_json(), "shares": shares}


@dataclass(frozen=True)
class Split:
    """Ledgers of every measure.

    Attributes
    ----------
    ledgers : dict of str to Ledger
        By measure: mean need of the funds without a limit, mean revenue, P(attain), median revenue. [CNY, 1]
    exact : bool
        Whether all sets count, or random orders of the risks, whose error is part of the errors.
    paths, years : int
        Paths, and simulated years that it took.
    """

    ledgers: dict[str, Ledger]
    exact: bool
    paths: int
    years: int


@dataclass(frozen=True)
class Weighing:
    """The sets that matter on a path, and how their values make up what is asked for.

    Attributes
    ----------
    struck, players : int
        The set that strikes, and the number of all.
    sets : ndarray of int64, shape (sets,)
        Rising; the first has nobody, the last all that strike.
    orders : ndarray, shape (orders, players), or None
        Orders in which the players come, each followed by its reverse; None where all sets count.
    chains : ndarray, shape (orders, players + 1)
        Places of the sets that each order runs through.
    """

    struck: int
    players: int
    sets: np.ndarray
    orders: np.ndarray | None
    chains: np.ndarray

    def columns(self) -> np.ndarray:
        """Weights, shape (sets, 3 players + 2).

        Values @ columns are the Shapley values, what each does first, what each does last, and the value of nobody
        and of all. Made anew at each call: there is one for each kind of path.
        """
        n = self.players
        found = np.zeros((self.sets.size, 3 * n + 2))
        found[:, :n] = self._of_all_sets() if self.orders is None else self._of_orders(self.orders)
        for j in _members(self.struck, n):
            alone, others = np.searchsorted(self.sets, [1 << j, self.struck & ~(1 << j)])
            found[alone, n + j] += 1.0
            found[0, n + j] -= 1.0
            found[-1, 2 * n + j] += 1.0
            found[others, 2 * n + j] -= 1.0
        found[0, -2] = found[-1, -1] = 1.0
        return found

    def by_pair(self, values: np.ndarray) -> np.ndarray:
        """Shapley values from each order and its reverse alone, shape (pairs, players), of values of the sets."""
        if self.orders is None:
            return np.zeros((0, self.players))
        found = np.zeros(self.orders.shape)
        np.put_along_axis(found, self.orders, np.diff(values[self.chains], axis=1), axis=1)
        return found.reshape(-1, 2, self.players).mean(axis=1)

    def _of_all_sets(self) -> np.ndarray:
        """Weight of a set of size s for a member: (s - 1)! (k - s)! / k!, else -s! (k - s - 1)! / k!."""
        members = _members(self.struck, self.players)
        k = len(members)
        size = sum((self.sets >> j & 1 for j in members), np.zeros_like(self.sets))
        inside = np.array([0.0, *(factorial(s - 1) * factorial(k - s) / factorial(k) for s in range(1, k + 1))])
        outside = np.array([*(-factorial(s) * factorial(k - s - 1) / factorial(k) for s in range(k)), 0.0])
        weights = np.zeros((self.sets.size, self.players))
        for j in members:
            weights[:, j] = np.where(self.sets >> j & 1, inside[size], outside[size])
        return weights

    def _of_orders(self, orders: np.ndarray) -> np.ndarray:
        """A player's weight is + where it has just come, - right before; nothing where it does not strike."""
        weights = np.zeros((self.sets.size, self.players))
        np.add.at(weights, (self.chains[:, 1:], orders), 1.0 / len(orders))
        np.add.at(weights, (self.chains[:, :-1], orders), -1.0 / len(orders))
        return weights


def _members(struck: int, players: int) -> list[int]:
    return [j for j in range(players) if struck >> j & 1]


def weigh(struck: int, players: int, orders: np.ndarray | None) -> Weighing:
    """Sets for the paths on which a set of players strikes: all of it, or those that orders run through.

    Of these also each member alone and all but it.
    """
    members = _members(struck, players)
    if orders is None:
        compact = np.arange(2 ** len(members))
        sets = sum(((compact >> k & 1) << j for k, j in enumerate(members)), np.zeros_like(compact))
        return Weighing(struck, players, sets, None, np.zeros((0, players + 1), np.int64))
    runs = np.zeros((len(orders), players + 1), np.int64)
    np.cumsum(np.left_shift(1, orders) & struck, axis=1, out=runs[:, 1:])
    singles = [1 << j for j in members] + [struck & ~(1 << j) for j in members]
    sets = np.unique(np.concatenate([runs.ravel(), np.array(singles, np.int64)]))
    return Weighing(struck, players, sets, orders, np.searchsorted(sets, runs).astype(np.int32))


def random_orders(names: Sequence[str], pairs: int, seed: int) -> np.ndarray:
    """Random orders, each followed by its reverse, shape (2 pairs, names).

    A name draws its own places: one more name leaves the order of the others as it was.
    """
    keys = np.array([np.random.default_rng([seed, drivers.number(name)]).random(pairs) for name in names])
    forward = np.argsort(keys.reshape(len(names), pairs).T, axis=1)
    return np.stack([forward, forward[:, ::-1]], axis=1).reshape(2 * pairs, len(names))


class _Table:
    """What every path is worth under every set that matters on it: paths on which the same strike lie together."""

    def __init__(self, switched: Switched, struck: np.ndarray, orders: np.ndarray | None, progress: Progress) -> None:
        self.run, self.players = switched.run, len(switched.players)
        self.kinds, self.kind = np.unique(struck, return_inverse=True)
        self.weighings = [weigh(int(kind), self.players, orders) for kind in self.kinds]
        sizes = np.array([w.sets.size for w in self.weighings])
        per_path = sizes[self.kind]
        self.pairs = int(per_path.sum())
        simulation.require_memory(
            self.pairs * _BYTES_PER_PAIR, f"{self.pairs:,} years", "ask for fewer paths or fewer risks"
        )
        order = np.argsort(self.kind, kind="stable")
        self.first = np.empty(struck.size, np.int64)
        self.first[order] = np.cumsum(per_path[order]) - per_path[order]
        self.revenue, self.need = np.empty(self.pairs), np.empty(self.pairs)
        done = 0

        def report(years: int) -> None:
            nonlocal done
            done += years
            progress(done, self.pairs)

        self._fill(switched, per_path, report)

    def _fill(self, switched: Switched, per_path: np.ndarray, report: Report) -> None:
        """Simulate the pairs, some paths at a time."""
        sets = np.concatenate([w.sets for w in self.weighings])
        ends = np.cumsum([w.sets.size for w in self.weighings])
        start_of = (ends - np.array([w.sets.size for w in self.weighings]))[self.kind]
        through = np.cumsum(per_path)
        edges = np.searchsorted(through, np.arange(BATCH, self.pairs + BATCH, BATCH), "right")
        for first, last in pairwise(np.unique([0, *np.minimum(edges, per_path.size), per_path.size])):
            paths = np.repeat(np.arange(first, last), per_path[first:last])
            within = np.arange(paths.size) - np.repeat(
                np.cumsum(per_path[first:last]) - per_path[first:last], per_path[first:last]
            )
            found = switched.measure(paths, sets[start_of[paths] + within], report)
            place = self.first[paths] + within
            self.revenue[place], self.need[place] = found.revenue, found.need

    def attained(self) -> np.ndarray:
        """1 where revenue reaches the target, shape (pairs,)."""
        target = self.run.worlds.read("plan.target")
        met = np.empty(self.pairs)
        for chosen, values, place in self._kinds(self.revenue):
            bound = target[chosen // self.run.paths_per_world]
            met[place] = (values >= bound[:, None] * estimates.MET).ravel()
        return met

    def _kinds(self, values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, slice]]:
        """Paths of each kind, their values of shape (paths, sets), and where these lie."""
        order = np.argsort(self.kind, kind="stable")
        counts = np.bincount(self.kind, minlength=self.kinds.size)
        for chosen, weighing in zip(np.split(order, np.cumsum(counts)[:-1]), self.weighings, strict=True):
            place = slice(int(self.first[chosen[0]]), int(self.first[chosen[0]]) + chosen.size * weighing.sets.size)
            yield chosen, values[place].reshape(chosen.size, -1), place

    def columns_of(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is asked for on every path, shape (columns, paths), and mean Shapley values by pair of orders."""
        found = np.empty((3 * self.players + 2, self.kind.size))
        by_pair = np.zeros_like(self.weighings[0].by_pair(np.zeros(self.weighings[0].sets.size)))
        for (chosen, matrix, _), weighing in zip(self._kinds(values), self.weighings, strict=True):
            found[:, chosen] = (matrix @ weighing.columns()).T
            by_pair += weighing.by_pair(matrix.sum(axis=0)) / self.kind.size
        return found, by_pair

    def columns_of_quantile(self, whole: Weighing, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is asked for of a quantile of revenue, the influence of every path on it, and values by orders.

        Notes
        -----
        The influence of a path on a quantile q is (level - 1[x <= q]) / f(q), f being the density there, from the
        quantiles a width n^(-1/3) below and above (Hall and Sheather 1988).
        """
        at = np.stack([
            np.searchsorted(w.sets, whole.sets & int(kind)) for kind, w in zip(self.kinds, self.weighings, strict=True)
        ])  # fmt: skip
        columns, quantile = whole.columns(), np.empty(whole.sets.size)
        influence = np.zeros((self.kind.size, columns.shape[1]), np.float32)
        for start in range(0, whole.sets.size, _INFLUENCES):
            part = slice(start, min(start + _INFLUENCES, whole.sets.size))
            below = np.empty((self.kind.size, part.stop - start), np.float32)
            for j in range(start, part.stop):
                revenue = self.revenue[self.first + at[self.kind, j]]
                quantile[j], density = _quantile(revenue, level)
                below[:, j - start] = (level - (revenue <= quantile[j])) / density if density > 0 else 0.0
            influence += below @ columns[part].astype(np.float32)
        return quantile @ columns, influence, whole.by_pair(quantile)


def _quantile(x: np.ndarray, level: float) -> tuple[float, float]:
    """A quantile and the density there, 0 where it cannot be told."""
    width = min(x.size ** (-1.0 / 3.0), 0.5 * min(level, 1.0 - level))
    ranks = np.clip(np.ceil(np.array([level - width, level, level + width]) * x.size - 1e-9).astype(int) - 1, 0, None)
    low, found, high = np.partition(x, ranks)[ranks]
    return float(found), float(2.0 * width / (high - low)) if high > low else 0.0


def split(
    run: Run, risks: Sequence[str], *, pairs: int = PAIRS, exact: int = EXACT,
    progress: Callable[[int, int], None] | None = None,
) -> Split:  # fmt: skip
    """Split need, revenue, P(attain) and median revenue to risks.

    Parameters
    ----------
    run : Run
        Random paths.
    risks : sequence of str
        Those that share; all others act always.
    pairs : int, optional
        Random orders, each with its reverse, where more than `exact` risks ever strike.
    progress : callable, optional
        Called with the years done and to do.

    Raises
    ------
    SimulationError
        If there are too many risks, or it would not fit in memory.

    Notes
    -----
    Shapley (1953), A value for n-person games; as a split of risk, Denault (2001). The error of a value comes from its
    spread over paths, clustered by world, and, with random orders, from the spread over them.
    """
    players, struck = _players(risks, Switched(run, risks).struck())
    orders = None if len(players) <= exact else random_orders(players, pairs, run.seed)
    table = _Table(Switched(run, players), struck, orders, progress or (lambda done, work: None))
    ledgers = {}
    for measure, values in zip(MEASURES, (table.need, table.revenue, table.attained()), strict=False):
        columns, by_pair = table.columns_of(values)
        figures = [estimates.mean(row.reshape(len(run.worlds), -1)) for row in columns]
        ledgers[measure] = _ledger(risks, players, figures, by_pair)
    whole = weigh(2 ** len(players) - 1, len(players), orders)
    found, influence, by_pair = table.columns_of_quantile(whole, MEDIAN)
    spread = [estimates.mean(row.reshape(len(run.worlds), -1)).se for row in influence.T]
    figures = [Figure(float(value), error) for value, error in zip(found, spread, strict=True)]
    ledgers[MEASURES[-1]] = _ledger(risks, players, figures, by_pair)
    return Split(ledgers, orders is None, run.n_paths, run.n_paths + table.pairs)


def _players(risks: Sequence[str], struck: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The risks that strike on some path, since the others have no part in any order, and the sets of these alone."""
    some = [j for j in range(len(risks)) if (struck >> j & 1).any()]
    sets = np.zeros_like(struck)
    for k, j in enumerate(some):
        sets |= (struck >> j & 1) << k
    return [risks[j] for j in some], sets


def _ledger(risks: Sequence[str], players: Sequence[str], figures: Sequence[Figure], by_pair: np.ndarray) -> Ledger:
    n, pairs = len(players), by_pair.shape[0]
    order_se = by_pair.std(axis=0, ddof=1) / np.sqrt(pairs) if pairs > 1 else np.zeros(n)
    nothing = Figure(0.0, 0.0)
    shares = dict.fromkeys(risks, Share(nothing, nothing, nothing))
    for j, risk in enumerate(players):
        value, se = figures[j]
        shares[risk] = Share(figures[n + j], figures[2 * n + j], Figure(value, float(np.hypot(se, order_se[j]))))
    return Ledger(figures[-2], figures[-1], shares)
