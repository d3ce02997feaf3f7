"""What sets the years that miss the target apart from those that attain it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import CLEAR, Chance, Figure
from engine.analysis.sensitivity.demand import mean_demand
from engine.analysis.sensitivity.density import densities
from engine.analysis.sensitivity.indices import LEVEL, Z
from engine.analysis.sensitivity.outputs import Progress
from engine.errors import SimulationError
from engine.names import run_text
from engine.scenario import blocks, knobs
from engine.scenario.model import Scenario
from engine.simulation import Run

if TYPE_CHECKING:
    import xarray as xr

PATH, WORLD = "path", "world"  # drawn on every path, or once a world
PATHS = 400_000
DETAIL = ("risks", "drivers")
FEWEST = 20  # years that miss, and years that attain, below which they are not compared
CONSEQUENCES = (".loss", ".customers")  # what follows from draws rather than being one
_CHUNK = 32_768  # paths at a time: the kernel's outputs are some 1.3 KB a path, of which a part is kept


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
        Chance that an occurrence is active in some month of a year.
    miss_if, miss_if_not : Figure or None
        Chance of a miss where it does and where it does not; None where there is no such year.
    odds : Ratio or None
        Odds of a miss where it strikes over those where it does not; None where one of the two never happens.
    years : tuple of int
        Paths on which it strikes, and on which it does not.
    """

    strikes: Figure
    miss_if: Figure | None
    miss_if_not: Figure | None
    odds: Ratio | None
    years: tuple[int, int]

    @property
    def distance(self) -> float:
        """How far the odds ratio is surely from 1, on a log scale; below 0 where it may be 1, being one of many."""
        if self.odds is None:
            return -np.inf
        value, low, high = np.log(self.odds)
        return float(abs(value) - CLEAR * (high - low) / (2.0 * Z))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        found = {name: getattr(self, name) for name in ("strikes", "miss_if", "miss_if_not", "odds")}
        return {name: None if v is None else v.to_json() for name, v in found.items()} | {"years": self.years}


@dataclass(frozen=True)
class NumberDriver:
    """One number in years that miss and years that attain; of what is drawn for a risk, in those in which it strikes.

    Attributes
    ----------
    kind : str
        "path" where it is drawn on every path, "world" where it is uncertain.
    unit : str
    missed, attained : Figure
        Mean.
    difference : Figure
        Missed less attained, in standard deviations over all these years.
    """

    kind: str
    unit: str
    missed: Figure
    attained: Figure
    difference: Figure

    @property
    def distance(self) -> float:
        """How far the difference is surely from 0; below 0 where it may be 0, being one of many."""
        return abs(self.difference.value) - CLEAR * self.difference.se

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"kind": self.kind, "unit": self.unit} | {
            name: getattr(self, name).to_json() for name in ("missed", "attained", "difference")
        }


