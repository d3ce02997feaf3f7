"""decision_sensitivity(): which numbers would change the chosen allocation, and what keeping it would then cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Chance, Figure
from engine.analysis.sensitivity.factors import Factor, choose
from engine.budget import curves, knowing, problem, switch
from engine.budget.optimise import check
from engine.budget.oracle import Oracle
from engine.budget.problem import Item, Problem
from engine.budget.reoptimise import Bar, Ends, KnobEnd, Progress, Study, Work, attained, polished
from engine.budget.switch import Switch
from engine.errors import EngineError, Fault, SimulationError
from engine.names import run_text
from engine.scenario import knobs as names
from engine.scenario.derive import with_knob
from engine.scenario.knobs import NUMBER, UNCERTAIN
from engine.scenario.model import Scenario

if TYPE_CHECKING:
    import xarray as xr

SHARE = 0.1  # range of plain numbers by default, to both sides
LEAST = 0.001  # of P: a regret below it changes no decision
FALSE_ALARM = 0.05  # chance that any of the knobs is called a change of decision by luck alone
ENDS = ("low", "high")


@dataclass(frozen=True)
class KnobDecision:
    """What one knob does to the decision.

    Attributes
    ----------
    factor : Factor
    low, high : KnobEnd
    worth : Figure or None
        What knowing the knob before deciding would add to P(attain); None of a knob that is not uncertain.
    """

    factor: Factor
    low: KnobEnd
    high: KnobEnd
    worth: Figure | None = None

    @property
    def ends(self) -> tuple[KnobEnd, KnobEnd]:
        """Low and high end."""
        return self.low, self.high

    @property
    def worse(self) -> KnobEnd:
        """The end at which keeping the present optimum costs more."""
        return max(self.ends, key=lambda end: -1.0 if end.regret is None else end.regret.value)

    @property
    def regret(self) -> Figure | None:
        """Regret at the worse end; None where neither end was searched."""
        return self.worse.regret


@dataclass(frozen=True)
class DecisionSensitivity:
    """What each knob does to the decision, the most regretted first.

    Attributes
    ----------
    scenario : Scenario
    problem : Problem
    x : ndarray, shape (items,)
        The present optimum. [CNY]
    p_attain : Chance
        With it, on fresh paths.
    knobs : list of KnobDecision
    unfinished : list of str
        Knobs left out because the work was interrupted.
    least : float
        Regret from which on a decision counts as changed. [1]
    sigmas : float
        Standard errors by which it has to exceed 0: by luck alone none of all ends does so, with 95 % probability.
    every : bool
        Whether all ends were searched, or only those at which a move promised a gain.
    """

    scenario: Scenario
    problem: Problem
    x: np.ndarray
    p_attain: Chance
    knobs: list[KnobDecision]
    unfinished: list[str]
    least: float
    sigmas: float
    every: bool
    paths: int
    fresh_paths: int
    worlds: int
    seed: int

    @property
    def amounts(self) -> dict[str, float]:
        """The present optimum by knob of line and fund. [CNY]"""
        return self.problem.amounts(self.x)

    def is_change(self, end: KnobEnd) -> bool:
        """Whether the decision would be another at this end: keeping costs something that matters, and is no chance."""
        return _is_change(end, self.least, self.sigmas)

    @property
    def changing(self) -> list[KnobDecision]:
        """Knobs that would change the decision."""
        return [knob for knob in self.knobs if any(map(self.is_change, knob.ends))]

    def shifts(self, end: KnobEnd) -> dict[str, float]:
        """What lines and funds would gain and lose, by name, the largest first. [CNY]"""
        if end.amounts is None:
            return {}
        found = {item.name: end.amounts[item.knob] - float(v) for item, v in zip(self.items, self.x, strict=True)}
        least = 5e-4 * self.problem.budget
        return dict(sorted(((n, v) for n, v in found.items() if abs(v) > least), key=lambda pair: -abs(pair[1])))

    @property
    def items(self) -> tuple[Item, ...]:
        """Lines and funds."""
        return self.problem.items

    def to_json(self) -> dict[str, Any]:
        """All figures as plain numbers, money in the plan's currency, the most regretted knob first."""
        return {
            "scenario": self.scenario.title, "allocation": self.amounts,
            "budget": self.problem.budget, "p_attain": self.p_attain.to_json(), "least": self.least,
            "sigmas": self.sigmas, "changing": [knob.factor.name for knob in self.changing],
            "knobs": [self._knob(knob) for knob in self.knobs], "unfinished": self.unfinished, "all": self.every,
            "paths": self.paths, "fresh_paths": self.fresh_paths, "worlds": self.worlds, "seed": self.seed,
        }  # fmt: skip

    def _knob(self, knob: KnobDecision) -> dict[str, Any]:
        ends = {
            name: end.to_json() | {"changes": self.is_change(end), "shifts": self.shifts(end)}
            for name, end in zip(ENDS, knob.ends, strict=True)
        }
        regret, worth = knob.regret, knob.worth
        return {
            "name": knob.factor.name, "unit": knob.factor.knob.unit, "kind": knob.factor.knob.kind,
            "central": knob.factor.central, "changes": knob in self.changing,
            "regret": None if regret is None else regret.to_json(), "ends": ends,
            "worth": None if worth is None else worth.to_json(),
        }  # fmt: skip

    @property
    def dataset(self) -> xr.Dataset:
        """Regret and money moved by knob and end, for the chart."""
        import xarray as xr

        nothing = Figure(np.nan, np.nan)
        regrets = np.array([[end.regret or nothing for end in knob.ends] for knob in self.knobs]).reshape(-1, 2, 2)
        moved = [[np.nan if end.moved is None else end.moved for end in knob.ends] for knob in self.knobs]
        changes = [[self.is_change(end) for end in knob.ends] for knob in self.knobs]
        currency, shape, dims = self.scenario.plan.currency, (len(self.knobs), 2), ("knob", "end")
        return xr.Dataset(
            {
                "regret": (dims, regrets[..., 0], {"units": "1"}),
                "regret_se": (dims, regrets[..., 1], {"units": "1"}),
                "moved": (dims, np.array(moved, float).reshape(shape), {"units": currency}),
                "changes": (dims, np.array(changes, bool).reshape(shape)),
                "low": ("knob", np.array([knob.low.value for knob in self.knobs])),
                "high": ("knob", np.array([knob.high.value for knob in self.knobs])),
            },
            {
                "knob": [knob.factor.name for knob in self.knobs], "end": list(ENDS),
                "unit": ("knob", [knob.factor.knob.unit for knob in self.knobs]),
            },
            {
                "scenario": self.scenario.title, "run": run_text(self.fresh_paths, self.worlds, self.seed),
                "currency": currency,
                "target": float(self.scenario.plan.target.central()), "least": self.least,
                "p_attain": self.p_attain.value, "p_attain_se": self.p_attain.se,
            },
        )  # fmt: skip


