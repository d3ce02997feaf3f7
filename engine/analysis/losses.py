"""Revenue lost: what the risks take in a year and in a single strike; and how far the target is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.levels import Level, levels
from engine.analysis.needs import Progress
from engine.scenario import blocks
from engine.simulation import Run

CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.99)
ALL_RISKS = "all risks"  # no id has a space
CURVE = 60  # points of an exceedance curve


@dataclass(frozen=True)
class Tail:
    """Value at risk and the mean beyond it, of the shortfall of revenue from the target.

    Attributes
    ----------
    var : Level
        Not exceeded with the confidence. [CNY]
    cvar : Figure
        Mean over the worst 1 - confidence of all years. [CNY]
    """

    var: Level
    cvar: Figure

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"var": self.var.to_json(), "cvar": self.cvar.to_json()}


@dataclass(frozen=True)
class RiskLoss:
    """What one risk takes, or all.

    Attributes
    ----------
    strikes : Chance
        P(it strikes in the year).
    mean : Figure
        Of the year; gains count against it. [CNY]
    given : Figure or None
        Mean over the years in which it strikes. [CNY]
    impact : Figure or None
        Loss as a share of what the exposed streams would have sold while it was active.
    aggregate, occurrence : dict of str to Level
        By confidence: what the year's loss, and the largest loss by a single strike, stay within. [CNY]
    """

    strikes: Chance
    mean: Figure
    given: Figure | None
    impact: Figure | None
    aggregate: dict[str, Level]
    occurrence: dict[str, Level]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "strikes": self.strikes.to_json(), "mean": self.mean.to_json(),
            "given": None if self.given is None else self.given.to_json(),
            "impact": None if self.impact is None else self.impact.to_json(),
            "aggregate": {name: level.to_json() for name, level in self.aggregate.items()},
            "occurrence": {name: level.to_json() for name, level in self.occurrence.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class Losses:
    """Losses by risk and in all, and the shortfall.

    Attributes
    ----------
    by_risk : dict of str to RiskLoss
    total : RiskLoss
    shortfall : dict of str to Tail
        By confidence: max(0, target - revenue).
    mean_shortfall : Figure
        [CNY]
    curves : dict of str to ndarray, shape (2, CURVE, 2)
        By risk, and in all: exceedance of the year's loss, then of the largest single one: loss [CNY], P(more).
    """

    by_risk: dict[str, RiskLoss]
    total: RiskLoss
    shortfall: dict[str, Tail]
    mean_shortfall: Figure
    curves: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "by_risk": {name: loss.to_json() for name, loss in self.by_risk.items()}, "total": self.total.to_json(),
            "shortfall": {name: tail.to_json() for name, tail in self.shortfall.items()},
            "mean_shortfall": self.mean_shortfall.to_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class _Sample:
    """On every path, shape (risks, worlds, paths): year's and largest single loss, strikes, exposed sales; revenue."""

    loss: np.ndarray
    largest: np.ndarray
    struck: np.ndarray
    exposed: np.ndarray
    revenue: np.ndarray


def simulate_losses(run: Run, progress: Progress | None = None) -> Losses:
    """Losses of every risk in the year, and in a single strike.

    Raises
    ------
    SimulationError
        If it would not fit in memory.
    """
    found = _sample(run, progress)
    risks = list(run.scenario.risks)
    everything = _Sample(
        found.loss.sum(axis=0)[None], found.largest.max(axis=0, initial=0.0)[None],
        np.asarray(found.struck.any(axis=0))[None], np.zeros((1, *found.revenue.shape)), found.revenue,
    )  # fmt: skip
    short = np.maximum(run.worlds.read("plan.target")[:, None] - found.revenue, 0.0)
    tails = {name: Tail(at, _beyond(short, at.value, float(name))) for name, at in levels(short, CONFIDENCES).items()}
    curves = {name: _curves(found, j) for j, name in enumerate(risks)} | {ALL_RISKS: _curves(everything, 0)}
    return Losses(
        {name: _risk_loss(found, j) for j, name in enumerate(risks)}, _risk_loss(everything, 0), tails,
        estimates.mean(short), curves,
    )  # fmt: skip


def _sample(run: Run, progress: Progress | None) -> _Sample:
    detail = ("occurrences", "risks")
    scenario, value_flag = run.scenario, blocks.results(run.scenario, detail)
    value, flag = value_flag
    risks, shape = len(scenario.risks), (len(run.worlds), run.paths_per_world)
    simulation.require_memory(8 * 8 * (risks + 1) * run.n_paths, f"{run.n_paths:,} paths", "ask for fewer paths")
    loss, largest, exposed = (np.empty((risks, *shape)) for _ in range(3))
    struck, revenue = np.empty((risks, *shape), bool), np.empty(shape)
    for chunk, out in simulation.outputs(run, detail, progress):
        part = (chunk.stop - chunk.start, chunk.n_paths)
        place = (slice(chunk.start, chunk.stop), slice(chunk.path, chunk.path + chunk.n_paths))
        revenue[place] = out.values[value.revenue].reshape(part)
        first = value.occurrence_loss
        for r, name in enumerate(scenario.risks):
            net, strikes = out.values[value.loss + r], blocks.events(scenario, name)
            single = out.values[first : first + strikes]
            first += strikes
            loss[r][place] = net.reshape(part)
            largest[r][place] = (net if strikes == 1 else _largest(single, net)).reshape(part)
            exposed[r][place] = out.values[value.exposed + r].reshape(part)
            struck[r][place] = out.flags[flag.struck + r].reshape(part)
    return _Sample(loss, largest, struck, exposed, revenue)


def _largest(single: np.ndarray, net: np.ndarray) -> np.ndarray:
    """Largest single loss, from all strikes and the year's loss: what came back is taken from what strikes lost."""
    lost = np.maximum(single, 0.0)
    total, back = lost.sum(axis=0), single.sum(axis=0) - net
    kept = np.clip(1.0 - np.divide(back, total, out=np.zeros_like(net), where=total > 0.0), 0.0, 1.0)
    found: np.ndarray = np.where(total > 0.0, lost.max(axis=0) * kept, single.max(axis=0))
    return found


def _risk_loss(found: _Sample, r: int) -> RiskLoss:
    loss, struck, exposed = found.loss[r], found.struck[r], found.exposed[r]
    return RiskLoss(
        estimates.chance(struck), estimates.mean(loss), estimates.ratio(loss, struck), estimates.ratio(loss, exposed),
        levels(loss, CONFIDENCES), levels(found.largest[r], CONFIDENCES),
    )  # fmt: skip


def _beyond(amounts: np.ndarray, var: float, confidence: float) -> Figure:
    """Mean of the worst 1 - confidence: VaR + E[(x - VaR)+] / (1 - confidence) (Rockafellar and Uryasev 2000)."""
    excess = estimates.mean(np.maximum(amounts - var, 0.0))
    return Figure(var + excess.value / (1.0 - confidence), excess.se / (1.0 - confidence))


def _curves(found: _Sample, r: int) -> np.ndarray:
    """Exceedance curves of the year's loss and of the largest single one, at probabilities that fall evenly in log."""
    n = found.revenue.size
    ranks = np.unique(np.round(np.geomspace(min(10, n), n, CURVE)).astype(int))
    curve = np.full((2, CURVE, 2), np.nan)
    for k, values in enumerate((found.loss[r], found.largest[r])):
        ordered = np.sort(values, axis=None)[::-1]
        curve[k, : ranks.size, 0] = ordered[ranks - 1]
        curve[k, : ranks.size, 1] = ranks / n
    return curve
