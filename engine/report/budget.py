"""What ``attain optimise``, ``frontier`` and ``regret`` print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.report.figures import PM, Unit, decimals, error_text, money_unit, with_error
from engine.report.summary import attain_text, make_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.estimates import Figure
    from engine.budget.allocation import Allocation, Certificate
    from engine.budget.frontier import Frontier
    from engine.budget.regret import RegretTable
    from engine.scenario.model import Scenario

BLOCK = 4  # quarters side by side
MILLION = 1e6  # of money: what prices are for
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
OBJECTIVES = {
    "p_attain": "P(attain) is highest",
    "min_budget": "it is the least with P(attain) of {confidence:g} %, on the paths it was chosen on",
    "expected_revenue": "expected revenue is highest",
    "cvar_shortfall": "the shortfall of the worst years is least",
    "joint": "P(all targets at once) is highest",
    "robust": "expected revenue in the worst tenth of the worlds is highest",
}


def _unit(scenario: Scenario) -> Unit:
    return money_unit(scenario.plan.target.central(), scenario.plan.currency)


def allocation_parts(found: Allocation) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, unit = found.scenario, _unit(found.scenario)
    goal = OBJECTIVES[found.objective].format(confidence=100 * (found.confidence or 0.0))
    head = Text.assemble(
        (scenario.title, "bold"),
        f": {unit.named(found.problem.budget)} {scenario.plan.currency} set out so that {goal}",
    )
    p, gain = found.p_attain, found.gain
    chance = f"P(attain) {attain_text(p.to_json(), found.fresh_paths, found.worlds)}"
    across = f", {p.lo:.2f} to {p.hi:.2f} in 90 % of worlds" if found.worlds > 1 else ""
    answer = Text.assemble((chance, "bold"), across)
    gained = Text(
        f"{points(gain)} points over the plan's own amounts "
        f"({with_error(found.p_attain_plan.value, found.p_attain_plan.se, most=4)}), on the same paths"
    )
    parts: list[RenderableType] = [
        head,
        answer,
        gained,
        *_objective(found, unit),
        Padding(_items(found, unit), (1, 0, 0, 0)),
    ]
    if found.problem.quarters is not None:
        parts.append(Padding(_quarters(found, unit), (1, 0, 0, 0)))
    return [*parts, Padding(_certificate(found), (1, 0, 0, 0)), _remarks(found)]


def points(figure: Figure) -> str:
    """A difference of probabilities in percentage points with its error."""
    digits = decimals(100 * figure.se, 2) if figure.se > 0 else 2
    return f"{100 * figure.value:+.{digits}f} {error_text(100 * figure.se, 2)}".replace("-", MINUS)


def _objective(found: Allocation, unit: Unit) -> list[RenderableType]:
    """The objective itself, where it is not P(attain)."""
    value, plan, gain = found.value, found.value_plan, found.value_gain
    target = found.scenario.plan.target.central()
    if found.objective in ("expected_revenue", "robust"):
        where = " in the worst tenth of the worlds" if found.objective == "robust" else ""
        text = (
            f"Expected revenue{where} {with_error(target * (1 + value.value), target * value.se, unit.scale, 1)} {unit}"
        )
        text += f", {with_error(target * gain.value, target * gain.se, unit.scale, 1)} more than the plan's own amounts"
    elif found.objective == "cvar_shortfall":
        text = (
            f"Mean shortfall of the worst years {with_error(-target * value.value, target * value.se, unit.scale, 1)}"
        )
        text += f" {unit}, {with_error(target * gain.value, target * gain.se, unit.scale, 1)} less than with the plan's"
    elif found.objective == "joint":
        text = f"P(all targets) {with_error(value.value, value.se, most=6)}, with the plan's own amounts "
        text += with_error(plan.value, plan.se, most=6)
    else:
        return []
    return [Text(text)]


def _items(found: Allocation, unit: Unit) -> Table:
    """Amounts of the plan and of the optimum, and what a little more or less would change."""
    one = f"1 {unit.prefix or unit.currency}"
    table = make_table(f"{unit}", "Plan", "Optimum", "Change", "Bounds", f"P per +{one}", f"per {MINUS}{one}")
    scale = MILLION / unit.scale
    items = zip(found.whole.items, found.whole.plan, found.totals, strict=True)
    fund = False
    for item, plan, x in items:
        if item.table == "funds" and not fund:
            table.add_section()
            fund = True
        bounds = "held" if item.low == item.high else f"{unit.amount(item.low, 0)}{DASH}{unit.amount(item.high, 0)}"
        price = found.prices[item.name]
        up, down = _price(price.up, 1.0 / scale), _price(price.down, -1.0 / scale)
        change = (
            ""
            if abs(x - plan) < 5e-7 * found.problem.budget
            else f"{(x - plan) / unit.scale:+,.1f}".replace("-", MINUS)
        )
        table.add_row(item.name, unit.amount(plan), unit.amount(x), change, bounds, up, down)
    table.add_section()
    table.add_row("unspent", unit.amount(found.plan_unspent), unit.amount(found.unspent), "", "", "", "")
    return table


def _price(price: Figure | None, scale: float) -> str:
    """A price for a unit of money; a dash where there is nothing to take away."""
    if price is None:
        return DASH
    if price.se == 0:
        return "0"
    return with_error(scale * price.value, abs(scale) * price.se, most=3)


def _quarters(found: Allocation, unit: Unit) -> Table:
    """Money by quarter of the lines that were split, the plan's in brackets."""
    split = found.problem.quarters
    assert split is not None
    names = [_quarter_name(found, q) for q in range(split.count)]
    table = Table(box=None, show_header=False, padding=0)
    for first in range(0, split.count, BLOCK):
        block = make_table(f"By quarter, {unit}", *names[first : first + BLOCK])
        for (_, name), own in found.problem.parts().items():
            if found.problem.items[own[0]].quarter is not None:
                part = own[first : first + BLOCK]
                cells = [f"{unit.amount(found.x[j])} ({unit.amount(found.problem.items[j].plan)})" for j in part]
                block.add_row(name, *cells)
        table.add_row(Padding(block, (0 if first == 0 else 1, 0, 0, 0)))
    return table


