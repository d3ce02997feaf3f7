"""What the answers to risks are worth: each is taken away, all else the same, on the same paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import simulation
from engine.analysis import estimates
from engine.analysis.estimates import Figure
from engine.scenario import blocks
from engine.scenario.model import Scenario
from engine.simulation import Run

_NEVER = 1e9  # a trigger that no severity reaches
_ROUNDS = 4  # of the search for the cost at which an answer stops to pay
RUNS = 3  # simulations of an answer, on average
_CLOSE = 0.005  # of that cost

Report = Callable[[int], None]


@dataclass(frozen=True)
class Answer:
    """Something that can be done about risks, and the knobs that undo it.

    Attributes
    ----------
    name : str
        The risk's, with what is done where that is not its response; or the stream's or fund's.
    kind : {"response", "buffer", "rescue", "fund", "reviews"}
    without : dict of str to float
        Knobs that take it away.
    costs : sequence of str
        Knobs of what it costs; empty where the scenario gives it no cost.
    """

    name: str
    kind: str
    without: dict[str, float]
    costs: Sequence[str]


@dataclass(frozen=True)
class Worth:
    """What an answer buys, in differences between the years with and without it.

    Attributes
    ----------
    cost : Figure or None
        What it costs in the year, of a fund what is drawn; `None` where the scenario gives it no cost. [CNY]
    revenue, contribution : Figure
        What it adds; the contribution after its cost. [CNY]
    points : Figure
        What it adds to P(attain), in percentage points.
    most : Figure
        The most that it may cost in the year: beyond, it takes more contribution than it brings. [CNY]
    pays_up_to : Figure or None
        Multiple of its cost at which it stops to pay, all its costs scaled alike; `None` without a cost, or where no
        multiple up to 100 does it. Of a fund or of reviews what they bring, before their cost, over their cost.
    """

    answer: Answer
    cost: Figure | None
    revenue: Figure
    points: Figure
    contribution: Figure
    most: Figure
    pays_up_to: Figure | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, each with its standard error; `se` is that of the points."""
        plain: dict[str, Any] = {"kind": self.answer.kind, "p_attain_points": self.points.value, "se": self.points.se}
        for name in ("cost", "revenue", "contribution", "most", "pays_up_to"):
            figure = getattr(self, name)
            plain[name], plain[f"{name}_se"] = (None, None) if figure is None else figure
        return plain


def answers(scenario: Scenario) -> Iterator[Answer]:
    """Everything in a scenario that answers a risk."""
    for name, risk in scenario.risks.items():
        if risk.response is not None:
            at = f"risks.{name}.response"
            costs = {f"{at}.cost_ratio": risk.response.cost_ratio, f"{at}.cost_per_month": risk.response.cost_per_month}
            paid = [knob for knob, quantity in costs.items() if quantity.central() > 0]
            yield Answer(name, "response", {f"{at}.trigger": _NEVER}, paid)
        if risk.buffer is not None and risk.buffer.share.central() > 0:
            yield Answer(f"{name} buffer", "buffer", {f"risks.{name}.buffer.share": 0.0}, [])
    for name, stream in scenario.streams.items():
        if stream.customers is not None and stream.customers.rescue.central() > 0:
            yield Answer(f"{name} rescue", "rescue", {f"streams.{name}.customers.rescue": 0.0}, [])
    for name in scenario.funds:
        yield Answer(f"fund {name}", "fund", {f"funds.{name}.amount": 0.0}, [])
    if scenario.review.levels:
        levels = range(1, len(scenario.review.levels) + 1)
        yield Answer("reviews", "reviews", {f"review.levels.{k}.amount": 0.0 for k in levels}, [])


@dataclass(frozen=True)
class _Year:
    """What is compared, on every path, shape (worlds, paths); costs also by risk or fund. [CNY]"""

    revenue: np.ndarray
    attained: np.ndarray
    contribution: np.ndarray
    response_cost: np.ndarray
    corrective: np.ndarray
    drawn: np.ndarray


