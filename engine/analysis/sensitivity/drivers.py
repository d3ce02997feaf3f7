"""What sets the years that miss the target apart from those that attain it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.sensitivity.addresses import path_draws
from engine.analysis.sensitivity.indices import LEVEL, Z
from engine.analysis.sensitivity.outputs import Progress
from engine.errors import SimulationError
from engine.scenario import blocks, knobs
from engine.scenario.model import Scenario
from engine.simulation import Run

if TYPE_CHECKING:
    import xarray as xr

PATH, WORLD = "path", "world"  # drawn on every path, or once a world
PATHS = 400_000
TRACE = 1e-9  # of the target: a risk that moves or costs less has left no trace
BINS = 80  # of the densities


class Ratio(NamedTuple):
    """A ratio with its 95 % interval."""

    value: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return self._asdict()


@dataclass(frozen=True)
class RiskDriver:
    """One risk in years that miss and years that attain.

    Attributes
    ----------
    strikes : Figure
        Chance that it leaves a trace in a year: revenue lost, or won, or money spent on its response.
    miss_if, miss_if_not : Figure or None
        Chance of a miss where it does and where it does not; None where there is no such year.
    odds : Ratio or None
        Odds of a miss where it strikes over those where it does not; None where one of the two never happens.
    """

    strikes: Figure
    miss_if: Figure | None
    miss_if_not: Figure | None
    odds: Ratio | None

    @property
    def distance(self) -> float:
        """How far the odds ratio is surely from 1, on a log scale; below 0 where it may be 1."""
        return -np.inf if self.odds is None else float(max(np.log(self.odds.lo), -np.log(self.odds.hi)))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {name: None if v is None else v.to_json() for name, v in vars(self).items()}


@dataclass(frozen=True)
class NumberDriver:
    """One number in years that miss and years that attain.

    Attributes
    ----------
    kind : str
        "path" where it is drawn on every path, "world" where it is uncertain.
    unit : str
    missed, attained : Figure
        Mean.
    difference : Figure
        Missed less attained, in standard deviations over all years.
    """

    kind: str
    unit: str
    missed: Figure
    attained: Figure
    difference: Figure

    @property
    def distance(self) -> float:
        """How far the difference is surely from 0; below 0 where it may be 0."""
        return abs(self.difference.value) - Z * self.difference.se

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"kind": self.kind, "unit": self.unit} | {
            name: getattr(self, name).to_json() for name in ("missed", "attained", "difference")
        }


@dataclass(frozen=True)
class MissDrivers:
    """What sets misses apart.

    Attributes
    ----------
    p_miss : Chance
    risks : dict of str to RiskDriver
        The most telling first: by how far the odds ratio is surely from 1.
    numbers : dict of str to NumberDriver
        The most telling first: by how far the difference is surely from 0.
    attainment : ndarray, shape (worlds, paths)
        Revenue over target.
    struck : dict of str to ndarray of bool, shape (worlds, paths)
    """

    scenario: Scenario
    run: Run
    p_miss: Chance
    risks: dict[str, RiskDriver]
    numbers: dict[str, NumberDriver]
    attainment: np.ndarray
    struck: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        return {
            "scenario": self.scenario.plan.name or self.scenario.file, "paths": self.run.n_paths,
            "worlds": self.run.n_worlds, "seed": self.run.seed, "interval": LEVEL, "p_miss": self.p_miss.to_json(),
            "risks": {name: found.to_json() for name, found in self.risks.items()},
            "numbers": {name: found.to_json() for name, found in self.numbers.items()},
        }  # fmt: skip

    @property
    def telling(self) -> str | None:
        """The risk whose strike says most about a miss; None where none can be told from chance."""
        name = next(iter(self.risks), None)
        return name if name is not None and self.risks[name].distance > 0.0 else None

    def density(self, risk: str) -> xr.Dataset:
        """Densities of attainment in years in which a risk strikes, and in which it does not, for the chart.

        Raises
        ------
        SimulationError
            If there is no such risk, or it strikes in every year, or in none.
        """
        import xarray as xr

        if risk not in self.struck:
            raise SimulationError(f"risk: {risk!r} is no risk of this scenario; risks are {', '.join(self.struck)}")
        struck = self.struck[risk]
        if struck.all() or not struck.any():
            raise SimulationError(
                f"risk: {risk} strikes in {'every' if struck.all() else 'no'} year: nothing to compare"
            )
        low, high = np.quantile(self.attainment, [0.0005, 0.9995])
        edges = np.linspace(float(low), float(high), BINS + 1)
        width, columns = edges[1] - edges[0], {}
        for name, chosen in (("strikes", struck), ("spared", ~struck)):
            values = self.attainment[chosen]
            columns[name] = ("attainment", np.histogram(values, edges)[0] / (values.size * width), {"units": "1"})
        found = self.risks[risk]
        assert found.miss_if is not None and found.miss_if_not is not None
        return xr.Dataset(
            columns, {"attainment": 0.5 * (edges[1:] + edges[:-1])},
            {
                "risk": risk, "share": float(struck.mean()), "scenario": self.scenario.plan.name or self.scenario.file,
                "miss_if": found.miss_if.value, "miss_if_se": found.miss_if.se,
                "miss_if_not": found.miss_if_not.value, "miss_if_not_se": found.miss_if_not.se,
            },
        )  # fmt: skip


def conditional(values: np.ndarray, chosen: np.ndarray) -> Figure | None:
    """Mean over the chosen paths with its error by the delta method, clustered by world; None where there are none."""
    share = chosen.mean()
    if share == 0.0:
        return None
    ratio = float((values * chosen).mean() / share)
    return Figure(ratio, estimates.mean(chosen * (values - ratio)).se / float(share))


def odds_ratio(missed: np.ndarray, struck: np.ndarray) -> Ratio | None:
    """Odds of a miss where a risk strikes over those where it does not; None where the table has an empty margin.

    Notes
    -----
    The error of the logarithm by the delta method, clustered by world; with one world that of Woolf (1955). Where a
    cell is empty each of the four gets half a path (Haldane 1956, Anscombe 1956), and the error is Woolf's.
    """
    cells = [missed & struck, ~missed & ~struck, ~missed & struck, missed & ~struck]
    counts = np.array([cell.sum() for cell in cells], float)
    if not all(counts[[a, b]].sum() for a, b in ((0, 2), (1, 3), (0, 3), (1, 2))):
        return None
    if counts.all():
        influence = sum(sign * cell / cell.mean() for sign, cell in zip((1, 1, -1, -1), cells, strict=True))
        error = estimates.mean(np.asarray(influence)).se
    else:
        counts += 0.5
        error = float(np.sqrt((1.0 / counts).sum()))
    middle = float(np.log(counts[0]) + np.log(counts[1]) - np.log(counts[2]) - np.log(counts[3]))
    return Ratio(*(float(np.exp(middle + z * error)) for z in (0.0, -Z, Z)))


def _difference(values: np.ndarray, missed: np.ndarray) -> tuple[Figure, Figure, Figure] | None:
    """Means of misses and of attained years, and their difference in standard deviations; None for a constant."""
    sd = float(values.std())
    if sd <= 1e-12 * float(np.abs(values).max()):
        return None
    first, second = conditional(values, missed), conditional(values, ~missed)
    assert first is not None and second is not None
    influence = missed * (values - first.value) / missed.mean() - ~missed * (values - second.value) / (~missed).mean()
    return first, second, Figure((first.value - second.value) / sd, estimates.mean(influence).se / sd)


def miss_drivers(
    scenario: Scenario,
    *,
    paths: int = PATHS,
    worlds: int | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
) -> MissDrivers:
    """Compare the years that miss the revenue target with those that attain it.

    The comparison describes, it does not explain: a risk that strikes more often in worlds that are bad anyway has high
    odds too.

    Parameters
    ----------
    scenario : Scenario
    paths, worlds, seed, threads : see `engine.simulate`
    progress : callable, optional
        Called with the paths done and to do.
    announce : callable, optional
        Called when the kernels take more than a second to compile.

    Raises
    ------
    SimulationError
        If a size makes no sense or does not fit, or all years miss, or all attain.
    """
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.set_threads(threads)
    run = simulation.plan_run(scenario, paths, worlds, seed, "random")
    rows = 1 + 2 * len(scenario.risks) + len(scenario.streams)
    chunk = simulation.CHUNK_PATHS * simulation.bytes_per_path(scenario)
    simulation.require_memory(8 * (rows + 8) * run.n_paths + chunk, f"{run.n_paths:,} paths", "ask for fewer --paths")
    simulation.compile_kernels(run, announce)
    kept = _simulate(run, progress)
    missed = ~kept.attained
    if missed.all() or not missed.any():
        every, other = ("miss", "attain") if missed.all() else ("attain", "miss")
        raise SimulationError(
            f"all {run.n_paths:,} paths {every} the target: there is none that would {other}, to compare them with; "
            "ask for more paths, or another target (--set plan.target=...)"
        )
    return MissDrivers(
        scenario, run, estimates.chance(missed), _risks(kept, missed), _numbers(run, kept, missed), kept.attainment,
        kept.struck,
    )  # fmt: skip


class _Kept(NamedTuple):
    """What is kept of every path, shape (worlds, paths) each."""

    attained: np.ndarray
    attainment: np.ndarray
    loss: dict[str, np.ndarray]
    struck: dict[str, np.ndarray]
    customers: dict[str, np.ndarray]


def _simulate(run: Run, progress: Progress | None) -> _Kept:
    scenario, shape = run.scenario, (len(run.worlds), run.paths_per_world)
    value, flag = blocks.results(scenario)
    clients = [name for name, stream in scenario.streams.items() if stream.customers is not None]
    target = run.worlds.read("plan.target")[:, None]
    kept = _Kept(
        np.empty(shape, bool), np.empty(shape), {name: np.empty(shape) for name in scenario.risks},
        {name: np.empty(shape, bool) for name in scenario.risks}, {name: np.empty(shape) for name in clients},
    )  # fmt: skip
    for chunk, out in simulation.outputs(run, progress=progress):
        cells = slice(chunk.start, chunk.stop)
        place = (cells, slice(chunk.path, chunk.path + chunk.n_paths))
        fold = (chunk.stop - chunk.start, chunk.n_paths)
        kept.attained[place] = out.flags[flag.target_met].reshape(fold) != 0
        kept.attainment[place] = out.values[value.revenue].reshape(fold) / target[cells]
        for r, name in enumerate(scenario.risks):
            loss = out.values[value.loss + r].reshape(fold)
            cost = out.values[value.response_cost + r].reshape(fold)
            kept.loss[name][place] = loss
            kept.struck[name][place] = np.maximum(np.abs(loss), cost) > TRACE * target[cells]
        for c, name in enumerate(clients):
            kept.customers[name][place] = out.values[value.customers + c].reshape(fold)
    return kept


def _risks(kept: _Kept, missed: np.ndarray) -> dict[str, RiskDriver]:
    found = {}
    for name, struck in kept.struck.items():
        found[name] = RiskDriver(
            estimates.mean(struck),
            conditional(missed, struck),
            conditional(missed, ~struck),
            odds_ratio(missed, struck),
        )
    return dict(sorted(found.items(), key=lambda item: -item[1].distance))


def _numbers(run: Run, kept: _Kept, missed: np.ndarray) -> dict[str, NumberDriver]:
    found = {}
    for name, kind, unit, values in _columns(run, kept):
        figures = _difference(values, missed)
        if figures is not None:
            found[name] = NumberDriver(kind, unit, *figures)
    return dict(sorted(found.items(), key=lambda item: -item[1].distance))


def _columns(run: Run, kept: _Kept) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Name, kind, unit and values of losses, customers, what was drawn on paths, and the uncertain knobs."""
    index = knobs.index(run.scenario)
    for name, loss in kept.loss.items():
        yield f"risks.{name}.loss", PATH, run.scenario.plan.currency, loss
    for name, customers in kept.customers.items():
        yield f"streams.{name}.customers", PATH, "count", customers
    for name, values in path_draws(run):
        yield name, PATH, index[name].unit if name in index else "1", values
    for name in knobs.uncertain(run.scenario):
        values = np.broadcast_to(run.worlds.values[name][:, None], kept.attained.shape)
        yield name, WORLD, index[name].unit, values
