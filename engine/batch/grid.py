"""A grid of bins that every number has its place in, known before the first is drawn: counts on it merge anywhere.

The grid is linear up to a unit of the scale and logarithmic beyond it, as floating-point numbers are themselves: no
number falls off its ends, small ones do not ask for bins of their own, and the bins of two machines are the same.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SUFFIX = "_bin"  # of a variable that holds the widths of the bins in which the quantiles of another lie
_BITS = 13
STEPS = 2**_BITS  # bins of a unit, and of every doubling beyond it
UNITS = 64  # of a scale, at least: what is small beside the scale is told apart by a share of the scale
_MANTISSA, _BIAS = 52, 1023


@dataclass(frozen=True)
class Histogram:
    """Counts of the bins first, first + 1, ...; all others are empty.

    Attributes
    ----------
    first : int
    counts : ndarray of int64, shape (bins,)
    """

    first: int
    counts: np.ndarray

    def __add__(self, other: Histogram) -> Histogram:
        """Both counted together; exact, so that the order of sums is of no matter."""
        first = min(self.first, other.first)
        counts = np.zeros(max(h.first + h.counts.size for h in (self, other)) - first, np.int64)
        for h in (self, other):
            counts[h.first - first : h.first - first + h.counts.size] += h.counts
        return Histogram(first, counts)

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is sent: small numbers, and most of them alike."""
        small = self.counts.astype(np.min_scalar_type(self.counts.max()))
        return _received, (self.first, small.dtype.str, zlib.compress(small.tobytes(), 1))


def _received(first: int, kind: str, counts: bytes) -> Histogram:
    return Histogram(first, np.frombuffer(zlib.decompress(counts), kind).astype(np.int64))


class Quantiles(NamedTuple):
    """Quantiles, their standard errors, and how far each may lie from that of the sample."""

    values: np.ndarray
    se: np.ndarray
    width: np.ndarray


class Grid:
    """Bins around 0 for numbers of some scale.

    Parameters
    ----------
    scale : float
        Above 0, such as the target of a plan. Any number has a bin: the scale only says where the grid turns from
        linear to logarithmic.

    Notes
    -----
    The unit u is the largest power of 2 up to scale / 64, b = 2^-13. Of a number x with a = |x| / u the bin is
    0 where x = 0, else sign(x) (1 + j) with j = floor(a / b) for a < 1 and, with e = floor(log2 a),
    j = e / b + floor(a 2^-e / b) beyond. A bin is u b wide up to u, and at most b |x| beyond: 0.012 % of the number, or
    two millionths of the scale where that is more.
    """

    def __init__(self, scale: float) -> None:
        self.unit = math.ldexp(0.5, math.frexp(scale / UNITS)[1])

    def count(self, values: np.ndarray) -> Histogram:
        """Count finite numbers, at least one."""
        bins = self.bins(values)
        first = int(bins.min())
        return Histogram(first, np.bincount(bins.reshape(-1) - first))

    def bins(self, values: np.ndarray) -> np.ndarray:
        """The bin of each number, int64."""
        size = np.abs(values) * (1.0 / self.unit)  # exact: the unit is a power of 2
        beyond = (size.view(np.int64) >> (_MANTISSA - _BITS)) - ((_BIAS - 1) << _BITS)
        inside = (np.minimum(size, 1.0) * STEPS).astype(np.int64)
        found = 1 + np.where(size < 1.0, inside, beyond)
        return np.where(values == 0.0, 0, np.where(values < 0.0, -found, found))

    def edges(self, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of bins."""
        j = np.abs(bins) - 1
        near, far = self._from_zero(np.maximum(j, 0)), self._from_zero(j + 1)
        low, high = np.where(bins > 0, near, -far), np.where(bins > 0, far, -near)
        return np.where(bins == 0, 0.0, low), np.where(bins == 0, 0.0, high)

    def _from_zero(self, j: np.ndarray) -> np.ndarray:
        """Where the bin j begins, on the side of the positive numbers."""
        doublings = np.maximum((j >> _BITS) - 1, 0)
        return self.unit * np.ldexp((j - (doublings << _BITS)) / STEPS, doublings)

    def quantiles(self, counted: Histogram, levels: np.ndarray) -> Quantiles:
        """Quantiles of what was counted.

        Parameters
        ----------
        counted : Histogram
        levels : ndarray, shape (levels,)

        Returns
        -------
        Quantiles
            Each in the bin of the sample's own quantile, as far into it as the level is into the bin's count: the two
            differ by less than the bin's width. The standard error is that of Woodruff (1952), as in
            `engine.analysis.estimates.quantiles`: of the share of paths up to there, carried over by the quantiles one
            such error below and above.
        """
        below = np.cumsum(counted.counts)
        paths = int(below[-1])
        values, at = self._at(counted, below, levels)
        shares = np.where(counted.first + at == 0, below[at] / paths, levels)  # all of a bin that is one number
        errors = np.sqrt(shares * (1.0 - shares) / paths)
        ends = [self._at(counted, below, np.clip(levels + e, 0.0, 1.0))[0] for e in (-errors, errors)]
        low, high = self.edges(counted.first + at)
        return Quantiles(values, 0.5 * (ends[1] - ends[0]), high - low)

    def _at(self, counted: Histogram, below: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles, and the places of their bins in the histogram."""
        wanted = np.clip(np.ceil(levels * below[-1] - 1e-9), 1, below[-1])
        at = np.searchsorted(below, wanted)
        count = counted.counts[at].astype(float)
        into = (np.clip(levels * below[-1], wanted - 1, wanted) - (below[at] - count)) / count
        low, high = self.edges(counted.first + at)
        return low + into * (high - low), at