def _quarter_name(found: Allocation, quarter: int) -> str:
    """Calendar quarter, such as 2024 Q2."""
    year, month = int(found.scenario.plan.start[:4]), int(found.scenario.plan.start[5:7])
    number = (month - 1) // 3 + quarter
    return f"{year + number // 4} Q{number % 4 + 1}"


def _certificate(found: Allocation) -> Table:
    proof = found.certificate
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("Search", f"{_status(proof.status)}; in sample {proof.in_sample:.4f}, on {found.fresh_paths:,} fresh "
                  f"paths in {found.worlds:,} world{'s' * (found.worlds > 1)} as above")  # fmt: skip
    table.add_row("Solver", f"{proof.solver} {proof.solver_version}, largest gap of its models {proof.mip_gap:.1g}")
    vss = f"{points(proof.vss)} points of P over the optimum of the mean-value plan"
    table.add_row("Stochastic value", vss)
    if proof.upper_bound is None:
        table.add_row("Upper bound", _no_bound(found))
    else:
        table.add_row("Upper bound", _bound_text(proof))
        table.add_row("", f"It bounds {proof.bounds_what}.")
        assert proof.route_two is not None
        agree = "agree" if proof.routes_agree else "do not agree"
        table.add_row(
            "Second route", f"The routes {agree}: its best is {points(proof.route_two)} points from the first's"
        )
    return table


def _no_bound(found: Allocation) -> str:
    if found.objective not in ("p_attain", "joint", "min_budget"):
        return "there is none for this objective"
    if found.timing["certify_s"] > 1.0:
        return "the samples could not be solved in time"
    return "not asked for; --certify bounds what any allocation can reach (2 to 3 minutes)"


