"""What ``attain sensitivity`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from engine.names import SENSITIVITY_LABELS, worlds_text
from engine.report.figures import PM, Unit, money_unit, percent, probability, with_error, wrapped
from engine.report.summary import make_table, spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.sensitivity.factors import Factor
    from engine.analysis.sensitivity.one_at_a_time import Legs
    from engine.analysis.sensitivity.study import Sensitivity

NAME = 30  # columns of a name
LEAST, MOST = 5, 20  # rows of a table: what can be told from nothing, but not fewer and not more than these
_MEANING = {
    "tornado": "Each knob goes to its low and its high end, all others central.",
    "spider": "Each knob goes from its low to its high end, all others central.",
    "sobol": "Total order: the share of the variance that would be gone if the knob were known, its interactions with "
    "others included; first order: without them.",
    "morris": "mu*: mean size of what a move from the low to the high end changes, wherever the others are; mu: with "
    "its sign; sigma: how much that depends on the others and on where it starts.",
    "pawn": "How far the law of the output moves when the knob is held in a tenth of its range: Kolmogorov's "
    "distance, 0 to 1.",
    "rank": "Coefficient: of the regression on ranks, what the other knobs do taken out; correlation: Spearman's.",
}
_TITLES = {
    "total": "Total order", "first": "First order", "mu_star": "mu*", "mu": "mu", "sigma": "sigma",
    "distance": "Distance", "coefficient": "Coefficient", "correlation": "Correlation",
}  # fmt: skip


class _Scale:
    """How the output of a study is written."""

    def __init__(self, found: Sensitivity) -> None:
        plan = found.scenario.plan
        self.label = SENSITIVITY_LABELS[found.output]
        self._paths = found.paths
        self._money = None if found.output == "p_attain" else money_unit(plan.target.central(), plan.currency)

    @property
    def unit(self) -> str:
        """Unit of changes."""
        return "points" if self._money is None else str(self._money)

    def value(self, value: float, se: float) -> str:
        """The output itself."""
        if self._money is None:
            return probability({"value": value, "se": se}, self._paths)
        return with_error(value, se, self._money.scale, 1)

    def change(self, value: float, se: float) -> str:
        """A difference of two outputs."""
        scale = 0.01 if self._money is None else self._money.scale
        return _plain(with_error(value, se, scale, 2))


def sensitivity_parts(found: Sensitivity) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, scale = found.scenario, _Scale(found)
    title = Text.assemble(
        (scenario.title, "bold"),
        f": what moves {scale.label}, {worlds_text(found.worlds, found.paths, found.seed)}",
    )
    parts: list[RenderableType] = [title, *_outset(found, scale)]
    parts.append(spaced(_legs(found, found.legs, scale) if found.legs is not None else _indices(found, scale)))
    rest = _rest(found, scale)
    if rest:
        parts.append(Text(rest))
    parts += [spaced(Text(warning, style="yellow")) for warning in found.warnings]
    ends = "Low and high are a distribution's 5 % and 95 % quantiles, or the ends of the range given."
    errors = f"{PM} is one standard error, {_errors(found, scale)}."
    return [*parts, spaced(Text(f"{_MEANING[found.method]} {ends} {errors}", style="dim"))]


def _errors(found: Sensitivity, scale: _Scale) -> str:
    """What the errors are of."""
    if found.legs is not None:
        return "over paths; of changes on the same paths"
    if found.method == "morris":
        return "over trajectories"
    return f"of indices by bootstrap over the worlds, of {scale.label} over worlds and paths"


def _plain(text: str) -> str:
    """A number with a minus sign of its own, and none before 0."""
    nothing = text.startswith("-") and not any(digit in text.partition(PM)[0] for digit in "123456789")
    return text[1:] if nothing else text.replace("-", "\N{MINUS SIGN}", 1)


def _outset(found: Sensitivity, scale: _Scale) -> list[RenderableType]:
    """Where the output stands, and what the knobs explain of it together."""
    facts = found.facts
    if found.legs is not None:
        base = scale.value(found.legs.base.value, found.legs.base.se)
        return [
            Text.assemble("All knobs central: ", (f"{scale.label} {base}", "bold"), f" {_named(found, scale)}".rstrip())
        ]
    text = ""
    if "mean" in facts:
        text = (
            f"Over all that the knobs may be: {scale.label} {scale.value(facts['mean'], facts['mean_se'])} "
            f"{_named(found, scale)}".rstrip() + f", standard deviation {scale.change(facts['sd'], 0.0)} {scale.unit}"
        )  # fmt: skip
    if found.method == "sobol":
        first = found.index["first"]
        total = with_error(float(first.value.sum()), float(np.sqrt(max(first.covariance.sum(), 0.0))), most=2)
        text += f". First orders add up to {total}; what they lack of 1 is interaction"
    if "fit" in facts:
        text += f". The regression explains {percent(facts['fit'], 0)} of the ranks' variance"
    return [Text(f"{text}.")] if text else []


def _named(found: Sensitivity, scale: _Scale) -> str:
    return "" if found.output == "p_attain" else scale.unit


def _shown(found: Sensitivity) -> list[int]:
    """Factors worth a row: those that can be told from nothing, at least a few and at most a page."""
    return found.order[: max(LEAST, min(MOST, int(found.worth.sum())))]


def _rest(found: Sensitivity, scale: _Scale) -> str:
    """What there is to say about the factors without a row."""
    index = found.index[found.main]
    left = index.order()[len(_shown(found)) :]
    if not left.size:
        return ""
    most = float(np.abs(index.value[left]).max())
    size = f"{scale.change(most, 0.0)} {scale.unit}" if found.in_units else f"{most:.3f}"
    each = f"each at most {size}" if any(digit in size for digit in "123456789") else "next to nothing each"
    return f"{left.size} more knob{'s' if left.size > 1 else ''}, {each}."


def value_text(factor: Factor, value: float, unit: Unit) -> str:
    """Value of a knob, money in the plan's unit."""
    if factor.knob.unit == unit.currency:
        return f"{unit.amount(value)} {unit.prefix}".strip()
    return f"{value:,.3g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _names(found: Sensitivity, j: int) -> list[str]:
    """Name and ends of one factor."""
    plan, factor = found.scenario.plan, found.factors[j]
    unit = money_unit(plan.target.central(), plan.currency)
    ends = [value_text(factor, end, unit) for end in (factor.low, factor.high)]
    return [wrapped(factor.name, NAME), " to ".join(ends)]


