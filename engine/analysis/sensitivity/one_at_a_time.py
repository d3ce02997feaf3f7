"""One knob at a time, all others central: the tornado and the spider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis import estimates
from engine.analysis.estimates import Figure
from engine.analysis.sensitivity.factors import Factor
from engine.analysis.sensitivity.indices import Index, Z
from engine.analysis.sensitivity.outputs import WorldOutput

POINTS = 7  # of a spider's leg


@dataclass(frozen=True)
class Legs:
    """The output as each factor moves across its range.

    Attributes
    ----------
    base : Figure
        Output with all factors central.
    levels : ndarray, shape (d, points)
        In the unit cube, from low to high.
    output, output_se : ndarray, shape (d, points)
    change, change_se : ndarray, shape (d, points)
        Against the base; paired by path, which is much surer than the outputs are.
    swing : Index
        Output at the high end less that at the low end, paired by path.
    """

    base: Figure
    levels: np.ndarray
    output: np.ndarray
    output_se: np.ndarray
    change: np.ndarray
    change_se: np.ndarray
    swing: Index

    def to_json(self, j: int, values: np.ndarray) -> list[dict[str, Any]]:
        """Points of one factor, whose values are given."""
        columns = {name: getattr(self, name)[j] for name in ("output", "output_se", "change", "change_se")}
        return [{"value": float(v)} | {n: float(c[k]) for n, c in columns.items()} for k, v in enumerate(values)]


def points_at(factors: Sequence[Factor], points: int) -> np.ndarray:
    """Levels of every world, shape (1 + d * points, d): first the base, then the legs from low to high."""
    base = np.array([factor.middle for factor in factors])
    levels = np.tile(base, (1 + len(factors) * points, 1))
    for j, factor in enumerate(factors):
        levels[1 + j * points : 1 + (j + 1) * points, j] = np.linspace(*factor.ends, points)
    return levels


def legs(function: WorldOutput, factors: Sequence[Factor], points: int) -> Legs:
    """Run the legs: two points each make a tornado, more a spider."""
    levels = points_at(factors, points)
    scores = function.scores(levels)
    base, d = scores[0], len(factors)
    shape = (d, points)
    figures = np.array([estimates.mean(row[None, :]) for row in scores[1:]])
    scores[1:] -= base
    changes = np.array([estimates.mean(row[None, :]) for row in scores[1:]])
    swings = scores[points::points] - scores[1::points]
    # one path says nothing of its error, as elsewhere
    swing = Index(swings.mean(axis=1), np.cov(swings, ddof=min(1, swings.shape[1] - 1)).reshape(d, d) / swings.shape[1])
    own = np.array([levels[1 + j * points : 1 + (j + 1) * points, j] for j in range(d)])
    return Legs(
        estimates.mean(base[None, :]), own, figures[:, 0].reshape(shape), figures[:, 1].reshape(shape),
        changes[:, 0].reshape(shape), changes[:, 1].reshape(shape), swing,
    )  # fmt: skip


def bent(found: Legs) -> list[int]:
    """Factors with a point surely beyond the span of both ends, the base included: a swing does not tell all of it."""
    ends, nothing = found.change[:, [0, -1]], np.zeros((len(found.change), 1))
    change, error = (np.hstack([part, nothing]) for part in (found.change, found.change_se))
    margin = Z * (error + found.change_se[:, [0, -1]].max(axis=1, keepdims=True))
    top, bottom = ends.max(axis=1, keepdims=True), ends.min(axis=1, keepdims=True)
    over = (change - margin > top) | (change + margin < bottom)
    return [int(j) for j in np.flatnonzero(over.any(axis=1))]