def decision_sensitivity(
    scenario: Scenario,
    *,
    knobs: Sequence[str] = (),
    share: float | None = None,
    every: bool = False,
    least: float = LEAST,
    paths: int = 100_000,
    worlds: int | None = None,
    seed: int = 1,
    solver: str = "highs",
    fresh_paths: int = 200_000,
    threads: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> DecisionSensitivity:
    """Find out which knobs would change the allocation, and what keeping the present optimum would then cost.

    The allocation with the highest P(attain) is found first. Then one knob at a time goes to its low and its high end,
    all else as uncertain as it is. A screen asks the optimiser's local model whether any move away from the present
    optimum pays there; where one does, the budget is set out anew, and both allocations meet on the same fresh paths.

    Parameters
    ----------
    scenario : Scenario
    knobs : sequence of str, optional
        As in `engine.sensitivity`. Default: all uncertain knobs, the target, and the responses of lines that act.
    share : float, optional
        Range of the plain numbers among them, as a share of their value to both sides. Default: 0.1 for the default
        knobs.
    every : bool, optional
        Set the budget out anew at every end, whatever the screen says. A screen looks at moves by first-order effects
        and may miss an optimum far away, as S-shaped responses have them.
    least : float, optional
        Regret from which on a decision counts as changed. [0, 1)
    paths, worlds, seed, solver, fresh_paths, threads, announce : see `engine.optimise`
        Lines keep the plan's phasing here.
    progress : callable, optional
        Called with the work done and to do.
    tell : callable, optional
        Called before the work with its size in words.

    Returns
    -------
    DecisionSensitivity
        When interrupted from the keyboard, of the knobs that were finished.

    Raises
    ------
    SimulationError
        If a knob, range or size makes no sense, or the scenario does not hold with a knob at an end; all at once.
    AllocationError
        If constraints contradict each other, or a solver is missing or fails.

    Notes
    -----
    Regret is P(attain) of the best allocation found less that of the present optimum, the knob being at that value.
    A decision counts as changed where regret is at least `least` and exceeds 0 by as many standard errors as keeps the
    chance of any false alarm among all ends judged below 5 % (Bonferroni).
    """
    factors, at_ends = _checked(scenario, knobs, share, least, paths, worlds, seed, solver, fresh_paths, threads)
    simulation.set_threads(threads)
    if tell is not None:
        tell(f"decision: {_count(len(factors), 'knob')} at both ends, {paths:,} paths each")
    count = simulation.default_worlds(scenario, paths) if worlds is None else worlds
    study = Study(scenario, paths, count, seed, solver, fresh_paths, announce)
    bar = Bar(progress, 1 + 2 * len(factors))
    base = study.setting(scenario)
    x = polished(base)
    present = study.fresh(base)
    p_attain, run = estimates.chance(attained(present, x)), present.run
    bar.done(1)
    work = Work(study, x, least, every, bar)
    finished = work.run(factors, at_ends)
    sigmas = _sigmas(sum(end.searched for ends in finished.values() for end in ends))
    rows = [KnobDecision(f, *finished[f.name]) for f in factors if f.name in finished]
    rows = [_with_switches(row, study, x, least, sigmas) for row in rows]
    rows = _with_worth(rows, present, x)
    order = sorted(rows, key=lambda row: -np.inf if row.regret is None else row.regret.value, reverse=True)
    return DecisionSensitivity(
        scenario=scenario, problem=base.problem, x=x, p_attain=p_attain, knobs=order,
        unfinished=[f.name for f in factors if f.name not in finished], least=least, sigmas=sigmas, every=every,
        paths=base.oracle.run.n_paths, fresh_paths=run.n_paths, worlds=run.n_worlds, seed=seed,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- what is asked


def _default_groups(scenario: Scenario, share: float) -> list[tuple[list[str], float | None]]:
    """Knobs by default, each group with the range of its plain numbers: the uncertain ones have ranges of their own."""
    groups = [(list(names.uncertain(scenario)), None), (resting_on(scenario), share)]
    return [(wanted, spread) for wanted, spread in groups if wanted]


def resting_on(scenario: Scenario) -> list[str]:
    """The plain numbers on which a decision rests: the target, and responses that act."""
    decision = problem.build(scenario, by_quarter=False)
    acting = [
        item.name
        for item, moves in zip(decision.items, curves.build(decision).moves, strict=True)
        if moves and item.table == "lines"
    ]
    responses = tuple(f"lines.{name}.response." for name in acting)
    return [
        knob.name
        for knob in names.index(scenario).values()
        if knob.kind == NUMBER and knob.given and knob.parent is None and knob.quantity.value
        and (knob.name == "plan.target" or knob.name.startswith(responses))
    ]  # fmt: skip


def _checked(
    scenario: Scenario, knobs: Sequence[str], share: float | None, least: float, paths: int, worlds: int | None,
    seed: int, solver: str, fresh_paths: int, threads: int | None,
) -> tuple[list[Factor], Ends]:  # fmt: skip
    """Factors, and the scenarios at their ends, once everything asked for makes sense."""
    faults: list[Fault] = []

    def gather(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except EngineError as error:
            faults.extend(error.faults or [Fault("", "", str(error))])
            return None

    gather(lambda: check("p_attain", 0.9, 0.8, solver, None))
    gather(lambda: simulation.check(paths, worlds, seed, "random", threads))
    gather(lambda: simulation.check(fresh_paths, worlds, seed, "random"))
    if not 0 <= least < 1:
        faults.append(Fault("", "least", f"{least} lies outside 0 to below 1", "give a share of 1, such as 0.001"))
    if share is not None and not 0 < share < np.inf:
        faults.append(Fault("", "share", f"{share} is not above 0", "give a share, such as 0.1"))
        share = None
    problem.build(scenario, by_quarter=False)  # without a decision there is nothing to ask
    groups = [(list(knobs), share)] if knobs else _default_groups(scenario, SHARE if share is None else share)
    chosen = [
        factor for group in groups for factor in gather(partial(choose, scenario, *group)) or _usable(scenario, *group)
    ]
    factors = list({factor.name: factor for factor in chosen}.values())
    at_ends = {factor.name: gather(partial(_both, scenario, factor)) for factor in factors}
    if faults:
        raise SimulationError(faults=list(dict.fromkeys(faults)))
    return factors, at_ends


def _usable(scenario: Scenario, wanted: Sequence[str], share: float | None) -> Iterator[Factor]:
    """Of knobs that cannot all be used those that can, so that their ends are looked at too."""
    for text in wanted:
        with suppress(EngineError):
            yield from choose(scenario, [text], share)


def _both(scenario: Scenario, factor: Factor) -> tuple[Scenario, Scenario]:
    """The scenario with a knob at its low and at its high end, each with a decision to make."""
    found, faults = [], []
    for value in (factor.low, factor.high):
        try:
            changed = with_knob(scenario, factor.name, value)
            problem.build(changed, by_quarter=False)
            found.append(changed)
        except EngineError as error:
            what = f"at {value:.6g}: {'; '.join(f'{f.knob}: {f.message}' for f in error.faults) or error}"
            faults.append(Fault(scenario.file, factor.name, what, "narrow its range"))
    if faults:
        raise SimulationError(faults=faults)
    return found[0], found[1]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


# ------------------------------------------------------------------------------------------------- what comes of it


def _sigmas(judged: int) -> float:
    """Standard errors that chance exceeds at none of so many ends, with 95 % probability."""
    from scipy.special import ndtri

    return float(-ndtri(FALSE_ALARM / max(judged, 1)))


def _is_change(end: KnobEnd, least: float, sigmas: float) -> bool:
    regret = end.regret
    return regret is not None and regret.value >= least and regret.value > sigmas * regret.se


def _with_switches(row: KnobDecision, study: Study, x: np.ndarray, least: float, sigmas: float) -> KnobDecision:
    """The row with where the decision switches on the way to each end at which it changes."""
    factor = row.factor
    low, high = (
        replace(end, switch=_switch(study, factor, x, end, other.value)) if _is_change(end, least, sigmas) else end
        for end, other in (row.ends, row.ends[::-1])
    )
    return replace(row, low=low, high=high)


def _switch(study: Study, factor: Factor, x: np.ndarray, end: KnobEnd, other: float) -> Switch | None:
    """Where the allocation that is best at an end overtakes the present one; None where that is not allowed there."""
    if not end.allowed:
        return None
    assert end.amounts is not None and end.regret is not None
    rival = np.array(list(end.amounts.values()))

    def ahead(value: float) -> Figure:
        setting = study.setting(with_knob(study.scenario, factor.name, value))
        fresh, both = study.fresh(setting), [setting.problem.nearest(amounts) for amounts in (rival, x)]
        ours, theirs = (attained(fresh, amounts) for amounts in both)
        return estimates.mean(ours - theirs)

    try:
        return switch.find(ahead, end.value, factor.central, other, end.regret)
    except KeyboardInterrupt:
        return None


def _with_worth(rows: list[KnobDecision], present: Oracle, x: np.ndarray) -> list[KnobDecision]:
    """The rows with what knowing each uncertain knob is worth, the alternatives being the optima found at all ends."""
    worlds = present.run.worlds
    asked = [row.factor.knob.kind == UNCERTAIN and row.factor.name in worlds.values for row in rows]
    ends = [end for row in rows for end in row.ends if end.amounts is not None]
    rivals = {tuple(end.amounts.values()): end for end in ends if end.amounts and end.moved}
    chosen = sorted(rivals, key=lambda key: rivals[key].regret or Figure(0.0, 0.0), reverse=True)[: knowing.MOST]
    allowed = [np.array(amounts) for amounts in chosen if present.problem.holds(np.array(amounts))]
    if len(worlds) < knowing.FEWEST or not any(asked):
        return rows
    stays = attained(present, x)
    ahead = [(attained(present, rival) - stays).mean(axis=1) for rival in allowed]
    table = np.array(ahead).reshape(len(ahead), len(worlds))
    return [
        replace(row, worth=knowing.worth(table, worlds.values[row.factor.name])) if wanted else row
        for row, wanted in zip(rows, asked, strict=True)
    ]
