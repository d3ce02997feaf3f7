"""Estimates over worlds and paths, each with its error (model section 4).

A *cell* is a world, or one scramble of a world in a Sobol' run. `se` is what another set of worlds and paths would change:
clustered by world where there are several, else the sampling error. `se_sampling` is the error at the worlds drawn.
"""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Sums over the paths of each cell, per row."""

    count: int  # paths of a cell
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


def by_world(cells: np.ndarray, scrambles: int) -> np.ndarray:
    """Average the scrambles of each world: (rows, cells) -> (rows, worlds)."""
    return cells.reshape(cells.shape[0], -1, scrambles).mean(axis=2)


def sampling_variance(m: Moments) -> np.ndarray:
    """Variance of each world's mean for the paths drawn, shape (rows, worlds); from the scrambles where there are several."""
    if m.scrambles == 1:
        return m.variance / m.count
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


def quantiles(cells: np.ndarray, scrambles: int, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of all paths with their standard errors.

    The error of the share below the quantile, clustered like any other mean, is carried over by the quantiles one such
    error below and above (Woodruff 1952).

    Parameters
    ----------
    cells : ndarray, shape (cells, paths)
    scrambles : int
    levels : ndarray, shape (levels,)

    Returns
    -------
    values, se : ndarray, shape (levels,)
    """
    ordered = np.sort(cells, axis=None)
    found = _at(ordered, levels)
    errors = np.empty_like(found)
    for j, value in enumerate(found):
        share = (cells <= value).mean(axis=1)[None, :]
        error = estimate(Moments(cells.shape[1], scrambles, share, share * (1 - share))).se[0]
        low, high = _at(ordered, np.clip([levels[j] - error, levels[j] + error], 0.0, 1.0))
        errors[j] = 0.5 * (high - low)
    return found, errors


def _at(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Smallest value whose share of the sample is at least the level."""
    position = np.ceil(np.asarray(levels) * ordered.size - 1e-9).astype(np.int64) - 1
    return ordered[np.clip(position, 0, ordered.size - 1)]
