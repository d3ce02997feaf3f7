"""Sums over paths in fixed order: the same digits for any number of threads and any size of chunk."""

from engine.kernels.jit import parallel, prange

BLOCK = 1024  # paths summed at a time; chunks begin at multiples of it


@parallel
def add_moments(rows, n_worlds, n_paths, shift, total, square):
    """Add the sums of x - shift and of its square, by row and world.

    Parameters
    ----------
    rows : ndarray, shape (rows, n_worlds * n_paths)
    shift, total, square : ndarray, shape (rows, n_worlds)
        `shift` is any value near the mean: it keeps the variance of nearly constant rows exact.
    """
    for cell in prange(rows.shape[0] * n_worlds):
        j = cell // n_worlds
        w = cell % n_worlds
        row = rows[j, w * n_paths : (w + 1) * n_paths]
        base = shift[j, w]
        for start in range(0, n_paths, BLOCK):
            stop = min(start + BLOCK, n_paths)
            s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
            q0, q1, q2, q3 = 0.0, 0.0, 0.0, 0.0
            p = start
            while p + 4 <= stop:
                x0, x1, x2, x3 = row[p] - base, row[p + 1] - base, row[p + 2] - base, row[p + 3] - base
                s0, s1, s2, s3 = s0 + x0, s1 + x1, s2 + x2, s3 + x3
                q0, q1, q2, q3 = q0 + x0 * x0, q1 + x1 * x1, q2 + x2 * x2, q3 + x3 * x3
                p += 4
            while p < stop:
                x0 = row[p] - base
                s0, q0 = s0 + x0, q0 + x0 * x0
                p += 1
            total[j, w] += (s0 + s1) + (s2 + s3)
            square[j, w] += (q0 + q1) + (q2 + q3)
