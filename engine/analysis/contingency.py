"""The contingency fund: how much money gives which confidence, month by month, and what each risk takes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.levels import Level, level, levels
from engine.analysis.needs import Needs, Progress, simulate_needs
from engine.errors import SimulationError
from engine.replay import Replay
from engine.scenario.model import Scenario

if TYPE_CHECKING:
    import xarray as xr

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
EARLY = 0.1  # of the years in which a fund is used up: the month by which the earliest of them are
FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
CURVE = 21  # fund levels at which P(attain) is looked at
REVIEWS = "reviews"  # what no risk asks for: the corrective money of the reviews
_TOLERANCE = 1e-9  # of the target: needs up to so much above a fund count as met


@dataclass(frozen=True)
class FundFacts:
    """One fund, or all together.

    Attributes
    ----------
    current : float
        What it holds. [CNY]
    confidence : Chance
        P(it suffices).
    levels : dict of str to Level
    need, unspent : Figure
        Mean need, and mean money left of what it holds. [CNY]
    exhausted_month : Figure or None
        Mean month, from 1, in which it is used up, over the years in which it is.
    exhausted_early : float or None
        Month by which a tenth of those years have used it up.
    """

    current: float
    confidence: Chance
    levels: dict[str, Level]
    need: Figure
    unspent: Figure
    exhausted_month: Figure | None
    exhausted_early: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        month = self.exhausted_month
        return {
            "current": self.current, "confidence": self.confidence.to_json(),
            "levels": {name: _as_fund(level) for name, level in self.levels.items()},
            "need": self.need.to_json(), "expected_unspent": self.unspent.to_json(),
            "exhausted_month": None if month is None else month.to_json(), "exhausted_early": self.exhausted_early,
        }  # fmt: skip


def _as_fund(found: Level) -> dict[str, float]:
    """A level by the names of a fund's report."""
    plain = found.to_json()
    return {"fund": plain.pop("value"), **plain}


@dataclass(frozen=True)
class CurvePoint:
    """What a fund of one size does: P(it suffices), P(attain), P(both), on the same paths."""

    fund: float
    suffices: Chance
    attains: Chance
    both: Chance

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {name: v if name == "fund" else v.to_json() for name, v in vars(self).items()}


@dataclass(frozen=True)
class Release:
    """End of one month: what must be kept so that the rest of the year stays covered, and what has been given back."""

    month: int
    keep: float
    returned: Figure  # so far, mean over all years

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"month": self.month, "keep": self.keep, "returned": self.returned.to_json()}


def facts(needs: Needs, fund: str, confidences: Sequence[float] = LEVELS) -> FundFacts:
    """What there is to say about one fund."""
    drawn, held = needs.months_of(fund), needs.held(fund)
    need = drawn[-1]
    slack = _TOLERANCE * _target(needs.scenario)
    used_up = (drawn > held + slack).sum(axis=0)  # months from the one in which it is used up to the end
    months = drawn.shape[0]
    month = np.where(used_up > 0, months + 1 - used_up, 0)
    dry = month[month > 0]
    return FundFacts(
        current=held,
        confidence=estimates.chance(need <= held + slack),
        levels=levels(need, confidences),
        need=estimates.mean(need),
        unspent=estimates.mean(np.maximum(held - need, 0.0)),
        exhausted_month=estimates.ratio(month, month > 0),
        exhausted_early=float(estimates.at(np.sort(dry), np.array([EARLY]))[0]) if dry.size else None,
    )


def _target(scenario: Scenario) -> float:
    return float(scenario.plan.target.central())


def euler(parts: np.ndarray, confidence: float) -> tuple[np.ndarray, float]:
    """Share of each part in the mean of the worst totals (CVaR), shape (parts,), and that mean; they add up exactly.

    Parameters
    ----------
    parts : ndarray, shape (parts, ...)
        On every path; their sum over the first axis is the total.
    confidence : float
        The worst 1 - confidence of all paths count.

    Notes
    -----
    The allocation of Euler's rule for CVaR: E[part | total among the worst] (Tasche 1999). Where several paths tie at
    the edge each of them counts by the same fraction.
    """
    flat = parts.reshape(parts.shape[0], -1)
    total = flat.sum(axis=0)
    count = (1.0 - confidence) * total.size
    edge = float(estimates.at(np.sort(total), np.array([confidence]))[0])
    beyond, at_edge = total > edge, total == edge
    fraction = np.clip((count - beyond.sum()) / max(1, int(at_edge.sum())), 0.0, 1.0)
    weight = beyond + fraction * at_edge
    weight = weight / weight.sum()
    return flat @ weight, float(total @ weight)


