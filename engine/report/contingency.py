"""What ``attain contingency`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.report.figures import PM, Unit, money_unit, percent, probability, with_error
from engine.report.summary import attain_text, make_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.contingency import Contingency, FundFacts
    from engine.analysis.estimates import Chance


def contingency_parts(found: Contingency) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, run = found.scenario, found.needs.run
    unit = money_unit(scenario.plan.target.central(), scenario.plan.currency)
    worlds = "1 world" if run.n_worlds == 1 else f"{run.n_worlds:,} worlds"
    title = Text.assemble(
        (scenario.plan.name or scenario.file, "bold"), f": {run.n_paths:,} paths in {worlds}, seed {run.seed}"
    )
    parts: list[RenderableType] = [title]
    for name, facts in found.facts.items():
        parts += [*_answer(name, facts, unit, run.n_paths, run.n_worlds), _padded(_levels(facts, unit, run.n_worlds))]
    parts += [_padded(_curve(found, unit)), _padded(_joint(found)), _padded(_split(found, unit))]
    parts += [_padded(_release(found, unit)), _padded(_covered(found, unit))]
    note = f"Needs are those of a fund without a limit. {PM} is one standard error, over paths and worlds."
    return [*parts, _padded(Text(note, style="dim"))]


def _padded(part: RenderableType) -> RenderableType:
    return Padding(part, (1, 0, 0, 0))


def _answer(name: str, facts: FundFacts, unit: Unit, paths: int, worlds: int) -> list[RenderableType]:
    what = "All funds together hold" if name == "total" else f"{name} holds"
    sure = attain_text(facts.confidence.to_json(), paths, worlds)
    across = f", {facts.confidence.lo:.2f} to {facts.confidence.hi:.2f} in 90 % of worlds" if worlds > 1 else ""
    head = Text.assemble((f"{what} {unit.named(facts.current)} {unit.currency}. P(it suffices) {sure}", "bold"), across)
    needed = with_error(facts.need.value, facts.need.se, unit.scale, 1)
    left = with_error(facts.unspent.value, facts.unspent.se, unit.scale, 1)
    text = f"Needed on average {needed}, left unspent {left} {unit}"
    if facts.exhausted_month is not None and facts.exhausted_early is not None:
        month = with_error(facts.exhausted_month.value, facts.exhausted_month.se, most=1)
        text += f". Where it runs dry: in month {month}, in a tenth of those years by month {facts.exhausted_early:.0f}"
    return [_padded(head), Text(text)]


def _levels(facts: FundFacts, unit: Unit, worlds: int) -> Table:
    """The fund for each confidence, with what sampling and worlds leave open."""
    table = make_table("Confidence", f"Fund, {unit}", "Sampling, 90 %", *(["90 % of worlds"] if worlds > 1 else []))
    for name, level in facts.levels.items():
        row = [f"P{100 * float(name):g}", unit.amount(level.value), _span(level.lo, level.hi, unit, 2)]
        table.add_row(*row, *([_span(level.world_lo, level.world_hi, unit, 0)] if worlds > 1 else []))
    return table


def _span(low: float, high: float, unit: Unit, digits: int) -> str:
    return f"{unit.amount(low, digits)} to {unit.amount(high, digits)}"


def _curve(found: Contingency, unit: Unit) -> Table:
    """P(suffices), P(attain) and P(both) by the size of the fund."""
    table = make_table(f"{found.fund}, {unit}", "P(suffices)", "P(attain)", "P(both)")
    held = found.facts[found.fund].current
    for j, point in enumerate(found.curve):
        now = point.fund == held
        if j % 2 and not now:
            continue
        cells = [_chance(p, found.needs.run.n_paths) for p in (point.suffices, point.attains, point.both)]
        table.add_row(f"{unit.amount(point.fund)}{' (now)' if now else ''}", *cells, style="bold" if now else "")
    return table


def _chance(p: Chance, paths: int) -> str:
    return probability(p.to_json(), paths)


def _joint(found: Contingency) -> Text:
    reached = {name: fund for name, fund in found.joint_for.items() if fund is not None}
    unit = money_unit(found.scenario.plan.target.central(), found.scenario.plan.currency)
    if reached:
        items = ", ".join(f"{percent(float(name), 0)} {unit.amount(fund)} {unit}" for name, fund in reached.items())
        return Text(f"Joint confidence (attained and the fund suffices): {items}")
    most = max(found.curve, key=lambda point: point.both.value)
    return Text(
        f"Joint confidence (attained and the fund suffices): no size of the fund gives "
        f"{percent(float(next(iter(found.joint_for))), 0)}; the most is {percent(most.both.value)} at "
        f"{unit.amount(most.fund)} {unit}. Money in the fund cannot make the plan likelier than it is."
    )


def _split(found: Contingency, unit: Unit) -> Table:
    """What each risk takes of the worst needs; the parts add up."""
    title = f"Needs in the worst {percent(1 - found.confidence, 0)} of years, all funds"
    table = make_table(title, str(unit), "Share")
    for name, money in sorted(found.split.items(), key=lambda item: -item[1]):
        table.add_row(name, unit.amount(money, 2), percent(money / found.tail if found.tail else None))
    table.add_section()
    table.add_row("all", unit.amount(found.tail, 2), "")
    return table


def _release(found: Contingency, unit: Unit) -> Table:
    """Month by month, what must be kept and what has gone back."""
    table = make_table(f"End of month, {unit}", "Keep", "Given back so far")
    for month in found.release:
        back = with_error(month.returned.value, month.returned.se, unit.scale, 2)
        table.add_row(str(month.month), unit.amount(month.keep), back)
    return table


def _covered(found: Contingency, unit: Unit) -> Text:
    start, covers = unit.amount(found.released_from), _chance(found.release_covers, found.needs.run.n_paths)
    return Text(
        f"Release of {found.fund} from {start} {unit} at the start: what is above the amount to keep goes back at each "
        f"month's end. The amount to keep covers the rest of the year with {percent(found.confidence, 0)}, seen from "
        f"each month alone; the whole year stays covered with {covers}."
    )
