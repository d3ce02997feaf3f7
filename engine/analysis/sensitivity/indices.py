"""Indices of a function on the unit cube: Sobol', Morris, PAWN and ranks, each with its design and its errors.

The function takes an array of shape (n, d) and gives n numbers; it may be a kernel or a formula. This is the only
module that imports SALib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.errors import Fault, SimulationError

LEVEL = 0.95  # of all intervals of indices
Z = 1.959963984540054  # standard normal quantile of (1 + LEVEL) / 2
RESAMPLES = 200  # bootstrap resamples: the errors themselves are then known to 5 %
GRID = 4  # levels of Morris' grid
GRID_ENDS = (0.05, 0.95)  # quantile levels of its ends: at 0 and 1 many distributions have no value
SLIDES = 10  # conditioning intervals of PAWN
_DUMMIES = 200  # knobs without effect that PAWN is tried on

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Index:
    """One index of every factor.

    Attributes
    ----------
    value : ndarray, shape (d,)
    covariance : ndarray, shape (d, d)
        Of the errors.
    """

    value: np.ndarray
    covariance: np.ndarray

    @property
    def se(self) -> np.ndarray:
        """Standard errors, shape (d,)."""
        found: np.ndarray = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return found

    @property
    def lo(self) -> np.ndarray:
        """Lower ends of the 95 % intervals, shape (d,)."""
        return self.value - Z * self.se

    @property
    def hi(self) -> np.ndarray:
        """Upper ends, shape (d,)."""
        return self.value + Z * self.se

    def order(self) -> np.ndarray:
        """Factors by the size of the index, the largest first, shape (d,)."""
        return np.argsort(-np.abs(self.value), kind="stable")

    def unsettled(self, top: int = 3, floor: float = 0.0) -> list[tuple[int, int]]:
        """Neighbours among the `top` ranks and the one below whose order the errors leave open.

        Indices up to the `floor` are those of factors without effect, which have no order.
        """
        order = self.order()
        size, sign = np.abs(self.value), np.sign(self.value)
        found = []
        for a, b in pairwise(order[: top + 1]):
            shared = 2.0 * sign[a] * sign[b] * self.covariance[a, b]
            error = np.sqrt(max(self.covariance[a, a] + self.covariance[b, b] - shared, 0.0))
            if size[a] > floor and size[a] - size[b] <= Z * error:
                found.append((int(a), int(b)))
        return found

    def to_json(self, j: int) -> dict[str, float]:
        """Index of one factor, in plain numbers."""
        return {name: float(getattr(self, name)[j]) for name in ("value", "se", "lo", "hi")}


@dataclass(frozen=True)
class Indices:
    """What a method finds out.

    Attributes
    ----------
    index : dict of str to Index
    main : str
        Name of the one by which factors are ranked.
    outputs : ndarray, shape (n,)
        Of the points that follow the factors' own distributions; none for Morris, whose grid does not.
    facts : dict of str to float
        What else there is: the fit of the rank regression, the index of a factor without effect.
    """

    index: Mapping[str, Index]
    main: str
    outputs: np.ndarray
    facts: Mapping[str, float]


def _salib() -> Any:
    """SALib's designs and estimators.

    Raises
    ------
    SimulationError
        If SALib is not installed.
    """
    try:
        from SALib.analyze import morris, pawn, sobol
        from SALib.sample import sobol as sobol_design
        from SALib.sample.morris import morris as morris_design
    except ImportError as error:
        raise SimulationError(
            "Sobol', Morris and PAWN need SALib, which is not installed; "
            "pip install 'attain-engine[sensitivity]', or use --method tornado, spider or rank"
        ) from error
    return {
        "sobol": sobol, "morris": morris, "pawn": pawn, "sobol_design": sobol_design, "morris_design": morris_design,
    }  # fmt: skip


def require(method: str) -> None:
    """Refuse a method whose library is missing, before the work."""
    if method in ("sobol", "morris", "pawn"):
        _salib()


def _problem(d: int) -> dict[str, Any]:
    return {"num_vars": d, "names": [f"x{j}" for j in range(d)], "bounds": [[0.0, 1.0]] * d}


def _seed(seed: int, purpose: int) -> int:
    """A seed above 0 for SALib, which takes 0 for none at all."""
    return int(np.random.default_rng([seed, purpose]).integers(1, 2**32))


def _constant(outputs: np.ndarray) -> bool:
    """Whether the function has one value, but for rounding."""
    return bool(np.ptp(outputs) <= 1e-12 * np.abs(outputs).max())


def _nothing(d: int) -> Index:
    return Index(np.zeros(d), np.zeros((d, d)))


def _spread(resamples: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of rows, shape (n, d): of resampled indices, or of effects."""
    return np.cov(resamples, rowvar=False).reshape(resamples.shape[1], -1)


def worlds(method: str, d: int, samples: int) -> int:
    """How many points the design of a method has."""
    return samples * {"sobol": d + 2, "morris": d + 1}.get(method, 1)