def _bound_text(proof: Certificate) -> str:
    bound = proof.upper_bound
    assert bound is not None and proof.gap is not None and proof.gap_high is not None
    return (
        f"P {bound['value']:.4f} (95 %: {bound['lo']:.4f} to {bound['hi']:.4f}, sampling): gap "
        f"{100 * proof.gap:.2f} points, at most {100 * proof.gap_high:.2f} with 95 % confidence, from "
        f"{proof.replications} samples, {proof.proved} solved to the end"
    )


def _status(status: str) -> str:
    return "no move helps any more" if status == "optimal" else "stopped at the time limit, best found so far"


def _remarks(found: Allocation) -> RenderableType:
    seconds = f"{found.timing['search_s']:.1f} s searching, {found.timing['total_s']:.1f} s in all"
    text = (
        f"P in percentage points for a little more or less money from outside. {PM} is one standard error. "
        f"Took {seconds}."
    )
    return Padding(Text(text, style="dim"), (1, 0, 0, 0))


def scenario_splits(scenario: Scenario) -> bool:
    """Whether money may move between quarters, which only `attain optimise` does."""
    return scenario.optimise.phasing == "quarters"


def frontier_parts(found: Frontier) -> list[RenderableType]:
    """P(attain) by money."""
    unit = _unit(found.scenario)
    what = "the budget" if found.of == "budget" else f"the fund {found.of}, the rest of the budget set out best"
    name = found.scenario.title
    head = Text.assemble((name, "bold"), f": P(attain) against {what}")
    table = make_table(str(unit), "P(attain)", "Sampling", "Worlds drawn", "90 % of worlds", "Points vs the plan")
    for point in found.points:
        mark = " (plan)" if point.money == found.plan else ""
        change = "" if mark else points(point.change)
        table.add_row(
            f"{unit.amount(point.money)}{mark}", f"{point.p.value:.4f}", error_text(point.p.se_sampling),
            error_text(point.p.se), f"{point.p.lo:.2f} to {point.p.hi:.2f}", change,
        )  # fmt: skip
    text = f"Each judged on the same {found.paths:,} fresh paths; differences are paired."
    if scenario_splits(found.scenario):
        text += " Lines keep the plan's phasing here."
    if found.skipped:
        amounts = ", ".join(unit.amount(money) for money in found.skipped)
        text += f" Left out, since no allocation keeps to the constraints: {amounts}."
    note = Text(text, style="dim")
    return [head, Padding(table, (1, 0, 1, 0)), note]


def regret_parts(found: RegretTable) -> list[RenderableType]:
    """Allocations by scenarios: P(attain), and the points given up against the scenario's own optimum."""
    head = Text("Regret: points of P(attain) given up against each scenario's own optimum", style="bold")
    names = list(found.cells)
    table = make_table("Scenario", *names)
    table.columns[0].no_wrap = True
    table.columns[0].max_width = 24
    table.columns[0].overflow = "ellipsis"
    for column in table.columns[1:]:
        column.no_wrap = False
    for j, scenario in enumerate(found.scenarios):
        cells = []
        for name in names:
            cell = found.cells[name][j]
            if cell is None:
                cells.append(DASH)
            elif name == names[-1]:
                cells.append(with_error(cell.p.value, cell.p.se, most=3))
            else:
                cells.append(with_error(100 * cell.regret.value, 100 * cell.regret.se, most=2))
        table.add_row(scenario, *cells)
    table.add_section()
    worst = [found.worst(name) for name in names[:-1]]
    table.add_row("worst", *(DASH if w is None else f"{100 * w:.2f}" for w in worst), "")
    note = Text(
        "Last column: P(attain) of that optimum. A dash: the scenario does not allow it, or has other lines. "
        f"{found.paths:,} fresh paths, differences paired.",
        style="dim",
    )
    return [head, Padding(table, (1, 0, 1, 0)), note]
