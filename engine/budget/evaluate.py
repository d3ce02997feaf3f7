"""What an allocation is worth, with its error: estimates and paired differences, clustered by world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.analysis.estimates import Moments, estimate


class Figure(NamedTuple):
    """A mean and its standard error."""

    value: float
    se: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return {"value": self.value, "se": self.se}


def mean(scores: np.ndarray) -> Figure:
    """Mean over all paths; scores have the shape (worlds, paths).

    The error is what another set of worlds and paths would change. Of differences on the same paths it is the error
    of the difference.
    """
    n = scores.shape[1]
    by_world = scores.mean(axis=1)[None, :]
    found = estimate(Moments(n, 1, by_world, scores.var(axis=1)[None, :]))
    return Figure(float(found.mean[0]), float(found.se[0]))


def sampling_error(scores: np.ndarray) -> float:
    """Standard error of the mean at the worlds drawn."""
    by_world = scores.mean(axis=1)[None, :]
    return float(estimate(Moments(scores.shape[1], 1, by_world, scores.var(axis=1)[None, :])).se_sampling[0])
