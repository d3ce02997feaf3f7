"""sensitivity(): which of the numbers that nobody knows moves the outcome most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis.sensitivity import indices
from engine.analysis.sensitivity.factors import Factor, choose, linked
from engine.analysis.sensitivity.indices import Index
from engine.analysis.sensitivity.one_at_a_time import POINTS, Legs, bent, legs
from engine.analysis.sensitivity.outputs import IS_MONEY, Progress, WorldOutput
from engine.errors import EngineError, Fault, SimulationError
from engine.names import SENSITIVITY_METHODS, SENSITIVITY_OUTPUTS, worlds_text
from engine.scenario.knobs import RANDOM, uncertain
from engine.scenario.model import Scenario
from engine.scenario.worlds import central

if TYPE_CHECKING:
    import xarray as xr

ONE_AT_A_TIME = {"tornado": 2, "spider": POINTS}
DEFAULT_SAMPLES = {"sobol": 512, "morris": 50, "pawn": 2048, "rank": 2048}
MAX_PATHS = 2_000_000_000
TOP = 3  # ranks whose order is looked at
VISIBLE = 0.0005  # of an index without a unit: less would read 0.000


def default_paths(method: str) -> int:
    """Paths of each world: many for differences of two worlds, fewer where there are thousands of worlds."""
    return 50_000 if method in ONE_AT_A_TIME else 2_000


@dataclass(frozen=True)
class Sensitivity:
    """What a study finds out about its factors.

    Attributes
    ----------
    scenario : Scenario
    method, output : str
    factors : list of Factor
        In the order in which they were chosen; all arrays follow it.
    index : dict of str to Index
        The figures of the method, each with its error.
    main : str
        Name of the one by which factors are ranked.
    legs : Legs or None
        Of a tornado or a spider.
    facts : dict of str to float
        `mean` and `sd` of the output over the factors' own distributions, with `mean_se`, over points and paths;
        `path_noise`, the share of the variance across worlds that the finite number of paths accounts for; and what
        the method adds: `fit` of the rank regression, or the PAWN distance `without` effect.
    warnings : list of str
        What a reader should know before trusting the order.
    worlds, paths : int
        Worlds, and paths of each.
    samples : int or None
        Base samples of the design; None for a tornado or a spider.
    seed : int
    """

    scenario: Scenario
    method: str
    output: str
    factors: list[Factor]
    index: Mapping[str, Index]
    main: str
    legs: Legs | None
    facts: Mapping[str, float]
    warnings: list[str]
    worlds: int
    paths: int
    samples: int | None
    seed: int

    @property
    def order(self) -> list[int]:
        """Positions of the factors, the most influential first."""
        return [int(j) for j in self.index[self.main].order()]

    @property
    def told(self) -> np.ndarray:
        """Whether each factor can be told from one without effect at 95 %, shape (d,)."""
        index = self.index[self.main]
        found: np.ndarray = np.abs(index.value) > np.maximum(indices.Z * index.se, self.facts.get("without", 0.0))
        return found

    @property
    def in_units(self) -> bool:
        """Whether the main index is a change of the output."""
        return self.main in ("swing", "mu_star")

    @property
    def worth(self) -> np.ndarray:
        """Whether each factor is worth a row: it can be told from one without effect, and seen; shape (d,)."""
        return self.told if self.in_units else self.told & (np.abs(self.index[self.main].value) >= VISIBLE)

    @property
    def unit(self) -> str:
        """Unit of the output."""
        return self.scenario.plan.currency if IS_MONEY[self.output] else "1"

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency, the most influential knob first."""
        return {
            "scenario": self.scenario.title, "method": self.method, "output": self.output, "unit": self.unit,
            "worlds": self.worlds, "paths": self.paths, "samples": self.samples, "seed": self.seed,
            "interval": indices.LEVEL, "ranked_by": self.main,
            "base": None if self.legs is None else self.legs.base.to_json(), "facts": dict(self.facts),
            "knobs": [self._knob(j) for j in self.order], "warnings": self.warnings,
        }  # fmt: skip

    def _knob(self, j: int) -> dict[str, Any]:
        factor = self.factors[j]
        row = factor.to_json() | {name: index.to_json(j) for name, index in self.index.items()}
        if self.legs is not None:
            row["points"] = self.legs.to_json(j, factor.values(self.legs.levels[j]))
        return row

    @property
    def dataset(self) -> xr.Dataset:
        """The figures by knob, the most influential first, for the charts."""
        import xarray as xr

        order = self.order
        columns: dict[str, Any] = {}
        for name, index in self.index.items():
            for part in ("value", "se", "lo", "hi"):
                columns[name if part == "value" else f"{name}_{part}"] = ("knob", getattr(index, part)[order])
        columns["told"], columns["worth"] = (("knob", at[order]) for at in (self.told, self.worth))
        for end in ("low", "central", "high"):
            columns[end] = ("knob", np.array([getattr(self.factors[j], end) for j in order]))
        names, units = ([getattr(self.factors[j].knob, part) for j in order] for part in ("name", "unit"))
        coords: dict[str, Any] = {"knob": names, "unit": ("knob", units)}
        attrs: dict[str, Any] = {
            "scenario": self.scenario.title, "method": self.method, "output": self.output,
            "currency": self.scenario.plan.currency, "target": float(self.scenario.plan.target.central()),
            "paths": self.paths, "worlds": self.worlds,
            "run": worlds_text(self.worlds, self.paths, self.seed),
        }  # fmt: skip
        attrs |= {name: float(value) for name, value in self.facts.items()}
        if self.legs is not None:
            for name in ("output", "output_se", "change", "change_se"):
                columns[name] = (("knob", "point"), getattr(self.legs, name)[order])
            columns["position"] = (("knob", "point"), self._positions()[order])
            attrs |= {"base": self.legs.base.value, "base_se": self.legs.base.se}
        return xr.Dataset(columns, coords, attrs)

    def _positions(self) -> np.ndarray:
        """Where the values lie between those of the low and the high end, 0 to 1, shape (d, points).

        Evenly spread where both ends have the same value, as those of a history of one number.
        """
        assert self.legs is not None
        rows = [factor.values(levels) for factor, levels in zip(self.factors, self.legs.levels, strict=True)]
        even = np.linspace(0.0, 1.0, self.legs.levels.shape[1])
        return np.array([(row - row[0]) / (row[-1] - row[0]) if row[-1] > row[0] else even for row in rows])


