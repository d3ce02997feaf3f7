"""What knowing a number before deciding is worth: the expected value of perfect information on one knob.

References
----------
Strong, Oakley and Brennan (2014), Estimating multiparameter partial expected value of perfect information from a
probabilistic sensitivity analysis sample: a nonparametric regression approach. Medical Decision Making 34.
"""

from __future__ import annotations

import numpy as np

from engine.analysis.estimates import Figure

FOLDS = 8
FEWEST = 64  # worlds, without which there is no curve to be seen
MOST = 12  # alternatives: more would be found good by chance
_DEGREE = 3


def worth(ahead: np.ndarray, values: np.ndarray) -> Figure:
    """Gain of P by choosing the allocation after the knob is known, over the best choice without knowing it.

    In each world the alternative is taken of which a regression on the knob, over *other* worlds, says that it is
    furthest ahead, or none; and without knowing, that with the best mean over the other worlds. What these choices then
    bring in this world is free of the luck by which they were made. Since neither the rule nor its alternatives may be
    the best there are, this is the least that knowing is worth.

    Parameters
    ----------
    ahead : ndarray, shape (alternatives, worlds)
        By how much P of an alternative exceeds that of the present allocation, in each world.
    values : ndarray, shape (worlds,)
        Of the knob.

    Returns
    -------
    Figure
        Mean over the worlds, and its standard error.
    """
    worlds = values.size
    if ahead.shape[0] == 0 or np.ptp(values) == 0.0:
        return Figure(0.0, 0.0)
    order = np.argsort(values, kind="stable")
    place = np.empty(worlds)
    place[order] = np.linspace(-1.0, 1.0, worlds)
    basis = np.polynomial.legendre.legvander(place, _DEGREE)
    fold = np.empty(worlds, np.int64)
    fold[order] = np.arange(worlds) % FOLDS
    gained = np.zeros(worlds)
    for number in range(FOLDS):
        here, there = fold == number, fold != number
        weights, *_ = np.linalg.lstsq(basis[there], ahead[:, there].T, rcond=None)
        knowing = _chosen(basis[here] @ weights, ahead[:, here])
        gained[here] = knowing - _chosen(ahead[:, there].mean(axis=1)[None, :], ahead[:, here])
    return Figure(float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(worlds)))


def _chosen(promised: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What the most promising alternative brings in each world, or nothing where none promises anything.

    Promises have the shape (worlds, alternatives), or (1, alternatives) where they are the same in all worlds.
    """
    best = np.broadcast_to(promised.argmax(axis=1), ahead.shape[1])
    found: np.ndarray = np.where(promised.max(axis=1) > 0.0, ahead[best, np.arange(ahead.shape[1])], 0.0)
    return found
