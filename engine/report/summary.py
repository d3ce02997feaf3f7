"""The summary of a forecast for people: what ``attain run`` prints.

Money in millions of the plan's currency; every figure beside its standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.report.figures import MILLION, PM, millions, money, percent, probability, with_error

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.attainment import Forecast

Figures = Mapping[str, Any]
SHOWN_QUANTILES = ("0.05", "0.1", "0.5", "0.9", "0.95")


def summary(forecast: Forecast) -> list[RenderableType]:
    """The whole summary, part by part, for a console of 100 columns."""
    figures = forecast.to_json()
    unit = f"M {forecast.currency}"
    left = [months_table(forecast, figures, unit)]
    right = [losses_table(figures, unit, rows=len(forecast.months) + 1)]
    lower_left = [funds_table(figures, unit), review_table(figures)]
    lower_right = [targets_table(figures)]
    parts: list[RenderableType] = [
        *headline(forecast, figures),
        quantiles_table(forecast, figures, unit),
        beside(left, right),
        beside(lower_left, lower_right),
        money_lines(figures, unit),
        *remarks(forecast, figures),
    ]
    return parts


def headline(forecast: Forecast, figures: Figures) -> list[RenderableType]:
    """P(attain) with both its errors, never without."""
    attain = figures["p_attain"]
    worlds = "1 world" if figures["worlds"] == 1 else f"{figures['worlds']:,} worlds"
    runs = f"{figures['paths']:,} paths in {worlds}, seed {figures['seed']}"
    title = Text.assemble((forecast.scenario_name or str(figures["scenario"]), "bold"), f": {runs}")
    sampling = with_error(attain["value"], attain["se_sampling"], most=5)
    answer = Text.assemble((f"P(attain) {sampling}", "bold"), " (sampling)")
    if figures["worlds"] > 1:
        answer.append(f", {attain['lo']:.2f} to {attain['hi']:.2f} across worlds (what we do not know)")
    else:
        answer.append(", in one world: nothing uncertain was varied")
    revenue = figures["revenue"]
    share = percent(revenue["mean"] / forecast.target)
    mean = Text(
        f"Revenue of {money(revenue, most=2)} M {forecast.currency} expected: {share} of the target of "
        f"{millions(forecast.target)} M; standard deviation {millions(revenue['sd'])} M"
    )
    return [title, answer, mean]


def quantiles_table(forecast: Forecast, figures: Figures, unit: str) -> RenderableType:
    """What revenue is exceeded with which chance."""
    revenue = figures["revenue"]
    table = _table("")
    for quantile in SHOWN_QUANTILES:
        table.add_column(f"{100 * float(quantile):g} %", justify="right", no_wrap=True)
    cells = [with_error(revenue["quantiles"][q], revenue["quantiles_se"][q], MILLION, most=1) for q in SHOWN_QUANTILES]
    table.add_row(f"Revenue, {unit}: the quantile", *cells)
    shares = [percent(revenue["quantiles"][q] / forecast.target) for q in SHOWN_QUANTILES]
    table.add_row("of the target", *shares)
    return Padding(table, (1, 0, 0, 0))


def months_table(forecast: Forecast, figures: Figures, unit: str) -> Table:
    """Each month's expected revenue against the plan."""
    table = _table(f"Month, {unit}", "Plan", "Expected", "Against plan", "Year to date")
    planned = expected = 0.0
    for month, plan, figure in zip(forecast.months, forecast.plan_monthly, figures["monthly_revenue"], strict=True):
        planned += plan
        expected += figure["mean"]
        table.add_row(month, millions(plan), money(figure), _change(figure["mean"], plan), _change(expected, planned))
    return table


def losses_table(figures: Figures, unit: str, rows: int) -> Table:
    """The risks by expected loss, the smallest pooled so that the table ends with its neighbour."""
    losses = sorted(figures["loss_by_risk"].items(), key=lambda item: -item[1]["mean"])
    table = _table("Loss by risk", unit)
    shown = losses if len(losses) <= rows else losses[: rows - 1]
    for name, figure in shown:
        table.add_row(_short(name), money(figure, most=2))
    rest = losses[len(shown) :]
    if rest:
        # Errors of a sum never exceed the sum of the errors.
        pooled = {key: sum(figure[key] for _, figure in rest) for key in ("mean", "se")}
        table.add_row(f"{len(rest)} smaller ones", money(pooled, most=2))
    if not losses:
        table.add_row("no risks", "")
    return table