def sensitivity(
    scenario: Scenario,
    *,
    method: str = "tornado",
    output: str = "p_attain",
    knobs: Sequence[str] = (),
    share: float | None = None,
    paths: int | None = None,
    samples: int | None = None,
    seed: int = 1,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Sensitivity:
    """Find out which knobs move an output most.

    Parameters
    ----------
    scenario : Scenario
    method : {"tornado", "spider", "sobol", "morris", "pawn", "rank"}, optional
        One knob at a time to both ends of its range, or to several points; or all at once: shares of variance,
        screening, distance of laws, rank correlation.
    output : {"p_attain", "revenue", "shortfall", "fund_need", "margin"}, optional
        P(attain), or a mean over all paths: revenue, target - revenue where that is positive, need of all funds, gross
        margin.
    knobs : sequence of str, optional
        Names or patterns, each with ``=10%`` or ``=LOW:HIGH`` where it is to move that far; default: all uncertain
        ones. A random field that is named is held at one value a world instead of being drawn on every path.
    share : float, optional
        Range of the plain numbers among them, as a share of their value to both sides.
    paths : int, optional
        Of each world; default: 50,000 one at a time, else 2,000. All worlds have the same paths.
    samples : int, optional
        Base samples; trajectories of Morris. Default: 512 of Sobol' (a power of 2), 50 of Morris,
        2,048 of PAWN and rank.
    seed, threads : see `engine.simulate`
    progress : callable, optional
        Called with the paths done and to do.
    announce : callable, optional
        Called when the kernels take more than a second to compile.
    tell : callable, optional
        Called before the run with its cost in words.

    Returns
    -------
    Sensitivity

    Raises
    ------
    SimulationError
        If a method, output, knob, range or size makes no sense, or SALib is needed and missing; all faults at once.
    """
    paths = default_paths(method) if paths is None else paths
    factors = _checked(scenario, method, output, knobs, share, paths, samples, seed, threads)
    samples = None if method in ONE_AT_A_TIME else samples if samples is not None else DEFAULT_SAMPLES[method]
    worlds = _worlds(method, len(factors), samples)
    if tell is not None:
        knobs_of = "1 knob" if len(factors) == 1 else f"{len(factors)} knobs"
        tell(f"{method}: {knobs_of} in {worlds:,} worlds of {paths:,} paths, {worlds * paths:,} paths in all")
    simulation.set_threads(threads)
    simulation.compile_kernels(simulation.Run(central(scenario, 0), paths, seed, 1), announce)
    function = WorldOutput(scenario, factors, output, paths, seed, progress)
    if samples is None:
        found = legs(function, factors, ONE_AT_A_TIME[method])
        index, main, facts = {"swing": found.swing}, "swing", {}
        leaning, still = bent(found), not found.change.any()
    else:
        computed = indices.METHODS[method](function, len(factors), samples, seed)
        found, leaning = None, []
        index, main = dict(computed.index), computed.main
        facts = dict(computed.facts) | _spread(function, computed.outputs)
        still = not index[main].value.any()
    words = ["No knob moves the output: it is the same in all worlds."] if still else []
    warnings = [
        *words,
        *_words(factors, index[main], facts, samples, paths),
        *_remarks(scenario, factors, leaning, facts),
    ]
    return Sensitivity(
        scenario, method, output, factors, index, main, found, facts, warnings, worlds, paths, samples, seed
    )


def _worlds(method: str, d: int, samples: int | None) -> int:
    return 1 + d * ONE_AT_A_TIME[method] if samples is None else indices.worlds(method, d, samples)


def _checked(
    scenario: Scenario, method: str, output: str, knobs: Sequence[str], share: float | None, paths: int,
    samples: int | None, seed: int, threads: int | None,
) -> list[Factor]:  # fmt: skip
    """The factors, once everything asked for makes sense."""
    faults: list[Fault] = []

    def gather(check: Callable[[], Any]) -> Any:
        try:
            return check()
        except EngineError as error:
            faults.extend(error.faults or [Fault("", "", str(error))])
            return None

    for name, value, allowed in (
        ("method", method, SENSITIVITY_METHODS), ("output", output, SENSITIVITY_OUTPUTS),
    ):  # fmt: skip
        if value not in allowed:
            faults.append(Fault("", name, f"{value!r} is not known", f"give {' or '.join(allowed)}"))
    if share is not None and not 0 < share < np.inf:
        faults.append(Fault("", "share", f"{share} is not above 0", "give a share, such as 10%"))
    if output == "fund_need" and not scenario.funds:
        faults.append(Fault(scenario.file, "funds", "there is no fund", "add one, such as [funds.contingency]"))
    if samples is not None and method in ONE_AT_A_TIME:
        faults.append(Fault("", "samples", f"{method} draws no samples", "leave it out"))
    gather(lambda: simulation.check(paths, None, seed, "random", threads))
    factors = gather(lambda: choose(scenario, knobs, share))
    if factors and method in indices.METHODS:
        wanted = DEFAULT_SAMPLES[method] if samples is None else samples
        gather(lambda: indices.check(method, len(factors), wanted))
        gather(lambda: indices.require(method))
    if faults:
        raise SimulationError(faults=faults)
    _check_size(scenario, method, len(factors), paths, samples)
    return list(factors)


def _check_size(scenario: Scenario, method: str, d: int, paths: int, samples: int | None) -> None:
    """Refuse what would take hours, or more memory than there is."""
    alone = method in ONE_AT_A_TIME
    worlds = _worlds(method, d, None if alone else DEFAULT_SAMPLES[method] if samples is None else samples)
    what = f"{d} knobs take {worlds:,} worlds of {paths:,} paths, {worlds * paths:,} paths in all"
    fewer = "give fewer --paths or --knob" if alone else "give fewer --samples, --paths or --knob"
    if worlds * paths > MAX_PATHS:
        raise SimulationError(f"{what}, more than {MAX_PATHS:,}; {fewer}")
    chunk = simulation.CHUNK_PATHS * simulation.bytes_per_path(scenario)
    if alone:
        kept = 2 * worlds * paths  # outputs and their differences
    else:
        # levels, their copies in the estimator, values; and what the bootstrap gathers at a time
        kept = worlds * (4 * d + len(uncertain(scenario))) + 6 * indices.RESAMPLES * worlds // (d + 1)
    simulation.require_memory(chunk + 8 * kept, what, fewer)


def _spread(function: WorldOutput, outputs: np.ndarray) -> dict[str, float]:
    """Mean and spread of the output over the factors, and how much of the spread the paths make up."""
    noise = {"path_noise": function.path_noise}
    if not outputs.size:
        return noise
    mean, sd = float(outputs.mean()), float(outputs.std(ddof=1))
    # of points that fill the cube evenly the mean is surer than sd / sqrt(n); all of them share their paths
    error = float(np.hypot(sd / outputs.size**0.5, function.path_error))
    return {"mean": mean, "mean_se": error, "sd": sd} | noise


def _words(
    factors: Sequence[Factor], index: Index, facts: Mapping[str, float], samples: int | None, paths: int
) -> list[str]:
    """Whether the order is settled."""
    pairs = index.unsettled(TOP, facts.get("without", 0.0))
    if not pairs:
        return []
    named = "; ".join(f"{factors[a].name} and {factors[b].name}" for a, b in pairs)
    more = f"--samples {4 * samples}" if samples is not None else f"--paths {4 * paths}"
    one = "of this pair" if len(pairs) == 1 else "of these pairs"
    return [f"The order {one} is not settled at 95 %: {named}. {more} would halve the intervals."]


def _remarks(
    scenario: Scenario, factors: Sequence[Factor], leaning: Sequence[int], facts: Mapping[str, float]
) -> list[str]:
    """What else may mislead."""
    found = []
    held = [factor.name for factor in factors if factor.knob.kind == RANDOM]
    if held:
        found.append(f"Drawn on every path in the plan, here one value a world: {', '.join(held)}.")
    together = linked(scenario, factors)
    if together:
        named = "; ".join(f"{a} and {b}" for a, b in together)
        found.append(f"Correlated in the plan, here moved independently: {named}.")
    if leaning:
        named = ", ".join(factors[j].name for j in leaning)
        found.append(f"The output is highest or lowest within the range, the swing understates: {named}.")
    if facts.get("path_noise", 0.0) > 0.1:
        noise = facts["path_noise"]
        found.append(
            f"{100 * min(noise, 1.0):.0f} % of the variance across worlds is the noise of so few paths; more --paths "
            "would lower it."
        )
    return found