def check(method: str, d: int, samples: int) -> None:
    """Refuse a number of base samples that a method cannot work with.

    Raises
    ------
    SimulationError
        Naming the bound and a number that will do.
    """
    least, why = {
        "sobol": (64, "below that the intervals say nothing"), "morris": (10, "below that intervals are too narrow"),
        "pawn": (20 * SLIDES, f"each of {SLIDES} slides needs 20 points"),
        "rank": (max(50, 2 * (d + 1)), "the regression needs two points a knob"),
    }[method]  # fmt: skip
    if samples < least:
        remedy = f"give at least {least}; {why}"
        raise SimulationError(faults=[Fault("", "samples", f"{samples} is too few for {method}", remedy)])
    if method == "sobol" and samples & (samples - 1):
        below = 1 << samples.bit_length() - 1
        message = f"{samples} is no power of 2, as Sobol' points ask for"
        raise SimulationError(faults=[Fault("", "samples", message, f"give {below} or {2 * below}")])


def sobol(function: Function, d: int, samples: int, seed: int) -> Indices:
    """First and total order indices from (d + 2) times `samples` points.

    Notes
    -----
    First order by Saltelli et al. (2010), Comput. Phys. Commun. 181, 259, table 2 (b); total order by Jansen (1999),
    there (f). Errors by bootstrap over the base samples. The points fill the space more evenly than the bootstrap
    believes, so that intervals err on the safe side.
    """
    salib, problem = _salib(), _problem(d)
    levels = _mixed(salib["sobol_design"].sample(problem, samples, calc_second_order=False, seed=_seed(seed, 0)), seed)
    y = np.asarray(function(levels), float)
    own = np.concatenate([y[:: d + 2], y[d + 1 :: d + 2]])
    if _constant(y):
        return Indices({"total": _nothing(d), "first": _nothing(d)}, "total", own, {})
    found = salib["sobol"].analyze(
        problem, y, calc_second_order=False, num_resamples=RESAMPLES, conf_level=LEVEL, keep_resamples=True,
        seed=_seed(seed, 1),
    )  # fmt: skip
    index = {
        name: Index(found[short], _spread(found[f"{short}_conf_all"]))
        for name, short in (("total", "ST"), ("first", "S1"))
    }
    return Indices(index, "total", own, {})


def _mixed(levels: np.ndarray, seed: int) -> np.ndarray:
    """SALib's design with its second matrix in random order, shape ((d + 2) samples, d).

    An index of factor j compares its values in both matrices, which are two coordinates of one Sobol' sequence. Some
    pairs of these are all but copies of each other for hundreds of points, whatever the scrambling: of the g-function
    with five factors and 512 points one design in ten put a total index 16 standard errors off.
    """
    d = levels.shape[1]
    blocks = levels.reshape(-1, d + 2, d).copy()
    blocks[:, -1] = np.random.default_rng([seed, 3]).permutation(blocks[:, -1])
    for j in range(d):
        blocks[:, 1 + j, j] = blocks[:, -1, j]
    return blocks.reshape(levels.shape)


def morris(function: Function, d: int, samples: int, seed: int) -> Indices:
    """Elementary effects from `samples` trajectories of d + 1 points on a grid of four levels.

    The grid reaches from the 5 % to the 95 % quantile level of each factor, and an effect is what a move across all of
    it would change: `mu_star` is the mean size, `mu` the mean, `sigma` the standard deviation over the cube.

    Notes
    -----
    Morris (1991), Technometrics 33, 161; mu* of Campolongo et al. (2007), Environ. Model. Softw. 22, 1509. Trajectories
    are independent: mu* and mu are means over them, with the errors of means; the error of sigma is by the jackknife.
    """
    salib, problem = _salib(), _problem(d)
    grid = salib["morris_design"].sample(problem, samples, num_levels=GRID, seed=_seed(seed, 0))
    low, high = GRID_ENDS
    y = np.asarray(function(low + (high - low) * grid), float)
    effects = _effects(grid, y, samples)
    # SALib wants two resamples at least for the errors, which its bootstrap makes too small where trajectories are few
    found = salib["morris"].analyze(problem, grid, y, num_resamples=2, num_levels=GRID, seed=_seed(seed, 1))
    star, mu, sigma = (np.asarray(found[name], float) for name in ("mu_star", "mu", "sigma"))
    index = {
        "mu_star": Index(star, _spread(np.abs(effects).T) / samples),
        "mu": Index(mu, _spread(effects.T) / samples),
        "sigma": Index(sigma, np.diag(_sigma_variance(effects))),
    }
    return Indices(index, "mu_star", np.empty(0), {})


def _effects(grid: np.ndarray, y: np.ndarray, trajectories: int) -> np.ndarray:
    """Elementary effect of each factor on each trajectory, shape (d, trajectories)."""
    steps = np.diff(grid.reshape(trajectories, -1, grid.shape[1]), axis=1)
    change = np.diff(y.reshape(trajectories, -1), axis=1)
    moved = np.abs(steps).argmax(axis=2)  # one factor a step, each once
    size = np.take_along_axis(steps, moved[:, :, None], axis=2)[:, :, 0]
    found = np.empty((grid.shape[1], trajectories))
    found[moved.T, np.arange(trajectories)] = (change / size).T
    return found