def release(drawn: np.ndarray, fund: float, confidence: float) -> tuple[list[Release], Chance]:
    """The schedule of giving money back, and P(the year stays covered) under it.

    At each month's end what is above the amount to keep goes back. That amount is the quantile of what the rest of
    the year will ask for, over all years; it does not look at how this year has gone.

    Parameters
    ----------
    drawn : ndarray, shape (months, worlds, paths)
        Asked for by the end of each month. [CNY]
    """
    months = drawn.shape[0]
    left = np.full(drawn.shape[1:], float(fund))
    covered = np.ones(drawn.shape[1:], bool)
    returned = np.zeros(drawn.shape[1:])
    found, before = [], np.zeros(drawn.shape[1:])
    for t in range(months):
        left -= drawn[t] - before
        before = drawn[t]
        covered &= left >= -1e-9 * max(fund, 1.0)
        rest = np.sort(drawn[-1] - drawn[t], axis=None)
        keep = float(estimates.at(rest, np.array([confidence]))[0]) if t < months - 1 else 0.0
        back = np.maximum(left - keep, 0.0)
        left -= back
        returned += back
        found.append(Release(t + 1, keep, estimates.mean(returned)))
    return found, estimates.chance(covered)


@dataclass(frozen=True)
class Contingency:
    """Everything about the funds of a scenario.

    Attributes
    ----------
    facts : dict of str to FundFacts
        By fund; with several also of all together, under "total".
    curve : list of CurvePoint
        Of `fund`, the one that is varied.
    split : dict of str to float
        What each risk, and the reviews, take of the mean of the worst needs at `confidence`; adds up to `tail`. [CNY]
    """

    scenario: Scenario
    needs: Needs
    facts: dict[str, FundFacts]
    fund: str
    confidence: float
    curve: list[CurvePoint]
    joint_now: Chance
    joint_for: dict[str, float | None]
    split: dict[str, float]
    tail: float
    release: list[Release]
    release_covers: Chance
    released_from: float

    @property
    def curve_dataset(self) -> xr.Dataset:
        """P(suffices), P(attain) and P(both) by the size of the fund, for the chart."""
        import xarray as xr

        columns = {}
        for name in ("suffices", "attains", "both"):
            chances = [getattr(point, name) for point in self.curve]
            columns[name] = ("fund", np.array([p.value for p in chances]), {"units": "1"})
            columns[f"{name}_se"] = ("fund", np.array([p.se for p in chances]), {"units": "1"})
        return xr.Dataset(columns, {"fund": [point.fund for point in self.curve]}, self._about)

    @property
    def drawn_dataset(self) -> xr.Dataset:
        """Quantiles of what has been asked of the fund by the end of each month, for the chart."""
        import xarray as xr

        drawn = self.needs.months_of(self.fund)
        values = np.quantile(drawn.reshape(drawn.shape[0], -1), FAN, axis=1)
        described = {"units": self.scenario.plan.currency, "long_name": "asked of the fund so far"}
        return xr.Dataset(
            {"drawn": (("quantile", "month"), values, described)},
            {"quantile": list(FAN), "month": simulation.months(self.scenario)}, self._about,
        )  # fmt: skip

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "name": self.fund, "current": self.needs.held(self.fund), "currency": self.scenario.plan.currency,
            "scenario": self.scenario.plan.name or self.scenario.file,
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency."""
        run = self.needs.run
        return {
            "scenario": self.scenario.plan.name or self.scenario.file, "paths": run.n_paths, "worlds": run.n_worlds,
            "seed": run.seed, "confidence": self.confidence, "fund": self.fund,
            "funds": {name: found.to_json() for name, found in self.facts.items()},
            "joint": {"confidence": self.joint_now.to_json(), "fund_for": self.joint_for},
            "curve": [point.to_json() for point in self.curve],
            "split": {"euler": self.split, "euler_total": self.tail},
            "release": [month.to_json() for month in self.release],
            "release_from": self.released_from, "release_covers": self.release_covers.to_json(),
        }  # fmt: skip


def contingency(
    scenario: Scenario,
    *,
    fund: str | None = None,
    confidence: float = 0.8,
    paths: int = 200_000,
    worlds: int | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
) -> Contingency:
    """How much money the funds need, with which confidence, and when.

    Parameters
    ----------
    scenario : Scenario
    fund : str, optional
        The one whose size is varied, split and released; by default the first.
    confidence : float, optional
        Of the split and the release. (0, 1)
    paths, worlds, seed, threads : see `engine.simulate`
    progress : callable, optional
        Called with the paths done and to do.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Raises
    ------
    SimulationError
        If there is no such fund, or a size makes no sense.
    """
    simulation.check(paths, worlds, seed, "random", threads)
    if not 0 < confidence < 1:
        raise SimulationError(f"confidence: {confidence} lies outside 0 to 1")
    simulation.set_threads(threads)
    if fund is not None and fund not in scenario.funds:
        known = ", ".join(scenario.funds) or "none"
        raise SimulationError(f"fund: {fund!r} is no fund of this scenario; funds are {known}")
    run = simulation.plan_run(scenario, paths, worlds, seed, "random")
    simulation.compile_kernels(run, announce)
    work = (CURVE + 2) * run.n_paths

    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(done, work)

    needs = simulate_needs(scenario, paths, worlds, seed, report)
    chosen = next(iter(scenario.funds)) if fund is None else fund
    found = {name: facts(needs, name) for name in needs.funds}
    curve = _curve(needs, Replay(run), chosen, lambda done: report(run.n_paths + done, work))
    shares, tail = euler(needs.by_risk, confidence)
    kept = {name: float(v) for name, v in zip([*scenario.risks, REVIEWS], shares, strict=True) if v != 0.0}
    start = max(needs.held(chosen), level(needs.of(chosen), confidence).value)
    schedule, covers = release(needs.months_of(chosen), start, confidence)
    now = min(curve, key=lambda point: abs(point.fund - needs.held(chosen)))
    return Contingency(
        scenario, needs, found, chosen, confidence, curve, now.both,
        {f"{c:g}": _smallest(curve, c) for c in LEVELS}, kept, tail, schedule, covers, start,
    )  # fmt: skip


def _curve(needs: Needs, replay: Replay, fund: str, report: Callable[[int], None]) -> list[CurvePoint]:
    """P(suffices), P(attain) and P(both) at fund sizes from nothing to what 99.9 % of all years need."""
    scenario, need = needs.scenario, needs.of(fund)
    top = max(float(np.quantile(need, 0.999)), needs.held(fund), 1e-9)
    sizes = np.unique(np.append(np.linspace(0.0, top, CURVE), needs.held(fund)))
    target = needs.run.worlds.values.get("plan.target", np.full(need.shape[0], _target(scenario)))[:, None]
    slack = _TOLERANCE * _target(scenario)
    points = []
    for size in sizes:
        revenue = replay.sample({f"funds.{fund}.amount": float(size)})[0]
        report(replay.done)
        attains, suffices = revenue >= target * (1.0 - 1e-9), need <= size + slack
        points.append(CurvePoint(float(size), *map(estimates.chance, (suffices, attains, attains & suffices))))
    return points


def _smallest(curve: list[CurvePoint], confidence: float) -> float | None:
    """The smallest fund with P(both) at a confidence, between the points by a straight line; None where none is."""
    for before, after in zip([None, *curve[:-1]], curve, strict=True):
        if after.both.value >= confidence:
            if before is None or after.both.value == before.both.value:
                return after.fund
            share = (confidence - before.both.value) / (after.both.value - before.both.value)
            return before.fund + share * (after.fund - before.fund)
    return None
