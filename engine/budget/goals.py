"""What is to be best: objectives as functions of what is measured on every path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

MET = -1e-9  # slack from which a target counts as met: bounds hold to 1e-9 relative
WORST_WORLDS = 0.1  # share of the worlds that `robust` looks at


class Goal(ABC):
    """An objective, to be maximised.

    It sees slacks, shape (rows, worlds, paths): how far each measure is beyond its bound, as a share of it; the first
    row is revenue / target - 1.
    """

    name: ClassVar[str]
    chance: ClassVar[bool] = True  # a probability, else a share of the target
    detail: ClassVar[tuple[str, ...]] = ()  # what the kernel is to keep besides revenue

    @abstractmethod
    def scores(self, slack: np.ndarray) -> np.ndarray:
        """What each path adds, shape (worlds, paths): the value is their mean."""

    @abstractmethod
    def weights(self, slack: np.ndarray) -> np.ndarray:
        """Derivative of the value with respect to every slack, smoothed where the value jumps."""

    def value(self, slack: np.ndarray) -> float:
        """Estimate over the paths."""
        return float(self.scores(slack).mean())

    def tolerance(self, value: float) -> float:
        """A gain that is not worth another round."""
        return max(1e-6, 0.006 * abs(value)) if self.chance else 2e-5


class Attain(Goal):
    """P(revenue >= target)."""

    name = "p_attain"

    def scores(self, slack: np.ndarray) -> np.ndarray:
        return (slack[0] >= MET).astype(float)

    def weights(self, slack: np.ndarray) -> np.ndarray:
        return _only_first(slack, _density(slack[0]))


class Joint(Goal):
    """P(all targets are met)."""

    name = "joint"
    detail = ("targets",)

    def scores(self, slack: np.ndarray) -> np.ndarray:
        return (slack >= MET).all(axis=0).astype(float)

    def weights(self, slack: np.ndarray) -> np.ndarray:
        # the target that is furthest from being met decides; targets are compared in units of their own spread
        spread = slack.reshape(slack.shape[0], -1).std(axis=1)
        scale = np.where(spread > 0, spread, 1.0)[:, None, None]
        scaled = slack / scale
        worst = scaled.argmin(axis=0)[None]
        density = _density(np.take_along_axis(scaled, worst, axis=0)[0])
        found = np.zeros_like(slack)
        np.put_along_axis(found, worst, density[None], axis=0)
        return found / scale


class Revenue(Goal):
    """Mean of revenue / target - 1."""

    name = "expected_revenue"
    chance = False

    def scores(self, slack: np.ndarray) -> np.ndarray:
        return slack[0]

    def weights(self, slack: np.ndarray) -> np.ndarray:
        return _only_first(slack, np.full(slack.shape[1:], 1.0 / slack[0].size))


class Shortfall(Goal):
    """Minus the mean shortfall, as a share of the target, of the worst 1 - alpha of all paths (CVaR).

    References
    ----------
    Rockafellar and Uryasev (2002), Conditional value-at-risk for general loss distributions, theorem 10.
    """

    name = "cvar_shortfall"
    chance = False

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def scores(self, slack: np.ndarray) -> np.ndarray:
        loss = np.maximum(-slack[0], 0.0)
        edge = self._edge(loss)
        return -(edge + np.maximum(loss - edge, 0.0) / (1.0 - self.alpha))

    def weights(self, slack: np.ndarray) -> np.ndarray:
        loss = np.maximum(-slack[0], 0.0)
        beyond = (loss >= self._edge(loss)) & (loss > 0)
        return _only_first(slack, beyond / ((1.0 - self.alpha) * loss.size))

    def _edge(self, loss: np.ndarray) -> float:
        """Value at risk: the alpha quantile of the shortfall."""
        rank = min(loss.size - 1, int(np.ceil(self.alpha * loss.size)) - 1)
        return float(np.partition(loss.reshape(-1), rank)[rank])


class Robust(Goal):
    """Mean of revenue / target - 1 over the worst tenth of the worlds: the worst case of what nobody knows.

    Revenue, not P(attain): in the worst worlds of a bold plan hardly a path attains whatever is done, and P there
    would tell no allocation from another.
    """

    name = "robust"
    chance = False

    def scores(self, slack: np.ndarray) -> np.ndarray:
        # as a CVaR over worlds, edge + min(0, mean - edge) / share: so the error does not depend on where 0 lies
        worst = self._worst(slack)
        edge = float(slack[0, worst].mean(axis=1).max())
        found = np.full_like(slack[0], edge)
        found[worst] += (slack[0, worst] - edge) * (slack.shape[1] / worst.size)
        return found

    def weights(self, slack: np.ndarray) -> np.ndarray:
        worst = self._worst(slack)
        found = np.zeros_like(slack[0])
        found[worst] = 1.0 / (worst.size * slack.shape[2])
        return _only_first(slack, found)

    def _worst(self, slack: np.ndarray) -> np.ndarray:
        by_world = slack[0].mean(axis=1)
        return np.argsort(by_world, kind="stable")[: max(1, round(WORST_WORLDS * by_world.size))]


def _only_first(slack: np.ndarray, weights: np.ndarray) -> np.ndarray:
    found = np.zeros_like(slack)
    found[0] = weights
    return found


def _density(slack: np.ndarray) -> np.ndarray:
    """Weight of each path in the derivative of P(slack >= 0): a kernel estimate of the density at 0.

    The bandwidth is half of Silverman's: near the edge of a distribution a wide kernel looks at the wrong paths. Where
    no path is near, the nearest ones say which way the target lies.
    """
    width = 1.17 * max(float(slack.std()), 1e-6) * slack.size**-0.2
    width = max(width, 1.5 * float(np.abs(slack).min()))
    return 0.75 * np.maximum(0.0, 1.0 - (slack / width) ** 2) / width / slack.size


def choose(objective: str, alpha: float) -> Goal:
    """Goal of an objective's name; that of `min_budget` is P(attain)."""
    found: dict[str, Goal] = {
        "p_attain": Attain(), "min_budget": Attain(), "expected_revenue": Revenue(), "cvar_shortfall": Shortfall(alpha),
        "joint": Joint(), "robust": Robust(),
    }  # fmt: skip
    return found[objective]
