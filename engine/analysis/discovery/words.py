"""Restrictions in the words of the plan: months by name, shares in percent, customers in heads."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from engine.analysis.discovery.boxes import Restriction
from engine.analysis.discovery.years import OF_RISKS, Factor, Kind
from engine.scenario.model import Plan

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
Parts = dict[Kind, Restriction]


def conditions(limits: Iterable[Restriction], plan: Plan) -> list[str]:
    """What holds in the years of a box, a clause for each risk and each other factor, in the order given."""
    clauses: dict[str, str | Parts] = {}
    for restriction in limits:
        factor = restriction.factor
        if factor.kind in OF_RISKS:
            parts = clauses.setdefault(f"risk {factor.owner}", {})
            assert isinstance(parts, dict)
            parts[factor.kind] = restriction
        else:
            clauses[factor.name] = _other(restriction)
    return [clause if isinstance(clause, str) else _risk(clause, plan) for clause in clauses.values()]


def joined(clauses: list[str]) -> str:
    """Clauses in a row.

    Examples
    --------
    >>> joined(["a rains", "b pours", "c hails"])
    'a rains, b pours and c hails'
    """
    return " and ".join(part for part in (", ".join(clauses[:-1]), clauses[-1] if clauses else "") if part)


def value_text(factor: Factor, value: float, plan: Plan) -> str:
    """A value of a factor with its unit; the start of a risk as a point in the calendar."""
    if factor.kind is Kind.START:
        return _point(value, plan)
    if factor.kind is Kind.CUSTOMERS:
        return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}")
    if factor.unit.startswith("%"):
        return f"{100 * value:.12g} {factor.unit}"
    return f"{value:,.12g} {factor.unit}".strip()


def _other(restriction: Restriction) -> str:
    factor, low, high = restriction.factor, restriction.low, restriction.high
    if factor.kind is Kind.CUSTOMERS:
        return _customers(factor.owner, low, high)
    text = _range(restriction)
    if factor.kind is Kind.EFFECT:
        return f"{factor.owner} works at {text.replace('below', 'less than')} of plan"
    if factor.kind is Kind.SLIP:
        return f"{factor.owner} starts {text.replace('below', 'less than')} late"
    if factor.kind is Kind.LEFT:
        return f"{text.replace('below', 'less than')} of {factor.owner} is left"
    return f"{factor.name} is {text}"


def _range(restriction: Restriction) -> str:
    """The limits of a factor that has a value in every year.

    Examples
    --------
    >>> level = Factor("demand.level", Kind.KNOB, "demand.level")
    >>> _range(Restriction(level, -math.inf, 1.02)), _range(Restriction(level, 0.98, 1.02))
    ('below 1.02', '0.98 to 1.02')
    """
    unit = f" {restriction.factor.unit}" if restriction.factor.unit else ""
    scale = 100.0 if unit.startswith(" %") else 1.0
    low, high = (f"{scale * limit:,.12g}" for limit in (restriction.low, restriction.high))
    if math.isinf(restriction.low):
        return f"below {high}{unit}"
    if math.isinf(restriction.high):
        return f"at least {low}{unit}"
    return f"{low} to {high}{unit}"


def _customers(stream: str, low: float, high: float) -> str:
    """Change of the number of customers; limits lie between whole numbers.

    Examples
    --------
    >>> _customers("key_a", -math.inf, -1.5), _customers("key_a", 2.5, math.inf)
    ('key_a loses at least 2 customers on balance', 'key_a wins at least 3 customers on balance')
    >>> _customers("key_a", -math.inf, 2.5), _customers("key_a", -2.5, math.inf), _customers("key_a", -2.5, 0.5)
    ('key_a wins at most 2 customers on balance', 'key_a loses at most 2 customers on balance',
     'key_a ends with −2 to 0 customers more than at the start')
    """
    if math.isinf(low):
        most = math.floor(high)
        verb = f"wins at most {most}" if most > 0 else f"loses at least {-most}" if most < 0 else ""
        return f"{stream} {verb} customers on balance" if verb else f"{stream} wins no customers on balance"
    least = math.ceil(low)
    if math.isinf(high):
        verb = f"wins at least {least}" if least > 0 else f"loses at most {-least}" if least < 0 else ""
        return f"{stream} {verb} customers on balance" if verb else f"{stream} loses no customers on balance"
    span = f"{least} to {math.floor(high)}".replace("-", "\N{MINUS SIGN}")
    return f"{stream} ends with {span} customers more than at the start"


def _risk(parts: Parts, plan: Plan) -> str:
    """Everything about one risk."""
    name = next(iter(parts.values())).factor.owner
    strikes, start = parts.get(Kind.STRIKES), parts.get(Kind.START)
    if strikes is not None and strikes.high < 1.0:
        return f"{name} stays away"
    depth = [(word, parts[kind]) for kind, word in _DEPTH.items() if kind in parts]
    certain = (
        strikes is not None or (start is not None and math.isfinite(start.high)) or any(r.low > 0.0 for _, r in depth)
    )
    details = [f"{word} {_range(restriction)}" for word, restriction in depth]
    when = None if start is None else _when(start, plan)
    if certain:
        return " ".join([name, when or "strikes", *(["with", joined(details)] if details else [])])
    if when is not None and not details:
        return f"{name} does not start before {_point(start.low, plan)}"  # type: ignore[union-attr]
    less = [f"{when or 'strikes'} with {joined(details)}"]
    return f"{name} stays away or {joined(less)}"


_DEPTH = {Kind.SEVERITY: "a severity of", Kind.DURATION: "a length of"}


def _when(start: Restriction, plan: Plan) -> str:
    """When a risk starts."""
    low, high = start.low, start.high
    if math.isinf(low):
        return f"starts before {_point(high, plan)}" if high > 0 else "has started before the plan begins"
    if math.isinf(high):
        return f"starts in {_point(low, plan)} or later"
    if high - low == 1.0 and low == math.floor(low):
        return f"starts in {_point(low, plan)}"
    if low == math.floor(low) and high == math.floor(high):
        return f"starts from {_point(low, plan)} to {_point(high - 1.0, plan)}"
    return f"starts between {_edge(low, plan)} and {_edge(high, plan)}"


def _point(elapsed: float, plan: Plan) -> str:
    """A month of the calendar, or its middle, so many months after the plan's start.

    Examples
    --------
    >>> year = Plan(target=1.0, start="2024-03")
    >>> _point(3.0, year), _point(3.5, year), _point(11.0, year)
    ('June', 'mid-June', 'February 2025')
    """
    whole = math.floor(elapsed)
    date = (np.datetime64(plan.start, "M") + whole).astype(object)
    name = _MONTHS[date.month - 1] + ("" if f"{date.year}" == plan.start[:4] else f" {date.year}")
    return name if elapsed - whole < 0.25 else f"mid-{name}"


def _edge(elapsed: float, plan: Plan) -> str:
    text = _point(elapsed, plan)
    return text if text.startswith("mid-") else f"the start of {text}"
