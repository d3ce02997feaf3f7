"""What ``attain sensitivity --drivers`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from engine.names import run_text
from engine.report.figures import MISSING, PM, Unit, money_unit, probability, with_error, wrapped
from engine.report.summary import attain_text, make_table, spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.estimates import Figure
    from engine.analysis.sensitivity.drivers import MissDrivers, NumberDriver, Ratio

MOST = 15  # numbers shown


def driver_parts(found: MissDrivers) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, run = found.scenario, found.run
    unit = money_unit(scenario.plan.target.central(), scenario.plan.currency)
    title = Text.assemble(
        (scenario.title, "bold"),
        f": what drives a miss, {run_text(run.n_paths, run.n_worlds, run.seed)}",
    )
    head = Text.assemble((f"P(miss) {attain_text(found.p_miss.to_json(), run.n_paths, run.n_worlds)}", "bold"))
    parts: list[RenderableType] = [title, head]
    if found.risks:
        parts.append(spaced(_risks(found)))
    parts.append(spaced(_numbers(found, unit)))
    told = sum(number.distance > 0 for number in found.numbers.values())
    hidden, noise = max(0, told - MOST), len(found.numbers) - told
    parts.append(
        Text(f"{f'{hidden} more are surely different; ' if hidden else ''}{noise} cannot be told from chance.")
    )
    note = (
        "Strikes: the risk is active in some month of the year; what is drawn for it is compared where it strikes. "
        "Difference: missed less attained, in standard deviations; surely: by three errors, since many are compared. "
        f"{PM} is one standard error, over paths and worlds. Years are compared here, causes are not told apart."
    )
    return [*parts, spaced(Text(note, style="dim"))]


def _risks(found: MissDrivers) -> Table:
    """Each risk: how often it strikes, how likely a miss is with and without it, the odds."""
    table = make_table("Risk", "P(strikes)", "P(miss) if it does", "if not", "Odds ratio, 95 %")
    paths = found.run.n_paths
    for name, risk in found.risks.items():
        chances = [_chance(risk.strikes, paths), *map(_chance, (risk.miss_if, risk.miss_if_not), risk.years)]
        table.add_row(name, *chances, _odds(risk.odds))
    return table


def _chance(figure: Figure | None, paths: int) -> str:
    return MISSING if figure is None else probability(figure.to_json(), paths)


def _odds(odds: Ratio | None) -> str:
    return MISSING if odds is None else f"{odds.value:.2f}  {odds.lo:.2f} to {odds.hi:.2f}"


def _numbers(found: MissDrivers, unit: Unit) -> Table:
    """Each number that surely differs: its mean in both kinds of years."""
    table = make_table("Number", "Once a", "Missed", "Attained", "Difference, sd")
    for name, number in list(found.numbers.items())[:MOST]:
        if number.distance <= 0.0:
            break
        means = [_mean(number, figure, unit) for figure in (number.missed, number.attained)]
        difference = with_error(number.difference.value, number.difference.se, most=2)
        table.add_row(wrapped(name, 40), number.kind, *means, difference.replace("-", "\N{MINUS SIGN}", 1))
    return table


def _mean(number: NumberDriver, figure: Figure, unit: Unit) -> str:
    """A mean, money in the plan's unit."""
    if number.unit == unit.currency:
        return f"{with_error(figure.value, figure.se, unit.scale, 1)} {unit.prefix}".strip()
    return with_error(figure.value, figure.se)
