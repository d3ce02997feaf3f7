"""Simulated years as cases: what was drawn for each, how it went on, and by how much it missed the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

import numpy as np

from engine import simulation
from engine.analysis.needs import Progress
from engine.errors import Fault, SimulationError
from engine.kernels.layout import Outputs, ValueAt
from engine.scenario import blocks, knobs
from engine.scenario.model import CURRENCY, Scenario
from engine.simulation import Run

DETAIL = ("risks", "drivers")
_CHUNK = 32_768  # paths at a time: the kernel's outputs are some 1.3 KB a path, of which a part is kept
_SLACK = 1e-9  # of the target: a year that is short by less has attained it (model 1)


class Kind(StrEnum):
    """What a factor measures; says how its limits are rounded and worded."""

    STRIKES = "strikes"
    START = "start"
    SEVERITY = "severity"
    DURATION = "duration"
    EFFECT = "effectiveness"
    SLIP = "slip"
    CUSTOMERS = "customers"
    LEFT = "left"
    KNOB = "knob"


SIGNS = (Kind.LEFT,)  # what follows from a bad year rather than makes it one
OF_RISKS = (Kind.STRIKES, Kind.START, Kind.SEVERITY, Kind.DURATION)


@dataclass(frozen=True)
class Factor:
    """One number of every year by which years are told apart.

    Attributes
    ----------
    name : str
        Dotted: the knob's own name where there is one, else such as ``risks.price_war.start``.
    kind : Kind
    owner : str
        The risk, line, stream or fund it belongs to; of an uncertain knob its name.
    unit : str
        "%" for shares, "% a year", else the knob's unit, nothing for plain numbers.
    """

    name: str
    kind: Kind
    owner: str
    unit: str = ""


@dataclass(frozen=True)
class Years:
    """Independent years of one scenario.

    Attributes
    ----------
    scenario : Scenario
    factors : tuple of Factor
    values : ndarray, shape (factors, worlds, paths)
        Of a risk that does not strike, severity and duration are 0 and the start is the end of the horizon, so that
        "starts before June" and "is at least so severe" hold in years in which it does, and their opposites in all
        others.
    short : ndarray, shape (worlds, paths)
        Shortfall of revenue as a share of the target; negative where revenue exceeds it.
    loss : ndarray, shape (risks, worlds, paths)
        Revenue lost to each risk of the scenario, net of what came back. [CNY]
    """

    scenario: Scenario
    factors: tuple[Factor, ...]
    values: np.ndarray
    short: np.ndarray
    loss: np.ndarray

    def missed(self, by: float) -> np.ndarray:
        """Whether the target is missed by more than a share of it, shape (worlds, paths)."""
        found: np.ndarray = self.short > by + _SLACK
        return found

    def of(self, factor: Factor) -> np.ndarray:
        """Values of one factor, shape (worlds, paths)."""
        found: np.ndarray = self.values[self.factors.index(factor)]
        return found


def list_factors(scenario: Scenario, run: Run) -> tuple[Factor, ...]:
    """All factors of a scenario.

    Of each risk whether it strikes comes first: where a limit on its start or severity says no more than that, the
    search takes the plainer one.
    """
    found = [
        Factor(f"risks.{risk}.{kind}", kind, risk, _RISK_UNITS[kind]) for risk in scenario.risks for kind in OF_RISKS
    ]
    found += [Factor(f"lines.{line}.effectiveness", Kind.EFFECT, line, "%") for line in scenario.lines]
    streams = scenario.streams.items()
    found += [Factor(f"streams.{s}.launch.slip", Kind.SLIP, s, "months") for s, at in streams if at.launch is not None]
    found += [
        Factor(f"streams.{s}.customers.change", Kind.CUSTOMERS, s) for s, at in streams if at.customers is not None
    ]
    found += [Factor(f"funds.{fund}.left", Kind.LEFT, fund, "%") for fund in scenario.funds]
    taken = {factor.name for factor in found}
    found += [Factor(knob, Kind.KNOB, knob, _unit(scenario, knob)) for knob in run.worlds.values if knob not in taken]
    return tuple(found)


def searched_factors(factors: Sequence[Factor], signs: bool, leave_out: Sequence[str]) -> tuple[Factor, ...]:
    """Factors of which boxes may be made: no signs unless they are asked for, and none that a pattern names.

    Raises
    ------
    SimulationError
        Naming every pattern that fits no factor.
    """
    useless = [pattern for pattern in leave_out if not any(fnmatchcase(factor.name, pattern) for factor in factors)]
    if useless:
        some = ", ".join(factor.name for factor in factors[:3])
        raise SimulationError(
            "factors that cannot be left out",
            [Fault("", pattern, "fits no factor", f"factors are {some} and so on; * stands for anything")
             for pattern in useless],
        )  # fmt: skip
    asked = (factor for factor in factors if signs or factor.kind not in SIGNS)
    return tuple(f for f in asked if not any(fnmatchcase(f.name, pattern) for pattern in leave_out))


_RISK_UNITS = {Kind.STRIKES: "", Kind.START: "months", Kind.SEVERITY: "%", Kind.DURATION: "months"}


def _unit(scenario: Scenario, name: str) -> str:
    """Unit in which a knob's values are worded; a distribution's parameter has that of the field it belongs to."""
    knob = knobs.index(scenario)[name]
    if knob.spec.unit == "1" and knob.parent is not None:
        return _unit(scenario, knob.parent.name) if _same_unit(knob) else ""
    if knob.spec.unit == "1":
        return "%" if knob.spec.high == 1.0 or name.endswith(_SHARES) else ""
    if knob.spec.unit == "1/year":
        return "a year" if name.startswith("risks.") else "% a year"
    return knob.spec.unit.replace(CURRENCY, scenario.plan.currency).replace("month", "months")


_SHARES = (".severity", ".effectiveness", ".probability")


def _same_unit(knob: knobs.Knob) -> bool:
    """Whether a distribution's parameter has the unit of its field."""
    assert knob.parent is not None and knob.parent.quantity.distribution is not None
    return knob.parent.quantity.distribution.family not in ("beta", "scipy", "mixture")


