"""The summary of a forecast for people: what ``attain run`` prints.

Money in millions or thousands of the plan's currency, or plain, by the size of its target; every figure beside its
standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.names import run_text
from engine.report.figures import (
    PM,
    Unit,
    decimals,
    error_text,
    money_unit,
    percent,
    probability,
    rule_of_three,
    with_error,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.attainment import Forecast

Figures = Mapping[str, Any]
SHOWN_QUANTILES = ("0.05", "0.1", "0.5", "0.9", "0.95")


def summary(forecast: Forecast) -> list[RenderableType]:
    """The whole summary, part by part, for a console of 100 columns."""
    figures = forecast.to_json()
    unit = money_unit(forecast.target, forecast.currency)
    left = [months_table(forecast, figures, unit)]
    right = [losses_table(figures, unit, rows=len(forecast.months) + 1)]
    lower_left = [funds_table(figures, unit), review_table(figures)]
    lower_right = [targets_table(figures)]
    shorter = min(lower_left, lower_right, key=lambda tables: sum(table.row_count + 3 for table in tables))
    shorter.append(money_table(figures, unit))
    parts: list[RenderableType] = [
        *headline(forecast, figures, unit),
        quantiles_table(forecast, figures, unit),
        beside(left, right),
        beside(lower_left, lower_right),
        *remarks(forecast, figures),
    ]
    return parts


def headline(forecast: Forecast, figures: Figures, unit: Unit) -> list[RenderableType]:
    """P(attain) with both its errors, never without."""
    attain = figures["p_attain"]
    runs = run_text(figures["paths"], figures["worlds"], figures["seed"])
    title = Text.assemble((forecast.scenario_name or str(figures["scenario"]), "bold"), f": {runs}")
    answer = Text(f"P(attain) {attain_text(attain, figures['paths'], figures['worlds'])}", "bold")
    if figures["worlds"] > 1:
        answer.append(f", {attain['lo']:.2f} to {attain['hi']:.2f} in 90 % of worlds", "not bold")
    elif forecast.uncertain:
        answer.append(f", in one world: each of {forecast.uncertain} uncertain numbers at its median", "not bold")
    else:
        answer.append(", in one world: no number of the scenario is uncertain", "not bold")
    revenue = figures["revenue"]
    share = percent(revenue["mean"] / forecast.target)
    mean = Text(
        f"Expected revenue {unit.money(revenue, most=2)} {unit} (sd "
        f"{unit.named(revenue['sd'])}), {share} of the target of {unit.named(forecast.target)}"
    )
    return [title, answer, mean]


def attain_text(attain: Figures, paths: int, worlds: int) -> str:
    """P(attain) with its sampling error and that over worlds, or with a bound where all paths agreed."""
    value, sampling, over_both = attain["value"], attain["se_sampling"], attain["se"]
    if value not in (0.0, 1.0):
        if worlds == 1 or not all(isfinite(error) and error > 0 for error in (sampling, over_both)):
            return f"{with_error(value, sampling, most=6)} (sampling)"
        digits = decimals(max(sampling, over_both), most=6)
        return f"{value:.{digits}f} {error_text(sampling)} (sampling) {error_text(over_both)} (worlds drawn)"
    bound, digits = rule_of_three(paths)
    if attain["value"] == 0.0:
        return f"0: none of {paths:,} paths, at most {bound:.{digits}f} at 95 %"
    return f"1: all of {paths:,} paths, at least {1 - bound:.{digits}f} at 95 %"


def quantiles_table(forecast: Forecast, figures: Figures, unit: Unit) -> RenderableType:
    """What revenue falls short of with which chance."""
    revenue = figures["revenue"]
    table = make_table("Chance of less")
    for quantile in SHOWN_QUANTILES:
        table.add_column(f"{100 * float(quantile):g} %", justify="right", no_wrap=True)
    cells = [
        with_error(revenue["quantiles"][q], revenue["quantiles_se"][q], unit.scale, most=1) for q in SHOWN_QUANTILES
    ]
    table.add_row(f"Revenue, {unit}", *cells)
    shares = [percent(revenue["quantiles"][q] / forecast.target) for q in SHOWN_QUANTILES]
    table.add_row("of the target", *shares)
    return Padding(table, (1, 0, 0, 0))


def months_table(forecast: Forecast, figures: Figures, unit: Unit) -> Table:
    """Each month's expected revenue, and how far it and the year to date are ahead of the plan."""
    table = make_table(str(unit), "Plan", "Expected", "Vs plan", "To date")
    planned = expected = 0.0
    for month, plan, figure in zip(forecast.months, forecast.plan_monthly, figures["monthly_revenue"], strict=True):
        planned += plan
        expected += figure["mean"]
        table.add_row(
            month, unit.amount(plan), unit.money(figure), _change(figure["mean"], plan), _change(expected, planned)
        )
    return table


def losses_table(figures: Figures, unit: Unit, rows: int) -> Table:
    """The risks by expected loss, the smallest pooled so that the table ends with its neighbour."""
    losses = sorted(figures["loss_by_risk"].items(), key=lambda item: -item[1]["mean"])
    table = make_table("Loss by risk, a year", str(unit))
    shown = losses if len(losses) <= rows else losses[: rows - 1]
    for name, figure in shown:
        table.add_row(name, unit.money(figure, most=2))
    rest = losses[len(shown) :]
    if rest:
        # Errors of a sum never exceed the sum of the errors.
        pooled = {key: sum(figure[key] for _, figure in rest) for key in ("mean", "se")}
        table.add_row(f"{len(rest)} smaller ones", unit.money(pooled, most=2))
    if not losses:
        table.add_row("no risks", "")
    return table


