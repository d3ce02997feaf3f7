"""Estimates over worlds and paths, each with its error (model section 4).

A *cell* is a world, or one scramble of a world in a Sobol' run. `se` is what another set of worlds and paths would
change: clustered by world where there are several, else the sampling error. `se_sampling` is the error at the worlds
drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CLEAR = 3.0  # standard errors from which on one of many comparisons counts: chance shows as much once in 370
MET = 1.0 - 1e-9  # of a target, reached: bounds hold to 1e-9 relative


class Moments(NamedTuple):
    """Sums over the paths of each cell, per row."""

    n_paths: int  # of a cell
    scrambles: int  # cells of a world
    mean: np.ndarray  # (rows, cells)
    variance: np.ndarray  # (rows, cells) of a path, within the cell


class Estimate(NamedTuple):
    """Means with errors, one per row."""

    mean: np.ndarray
    se: np.ndarray
    se_sampling: np.ndarray
    sd: np.ndarray  # of a path, within and across worlds


def moments(count: int, scrambles: int, shift: np.ndarray, total: np.ndarray, square: np.ndarray) -> Moments:
    """Means and variances from shifted sums, shape (rows, cells)."""
    offset = total / count
    variance = np.maximum(square / count - offset**2, 0.0)
    return Moments(count, scrambles, shift + offset, variance)


def counts(count: int, scrambles: int, total: np.ndarray, square: np.ndarray) -> Moments:
    """Means and variances from exact sums of whole numbers and of their squares, shape (rows, cells)."""
    mean = total / count
    return Moments(count, scrambles, mean, (count * square - total * total) / float(count) ** 2)


def by_world(cells: np.ndarray, scrambles: int) -> np.ndarray:
    """Average the scrambles of each world: (rows, cells) -> (rows, worlds)."""
    return cells.reshape(cells.shape[0], -1, scrambles).mean(axis=2)


def sampling_variance(m: Moments) -> np.ndarray:
    """Variance of each world's mean for the paths drawn, shape (rows, worlds); from scrambles where there are any."""
    if m.scrambles == 1:
        return m.variance / m.n_paths
    cells = m.mean.reshape(m.mean.shape[0], -1, m.scrambles)
    return cells.var(axis=2, ddof=1) / m.scrambles


def estimate(m: Moments) -> Estimate:
    """Means over all paths, with their errors."""
    worlds = by_world(m.mean, m.scrambles)
    n = worlds.shape[1]
    sampling = np.sqrt(sampling_variance(m).sum(axis=1)) / n
    clustered = worlds.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else sampling
    spread = np.sqrt(m.variance.mean(axis=1) + m.mean.var(axis=1))
    return Estimate(worlds.mean(axis=1), clustered, sampling, spread)


def band(means: np.ndarray, sampling: np.ndarray, low: float = 0.05, high: float = 0.95) -> tuple[float, float]:
    """Quantiles across worlds, cleaned of sampling noise.

    Quantiles of P + k (P_w - P), k^2 = max(0, 1 - mean sampling variance of P_w / variance of P_w).
    """
    centre = float(means.mean())
    if means.size < 2:
        return centre, centre
    variance = float(means.var(ddof=1))
    k = np.sqrt(max(0.0, 1.0 - float(sampling.mean()) / variance)) if variance > 0 else 0.0
    cleaned = np.quantile(centre + k * (means - centre), [low, high])
    return float(cleaned[0]), float(cleaned[1])


