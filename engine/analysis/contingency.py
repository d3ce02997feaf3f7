"""The contingency study: how sure the funds are, what the risks take, and what the answers to them are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates, funds, losses, responses, shapley
from engine.analysis.estimates import Chance
from engine.analysis.funds import CurvePoint, FundFacts, Schedule
from engine.analysis.losses import Losses
from engine.analysis.needs import Needs, Progress, simulate_needs, simulate_present
from engine.analysis.responses import Worth
from engine.analysis.shapley import Split
from engine.errors import SimulationError
from engine.kernels.layout import SWITCHABLE
from engine.names import run_text
from engine.replay import Replay
from engine.scenario.model import Scenario
from engine.simulation import Run

if TYPE_CHECKING:
    import xarray as xr

FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
REVIEWS = "review actions"  # what no risk asks for: the corrective money of the reviews; no id has a space
_ROUNDING = 1e-12  # of the total: a share that is nothing
BEFORE, BEFORE_SOME = "before any risk", "before these risks"
CHOICES = 20_000  # paths by default of what simulates every path again and again
PATHS_PER_WORLD = 200  # of those


@dataclass(frozen=True)
class Contingency:
    """Everything about the funds, risks and answers of a scenario.

    Attributes
    ----------
    facts : dict of str to FundFacts
        By fund; with several also of all together, under "all funds".
    curve : list of CurvePoint
        Of `fund`, the one that is varied.
    euler : dict of str to float
        What each risk, and the reviews, take of the mean of the worst needs at `confidence`; adds up to `tail`. [CNY]
    split : Split
        Shapley values and interactions.
    losses : Losses
    release, release_year : Schedule
        With `confidence` seen from each month alone, and for the year as a whole.
    answers : list of Worth
        What each response, buffer, rescue, fund and the reviews are worth.
    """

    scenario: Scenario
    needs: Needs
    facts: dict[str, FundFacts]
    fund: str
    confidence: float
    curve: list[CurvePoint]
    joint_now: Chance
    joint_for: dict[str, float | None]
    euler: dict[str, float]
    tail: float
    release: Schedule
    release_year: Schedule
    split: Split
    losses: Losses
    answers: list[Worth]

    @property
    def curve_dataset(self) -> xr.Dataset:
        """P(suffices), P(attain) and P(both) by the size of the fund, for the chart."""
        import xarray as xr

        columns = {}
        for name in ("suffices", "attains", "both"):
            chances = [getattr(point, name) for point in self.curve]
            columns[name] = ("fund", np.array([p.value for p in chances]), {"units": "1"})
            for end in ("lo", "hi"):
                columns[f"{name}_{end}"] = ("fund", np.array([getattr(p, end) for p in chances]), {"units": "1"})
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
    def waterfall_dataset(self) -> xr.Dataset:
        """Steps from the plan to the median year, for the chart; of the first and the last the amount itself."""
        import xarray as xr

        ledger = self.split.ledgers["revenue_p50"]
        target = float(self.scenario.plan.target.central())
        ranked = sorted(ledger.shares.items(), key=lambda item: item[1].shapley.value)
        before = BEFORE if len(ledger.shares) == len(self.scenario.risks) else BEFORE_SOME
        steps = [("plan", target, 0.0), (before, ledger.none.value - target, ledger.none.se)]
        steps += [(name, *share.shapley) for name, share in ranked]
        steps += [("median year", *ledger.all)]
        names, change, se = zip(*steps, strict=True)
        return xr.Dataset(
            {"change": ("step", np.array(change)), "se": ("step", np.array(se))}, {"step": list(names)}, self._about
        )

    @property
    def losses_dataset(self) -> xr.Dataset:
        """Exceedance curves of the year's loss and of the largest single one, by risk and in all, for the chart."""
        import xarray as xr

        curves = np.stack(list(self.losses.curves.values()))
        mean = [self.losses.by_risk[name].mean.value for name in self.scenario.risks]
        return xr.Dataset(
            {
                "loss": (("risk", "view", "point"), curves[..., 0]), "p": (("risk", "view", "point"), curves[..., 1]),
                "mean": ("risk", np.array([*mean, self.losses.total.mean.value])),
            },
            {"risk": list(self.losses.curves), "view": ["year", "strike"]}, self._about,
        )  # fmt: skip

    @property
    def matrix_dataset(self) -> xr.Dataset:
        """Chance and impact of every risk that has a level in the plan's matrices, for the chart."""
        import xarray as xr

        placed = {name: risk.level for name, risk in self.scenario.risks.items() if risk.level is not None}
        found = [self.losses.by_risk[name] for name in placed]
        columns = {
            "level": list(placed.values()), "p": [loss.strikes.value for loss in found],
            "p_se": [loss.strikes.se for loss in found],
            "impact": [np.nan if loss.impact is None else loss.impact.value for loss in found],
            "impact_se": [np.nan if loss.impact is None else loss.impact.se for loss in found],
        }  # fmt: skip
        return xr.Dataset(
            {name: ("risk", values) for name, values in columns.items()}, {"risk": list(placed)}, self._about
        )

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "name": self.fund, "current": self.needs.held(self.fund), "currency": self.scenario.plan.currency,
            "scenario": self.scenario.title,
            "run": run_text(self.needs.run.n_paths, self.needs.run.n_worlds, self.needs.run.seed),
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency."""
        run, ledgers, joint = self.needs.run, self.split.ledgers, self.joint_now.to_json()
        return {
            "scenario": self.scenario.title, "paths": run.n_paths, "worlds": run.n_worlds,
            "seed": run.seed, "confidence": self.confidence, "fund": self.fund,
            "funds": {name: found.to_json() for name, found in self.facts.items()},
            "joint": {"confidence": joint.pop("value"), **joint, "fund_for": self.joint_for},
            "curve": [point.to_json() for point in self.curve],
            "split": {
                "euler": self.euler, "euler_total": self.tail, "exact": self.split.exact, "paths": self.split.paths,
                "shapley": {name: share.shapley.to_json() for name, share in ledgers["fund_need"].shares.items()},
            },
            "ledger": ledgers["fund_need"].to_json()["shares"],
            "ledgers": {measure: ledger.to_json() for measure, ledger in ledgers.items()},
            "losses": self.losses.to_json(),
            "release": [month.to_json() for month in self.release.months],
            "release_from": self.release.start, "release_covers": self.release.covers.to_json(),
            "release_year": self.release_year.to_json(),
            "responses": {worth.answer.name: worth.to_json() for worth in self.answers},
        }  # fmt: skip


def contingency(
    scenario: Scenario,
    *,
    fund: str | None = None,
    confidence: float = 0.8,
    risks: Sequence[str] | None = None,
    paths: int = 200_000,
    choices: int = CHOICES,
    worlds: int | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
) -> Contingency:
    """How much money the funds need, with which confidence and when; what the risks take; what the answers are worth.

    Parameters
    ----------
    scenario : Scenario
    fund : str, optional
        The one whose size is varied and released; by default the first.
    confidence : float, optional
        Of Euler's split and of the release. (0, 1)
    risks : sequence of str, optional
        Those that share in the Shapley values, the others acting always; by default all.
    paths, worlds, seed, threads : see `engine.simulate`
    choices : int, optional
        Paths, at most `paths`, of what simulates every path again and again: Shapley values and answers.
    progress : callable, optional
        Called with the share of the work done and to do.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Raises
    ------
    SimulationError
        If there is no such fund or risk, or a size makes no sense.
    """
    simulation.check(paths, worlds, seed, "random", threads)
    _check(scenario, fund, confidence, risks, choices)
    simulation.set_threads(threads)
    run = simulation.plan_run(scenario, paths, worlds, seed, "random")
    simulation.compile_kernels(run, announce)
    stages = _Stages(progress)
    needs = simulate_needs(scenario, paths, worlds, seed, stages.part(_NEEDS))
    chosen = next(iter(scenario.funds)) if fund is None else fund
    present = simulate_present(run, stages.part(_PRESENT))
    found = {name: funds.facts(needs, present, name) for name in needs.funds}
    report, sizes = stages.part(_CURVE), funds.Sizes(needs, Replay(run), chosen)
    curve = sizes.curve(lambda done: report(done, funds.CURVE * run.n_paths))
    lost = losses.simulate_losses(run, stages.part(_LOSSES))
    few = _few(run, scenario, min(choices, paths), worlds)
    split = shapley.split(few, list(scenario.risks) if risks is None else risks, progress=stages.part(_SPLIT))
    answers = _answers(few, stages.part(_ANSWERS))
    shares, tail = funds.euler(needs.by_risk, confidence)
    kept = {
        name: float(v) for name, v in zip([*scenario.risks, REVIEWS], shares, strict=True) if abs(v) > _ROUNDING * tail
    }
    drawn, held = needs.months_of(chosen), needs.held(chosen)
    by_month, for_year = funds.schedule(drawn, held, confidence), funds.release_for_year(drawn, held, confidence)
    now = estimates.chance(present.attained & (present.dry_month_of(chosen) == 0))
    return Contingency(
        scenario, needs, found, chosen, confidence, curve, now,
        {f"{c:g}": sizes.smallest(curve, c) for c in funds.LEVELS}, kept, tail, by_month, for_year, split,
        lost, answers,
    )  # fmt: skip


def _check(scenario: Scenario, fund: str | None, confidence: float, risks: Sequence[str] | None, choices: int) -> None:
    faults = []
    if not 0 < confidence < 1:
        faults.append(f"confidence: {confidence} lies outside 0 to 1")
    if choices < 1:
        faults.append(f"choices: {choices} is below 1")
    if not scenario.funds:
        faults.append(f"{scenario.file}: there is no fund; add one, such as [funds.contingency]")
    elif fund is not None and fund not in scenario.funds:
        faults.append(f"fund: {fund!r} is no fund of this scenario; funds are {', '.join(scenario.funds)}")
    if risks is None and len(scenario.risks) > SWITCHABLE:
        faults.append(
            f"{len(scenario.risks)} risks are too many for Shapley values; name at most {SWITCHABLE} with risks"
        )
    for name in dict.fromkeys(risks or ()):
        if name not in scenario.risks:
            known = ", ".join(scenario.risks) or "none"
            faults.append(f"risks: {name!r} is no risk of this scenario; risks are {known}")
    if risks is not None and len(set(risks)) < len(risks):
        faults.append(f"risks: {', '.join(sorted({r for r in risks if list(risks).count(r) > 1}))} twice")
    if faults:
        raise SimulationError("; ".join(faults))


def _few(run: Run, scenario: Scenario, paths: int, worlds: int | None) -> Run:
    """A shorter run, with as many of the same worlds as it has room for."""
    if worlds is None:
        worlds = 1 if run.n_worlds == 1 else max(1, min(run.n_worlds, paths // PATHS_PER_WORLD))
    return simulation.plan_run(scenario, paths, min(worlds, paths), run.seed, "random")


def _answers(run: Run, report: Progress) -> list[Worth]:
    """What every answer is worth."""
    asked = list(responses.answers(run.scenario))
    total = (1 + len(asked) * responses.RUNS) * run.n_paths
    done = 0

    def count(paths: int) -> None:
        nonlocal done
        done += paths
        report(min(done, total), total)

    study = responses.Responses(run, count)
    return [study.worth(answer) for answer in asked]


_NEEDS, _PRESENT, _CURVE, _LOSSES = (0.0, 0.05), (0.05, 0.1), (0.1, 0.35), (0.35, 0.45)
_SPLIT, _ANSWERS = (0.45, 0.8), (0.8, 1.0)
_WHOLE = 10_000  # steps of the progress


class _Stages:
    """One progress for stages that count differently: each has its share of the whole."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def part(self, span: tuple[float, float]) -> Progress:
        """Progress of one stage."""

        def report(done: int, work: int) -> None:
            if self._progress is not None:
                share = min(done / max(work, 1), 1.0)
                self._progress(round(_WHOLE * (span[0] + (span[1] - span[0]) * share)), _WHOLE)

        return report
