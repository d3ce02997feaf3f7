"""What ``attain stress`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from engine.names import run_text
from engine.report.figures import PM, Unit, money_unit, probability, with_error
from engine.report.summary import attain_text, make_table, spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.estimates import Figure
    from engine.analysis.stress import Stressed, StressTest

MINUS = "\N{MINUS SIGN}"
EFFECTS = {"revenue": "Revenue", "revenue_p10": "1 year in 10", "revenue_p5": "1 in 20"}
DEMANDS = {"shortfall": "Shortfall", "fund_need": "Fund need", "fund_need_p80": "P80 of it"}


def stress_parts(found: StressTest) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    unit = money_unit(found.target, found.currency)
    title = Text.assemble(
        (found.base.title, "bold"), f" under stress, each with {run_text(found.paths, found.worlds, found.seed)}"
    )
    attain = found.base.p_attain
    usual = f"As it is, P(attain) {attain_text(attain.to_json(), found.paths, found.worlds)}"
    across = f", {attain.lo:.2f} to {attain.hi:.2f} in 90 % of worlds" if found.worlds > 1 else ""
    return [
        title, Text(usual + across), Text(_worst(found, unit), "bold"), spaced(_effects(found, unit)),
        spaced(_demands(found, unit)), spaced(Text(_note(found, unit), style="dim")),
    ]  # fmt: skip


def _signed(figure: Figure, scale: float, most: int) -> str:
    """A difference, its direction told by its sign."""
    sign = "+" if figure.value > 0 else ""
    return sign + with_error(figure.value, figure.se, scale, most)


def _size(figure: Figure, scale: float, most: int) -> str:
    """How large a difference is, its direction being told in words."""
    return with_error(abs(figure.value), figure.se, scale, most)


def _worst(found: StressTest, unit: Unit) -> str:
    """One sentence: which stress is worst, and by how much."""
    name, worst = next(iter(found.stresses.items()))
    if worst.difference.value >= 0:  # where none makes attainment less likely, revenue decides
        name, worst = min(found.stresses.items(), key=lambda item: item[1].differences["revenue"].value)
    revenue = worst.differences["revenue"]
    if worst.difference.value >= 0 and revenue.value >= 0:
        return "No stress makes attainment less likely or lowers expected revenue."
    points = _points(worst.difference)
    more = "lowers" if revenue.value < 0 else "raises"
    text = f"Worst is {name}: it {points} and {more} expected revenue by {_size(revenue, unit.scale, 1)} {unit}"
    if revenue.value < 0 and worst.main_cause is not None:
        text += f", mostly through {worst.main_cause} ({_size(worst.causes[worst.main_cause], unit.scale, 1)})"
    return f"{text}."


def _points(difference: Figure) -> str:
    """What a stress does to P(attain)."""
    if difference.value == 0:
        return "leaves P(attain) as it is"
    size = f"{_size(difference, 0.01, 2)} points"
    return f"takes {size} off P(attain)" if difference.value < 0 else f"adds {size} to P(attain)"


def _effects(found: StressTest, unit: Unit) -> Table:
    """P(attain) and revenue: the base, then what each stress changes."""
    table = make_table("Stress", "P(attain)", "Points", *EFFECTS.values())
    base = [unit.money({"mean": f.value, "se": f.se}) for f in (found.base.figures[key] for key in EFFECTS)]
    table.add_row("none: as it is", probability(found.base.p_attain.to_json(), found.paths), "", *base)
    table.add_section()
    for name, stressed in found.stresses.items():
        changes = [_signed(stressed.differences[key], unit.scale, 1) for key in EFFECTS]
        p = probability(stressed.p_attain.to_json(), found.paths)
        table.add_row(name, p, _signed(stressed.difference, 0.01, 2), *changes)
    return table


def _demands(found: StressTest, unit: Unit) -> Table:
    """What is missing, what the funds are asked for, and what takes most of the lost revenue."""
    shown = {key: head for key, head in DEMANDS.items() if key in found.base.figures}
    table = make_table("Stress", *shown.values(), "Revenue lost most to")
    base = [unit.money({"mean": f.value, "se": f.se}) for f in (found.base.figures[key] for key in shown)]
    table.add_row("none: as it is", *base, "")
    table.add_section()
    for name, stressed in found.stresses.items():
        changes = [
            _signed(stressed.differences[key], unit.scale, 1) if key in stressed.differences else "" for key in shown
        ]
        table.add_row(name, *changes, _cause(stressed, unit))
    return table


def _cause(stressed: Stressed, unit: Unit) -> str:
    """The cause that moves revenue most: what it takes, or with a plus what it gives."""
    name = stressed.main_cause
    if name is None:
        return "nothing"
    cause = stressed.causes[name]
    return f"{name} {'+' if cause.value < 0 else ''}{_size(cause, unit.scale, 1)}"


def _note(found: StressTest, unit: Unit) -> str:
    text = (
        f"In {unit}. Below the line: differences from the plan as it is, on the same years. 1 year in 10, 1 in 20: "
        "revenue that is missed in so many. Shortfall: what is missing to the target, on average over all years."
    )
    if "fund_need" in found.base.figures:
        text += " Fund need: of all funds, on average and in all but one year in five."
    if any(s.main_cause is not None and s.causes[s.main_cause].value < 0 for s in found.stresses.values()):
        text += " Last column: with a plus what is gained."
    return f"{text} {PM} is one standard error, over paths and worlds; of differences it is paired."
