"""What ``attain decision`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.names import run_text
from engine.report.budget import MINUS, points
from engine.report.figures import PM, Unit, money_unit, with_error, wrapped
from engine.report.sensitivity import value_text
from engine.report.summary import attain_text, make_table
from engine.scenario.knobs import uncertain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.estimates import Figure
    from engine.budget.decision import DecisionSensitivity, KnobDecision
    from engine.budget.reoptimise import KnobEnd

NAME = 23  # columns of a name
SHOWN = 10  # knobs that do not change the decision
TOLD = 8  # changed decisions that are told in full
NAMED = 6  # lines and funds of a changed decision
ENOUGH_WORLDS = 50  # below it a warning is due


def decision_parts(found: DecisionSensitivity) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    scenario, p = found.scenario, found.p_attain
    unit = money_unit(scenario.plan.target.central(), scenario.plan.currency)
    budget = f"{unit.named(found.problem.budget)} {scenario.plan.currency}"
    title = Text.assemble(
        (scenario.title, "bold"), f": which numbers would change how {budget} are set out; "
        + run_text(found.paths, found.worlds, found.seed),
    )  # fmt: skip
    chance = attain_text(p.to_json(), found.fresh_paths, found.worlds)
    across = f", {p.lo:.2f} to {p.hi:.2f} in 90 % of worlds" if found.worlds > 1 else ""
    parts: list[RenderableType] = [
        title, Text(f"With the present optimum P(attain) {chance}{across}"), Text(_headline(found, unit), "bold"),
    ]  # fmt: skip
    few = few_worlds(found)
    if few:
        parts.append(Text(few, style="yellow"))
    searched = [knob for knob in found.knobs if any(end.moved for end in knob.ends)]
    if searched:
        parts.append(_padded(_table(found, searched[: _rows(found)], unit)))
    rest = _rest(found, searched)
    if rest:
        parts.append(Text(rest))
    parts += [_padded(Text(_shifts(found, knob, unit))) for knob in found.changing[:TOLD]]
    if found.unfinished:
        count = len(found.unfinished)
        left = "1 more knob was" if count == 1 else f"{count} more knobs were"
        parts.append(_padded(Text(f"Interrupted: {left} not finished.", style="yellow")))
    return [*parts, _padded(Text(_note(found), style="dim"))]


def few_worlds(found: DecisionSensitivity) -> str:
    """A warning where what is unknown is looked at in too few worlds to tell what it does; empty where it is not."""
    if found.worlds >= ENOUGH_WORLDS or not uncertain(found.scenario):
        return ""
    worlds = "one world" if found.worlds == 1 else f"{found.worlds} worlds"
    return f"Only {worlds}: what is unknown is hardly seen. More --paths, or --worlds, tell more."


def _padded(part: RenderableType) -> RenderableType:
    return Padding(part, (1, 0, 0, 0))


def _headline(found: DecisionSensitivity, unit: Unit) -> str:
    """One sentence: how many knobs would change the decision, and what the worst of them costs."""
    changing, least, count = found.changing, f"{100 * found.least:g} points of P(attain)", len(found.knobs)
    if not found.knobs:
        return "No knob was finished."
    if not changing:
        none = f"{found.knobs[0].factor.name} would not" if count == 1 else f"None of {count} knobs would"
        return (
            f"{none} change the allocation: keeping the present optimum costs less than {least}, or no more than "
            "chance would show, at either end."
        )
    end = changing[0].worse
    of = f"{changing[0].factor.name}" if count == 1 else f"Of {count} knobs, {len(changing)}"
    at = value_text(changing[0].factor, end.value, unit)
    where = f"At {at}" if count == 1 else f"Most: {changing[0].factor.name} at {at}"
    forced = "" if end.allowed else "; what constraints do not allow of it is not kept"
    return (
        f"{of} would change the allocation: keeping the present optimum would cost {least} or more. {where}, "
        f"{_cost(end)} points{forced}."
    )


def _cost(end: KnobEnd) -> str:
    """Regret in points."""
    assert end.regret is not None
    return _points(end.regret)


def _points(figure: Figure) -> str:
    """Points with no plus sign; 0 where nothing differs on any path."""
    return "0" if figure == (0.0, 0.0) else points(figure).removeprefix("+")


def _table(found: DecisionSensitivity, rows: list[KnobDecision], unit: Unit) -> Table:
    """The worse end of every knob at which the budget was set out anew, those that change the decision first."""
    known, switches = (
        any(knob.worth is not None for knob in rows),
        any(end.switch for knob in rows for end in knob.ends),
    )
    heads = ["Stays while"] * switches + ["Knowing it"] * known
    table = make_table("Knob", "At", "Regret, points", f"Moved, {unit}", *heads)
    for knob in rows:
        end = knob.worse
        if table.row_count and not found.is_change(end) and found.is_change(rows[table.row_count - 1].worse):
            table.add_section()
        worth = "" if knob.worth is None else _points(knob.worth)
        more = [_stays(knob, unit)] * switches + [worth] * known
        table.add_row(
            wrapped(knob.factor.name, NAME), value_text(knob.factor, end.value, unit), _cost(end),
            unit.amount(end.moved), *more,
        )  # fmt: skip
    return table


def _stays(knob: KnobDecision, unit: Unit) -> str:
    """Between which values the present optimum is ahead of the allocations of both ends."""
    scale = unit.scale if knob.factor.knob.unit == unit.currency else 1.0
    words = {
        word: with_error(end.switch.value, end.switch.se, scale, most=6)
        for word, end in zip((">", "<"), knob.ends, strict=True)
        if end.switch is not None
    }
    return "\n".join(f"{word} {value}" for word, value in words.items())


def _rows(found: DecisionSensitivity) -> int:
    """Knobs in the table at most."""
    return len(found.changing) + SHOWN


def _rest(found: DecisionSensitivity, searched: list[KnobDecision]) -> str:
    """What there is to say about the knobs without a row."""
    words = []
    left = len(searched) - _rows(found)
    if left > 0:
        words.append(f"{left} more knob{'s' * (left > 1)} with no greater regret.")
    kept, no_move = len(found.knobs) - len(searched), "o move away from the present optimum pays at either end."
    if kept and searched:
        words.append(f"{kept} more knob{'s' * (kept > 1)}: n{no_move}")
    elif kept:
        words.append(f"N{no_move}")
    return " ".join(words)


def _shifts(found: DecisionSensitivity, knob: KnobDecision, unit: Unit) -> str:
    """What would gain and what would lose at the worse end."""
    end, moved = knob.worse, found.shifts(knob.worse)
    shown = list(moved.items())[:NAMED]
    words = ", ".join(f"{name} {v / unit.scale:+,.1f}".replace("-", MINUS) for name, v in shown)
    more = f", {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return f"{knob.factor.name} at {value_text(knob.factor, end.value, unit)}: {words}{more} {unit}"


def _note(found: DecisionSensitivity) -> str:
    """What was done, and what the columns mean."""
    how = "the budget set out anew at every end" if found.every else "the budget set out anew where a move pays"
    words = [
        f"One knob at a time, all else as uncertain as it is, {how}. Regret: P(attain) of the best allocation found "
        "there less that of the present optimum, in percentage points, on the same "
        f"{found.fresh_paths:,} fresh paths; a small negative value is chance. {PM} is one standard error, over paths "
        "and worlds, of these two allocations; another search may find a better one. The decision changes where regret "
        f"is at least {100 * found.least:g} and above {found.sigmas:.1f} standard errors."
    ]
    if any(end.switch for knob in found.knobs for end in knob.ends):
        words.append("Stays while: beyond these values the allocation of that end is ahead of the present one.")
    if any(knob.worth is not None for knob in found.knobs):
        words.append("Knowing it: points gained by setting the money out once the knob is known.")
    return " ".join(words)
