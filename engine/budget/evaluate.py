"""What an allocation is worth, with its error: estimates and paired differences, clustered by world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.analysis.estimates import Moments, band, estimate, sampling_variance


class Figure(NamedTuple):
    """A mean and its standard error."""

    value: float
    se: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return {"value": self.value, "se": self.se}


class Chance(NamedTuple):
    """P with both its uncertainties: the errors of the mean, and the band across worlds."""

    value: float
    se: float
    se_sampling: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return self._asdict()


def mean(scores: np.ndarray) -> Figure:
    """Mean over all paths; scores have the shape (worlds, paths).

    The error is what another set of worlds and paths would change. Of differences on the same paths it is the error
    of the difference.
    """
    found = estimate(_moments(scores))
    return Figure(float(found.mean[0]), float(found.se[0]))


def chance(met: np.ndarray) -> Chance:
    """P of what is met on so many of the paths, shape (worlds, paths)."""
    moments = _moments(met)
    found = estimate(moments)
    low, high = band(moments.mean[0], sampling_variance(moments)[0])
    return Chance(float(found.mean[0]), float(found.se[0]), float(found.se_sampling[0]), low, high)


def _moments(scores: np.ndarray) -> Moments:
    return Moments(scores.shape[1], 1, scores.mean(axis=1)[None, :], scores.var(axis=1)[None, :])
