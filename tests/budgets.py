"""Small plans whose best budget is known, for the tests of the optimiser.

A year of one month makes revenue one lognormal number, so that P(attain) has a closed form: with expected revenue V,
target G and noise s it is Phi((ln(V / G) - s^2 / 2) / s).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm
from small import line, plan, scenario, stream, table

import engine

NOISE = 0.1
BASE = 1000.0  # revenue of the month without money


def one_month(
    *parts: str, target: object = 1100.0, budget: float | None = 100.0, noise: float = NOISE
) -> engine.Scenario:
    """A plan of one month that sells BASE, with the lines given."""
    return scenario(
        plan(target=target, budget=budget, months=1),
        stream(baseline=12 * BASE, volatility=noise),
        *parts,
    )


def concave(name: str, *, ceiling: float, scale: float, amount: float = 0.0, reach: str = "*", **fields: object) -> str:
    """A line with the response ceiling (1 - exp(-amount / scale)) in a year of one month."""
    return line(
        name, amount=amount, response={"kind": "exponential", "ceiling": ceiling, "scale": scale}, reach={reach: 1.0},
        **fields,
    )  # fmt: skip


def hill(name: str, *, ceiling: float, scale: float, slope: float, amount: float = 0.0, **fields: object) -> str:
    """A line with an S-shaped response."""
    response = {"kind": "hill", "ceiling": ceiling, "scale": scale, "slope": slope}
    return line(name, amount=amount, response=response, reach={"*": 1.0}, **fields)


def optimise_table(**fields: object) -> str:
    return table("[optimise]", fields)


def chance(expected: float, target: float, noise: float = NOISE) -> float:
    """P(attain) of a year of one month with expected revenue V."""
    return float(norm.cdf((math.log(expected / target) - noise**2 / 2) / noise))


def lift(ceiling: float, scale: float, amount: float) -> float:
    return ceiling * (1.0 - math.exp(-amount / scale))


def equal_returns(ceilings: tuple[float, float], scales: tuple[float, float], budget: float) -> tuple[float, float]:
    """Amounts of two concave lines with equal marginal returns that use the budget."""
    (c1, c2), (s1, s2) = ceilings, scales
    # c1 / s1 exp(-x1 / s1) = c2 / s2 exp(-(B - x1) / s2)
    first = (math.log(c1 / s1) - math.log(c2 / s2) + budget / s2) / (1.0 / s1 + 1.0 / s2)
    first = float(np.clip(first, 0.0, budget))
    return first, budget - first
