"""How the year goes in two kinds of years, for the chart: densities of attainment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis import estimates

if TYPE_CHECKING:
    import xarray as xr

BINS = 80
_TAIL = 0.0005  # share of all years left out at each end


def densities(attainment: np.ndarray, missed: np.ndarray, parts: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Densities of attainment over kinds of years, with their share of all years and how often they miss.

    Parameters
    ----------
    attainment : ndarray, shape (worlds, paths)
        Revenue over target.
    missed : ndarray of bool, shape (worlds, paths)
    parts : mapping of str to ndarray of bool, shape (worlds, paths)
        What holds in a kind of years, in words, and which years are of it: one at least.

    Returns
    -------
    xarray.Dataset
        ``density`` (part, attainment), of area 1 but for the ends left out; ``share`` of all years, ``miss``, how often
        these miss, and ``miss_se`` (part). [1]
    """
    import xarray as xr

    low, high = (float(end) for end in np.quantile(attainment, [_TAIL, 1.0 - _TAIL]))
    if low == high:  # hardly any year differs from all others
        low, high = float(attainment.min()), float(attainment.max())
    edges = np.linspace(low, high, BINS + 1)
    rows, misses = [], []
    for held in parts.values():
        rows.append(np.histogram(attainment[held], edges)[0] / (np.count_nonzero(held) * (edges[1] - edges[0])))
        miss = estimates.ratio(missed & held, held)
        assert miss is not None
        misses.append(miss)
    units = {"units": "1"}
    return xr.Dataset(
        {
            "density": (("part", "attainment"), np.array(rows), units),
            "share": ("part", np.array([held.mean() for held in parts.values()]), units),
            "miss": ("part", np.array([miss.value for miss in misses]), units),
            "miss_se": ("part", np.array([miss.se for miss in misses]), units),
        },
        {"part": list(parts), "attainment": 0.5 * (edges[1:] + edges[:-1])},
    )
