"""Sums over paths in fixed order: the same digits for any number of threads and any size of chunk.

What is summed is a list of groups of the kernel's output rows, group g being the rows
`source[bounds[g] : bounds[g + 1]]`. The rows are read where they are: a copy would cost more time than the sums.
"""

import numpy as np

from engine.kernels.jit import compiled, parallel, prange

BLOCK = 1024  # paths summed at a time; chunks begin at multiples of it
_LANES = 16  # running sums side by side, so that the loop over paths becomes vector code without reassociation


@compiled
def _sum(x, n, lanes):
    """Sum of the first n numbers and of their squares; `lanes` (2, _LANES) is scratch."""
    lanes[:] = 0.0
    whole = n - n % _LANES
    for start in range(0, whole, _LANES):
        for k in range(_LANES):
            lanes[0, k] += x[start + k]
            lanes[1, k] += x[start + k] * x[start + k]
    for p in range(whole, n):
        lanes[0, p - whole] += x[p]
        lanes[1, p - whole] += x[p] * x[p]
    total, square = 0.0, 0.0
    for k in range(_LANES):
        total += lanes[0, k]
        square += lanes[1, k]
    return total, square


@parallel
def add_moments(values, source, bounds, n_worlds, n_paths, shift, total, square):
    """Add the sums of x - shift and of its square, x being the sum of a group's rows on a path.

    Parameters
    ----------
    values : ndarray, shape (rows, n_worlds * n_paths)
    source, bounds : ndarray of int64
        Groups of rows.
    shift, total, square : ndarray, shape (groups, n_worlds)
        `shift` is any value near the mean: it keeps the variance of nearly constant rows exact.
    """
    for cell in prange((bounds.size - 1) * n_worlds):
        g = cell // n_worlds
        w = cell % n_worlds
        x = np.empty(BLOCK)
        lanes = np.empty((2, _LANES))
        for start in range(0, n_paths, BLOCK):
            n = min(BLOCK, n_paths - start)
            first = w * n_paths + start
            row = values[source[bounds[g]], first : first + n]
            for p in range(n):
                x[p] = row[p] - shift[g, w]
            for member in range(bounds[g] + 1, bounds[g + 1]):
                row = values[source[member], first : first + n]
                for p in range(n):
                    x[p] += row[p]
            s, q = _sum(x, n, lanes)
            total[g, w] += s
            square[g, w] += q


@parallel
def add_counts(flags, source, bounds, n_worlds, n_paths, total, square):
    """Add the sums of x and of its square, x being the least of a group's flags on a path.

    Of yes and no, the least says whether all say yes.

    Parameters
    ----------
    flags : ndarray of int8, shape (rows, n_worlds * n_paths)
    source, bounds : ndarray of int64
        Groups of rows.
    total, square : ndarray of int64, shape (groups, n_worlds)
    """
    for cell in prange((bounds.size - 1) * n_worlds):
        g = cell // n_worlds
        w = cell % n_worlds
        x = np.empty(BLOCK, np.int8)
        for start in range(0, n_paths, BLOCK):
            n = min(BLOCK, n_paths - start)
            first = w * n_paths + start
            row = flags[source[bounds[g]], first : first + n]
            for p in range(n):
                x[p] = row[p]
            for member in range(bounds[g] + 1, bounds[g + 1]):
                row = flags[source[member], first : first + n]
                for p in range(n):
                    x[p] = min(x[p], row[p])
            s, q = np.int32(0), np.int32(0)
            for p in range(n):
                f = np.int32(x[p])
                s += f
                q += f * f
            total[g, w] += s
            square[g, w] += q