def _legs(found: Sensitivity, legs: Legs, scale: _Scale) -> Table:
    """Outputs at both ends, and the swing between them."""
    table = make_table("Knob", "Low to high", "At low", "At high", f"Swing, {scale.unit}")
    swing = found.index["swing"]
    for j in _shown(found):
        ends = [scale.value(legs.output[j, k], legs.output_se[j, k]) for k in (0, -1)]
        table.add_row(*_names(found, j), *ends, scale.change(swing.value[j], swing.se[j]))
    return table


def _indices(found: Sensitivity, scale: _Scale) -> Table:
    """Every index of the method; of a plain number also the interval."""
    if found.method == "morris":
        return _effects(found, scale)
    heads = [_TITLES[name] for name in found.index]
    table = make_table("Knob", "Low to high", heads[0], "95 %", *heads[1:])
    main = found.index[found.main]
    for j in _shown(found):
        cells = [_plain(with_error(float(i.value[j]), float(i.se[j]), most=3)) for i in found.index.values()]
        span = " to ".join(_plain(f"{float(end[j]):.3f}") for end in (main.lo, main.hi))
        table.add_row(*_names(found, j), cells[0], span, *cells[1:])
    if "without" in found.facts:
        table.add_section()
        table.add_row("no effect at all", "", f"up to {found.facts['without']:.3f}", "")
    return table


def _effects(found: Sensitivity, scale: _Scale) -> Table:
    """Elementary effects, in the unit of the output."""
    heads = [_TITLES[name] for name in found.index]
    table = make_table("Knob", "Low to high", f"{heads[0]}, {scale.unit}", *heads[1:])
    for j in _shown(found):
        cells = [scale.change(float(index.value[j]), float(index.se[j])) for index in found.index.values()]
        table.add_row(*_names(found, j), *cells)
    return table