def simulate_years(run: Run, factors: tuple[Factor, ...], progress: Progress | None = None) -> Years:
    """Simulate a run and keep of each year what tells it apart.

    Raises
    ------
    SimulationError
        If it would not fit in memory.
    """
    scenario, shape = run.scenario, (len(run.worlds), run.paths_per_world)
    needed = 8 * (len(factors) + len(scenario.risks) + 8) * run.n_paths + _CHUNK * simulation.bytes_per_path(
        scenario, DETAIL
    )
    simulation.require_memory(needed, f"{run.n_paths:,} paths", "ask for fewer paths")
    value, flag = blocks.results(scenario, DETAIL)
    values, short = np.empty((len(factors), *shape)), np.empty(shape)
    loss = np.empty((len(scenario.risks), *shape))
    target = run.worlds.read("plan.target")[:, None]
    for chunk, out in simulation.outputs(run, DETAIL, progress, size=_CHUNK):
        worlds = slice(chunk.start, chunk.stop)
        place = (worlds, slice(chunk.path, chunk.path + chunk.n_paths))
        part = (chunk.stop - chunk.start, chunk.n_paths)
        short[place] = 1.0 - out.values[value.revenue].reshape(part) / target[worlds]
        loss[:, *place] = out.values[value.loss :][: len(loss)].reshape(-1, *part)
        known = _Known(run, worlds, value, flag.struck, out)
        for j, factor in enumerate(factors):
            values[j][place] = known.of(factor, part)
    return Years(scenario, factors, values, short, loss)


@dataclass(frozen=True)
class _Known:
    """What a chunk of results says about a factor."""

    run: Run
    worlds: slice
    value: ValueAt
    struck: int
    out: Outputs

    def of(self, factor: Factor, part: tuple[int, int]) -> np.ndarray:
        """Values of a factor, shape (worlds, paths) of the chunk, or (worlds, 1) where its paths agree."""
        if factor.kind is Kind.KNOB:
            return self._of_world(factor.name)
        if factor.kind in OF_RISKS:
            return self._of_risk(factor).reshape(part)
        return self._of_path(factor, part)

    def _of_world(self, knob: str) -> np.ndarray:
        found: np.ndarray = self.run.worlds.read(knob)[self.worlds, None]
        return found

    def _of_risk(self, factor: Factor) -> np.ndarray:
        scenario = self.run.scenario
        r = list(scenario.risks).index(factor.owner)
        struck = self.out.flags[self.struck + r] != 0
        if factor.kind is Kind.STRIKES:
            return struck.astype(float)
        row = getattr(self.value, f"drawn_{factor.kind}") + r
        return np.where(struck, self.out.values[row], scenario.plan.months if factor.kind is Kind.START else 0.0)

    def _of_path(self, factor: Factor, part: tuple[int, int]) -> np.ndarray:
        scenario, owner = self.run.scenario, factor.owner
        if factor.kind is Kind.EFFECT:
            found: np.ndarray = self.out.values[self.value.drawn_effect + list(scenario.lines).index(owner)]
            return found.reshape(part)
        if factor.kind is Kind.LEFT:
            left = self.out.values[self.value.fund_balance + list(scenario.funds).index(owner)].reshape(part)
            amount = self._of_world(f"funds.{owner}.amount")
            return np.divide(left, amount, out=np.zeros(left.shape), where=amount > 0)
        streams = [s for s, at in scenario.streams.items() if (at.launch if factor.kind is Kind.SLIP else at.customers)]
        first = self.value.drawn_slip if factor.kind is Kind.SLIP else self.value.customers
        row = self.out.values[first + streams.index(owner)].reshape(part)
        return row if factor.kind is Kind.SLIP else row - np.rint(self._of_world(f"streams.{owner}.customers.count"))
