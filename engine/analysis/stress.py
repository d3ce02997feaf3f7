"""Stress tests: what becomes of the plan if something definite goes wrong, against the plan as it is, path by path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure, Scores
from engine.errors import Fault, ScenarioError, SimulationError
from engine.names import run_text
from engine.scenario import blocks, library
from engine.scenario.model import Scenario
from engine.simulation import Run

if TYPE_CHECKING:
    import xarray as xr

REVENUE_QUANTILES = {"revenue_p5": 0.05, "revenue_p10": 0.10}
NEED_QUANTILE = 0.8
BEFORE_RISKS = "sales before risks"  # what no risk takes; an id of the user's has no space, so no risk is called so
_CHUNK = 32_768  # paths at a time: the kernel's outputs are some 1 KB a path, of which a tenth is kept
_NOTHING = 1e-9  # of the target: changes of revenue below it are rounding

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What one scenario brings.

    Attributes
    ----------
    name : str
        Its file without the ending; numbered where two are called so.
    file, title : str
    p_attain : Chance
    figures : dict of str to Figure
        ``revenue``, ``revenue_p5`` and ``revenue_p10`` (its 5 % and 10 % quantiles), ``shortfall`` (mean of what is
        missing to the target, years that reach it counting 0), and where there are funds ``fund_need`` and
        ``fund_need_p80`` (mean and 80 % quantile of what all of them are asked for in the year). [CNY]
    """

    name: str
    file: str
    title: str
    p_attain: Chance
    figures: dict[str, Figure]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, money in the plan's currency."""
        return {
            "file": self.file, "title": self.title, "p_attain": self.p_attain.to_json(),
            **{name: figure.to_json() for name, figure in self.figures.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class Stressed(Outcome):
    """What a stressed scenario brings, and how that differs from the base on the same paths.

    Attributes
    ----------
    difference : Figure
        Of P(attain). [1]
    differences : dict of str to Figure
        Of the figures that both have. [CNY]
    causes : dict of str to Figure
        Revenue lost against the base by cause, gains negative: every risk, and `BEFORE_RISKS`, what sells less although
        no risk strikes it (a late launch, customers that have gone, less effective lines). They add up to the fall of
        mean revenue. [CNY]
    main_cause : str or None
        The one that moves revenue most in the direction in which it goes; None where revenue stays.
    """

    difference: Figure
    differences: dict[str, Figure]
    causes: dict[str, Figure]
    main_cause: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, money in the plan's currency."""
        return {
            **super().to_json(), "difference": self.difference.to_json(),
            **{f"{name}_difference": figure.to_json() for name, figure in self.differences.items()},
            "causes": {name: figure.to_json() for name, figure in self.causes.items()}, "main_cause": self.main_cause,
        }  # fmt: skip


@dataclass(frozen=True)
class StressTest:
    """The base and every stress, most harmful first: by P(attain), then by mean revenue."""

    base: Outcome
    stresses: dict[str, Stressed]
    paths: int
    worlds: int
    seed: int
    target: float
    currency: str

    @property
    def dataset(self) -> xr.Dataset:
        """Differences of P(attain) and of mean revenue with their errors, for the chart."""
        import xarray as xr

        columns = {}
        for name, units in (("difference", "1"), ("revenue_difference", self.currency)):
            found = [s.difference if name == "difference" else s.differences["revenue"] for s in self.stresses.values()]
            columns[name] = ("stress", np.array([f.value for f in found]), {"units": units})
            columns[f"{name}_se"] = ("stress", np.array([f.se for f in found]), {"units": units})
        return xr.Dataset(
            columns, {"stress": self._labels()},
            {
                "scenario": self.base.title, "run": run_text(self.paths, self.worlds, self.seed),
                "target": self.target, "currency": self.currency, "paths": self.paths,
                "p_attain": self.base.p_attain.value, "p_attain_se": self.base.p_attain.se,
                "revenue": self.base.figures["revenue"].value, "revenue_se": self.base.figures["revenue"].se,
            },
        )  # fmt: skip

    def _labels(self) -> list[str]:
        """Titles without what they share with the base's; names where that leaves nothing, or the same twice."""
        short = {name: s.title.removeprefix(self.base.title).lstrip(": ") for name, s in self.stresses.items()}
        titles = list(short.values())
        return [text if text and titles.count(text) == 1 else name for name, text in short.items()]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers: money in the plan's currency, probabilities and their differences of 1."""
        return {
            "base": self.base.to_json(), "paths": self.paths, "worlds": self.worlds, "seed": self.seed,
            "stresses": {name: found.to_json() for name, found in self.stresses.items()},
        }  # fmt: skip


def stress(
    base: Scenario,
    scenarios: Sequence[Scenario],
    *,
    paths: int = 200_000,
    worlds: int | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
) -> StressTest:
    """Simulate a base and stressed scenarios on common random numbers, and say what each stress changes and why.

    Parameters
    ----------
    base : Scenario
        The plan as it is.
    scenarios : sequence of Scenario
        The stressed ones; they share horizon, currency and target with the base.
    paths : int, optional
        Of each scenario, over all its worlds.
    worlds : int, optional
        Of each scenario. By default 256, fewer where a world would get fewer than 1000 paths, and 1 where nothing is
        uncertain in any of the scenarios.
    seed, threads : see `engine.simulate`
    progress : callable, optional
        Called with the paths done and to do, over all scenarios.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Returns
    -------
    StressTest

    Raises
    ------
    ScenarioError
        Naming every scenario that cannot be compared with the base, and why.
    SimulationError
        If there is no stress, a size makes no sense, or the paths would not fit in memory.

    Notes
    -----
    All scenarios get the same number of worlds and the same seed. A draw's address is the name of what is drawn, so an
    uncertain knob that base and stress share has the same value in world w of both, whatever else differs; a knob that
    the stress fixes is simply fixed. World w draws its paths from the stream w + 1 in both, so that path p of world w
    is the same year: the same demand, and the same starts, depths and lengths of all risks that the stress leaves
    alone. Every difference is that of the two figures, and its error that of a mean of differences path by path,
    clustered by world: what another set of worlds and paths would change, in both scenarios at once.

    Revenue and the losses to all risks add up to what would have been sold without risks (model 3.4, 3.5), which makes
    the fall of mean revenue the sum of the additional losses by risk and of the fall of those sales.
    """
    simulation.check(paths, worlds, seed, "random", threads)
    if not scenarios:
        raise SimulationError("no stressed scenario is given; name at least one")
    simulation.set_threads(threads)
    everything = [base, *scenarios]
    count = max(simulation.default_worlds(s, paths) for s in everything) if worlds is None else worlds
    runs = [simulation.plan_run(s, paths, count, seed, "random") for s in everything]
    _require_comparable(runs[0], runs[1:])
    _require_memory(runs)
    simulation.compile_kernels(runs[0], announce)
    total, done = sum(run.n_paths for run in runs), 0

    def simulated(run: Run) -> _Years:
        nonlocal done
        before = done
        done += run.n_paths
        return _simulate(run, None if progress is None else lambda now, _: progress(before + now, total))

    names = library.names(everything)
    usual = simulated(runs[0])
    found = [_compare(name, simulated(run), usual) for name, run in zip(names[1:], runs[1:], strict=True)]
    found.sort(key=lambda s: (s.difference.value, s.differences["revenue"].value))
    return StressTest(
        _outcome(names[0], usual), {s.name: s for s in found}, runs[0].n_paths, runs[0].n_worlds, seed,
        float(usual.target.mean()), base.plan.currency,
    )  # fmt: skip


def _require_comparable(base: Run, runs: Sequence[Run]) -> None:
    """Refuse scenarios whose year, money or target is another than the base's."""
    plan, file = base.scenario.plan, base.scenario.file
    faults = []
    for run in runs:
        other = run.scenario.plan
        for knob in ("start", "months", "currency"):
            mine, theirs = (str(getattr(p, knob)) for p in (other, plan))
            if mine != theirs:
                message, remedy = f"{mine}, but {theirs} in {file}", "only the same months and money can be compared"
                faults.append(Fault(run.scenario.file, f"plan.{knob}", message, remedy))
        if not np.array_equal(run.worlds.read("plan.target"), base.worlds.read("plan.target")):
            shown = [f"{p.target.central():,.12g}" for p in (other, plan)]
            message = (
                f"{shown[0]}, but {shown[1]} in {file}" if shown[0] != shown[1] else f"is drawn otherwise in {file}"
            )
            remedy = "a stress changes the year, not the goal: drop the target, or set it for all with --set"
            faults.append(Fault(run.scenario.file, "plan.target", message, remedy))
    if faults:
        raise ScenarioError("scenarios that cannot be compared with the base", faults)


def _require_memory(runs: Sequence[Run]) -> None:
    """Two scenarios stand side by side with what is kept of each path, besides what a comparison needs for a moment."""
    kept = max(len(run.scenario.risks) for run in runs) + 8
    buffer = _CHUNK * max(simulation.bytes_per_path(run.scenario) for run in runs)
    needed = 8 * (2 * kept + 4) * runs[0].n_paths + buffer
    simulation.require_memory(needed, f"{runs[0].n_paths:,} paths", "ask for fewer paths")


@dataclass(frozen=True)
class _Years:
    """What is kept of every path of one scenario, shape (worlds, paths) each unless said otherwise.

    `losses` is (risks, worlds, paths), `target` (worlds, 1), `need` None where there is no fund.
    """

    scenario: Scenario
    target: np.ndarray
    attained: np.ndarray
    revenue: np.ndarray
    losses: np.ndarray
    need: np.ndarray | None

    def loss(self, risk: str) -> np.ndarray:
        """Lost to one risk; nothing where the scenario has no such risk."""
        names = list(self.scenario.risks)
        found: np.ndarray = self.losses[names.index(risk)] if risk in names else np.zeros_like(self.revenue)
        return found

    @property
    def before_risks(self) -> np.ndarray:
        """What would have been sold without risks."""
        found: np.ndarray = self.revenue + self.losses.sum(axis=0)
        return found

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Every figure of money, with what each path contributes to it."""
        found = {"revenue": estimates.mean_scores(self.revenue)}
        found |= {name: estimates.quantile_scores(self.revenue, level) for name, level in REVENUE_QUANTILES.items()}
        found["shortfall"] = estimates.mean_scores(np.maximum(self.target - self.revenue, 0.0))
        if self.need is not None:
            found["fund_need"] = estimates.mean_scores(self.need)
            found["fund_need_p80"] = estimates.quantile_scores(self.need, NEED_QUANTILE)
        return found


def _simulate(run: Run, progress: Progress | None) -> _Years:
    """Simulate a scenario chunk by chunk and keep what is compared."""
    scenario = run.scenario
    value, flag = blocks.results(scenario)
    shape = (len(run.worlds), run.paths_per_world)
    attained, revenue, need = np.empty(shape, bool), np.empty(shape), np.empty(shape)
    losses = np.empty((len(scenario.risks), *shape))
    for chunk, out in simulation.outputs(run, progress=progress, size=_CHUNK):
        place = (slice(chunk.start, chunk.stop), slice(chunk.path, chunk.path + chunk.n_paths))
        part = (-1, chunk.stop - chunk.start, chunk.n_paths)
        attained[place] = out.flags[flag.target_met].reshape(part[1:]) != 0
        revenue[place] = out.values[value.revenue].reshape(part[1:])
        losses[:, *place] = out.values[value.loss :][: len(scenario.risks)].reshape(part)
        need[place] = out.values[value.fund_need :][: len(scenario.funds)].sum(axis=0).reshape(part[1:])
    return _Years(
        scenario, run.worlds.read("plan.target")[:, None], attained, revenue, losses, need if scenario.funds else None
    )


def _outcome(name: str, years: _Years) -> Outcome:
    scenario = years.scenario
    figures = {key: scores.figure for key, scores in years.scores.items()}
    return Outcome(
        name, scenario.file, scenario.title, estimates.chance(years.attained), figures
    )  # fmt: skip


def _compare(name: str, years: _Years, base: _Years) -> Stressed:
    """A stressed scenario against the base, whose years are the same path by path."""
    change = years.attained.astype(np.int8) - base.attained.astype(np.int8)
    differences = {key: mine.minus(base.scores[key]) for key, mine in years.scores.items() if key in base.scores}
    causes = {
        risk: estimates.mean(years.loss(risk) - base.loss(risk))
        for risk in dict.fromkeys((*base.scenario.risks, *years.scenario.risks))
    }
    causes[BEFORE_RISKS] = estimates.mean(base.before_risks - years.before_risks)
    alone = _outcome(name, years)
    least = _NOTHING * float(base.target.mean())
    return Stressed(
        **vars(alone), difference=estimates.mean(change), differences=differences, causes=causes,
        main_cause=_main(causes, differences["revenue"].value, least),
    )  # fmt: skip


def _main(causes: dict[str, Figure], change: float, least: float) -> str | None:
    """The cause that moves revenue most in the direction in which it goes; None where it stays."""
    if abs(change) <= least:
        return None
    return max(causes, key=lambda name: -np.sign(change) * causes[name].value)
