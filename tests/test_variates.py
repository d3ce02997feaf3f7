"""Elementary functions and quantiles of the kernel against scipy, over the whole range that a uniform can take."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from engine.kernels import variates

UNIFORMS = np.concatenate([2.0 ** np.linspace(-33, -1, 4001), 1.0 - 2.0 ** np.linspace(-33, -1, 4001)])


def each(function, x: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in x])


def test_exponential_and_logarithm() -> None:
    x = np.linspace(-60.0, 60.0, 2001)
    assert each(variates.exp, x) == pytest.approx(np.exp(x), rel=1e-12)
    assert variates.exp(-1e6) == pytest.approx(np.exp(-700.0), rel=1e-10)  # clipped, not infinite or 0
    y = np.exp(np.linspace(-300.0, 300.0, 2001))
    assert each(variates.log, y) == pytest.approx(np.log(y), rel=1e-12, abs=1e-12)


def test_normal_quantile_and_distribution() -> None:
    tail = np.minimum(UNIFORMS, 1.0 - UNIFORMS)
    z = each(variates.normal, UNIFORMS)
    assert np.max(np.abs(special.ndtr(-np.abs(z)) - tail) / tail) < 5e-7
    assert each(variates.normal, 1.0 - UNIFORMS) == pytest.approx(-z, rel=1e-6, abs=1e-9)
    x = np.linspace(-6.0, 6.0, 2001)
    inside = np.clip(special.ndtr(x), variates.SMALLEST, 1.0 - variates.SMALLEST)
    assert each(variates.normal_cdf, x) == pytest.approx(inside, rel=1e-9)


def test_single_precision_noise() -> None:
    tail = np.minimum(UNIFORMS, 1.0 - UNIFORMS)
    block = UNIFORMS[None, :].copy()
    noise = np.empty((1, UNIFORMS.size), np.float32)
    variates.narrow_normals(block, 0, noise, 0, UNIFORMS.size)
    z = noise[0].astype(float)
    assert (np.sign(z) == np.sign(UNIFORMS - 0.5)).all()
    # a hundredth of what the model allows, |F(Q(p)) - p| <= 1e-3 min(p, 1 - p)
    assert np.max(np.abs(special.ndtr(-np.abs(z)) - tail) / tail) < 2e-5
    x = np.linspace(-4.0, 4.0, 4001).astype(np.float32)
    assert each(variates.exp32, x) == pytest.approx(np.exp(x.astype(float)), rel=3e-7)
    # the factor exp(vol z - vol^2 / 2) has the mean 1: no bias that ten million paths could see (se 2e-5 at vol 0.06)
    grid = (np.arange(20_000) + 0.5)[None, :] / 20_000
    middle = np.empty((1, grid.size), np.float32)
    variates.narrow_normals(grid.copy(), 0, middle, 0, grid.size)
    factor = each(variates.exp32, np.float32(0.06) * middle[0]).astype(float) * np.exp(-0.5 * 0.06**2)
    assert factor.mean() == pytest.approx(1.0, abs=2e-6)


@pytest.mark.parametrize("mean", [0.0, 1e-6, 0.3, 4.2, 39.0, 41.0, 300.0, 5000.0])
def test_poisson_quantiles(mean: float) -> None:
    u = np.linspace(0.0005, 0.9995, 997)
    block = np.zeros((6, u.size))
    block[0], block[1] = u, mean
    variates.poisson_row(block, 2, 0, 1, u.size, 3)
    assert (block[2] == stats.poisson.ppf(u, mean)).all()


@pytest.mark.parametrize(("trials", "chance"), [(0, 0.3), (10, 0.012), (30, 0.5), (200, 0.3), (5000, 0.02), (8, 0.999)])
def test_binomial_quantiles(trials: int, chance: float) -> None:
    u = np.linspace(0.0005, 0.9995, 997)
    block = np.zeros((8, u.size))
    block[0], block[1], block[2], block[3] = u, trials, chance / (1.0 - chance), np.log1p(-chance)
    variates.binomial_row(block, 4, 0, 1, 2, 3, u.size, 5)
    assert (block[4] == np.maximum(stats.binom.ppf(u, trials, chance), 0.0)).all()


def test_a_wrong_constant_would_show() -> None:
    x = np.linspace(-4.0, 4.0, 101)
    assert each(variates.exp, 1.000001 * x) != pytest.approx(np.exp(x), rel=1e-12)