class Kept(NamedTuple):
    """What is kept of every path, shape (worlds, paths) each; attainment is revenue over target. [1]"""

    attained: np.ndarray
    attainment: np.ndarray
    struck: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]


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
    kept : Kept
        What the comparison stands on, path by path.
    """

    scenario: Scenario
    run: Run
    p_miss: Chance
    risks: dict[str, RiskDriver]
    numbers: dict[str, NumberDriver]
    kept: Kept

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        return {
            "scenario": self.scenario.title, "paths": self.run.n_paths,
            "worlds": self.run.n_worlds, "seed": self.run.seed, "interval": LEVEL, "p_miss": self.p_miss.to_json(),
            "risks": {name: found.to_json() for name, found in self.risks.items()},
            "numbers": {name: found.to_json() for name, found in self.numbers.items()},
        }  # fmt: skip

    @property
    def telling(self) -> list[str]:
        """The risk and the drawn number that say most about a miss, so far as they can be told from chance."""
        drawn = [name for name in self.numbers if not name.endswith(CONSEQUENCES)]
        return [*(r for r in list(self.risks)[:1] if self.risks[r].distance > 0.0),
                *(n for n in drawn[:1] if self.numbers[n].distance > 0.0)]  # fmt: skip

    def density(self, driver: str) -> xr.Dataset:
        """Densities of attainment for the chart: with a risk and without, or below the median of a number and above.

        Raises
        ------
        SimulationError
            If there is no such risk or number, or all years are of one kind.
        """
        parts = self._parts(driver)
        for kind, held in parts.items():
            if not held.any():
                raise SimulationError(f"driver: in no year {kind}: nothing to compare")
        return densities(self.kept.attainment, ~self.kept.attained, parts).assign_attrs(
            driver=driver,
            scenario=self.scenario.title,
            run=run_text(self.run.n_paths, self.run.n_worlds, self.run.seed),
        )

    def _parts(self, driver: str) -> dict[str, np.ndarray]:
        """Two kinds of years, in words."""
        if driver in self.risks:
            struck = self.kept.struck[driver]
            return {f"{driver} does not strike": ~struck, f"{driver} strikes": struck}
        values = next((column for name, _, _, column in _columns(self.run, self.kept) if name == driver), None)
        if values is None:
            some = ", ".join([*list(self.risks)[:3], *list(self.numbers)[:3]])
            raise SimulationError(f"driver: {driver!r} is neither a risk nor a number of this study, such as {some}")
        among = _among(driver, self.kept)
        middle = float(np.median(values[among])) if among.any() else 0.0
        low = values < middle
        return {f"{driver} is below {middle:.4g}": among & low, f"{driver} is at least {middle:.4g}": among & ~low}


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


def _difference(values: np.ndarray, missed: np.ndarray, among: np.ndarray) -> tuple[Figure, Figure, Figure] | None:
    """Means of misses and of attained years among some years, and their difference in standard deviations.

    None for a constant, or where there are no such years of both kinds.
    """
    kinds = (missed & among, ~missed & among)
    first, second = (estimates.ratio_scores(np.where(kind, values, 0.0), kind) for kind in kinds)
    if first is None or second is None:
        return None
    sd = float(values[among].std())
    if sd <= 1e-12 * float(np.abs(values[among]).max()):
        return None
    apart = first.minus(second)
    return first.figure, second.figure, Figure(apart.value / sd, apart.se / sd)


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
        If a size makes no sense or does not fit, or hardly any year misses, or hardly any attains.
    """
    simulation.check(paths, worlds, seed, "random", threads)
    simulation.set_threads(threads)
    run = simulation.plan_run(scenario, paths, worlds, seed, "random")
    rows = _rows(scenario)
    chunk = _CHUNK * simulation.bytes_per_path(scenario, DETAIL)
    needed = 8 * (len(rows) + len(scenario.risks) + 10) * run.n_paths + chunk
    simulation.require_memory(needed, f"{run.n_paths:,} paths", "ask for fewer --paths")
    simulation.compile_kernels(run, announce)
    kept = _simulate(run, rows, progress)
    missed = ~kept.attained
    _require_both(missed)
    return MissDrivers(
        scenario, run, estimates.chance(missed), _risks(kept, missed), _numbers(run, kept, missed), kept,
    )  # fmt: skip


def _require_both(missed: np.ndarray) -> None:
    """Refuse to compare with hardly any year."""
    misses, total = int(np.count_nonzero(missed)), missed.size
    fewer, verb, other = min((misses, "miss", "attain"), (total - misses, "attain", "miss"))
    if fewer >= FEWEST:
        return
    found = f"all {total:,} paths {other}" if fewer == 0 else f"all but {fewer} of {total:,} paths {other}"
    raise SimulationError(
        f"{found} the target: too few would {verb}, to compare them with; at least {FEWEST} are needed; "
        "ask for more paths, or another target (--set plan.target=...)"
    )