class Responses:
    """The years of a run with everything that is done about risks, to be compared with years without.

    Parameters
    ----------
    run : Run
        Random paths.
    report : callable, optional
        Called with the paths done since the last call.
    """

    def __init__(self, run: Run, report: Report | None = None) -> None:
        self.run, self._report = run, report
        self._value, _ = blocks.results(run.scenario, (blocks.LEAN,))
        self._target = run.worlds.read("plan.target")[:, None]
        self._risks = list(run.scenario.risks)
        self._with = self._year({})

    def worth(self, answer: Answer) -> Worth:
        """What one answer buys."""
        without = self._year(answer.without)
        full, cost = self._with, self._cost(answer)
        gain = estimates.mean(full.contribution - without.contribution)
        most = gain if cost is None else estimates.mean(full.contribution - without.contribution + cost)
        points = estimates.mean(full.attained.astype(float) - without.attained)
        return Worth(
            answer, None if cost is None else estimates.mean(cost), estimates.mean(full.revenue - without.revenue),
            Figure(100 * points.value, 100 * points.se), gain, most,
            self._pays_up_to(answer, without, gain, most, cost),
        )  # fmt: skip

    def _year(self, changes: Mapping[str, np.ndarray | float]) -> _Year:
        run = replace(self.run, worlds=self.run.worlds.changed(changes))
        shape = (len(run.worlds), run.paths_per_world)
        revenue, contribution, corrective = np.empty(shape), np.empty(shape), np.empty(shape)
        costs = np.empty((len(self._risks), *shape))
        at, lines, funds = self._value, len(run.scenario.lines), run.scenario.funds
        drawn = np.empty((len(funds), *shape))
        for f, name in enumerate(funds):
            drawn[f] = run.worlds.read(f"funds.{name}.amount")[:, None]
        for chunk, out in simulation.outputs(run, (blocks.LEAN,)):
            part = (chunk.stop - chunk.start, chunk.n_paths)
            place = (slice(chunk.start, chunk.stop), slice(chunk.path, chunk.path + chunk.n_paths))
            revenue[place] = out.values[at.revenue].reshape(part)
            contribution[place] = out.values[at.contribution].reshape(part)
            corrective[place] = out.values[at.corrective :][: lines + 1].sum(axis=0).reshape(part)
            costs[:, *place] = out.values[at.response_cost :][: len(self._risks)].reshape(-1, *part)
            drawn[:, *place] -= out.values[at.fund_balance :][: len(funds)].reshape(-1, *part)
            if self._report is not None:
                self._report(part[0] * part[1])
        return _Year(revenue, revenue >= self._target * estimates.MET, contribution, costs, corrective, drawn)

    def _cost(self, answer: Answer) -> np.ndarray | None:
        """What it costs on every path, where the scenario gives it a cost."""
        if answer.kind == "response":
            found: np.ndarray = self._with.response_cost[self._risks.index(answer.name)]
            return found if answer.costs else None
        if answer.kind == "reviews":
            return self._with.corrective
        if answer.kind == "fund":
            drawn: np.ndarray = self._with.drawn[list(self.run.scenario.funds).index(answer.name.removeprefix("fund "))]
            return drawn
        return None

    def _pays_up_to(
        self, answer: Answer, without: _Year, gain: Figure, most: Figure, cost: np.ndarray | None
    ) -> Figure | None:
        """The multiple of its cost at which the answer adds no contribution, found by simulation.

        To first order it is `most` over the cost, and no more can be said of a fund or of reviews, whose cost has no
        knob. A fund that is too small for dearer answers bends the line: the secant from there is followed to the root.
        """
        spent = 0.0 if cost is None else float(cost.mean())
        if cost is None or spent <= 0.0:
            return None
        if not answer.costs:
            return estimates.ratio(self._with.contribution - without.contribution + cost, cost)
        at, value = 1.0, gain
        near = max(most.value / spent, 0.0)
        for _ in range(_ROUNDS):
            if not 0.0 <= near <= 100.0:
                return None
            scaled = self._year({knob: near * self.run.worlds.read(knob) for knob in answer.costs})
            found = estimates.mean(scaled.contribution - without.contribution)
            slope = (found.value - value.value) / (near - at) if near != at else 0.0
            if slope >= 0.0:
                return None
            at, value = near, found
            near = at - found.value / slope
            if abs(near - at) <= _CLOSE * max(near, _CLOSE):
                break
        return Figure(near, value.se / abs(slope))
