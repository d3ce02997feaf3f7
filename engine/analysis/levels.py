"""Quantiles to be defended: with an interval for the paths drawn and a band across worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis import estimates

INTERVAL = 0.9  # of order statistics


@dataclass(frozen=True)
class Level:
    """The amount that a share of all years stays within.

    `se` is what another set of worlds and paths would change. `lo` and `hi` are order statistics that hold the true
    quantile of these worlds with 90 % confidence, the ends of the sample where it is too small for that; `world_lo`
    and `world_hi` the 5 % and 95 % quantiles across worlds, cleaned of sampling noise.
    """

    value: float
    se: float
    lo: float
    hi: float
    world_lo: float
    world_hi: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return dict(vars(self))


def levels(amounts: np.ndarray, confidences: Sequence[float]) -> dict[str, Level]:
    """The amounts that are not exceeded with each confidence, by confidence; amounts have the shape (worlds, paths).

    Notes
    -----
    The interval of order statistics: the number of amounts below the true quantile is binomial (David and Nagaraja
    2003, Order Statistics, 7.1). For several worlds it errs on the safe side, paths being shared out evenly.
    """
    ordered, by_world = np.sort(amounts, axis=None), np.sort(amounts, axis=1)
    errors = estimates.quantiles([amounts], 1, np.asarray(confidences, float), ordered)[1]
    return {f"{c:g}": _level(ordered, by_world, c, float(e)) for c, e in zip(confidences, errors, strict=True)}


def level(amounts: np.ndarray, confidence: float) -> Level:
    """`levels` for one confidence."""
    return levels(amounts, [confidence])[f"{confidence:g}"]


def _level(ordered: np.ndarray, by_world: np.ndarray, confidence: float, se: float) -> Level:
    from scipy.special import bdtrik

    n = ordered.size
    tail = 0.5 * (1.0 - INTERVAL)
    # the nearest ranks l with P(Bin < l) <= tail and u with P(Bin >= u) <= tail, counted from 1
    low = int(np.floor(bdtrik(tail, n, confidence))) + 1
    high = int(np.ceil(bdtrik(1.0 - tail, n, confidence))) + 1
    band = estimates.band(*_world_quantiles(by_world, confidence))
    return Level(
        float(estimates.at(ordered, np.array([confidence]))[0]), se, float(ordered[max(low, 1) - 1]),
        float(ordered[min(high, n) - 1]), *band,
    )  # fmt: skip


def _world_quantiles(ordered: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantile of each world and the variance that its paths give it (Woodruff 1952); paths in order."""
    n = ordered.shape[1]
    error = np.sqrt(confidence * (1.0 - confidence) / n)
    ranks = np.clip([confidence, confidence - error, confidence + error], 0.0, 1.0)
    found = np.array([estimates.at(row, ranks) for row in ordered])
    return found[:, 0], (0.5 * (found[:, 2] - found[:, 1])) ** 2