def ordered(parts: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers of all parts, smallest first."""
    merged = np.concatenate([part.reshape(-1) for part in parts])
    merged.sort()
    return merged


def quantiles(
    parts: Sequence[np.ndarray], scrambles: int, levels: np.ndarray, in_order: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of all paths with their standard errors.

    The error of the share below the quantile, clustered like any other mean, is carried over by the quantiles one such
    error below and above (Woodruff 1952).

    Parameters
    ----------
    parts : sequence of ndarray, each of shape (cells, paths)
        The rounds of a run, which need not be of one length.
    scrambles : int
    levels : ndarray, shape (levels,)
    in_order : ndarray, optional
        `ordered(parts)` where it is at hand.

    Returns
    -------
    values, se : ndarray, shape (levels,)
    """
    everything = ordered(parts) if in_order is None else in_order
    paths = sum(part.shape[1] for part in parts)
    found = at(everything, levels)
    errors = np.empty_like(found)
    for j, value in enumerate(found):
        below = sum(np.count_nonzero(part <= value, axis=1) for part in parts)
        share = (below / paths)[None, :]
        error = estimate(Moments(paths, scrambles, share, share * (1 - share))).se[0]
        low, high = at(everything, np.clip([levels[j] - error, levels[j] + error], 0.0, 1.0))
        errors[j] = 0.5 * (high - low)
    return found, errors


def at(in_order: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Smallest value whose share of the sample is at least the level."""
    position = np.ceil(np.asarray(levels) * in_order.size - 1e-9).astype(np.int64) - 1
    return in_order[np.clip(position, 0, in_order.size - 1)]


class Figure(NamedTuple):
    """A mean and its standard error."""

    value: float
    se: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return {"value": self.value, "se": self.se}


class Chance(NamedTuple):
    """P with both its uncertainties: the errors of the mean, and the band across worlds."""

    value: float
    se: float
    se_sampling: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return self._asdict()


class Scores(NamedTuple):
    """An estimate with what each path contributes to it, shape (worlds, paths).

    To first order the estimate moves as the mean of the contributions does, so their mean's error, clustered by world,
    is its error; and the error of a difference on the same paths is that of the difference of the contributions.
    """

    value: float
    scores: np.ndarray

    @property
    def figure(self) -> Figure:
        """The estimate and its standard error."""
        return Figure(self.value, mean(self.scores).se)

    def minus(self, other: "Scores") -> Figure:
        """The difference to an estimate from the same paths of the same worlds, and its paired standard error."""
        return Figure(self.value - other.value, mean(self.scores - other.scores).se)


def mean_scores(values: np.ndarray) -> Scores:
    """Mean over all paths, shape (worlds, paths): each path contributes its value."""
    return Scores(float(values.mean()), values)


def quantile_scores(values: np.ndarray, level: float) -> Scores:
    """Quantile over all paths, shape (worlds, paths).

    Notes
    -----
    Bahadur (1966): q moves by -(F(q) - level) / f(q), so that a path contributes -1 / f(q) where it lies at or below q,
    else nothing. 1 / f(q) is the slope of the sample's quantile function over one error of F(q) to either side, which
    makes the error of the quantile that of Woodruff (1952), as `quantiles` gives it.
    """
    found, errors = quantiles([values], 1, np.array([level]))
    below = values <= found[0]
    share_error = mean(below).se
    slope = errors[0] / share_error if share_error > 0 else 0.0
    return Scores(float(found[0]), -slope * below)


def mean(scores: np.ndarray) -> Figure:
    """Mean over all paths; scores have the shape (worlds, paths).

    The error is what another set of worlds and paths would change. Of differences on the same paths it is the error
    of the difference.
    """
    found = estimate(_moments(scores))
    return Figure(float(found.mean[0]), float(found.se[0]))


def ratio_scores(part: np.ndarray, whole: np.ndarray) -> Scores | None:
    """Mean of `part` over mean of `whole`, shape (worlds, paths) each; `None` where nothing is in `whole`.

    With yes and no as `whole` and a `part` that is 0 elsewhere it is a mean over the paths with yes. Each path
    contributes (part - ratio whole) / mean of whole, which gives the error of the delta method.
    """
    size = float(whole.mean())
    if size == 0.0:
        return None
    found = float(part.mean()) / size
    return Scores(found, (part - found * whole) / size)


def ratio(part: np.ndarray, whole: np.ndarray) -> Figure | None:
    """As `ratio_scores`: the estimate and its standard error, clustered by world."""
    found = ratio_scores(part, whole)
    return None if found is None else found.figure


def chance(met: np.ndarray) -> Chance:
    """P of what is met on so many of the paths, shape (worlds, paths)."""
    moments = _moments(met)
    found = estimate(moments)
    low, high = band(moments.mean[0], sampling_variance(moments)[0])
    return Chance(float(found.mean[0]), float(found.se[0]), float(found.se_sampling[0]), low, high)


def _moments(scores: np.ndarray) -> Moments:
    return Moments(scores.shape[1], 1, scores.mean(axis=1)[None, :], scores.var(axis=1)[None, :])