def funds_table(figures: Figures, unit: str) -> Table:
    """What is asked of each fund, and how often it runs dry."""
    table = _table(f"Fund, {unit}", "Needed", "95 %", "P(exhausted)")
    for name, need in figures["fund_need"].items():
        high = with_error(need["quantiles"]["0.95"], need["quantiles_se"]["0.95"], MILLION, most=1)
        table.add_row(_short(name), money(need), high, probability(figures["p_fund_exhausted"][name]))
    if not figures["fund_need"]:
        table.add_row("no funds", "", "", "")
    return table


def review_table(figures: Figures) -> Table:
    """How often the review acts, by level."""
    table = _table("Review: behind plan by", "P(acts)")
    for level in figures["review_acted"]:
        table.add_row(f"more than {percent(level['lag'], 0)}", probability(level))
    if not figures["review_acted"]:
        table.add_row("no levels", "")
    return table


def targets_table(figures: Figures) -> Table:
    """Each target's chance, and the chance of meeting all at once."""
    table = _table("Target", "P(met)")
    for name, figure in figures["targets"].items():
        table.add_row(_short(name), probability(figure))
    if len(figures["targets"]) > 1:
        table.add_section()
        table.add_row(Text("all at once", style="bold"), probability(figures["p_all_targets"]))
    return table


def money_lines(figures: Figures, unit: str) -> RenderableType:
    """Margin, contribution, incentives and what is still to come, in one row; then revenue by channel."""
    names = ("gross_margin", "contribution", "incentive_cost", "revenue_deferred_out")
    table = _table("", "Gross margin", "Contribution", "Incentive pay", "Still deferred")
    table.add_row(unit, *(money(figures[name]) for name in names))
    channels = figures.get("revenue_by_channel") or {}
    customers = figures.get("customers_end") or {}
    grid = Table.grid(padding=(0, 0))
    grid.add_row(table)
    total = figures["revenue"]["mean"]
    if channels:
        items = [f"{name} {money(figure)} ({percent(figure['mean'] / total, 0)})" for name, figure in channels.items()]
        grid.add_row(Text.assemble(("By channel: ", "bold"), "; ".join(items)))
    if customers:
        items = [f"{name} {with_error(figure['mean'], figure['se'], most=1)}" for name, figure in customers.items()]
        grid.add_row(Text.assemble(("Customers at the end: ", "bold"), "; ".join(items)))
    return Padding(grid, (1, 0, 0, 0))


def remarks(forecast: Forecast, figures: Figures) -> list[RenderableType]:
    """What has to be known to read the figures: optimism in the plan, the meaning of the errors, the time taken."""
    parts: list[RenderableType] = []
    if forecast.optimism:
        items = [f"{name} {_change(value, 1.0)}" for name, value in forecast.optimism.items()]
        parts.append(
            Text.assemble(("Spending works better or worse than planned, on average: ", "bold"), "; ".join(items))
        )
    parts.append(
        Text(
            f"{PM} is one standard error: what other paths and worlds would move. {_seconds(figures['timing'])}",
            style="dim",
        )
    )
    return [Padding(part, (1, 0, 0, 0)) if i == 0 else part for i, part in enumerate(parts)]


def beside(left: Sequence[Table], right: Sequence[Table]) -> RenderableType:
    """Two columns of tables."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_row(_stack(left), _stack(right))
    return Padding(grid, (1, 0, 0, 0))


def _stack(tables: Sequence[Table]) -> Table:
    grid = Table.grid(padding=(0, 0))
    for i, table in enumerate(tables):
        grid.add_row(Padding(table, (1 if i else 0, 0, 0, 0)))
    return grid


def _table(*columns: str) -> Table:
    """A light table: names to the left, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def _change(value: float, plan: float) -> str:
    """How far ahead of the plan, in percent."""
    return "" if plan == 0 else f"{100 * (value / plan - 1):+.1f} %".replace("-", "\N{MINUS SIGN}")


def _short(name: str, width: int = 30) -> str:
    return name if len(name) <= width else name[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _seconds(timing: Mapping[str, float | None]) -> str:
    compiled = timing.get("compile_s") or 0.0
    extra = f" ({compiled:.1f} s to compile)" if compiled >= 0.05 else ""
    return f"Took {timing['total_s']:.1f} s{extra}."