def _rows(scenario: Scenario) -> dict[str, int]:
    """Rows of the results that are compared: losses, customers, and all that is drawn on a path but the demand."""
    value, _ = blocks.results(scenario, DETAIL)
    streams, random = scenario.streams.items(), {knob.name for knob in knobs.random(scenario)}
    clients = [name for name, stream in streams if stream.customers is not None]
    launches = [name for name, stream in streams if stream.launch is not None]
    rows = {f"risks.{name}.loss": value.loss + r for r, name in enumerate(scenario.risks)}
    rows |= {f"streams.{name}.customers": value.customers + c for c, name in enumerate(clients)}
    rows |= {f"risks.{name}.start": value.drawn_start + r for r, name in enumerate(scenario.risks)}
    drawn = {f"risks.{name}.severity": value.drawn_severity + r for r, name in enumerate(scenario.risks)}
    drawn |= {f"risks.{name}.duration": value.drawn_duration + r for r, name in enumerate(scenario.risks)}
    drawn |= {f"lines.{name}.effectiveness": value.drawn_effect + b for b, name in enumerate(scenario.lines)}
    drawn |= {f"streams.{name}.launch.slip": value.drawn_slip + s for s, name in enumerate(launches)}
    idle = {f"lines.{name}.effectiveness" for name, line in scenario.lines.items() if line.response is None}
    return rows | {name: row for name, row in drawn.items() if name in random - idle}


def _simulate(run: Run, rows: dict[str, int], progress: Progress | None) -> Kept:
    scenario, shape = run.scenario, (len(run.worlds), run.paths_per_world)
    value, flag = blocks.results(scenario, DETAIL)
    target = run.worlds.read("plan.target")[:, None]
    kept = Kept(
        np.empty(shape, bool), np.empty(shape), {name: np.empty(shape, bool) for name in scenario.risks},
        {name: np.empty(shape) for name in rows},
    )  # fmt: skip
    for chunk, out in simulation.outputs(run, DETAIL, progress, size=_CHUNK):
        cells = slice(chunk.start, chunk.stop)
        place = (cells, slice(chunk.path, chunk.path + chunk.n_paths))
        fold = (chunk.stop - chunk.start, chunk.n_paths)
        kept.attained[place] = out.flags[flag.target_met].reshape(fold) != 0
        kept.attainment[place] = out.values[value.revenue].reshape(fold) / target[cells]
        for r, struck in enumerate(kept.struck.values()):
            struck[place] = out.flags[flag.struck + r].reshape(fold) != 0
        for name, row in rows.items():
            kept.numbers[name][place] = out.values[row].reshape(fold)
    return kept


def _risks(kept: Kept, missed: np.ndarray) -> dict[str, RiskDriver]:
    found = {}
    for name, struck in kept.struck.items():
        found[name] = RiskDriver(
            estimates.mean(struck),
            estimates.ratio(missed & struck, struck),
            estimates.ratio(missed & ~struck, ~struck),
            odds_ratio(missed, struck),
            (int(np.count_nonzero(struck)), int(np.count_nonzero(~struck))),
        )
    return dict(sorted(found.items(), key=lambda item: -item[1].distance))


def _numbers(run: Run, kept: Kept, missed: np.ndarray) -> dict[str, NumberDriver]:
    found = {}
    for name, kind, unit, values in _columns(run, kept):
        figures = _difference(values, missed, _among(name, kept))
        if figures is not None:
            found[name] = NumberDriver(kind, unit, *figures)
    return dict(sorted(found.items(), key=lambda item: -item[1].distance))


def _columns(run: Run, kept: Kept) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Name, kind, unit and values of losses, customers, what was drawn on paths, and the uncertain knobs."""
    index = knobs.index(run.scenario)
    units = {"loss": run.scenario.plan.currency, "customers": "count", "start": "months"}
    for name, values in kept.numbers.items():
        yield name, PATH, index[name].unit if name in index else units[name.rpartition(".")[2]], values
    demand = mean_demand(run)
    if demand is not None:
        yield "demand", PATH, "1", demand
    for name in knobs.uncertain(run.scenario):
        values = np.broadcast_to(run.worlds.values[name][:, None], kept.attained.shape)
        yield name, WORLD, index[name].unit, values


def _among(name: str, kept: Kept) -> np.ndarray:
    """Years that count for a number: of what is drawn for a risk those in which it strikes, else all."""
    head, _, rest = name.partition(".")
    risk, _, part = rest.partition(".")
    drawn = head == "risks" and name in kept.numbers and part != "loss"
    return kept.struck[risk] if drawn else np.ones(kept.attained.shape, bool)
