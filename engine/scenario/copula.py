"""Correlated drivers: their names, and rank correlations as those of normal scores (model 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from engine.scenario.model import Response, Risk, Scenario
from engine.scenario.quantity import Quantity

TOLERANCE = 1e-9  # of the least eigenvalue, and of a pivot, of a correlation matrix
OCCURS, SEVERITY, DURATION, EFFECTIVENESS = "occurs", "severity", "duration", "response.effectiveness"


def split_pair(text: str) -> tuple[str, str] | None:
    """The two names of a correlated pair."""
    first, tilde, second = (part.strip() for part in text.partition("~"))
    return (first, second) if tilde and first and second and "~" not in second else None


def path_driver(scenario: Scenario, name: str) -> Quantity | None:
    """Quantity behind the name of a driver that is drawn on paths; None where it is no such name."""
    head, _, rest = name.partition(".")
    item, _, part = rest.partition(".")
    if head == "risks" and item in scenario.risks:
        return _risk_driver(scenario.risks[item], part)
    if head == "lines" and item in scenario.lines and part == "effectiveness":
        return _per_path(scenario.lines[item].effectiveness)
    if head == "streams" and item in scenario.streams and part == "launch.slip":
        launch = scenario.streams[item].launch
        return None if launch is None else _per_path(launch.slip)
    return None


def _risk_driver(risk: Risk, part: str) -> Quantity | None:
    if part == OCCURS:
        return risk.probability
    if part == SEVERITY:
        return _per_path(risk.severity)
    if part == DURATION and not isinstance(risk.duration, str):
        return _per_path(risk.duration)
    if part == EFFECTIVENESS and isinstance(risk.response, Response):
        return _per_path(risk.response.effectiveness)
    return None


def _per_path(quantity: Quantity) -> Quantity | None:
    return None if quantity.distribution is not None and quantity.per == "world" else quantity


def driver_names(scenario: Scenario) -> Iterator[str]:
    """Names of all drivers that are drawn on paths and may be correlated."""
    parts = (OCCURS, SEVERITY, DURATION, EFFECTIVENESS)
    names = [f"risks.{r}.{part}" for r in scenario.risks for part in parts]
    names += [f"lines.{b}.effectiveness" for b in scenario.lines] + [
        f"streams.{s}.launch.slip" for s in scenario.streams
    ]
    return (name for name in names if path_driver(scenario, name) is not None)


def pearson(rho: np.ndarray) -> np.ndarray:
    """Pearson correlation of normal scores whose rank correlation is `rho` (Pearson 1907)."""
    return 2.0 * np.sin(np.pi * rho / 6.0)


def impossible(group: Sequence[tuple[str, str, float]]) -> tuple[str, str] | None:
    """What is wrong with rank correlations that nothing can have together, and the nearest; None where it can."""
    names = sorted({name for first, second, _ in group for name in (first, second)})
    ranks = np.eye(len(names))
    for first, second, rho in group:
        i, j = names.index(first), names.index(second)
        ranks[i, j] = ranks[j, i] = rho
    if not names or np.linalg.eigvalsh(pearson(ranks))[0] >= -TOLERANCE:
        return None
    valid = nearest_ranks(ranks)
    given = {frozenset(pair) for *pair, _ in group}
    unnamed = [pair for pair in combinations(names, 2) if frozenset(pair) not in given]
    nearest = [
        f'"{first} ~ {second}" = {rho:g}'
        for first, second in [(first, second) for first, second, _ in group] + unnamed
        if (rho := valid[names.index(first), names.index(second)]) or (first, second) not in unnamed
    ]
    asked = "; ".join(f'"{first} ~ {second}" = {rho:g}' for first, second, rho in group)
    return (
        f"no drivers can have these correlations, pairs not named being 0: {asked}",
        f"the nearest valid ones are {'; '.join(nearest)}",
    )


def nearest_ranks(ranks: np.ndarray) -> np.ndarray:
    """Nearest rank correlations that can be, in three digits, which as they are printed make a valid matrix."""
    nearest = 6.0 / np.pi * np.arcsin(np.clip(nearest_correlation(pearson(ranks)) / 2.0, -0.5, 0.5))
    # the nearest matrix is singular: rounding may push it out again, a step towards independence brings it back
    for keep in np.arange(1000, 0, -1) / 1000.0:
        rounded = np.round(keep * nearest, 3) + 0.0
        np.fill_diagonal(rounded, 1.0)
        if np.linalg.eigvalsh(pearson(rounded))[0] >= 0.0:
            return rounded
    return np.eye(len(ranks))


def nearest_correlation(matrix: np.ndarray, steps: int = 200) -> np.ndarray:
    """Nearest correlation matrix in the Frobenius norm, by alternating projections (Higham 2002, algorithm 3.3)."""
    y, correction = matrix.copy(), np.zeros_like(matrix)
    for _ in range(steps):
        r = y - correction
        values, vectors = np.linalg.eigh(r)
        x = (vectors * np.maximum(values, 1e-8)) @ vectors.T
        correction = x - r
        y = x.copy()
        np.fill_diagonal(y, 1.0)
    return y
