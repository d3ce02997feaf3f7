"""What ``attain contingency`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from engine.analysis.needs import TOTAL
from engine.names import run_text
from engine.report.figures import MISSING, PM, Unit, money_unit, percent, probability, with_error
from engine.report.summary import attain_text, make_table, spaced

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.contingency import Contingency
    from engine.analysis.estimates import Chance, Figure
    from engine.analysis.funds import FundFacts
    from engine.analysis.levels import Level
    from engine.analysis.losses import RiskLoss
    from engine.analysis.responses import Worth
    from engine.budget.frontier import Frontier


def contingency_parts(found: Contingency) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, run = found.scenario, found.needs.run
    unit = money_unit(scenario.plan.target.central(), scenario.plan.currency)
    title = Text.assemble((scenario.title, "bold"), f": {run_text(run.n_paths, run.n_worlds, run.seed)}")
    parts: list[RenderableType] = [title]
    for name, facts in found.facts.items():
        parts += [
            *_answer(name, facts, unit, run.n_paths, run.n_worlds),
            spaced(_levels(facts, unit, run.n_worlds, name == TOTAL)),
        ]
    parts += [spaced(_curve(found, unit)), spaced(_joint(found)), spaced(_euler(found, unit))]
    parts += [spaced(_release(found, unit)), spaced(_covered(found, unit))]
    parts += [spaced(_losses(found, unit)), spaced(_shortfall(found, unit))]
    parts += [spaced(_shapley(found, unit)), spaced(_ledger(found, unit)), Text(_how_split(found))]
    parts += [spaced(_answers(found, unit)), Text(_what_pays(found, unit))]
    note = f"Needs are those of a fund without a limit. {PM} is one standard error, over paths and worlds."
    return [*parts, spaced(Text(note, style="dim"))]


def _answer(name: str, facts: FundFacts, unit: Unit, paths: int, worlds: int) -> list[RenderableType]:
    pooled = name == TOTAL
    what = "All funds together hold" if pooled else f"{name} holds"
    suffices = "P(each suffices)" if pooled else "P(it suffices)"
    sure = attain_text(facts.confidence.to_json(), paths, worlds)
    across = f", {facts.confidence.lo:.2f} to {facts.confidence.hi:.2f} in 90 % of worlds" if worlds > 1 else ""
    head = Text.assemble((f"{what} {unit.named(facts.current)} {unit.currency}. {suffices} {sure}", "bold"), across)
    needed = with_error(facts.need.value, facts.need.se, unit.scale, 1)
    left = with_error(facts.unspent.value, facts.unspent.se, unit.scale, 1)
    text = f"Needed on average {needed}, left unspent {left} {unit}"
    if facts.exhausted_month is not None and facts.exhausted_early is not None:
        month = with_error(facts.exhausted_month.value, facts.exhausted_month.se, most=1)
        text += f". Where it runs dry: in month {month}, in a tenth of those years by month {facts.exhausted_early:.0f}"
    return [spaced(head), Text(text)]


def _levels(facts: FundFacts, unit: Unit, worlds: int, pooled: bool) -> Table:
    """The fund for each confidence, with what sampling and worlds leave open."""
    table = make_table(
        "Confidence",
        f"One pool, {unit}" if pooled else f"Fund, {unit}",
        "Sampling, 90 %",
        *(["90 % of worlds"] if worlds > 1 else []),
    )
    for name, level in facts.levels.items():
        row = [f"P{100 * float(name):g}", _level(level, unit), _span(level.lo, level.hi, unit, 2)]
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
    enough = next(point for point in found.curve if point.both.value >= 0.99 * most.both.value)
    return Text(
        f"Joint confidence (attained and the fund suffices): no size of the fund gives "
        f"{percent(float(next(iter(found.joint_for))), 0)}; {percent(most.both.value)} is the most, from "
        f"{unit.amount(enough.fund)} {unit} on. Money in the fund cannot make the plan likelier than it is."
    )


def _euler(found: Contingency, unit: Unit) -> Table:
    """What each risk takes of the worst needs; the parts add up."""
    title = f"Needs in the worst {percent(1 - found.confidence, 0)} of years, all funds"
    table = make_table(title, str(unit), "Share")
    for name, money in sorted(found.euler.items(), key=lambda item: -item[1]):
        table.add_row(name, unit.amount(money, 2), percent(money / found.tail if found.tail else None))
    table.add_section()
    table.add_row("all", unit.amount(found.tail, 2), "")
    return table


def _release(found: Contingency, unit: Unit) -> Table:
    """Month by month, what must be kept and what has gone back, by both rules."""
    table = make_table(f"End of month, {unit}", "Keep", "Given back so far", "Keep, for the year", "Given back so far")
    for month, careful in zip(found.release.months, found.release_year.months, strict=True):
        cells = [(unit.amount(m.keep), with_error(*m.returned, unit.scale, 2)) for m in (month, careful)]
        table.add_row(str(month.month), *cells[0], *cells[1])
    return table


def _covered(found: Contingency, unit: Unit) -> Text:
    """What both rules promise, and what they keep of it."""
    rule, careful, paths = found.release, found.release_year, found.needs.run.n_paths
    return Text(
        f"What {found.fund} holds above the amount to keep goes back at each month's end. Left: from "
        f"{unit.amount(rule.start)} {unit} on, what covers the rest of the year with {percent(found.confidence, 0)}, "
        f"seen from each month alone; the whole year stays covered with {_chance(rule.covers, paths)} only. Right: "
        f"from {unit.amount(careful.start)} {unit} on, with {percent(careful.confidence)} each month, so that the "
        f"whole year stays covered with {_chance(careful.covers, paths)}."
    )


def _money(figure: Figure | None, unit: Unit, most: int = 1) -> str:
    return MISSING if figure is None else with_error(figure.value, figure.se, unit.scale, most)


def _losses(found: Contingency, unit: Unit) -> Table:
    """What each risk takes: how often, how much, and in the bad years."""
    table = make_table(f"Lost, {unit}", "Strikes, %", "Mean year", "Impact, %", "Year in 10", "Strike in 10")

    def row(name: str, loss: RiskLoss) -> None:
        shares = (None if share is None else with_error(*share[:2], 0.01, 1) for share in (loss.strikes, loss.impact))
        often, impact = (share or MISSING for share in shares)
        worst = (_level(view["0.9"], unit) for view in (loss.aggregate, loss.occurrence))
        table.add_row(name, often, _money(loss.mean, unit), impact, *worst)

    for name, loss in sorted(found.losses.by_risk.items(), key=lambda item: -item[1].mean.value):
        row(name, loss)
    table.add_section()
    row("all", found.losses.total)
    return table


def _level(found: Level, unit: Unit) -> str:
    """A quantile with its standard error."""
    return with_error(found.value, found.se, unit.scale, 1)


def _shortfall(found: Contingency, unit: Unit) -> Table:
    """How far the target is missed in the bad years."""
    table = make_table(f"Shortfall from the target, {unit}", "Not exceeded (VaR)", "90 % of worlds", "Beyond (CVaR)")
    for name, tail in found.losses.shortfall.items():
        span = _span(tail.var.world_lo, tail.var.world_hi, unit, 0)
        table.add_row(f"{percent(float(name), 0)} of years", _level(tail.var, unit), span, _money(tail.cvar, unit))
    return table


def _shapley(found: Contingency, unit: Unit) -> Table:
    """What each risk takes of every measure; the parts add up."""
    table = make_table(f"Shapley values, {unit}", "Mean need", "Mean revenue", "P(attain), points", "Median revenue")
    ledgers = found.split.ledgers
    scales = {"fund_need": unit.scale, "revenue": unit.scale, "p_attain": 0.01, "revenue_p50": unit.scale}

    def row(name: str, figures: dict[str, Figure]) -> None:
        table.add_row(name, *(with_error(*figures[measure], scale, 2) for measure, scale in scales.items()))

    for name in sorted(ledgers["revenue"].shares, key=lambda name: ledgers["revenue"].shares[name].shapley.value):
        row(name, {measure: ledger.shares[name].shapley for measure, ledger in ledgers.items()})
    table.add_section()
    row("with none of them", {measure: ledger.none for measure, ledger in ledgers.items()})
    row("with all of them", {measure: ledger.all for measure, ledger in ledgers.items()})
    return table


def _ledger(found: Contingency, unit: Unit) -> Table:
    """How the mean need comes about: alone, last, on average over all orders, and by acting together."""
    ledger = found.split.ledgers["fund_need"]
    table = make_table(f"Ledger of the mean need, {unit}", "First in", "Last in", "Shapley", "Together")
    for name, share in sorted(ledger.shares.items(), key=lambda item: -item[1].shapley.value):
        figures = (share.first_in, share.last_in, share.shapley)
        if any(figure.value for figure in figures):
            table.add_row(name, *(_money(figure, unit, 2) for figure in figures), unit.amount(share.interaction, 2))
    table.add_section()
    shares = ledger.shares.values()
    sums = [sum(getattr(share, part).value for share in shares) for part in ("first_in", "last_in", "shapley")]
    together = sum(share.interaction for share in shares)
    table.add_row("sum", *(unit.amount(value, 2) for value in (*sums, together)))
    return table


def _how_split(found: Contingency) -> str:
    split = found.split
    how = "Every set of the risks counts" if split.exact else "Random orders of the risks, whose error is in the errors"
    return (
        f"{how}: {split.paths:,} of the paths, {split.years:,} simulated years. First in + together = Shapley; the "
        "Shapley values add up from none of the risks to all."
    )


def _answers(found: Contingency, unit: Unit) -> Table:
    """What each answer costs and buys."""
    table = make_table(f"Answers, {unit}", "Cost", "Revenue", "Points", "Contribution", "Pays up to")
    for worth in sorted(found.answers, key=lambda worth: -worth.contribution.value):
        points = with_error(*worth.points, most=2)
        money = (_money(figure, unit, 2) for figure in (worth.cost, worth.revenue))
        gain = _money(worth.contribution, unit, 2)
        table.add_row(worth.answer.name, *money, points, gain, _pays_up_to(worth, unit))
    return table


def _pays_up_to(worth: Worth, unit: Unit) -> str:
    """The multiple of its cost, or the money, from which an answer takes more than it brings."""
    if worth.pays_up_to is not None:
        return f"{with_error(*worth.pays_up_to, most=2)} x"
    return _money(worth.most, unit, 2) if worth.cost is None else MISSING


def _what_pays(found: Contingency, unit: Unit) -> str:
    """How to read the answers, and which of them do not pay."""
    words = (
        f"Each answer is taken away, all else the same, on {found.split.paths:,} of the paths. It stops to pay where "
        "its cost is the multiple (x) in the last column. Where the plan gives it no cost it pays by assumption, up to "
        f"so many {unit} a year. Contribution is gross margin less all that is spent."
    )
    losing = [worth for worth in found.answers if worth.contribution.value < -2.0 * worth.contribution.se]
    if losing:
        names = ", ".join(f"{worth.answer.name} ({_money(worth.contribution, unit)})" for worth in losing)
        words += f" Less contribution with it than without: {names}."
    return words


def trade_off_parts(traded: Frontier) -> list[RenderableType]:
    """The fund's best size where each unit of it is taken from the lines."""
    from engine.report.budget import frontier_parts

    best, unit = traded.best, money_unit(traded.scenario.plan.target.central(), traded.scenario.plan.currency)
    gain = f"{with_error(best.change.value, best.change.se, 0.01, 2)} points"
    held = f"the plan's {unit.amount(traded.plan)} {unit}"
    if best.money == traded.plan:
        words = f"Taken from the lines, {held} in {traded.of} are the best of the sizes tried."
    else:
        words = f"Taken from the lines, {unit.amount(best.money)} {unit} in {traded.of} are best: {gain} over {held}."
    return [Text(""), *frontier_parts(traded), Text(words)]