def _sigma_variance(effects: np.ndarray) -> np.ndarray:
    """Variance of the standard deviation of each row, by the jackknife, shape (d,)."""
    n = effects.shape[1]
    centred = effects - effects.mean(axis=1, keepdims=True)
    square = (centred**2).sum(axis=1, keepdims=True)
    # sum of squares without one value: that of all less the value's own part, n / (n - 1) of its square
    left_out = np.sqrt(np.maximum(square - centred**2 * n / (n - 1), 0.0) / (n - 2))
    return np.asarray((n - 1) * left_out.var(axis=1))


def _latin(d: int, samples: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc

    return np.asarray(qmc.LatinHypercube(d, rng=np.random.default_rng([seed, 0])).random(samples))


def pawn(function: Function, d: int, samples: int, seed: int) -> Indices:
    """PAWN: how far the law of the output moves when a factor is held in a tenth of its range.

    The median over ten slides of Kolmogorov's distance. It is above 0 even for a factor without effect: `without` is
    what 95 % of such factors stay below.

    Notes
    -----
    Pianosi and Wagener (2018), Environ. Model. Softw. 108, 197. Errors by bootstrap over the points.
    """
    salib = _salib()
    levels = _latin(d, samples, seed)
    y = np.asarray(function(levels), float)
    if _constant(y):
        return Indices({"distance": _nothing(d)}, "distance", y, {"without": 0.0})
    value = np.asarray(salib["pawn"].analyze(_problem(d), levels, y, S=SLIDES)["median"], float)
    rng = np.random.default_rng([seed, 1])
    resamples = np.empty((RESAMPLES, d))
    for row in resamples:
        again = rng.integers(samples, size=samples)
        row[:] = distances(levels[again], y[again])
    dummies = distances(_latin(_DUMMIES, samples, _seed(seed, 2)), y)
    index = {"distance": Index(value, _spread(resamples))}
    return Indices(index, "distance", y, {"without": float(np.quantile(dummies, LEVEL))})


def distances(levels: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Median Kolmogorov distance of each column, shape (d,): SALib's estimator, fast enough to be resampled."""
    n = y.size
    order = np.argsort(y, kind="stable")
    levels = levels[order]
    last = np.append(np.diff(y[order]) > 0, True)  # of points that tie, the last has counted them all
    share = (np.flatnonzero(last) + 1.0)[:, None] / n
    edges = np.quantile(levels, np.arange(SLIDES + 1) / SLIDES, axis=0)
    found = np.empty(levels.shape[1])
    for j, column in enumerate(levels.T):
        inside = (column[:, None] >= edges[:-1, j]) & (column[:, None] < edges[1:, j])
        below = np.cumsum(inside, axis=0)
        distance = np.abs(below[last] / np.maximum(below[-1], 1) - share).max(axis=0)
        found[j] = np.median(distance[below[-1] > 0])
    return found


def rank(function: Function, d: int, samples: int, seed: int) -> Indices:
    """Spearman's rank correlation with the output, and the standardised coefficients of the regression on ranks.

    Factors being independent the two estimate the same; the coefficients are surer, since what the other factors do is
    taken out. `fit` is the share of the ranks' variance that the regression explains: near 1 the coefficients tell all,
    far below it the output rises and falls, or factors work together.

    Notes
    -----
    Saltelli and Sobol' (1995), Reliab. Eng. Syst. Saf. 50, 225. Errors by bootstrap over the points.
    """
    levels = _latin(d, samples, seed)
    y = np.asarray(function(levels), float)
    if _constant(y):
        return Indices({"coefficient": _nothing(d), "correlation": _nothing(d)}, "coefficient", y, {"fit": 0.0})
    table = np.column_stack([levels, y])
    correlation, coefficient, fit = _rank_figures(table)
    rng = np.random.default_rng([seed, 1])
    resamples = np.empty((2, RESAMPLES, d))
    for b in range(RESAMPLES):
        resamples[0, b], resamples[1, b], _ = _rank_figures(table[rng.integers(samples, size=samples)])
    index = {
        "coefficient": Index(coefficient, _spread(resamples[1])),
        "correlation": Index(correlation, _spread(resamples[0])),
    }
    return Indices(index, "coefficient", y, {"fit": fit})


def _rank_figures(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Rank correlations and standardised coefficients, shape (d,), and R^2; the output is the last column."""
    from scipy.stats import rankdata

    ranks = rankdata(table, axis=0)
    spread = ranks.std(axis=0)
    ranks = (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    correlation = ranks[:, :-1].T @ ranks[:, -1] / len(ranks)
    coefficient = np.linalg.lstsq(ranks[:, :-1], ranks[:, -1])[0]
    return correlation, coefficient, float(np.clip(correlation @ coefficient, 0.0, 1.0))


METHODS: dict[str, Callable[[Function, int, int, int], Indices]] = {
    "sobol": sobol, "morris": morris, "pawn": pawn, "rank": rank,
}  # fmt: skip