def funds_table(figures: Figures, unit: Unit) -> Table:
    """What is asked of each fund, and how often it runs dry."""
    table = make_table(f"Fund, {unit}", "Needed", "95 % need", "P(empty)")
    for name, need in figures["fund_need"].items():
        high = with_error(need["quantiles"]["0.95"], need["quantiles_se"]["0.95"], unit.scale, most=1)
        dry = probability(figures["p_fund_exhausted"][name], figures["paths"])
        table.add_row(name, unit.money(need), high, dry)
    if not figures["fund_need"]:
        table.add_row("no funds", "", "", "")
    return table


def review_table(figures: Figures) -> Table:
    """How often the review acts, by level."""
    table = make_table("Review acts: revenue behind plan by", "P(in the year)")
    for level in figures["review_acted"]:
        table.add_row(f"more than {100 * level['lag']:g} %", probability(level, figures["paths"]))
    if not figures["review_acted"]:
        table.add_row("no levels", "")
    return table


def targets_table(figures: Figures) -> Table:
    """Each target's chance, and the chance of meeting all at once."""
    table = make_table("Target", "P(met)")
    for name, figure in figures["targets"].items():
        table.add_row(name, probability(figure, figures["paths"]))
    if len(figures["targets"]) > 1:
        table.add_section()
        table.add_row(Text("all at once", style="bold"), probability(figures["p_all_targets"], figures["paths"]))
    return table


def money_table(figures: Figures, unit: Unit) -> Table:
    """Margin, contribution, incentives and what is still to come, then the channels, with their share of revenue."""
    table = make_table(str(unit), "Expected", "Of revenue")
    total = figures["revenue"]["mean"]
    names = {
        "Gross margin": "gross_margin", "Contribution": "contribution", "Incentive pay": "incentive_cost",
        "Deferred beyond": "revenue_deferred_out",
    }  # fmt: skip
    rows = [(label, figures[name]) for label, name in names.items()]
    for label, figure in [*rows, *(figures.get("revenue_by_channel") or {}).items()]:
        table.add_row(label, unit.money(figure), percent(figure["mean"] / total if total else None))
    return table


def remarks(forecast: Forecast, figures: Figures) -> list[RenderableType]:
    """Customers, optimism in the plan, the meaning of the errors, the time taken."""
    lines: list[RenderableType] = []
    customers = figures.get("customers_end") or {}
    if customers:
        items = [f"{name} {with_error(figure['mean'], figure['se'], most=1)}" for name, figure in customers.items()]
        lines.append(packed("Customers at the end:", items))
    if forecast.optimism:
        items = [f"{name} {_change(value, 1.0)}" for name, value in forecast.optimism.items()]
        lines.append(packed("Effect of spending against plan, on average:", items))
    lines.append(Text(f"{errors_text(figures)} {_seconds(figures['timing'])}", style="dim"))
    return [Padding(line, (1, 0, 0, 0)) if i == 0 else line for i, line in enumerate(lines)]


def errors_text(figures: Figures) -> str:
    """What the errors mean."""
    text = f"{PM} is one standard error, over paths"
    if figures["worlds"] > 1:
        text += " and worlds (of P(attain) the second)"
    chances = [*figures["targets"].values(), *figures["review_acted"], *figures["p_fund_exhausted"].values()]
    if any(figure.get("p", figure.get("value")) in (0.0, 1.0) for figure in [*chances, figures["p_all_targets"]]):
        text += "; < and > are 95 % bounds where no path, or every path, agreed"
    return f"{text}; without {PM}: the same on all paths, or nearly."


def packed(label: str, items: Sequence[str], width: int = 100) -> RenderableType:
    """A label and its items, no item torn apart at the end of a line."""
    lines, length = [label], len(label)
    for j, item in enumerate(items):
        word = item + (";" if j + 1 < len(items) else "")
        if length + 1 + len(word) > width:
            lines.append(f"  {word}")
            length = 2 + len(word)
        else:
            lines[-1] += f" {word}"
            length += 1 + len(word)
    text = Text("\n".join(lines))
    text.stylize("bold", 0, len(label))
    return text


def beside(left: Sequence[Table], right: Sequence[Table]) -> RenderableType:
    """Two columns of tables; where they are too wide the names on the right wrap."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(_stack(left), _stack(right))
    return Padding(grid, (1, 0, 0, 0))


def _stack(tables: Sequence[Table]) -> Table:
    grid = Table.grid(padding=(0, 0))
    for i, table in enumerate(tables):
        grid.add_row(Padding(table, (1 if i else 0, 0, 0, 0)))
    return grid


def make_table(*columns: str) -> Table:
    """A light table: names to the left, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=i > 0, overflow="fold")
    return table


def spaced(part: RenderableType) -> RenderableType:
    """A part of an answer with an empty line above it."""
    return Padding(part, (1, 0, 0, 0))


def _change(value: float, plan: float) -> str:
    """How far ahead of the plan, in percent."""
    return "" if plan == 0 else f"{100 * (value / plan - 1):+.1f} %".replace("-", "\N{MINUS SIGN}")


def _seconds(timing: Mapping[str, float | None]) -> str:
    compiled = timing.get("compile_s") or 0.0
    extra = f" ({compiled:.1f} s to compile)" if compiled >= 0.05 else ""
    return f"Took {timing['total_s']:.1f} s{extra}."
