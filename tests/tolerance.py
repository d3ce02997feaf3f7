"""What counts as equal: exact answers to rounding, statistics to five standard errors.

A fixed seed makes every test repeatable. Five standard errors give a false alarm below 1e-6 a check, should the seed or
the draws ever change, and say how small a fault the check still catches: about six standard errors, nearly always.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

EXACT = 1e-9  # relative: what the model asks of closed forms
SIGMAS = 5.0
# sqrt(n) times Kolmogorov's distance exceeds this with probability 2 exp(-2 x**2) = 6e-7, as five standard errors do
KOLMOGOROV = 2.74


class Estimate(NamedTuple):
    """A number with its standard error, from n draws."""

    value: float
    se: float
    n: int


def within(estimate: float, exact: float, se: float, sigmas: float = SIGMAS) -> bool:
    """Whether an estimate lies within so many standard errors of the exact value."""
    return bool(abs(estimate - exact) <= sigmas * se)


def agrees(estimate: Estimate, exact: float, sigmas: float = SIGMAS) -> bool:
    """As `within`, for an estimate with its own standard error."""
    return within(estimate=estimate.value, exact=exact, se=estimate.se, sigmas=sigmas)


def mean_of(draws: np.ndarray) -> Estimate:
    """Sample mean."""
    x = np.ravel(draws)
    return Estimate(float(x.mean()), float(x.std(ddof=1)) / math.sqrt(x.size), x.size)


def variance_of(draws: np.ndarray) -> Estimate:
    """Sample variance; its standard error is sqrt((m4 - m2**2) / n)."""
    x = np.ravel(draws)
    square = (x - x.mean()) ** 2
    return Estimate(float(square.sum()) / (x.size - 1), float(square.std()) / math.sqrt(x.size), x.size)


def correlation_of(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Pearson correlation; its standard error is (1 - r**2) / sqrt(n), for nearly normal data."""
    r = float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])
    return Estimate(r, (1.0 - r * r) / math.sqrt(first.size), first.size)


def share_se(p: float, n: int) -> float:
    """Standard error of a share of n draws whose probability is p."""
    return math.sqrt(p * (1.0 - p) / n)


def distance(draws: np.ndarray, F: object) -> float:
    """sqrt(n) times Kolmogorov's distance between draws and a continuous distribution function F."""
    x = np.sort(np.ravel(draws))
    levels = np.asarray(F(x))  # type: ignore[operator]
    steps = np.arange(x.size + 1) / x.size
    return float(max((steps[1:] - levels).max(), (levels - steps[:-1]).max())) * math.sqrt(x.size)


def assert_exact(actual: object, expected: object, rtol: float = EXACT, atol: float = 0.0) -> None:
    """All numbers equal to a relative error, 1e-9 unless said otherwise."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)  # type: ignore[arg-type]
