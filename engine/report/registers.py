"""Tables of what a scenario holds: its knobs, its risks, what differs from another, what a file may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from engine.report.figures import MILLION, percent, plain
from engine.scenario import knobs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.calibrate import Calibration
    from engine.scenario.model import Scenario
    from engine.scenario.quantity import Quantity

Row = dict[str, Any]
LEVEL_STYLES = {
    "red": "red",
    "high": "red",
    "orange": "dark_orange",
    "yellow": "yellow",
    "medium": "yellow",
    "blue": "blue",
}


# -------------------------------------------------------------------------------------------------------- quantities


def quantity_text(quantity: Quantity | None) -> str:
    """A quantity in one line: the number, or family and parameters as in the file."""
    if quantity is None:
        return ""
    if quantity.distribution is None:
        return plain(quantity.value) if quantity.value is not None else ""
    family = quantity.distribution.family
    named, listed, limits = [], [], []
    for name, parameter in quantity.distribution.params.items():
        group, _, key = name.partition(".")
        if group == "truncate":
            limits.append(quantity_text(parameter))
        elif key.isdigit():
            listed.append(quantity_text(parameter))
        else:
            named.append(f"{key or group} {quantity_text(parameter)}")
    inside = ", ".join(listed + named)
    per = " per world" if quantity.per else ""
    within = f" within [{', '.join(limits)}]" if limits else ""
    return f"{family} [{inside}]{within}{per}" if inside else f"{family}{within}{per}"


# ------------------------------------------------------------------------------------------------------------- knobs


def knob_rows(scenario: Scenario, match: str | None = None, uncertain: bool = False) -> list[Row]:
    """Every knob: name, value, unit, kind, origin and source.

    Parameters
    ----------
    scenario : Scenario
    match : str, optional
        Keep names like this; ``*`` stands for anything.
    uncertain : bool
        Keep what is drawn once a world.
    """
    rows = []
    for knob in knobs.iter_knobs(scenario):
        if (match is not None and not fnmatchcase(knob.name, match)) or (uncertain and knob.kind != "uncertain"):
            continue
        quantity = knob.quantity
        rows.append(
            {
                "name": knob.name,
                "value": quantity.value,
                "text": quantity_text(quantity),
                "unit": knob.unit,
                "kind": knob.kind,
                "origin": quantity.origin,
                "source": quantity.source,
                "note": quantity.note,
            }
        )
    return rows


def knob_table(rows: Sequence[Row]) -> RenderableType:
    """The knobs for people."""
    if not rows:
        return Text("no such knob")
    table = _table("Knob", "Value", "Unit", "Source")
    for row in rows:
        kind = {"uncertain": "once a world: ", "random": "on each path: "}.get(row["kind"], "")
        table.add_row(row["name"], f"{kind}{row['text']}", row["unit"], row["source"] or "")
    return table


# ---------------------------------------------------------------------------------------------------------- register


ORIGINS = {"plan": "From the plan", "assumption": "Assumed", "none": "Without a source"}


def assumption_rows(scenario: Scenario) -> dict[str, list[Row]]:
    """Every number of the scenario by where it is from: ``plan``, ``assumption`` or ``none``.

    Parameters of a distribution stand in their quantity's row and have none of their own, unless they have a source.
    """
    found: dict[str, list[Row]] = {origin: [] for origin in ORIGINS}
    listed: set[str] = set()
    for knob in knobs.iter_knobs(scenario):
        quantity = knob.quantity
        nested = knob.name in listed
        if quantity.distribution is not None:
            listed.update(f"{knob.name}.{suffix}" for suffix in quantity.distribution.params)
        if nested and not quantity.source:
            continue
        found[quantity.origin].append(
            {
                "name": knob.name,
                "value": quantity_text(quantity),
                "unit": knob.unit,
                "kind": knob.kind,
                "source": quantity.source or None,
                "note": quantity.note or None,
            }
        )
    return found


def assumption_parts(found: Mapping[str, Sequence[Row]]) -> list[RenderableType]:
    """The register of assumptions for people: the counts, then the numbers by origin and source."""
    counts = {origin: len(found[origin]) for origin in ORIGINS}
    total = sum(counts.values())
    words = [
        f"{count} {ORIGINS[origin].lower()} ({percent(count / max(total, 1), 0)})" for origin, count in counts.items()
    ]
    parts: list[RenderableType] = [Text(f"{total} numbers: {', '.join(words)}")]
    for origin, title in ORIGINS.items():
        if not found[origin]:
            continue
        parts += [Text(""), Text(f"{title}: {counts[origin]}", style="bold underline")]
        by_source: dict[str, list[Row]] = {}
        for row in found[origin]:
            by_source.setdefault(row["source"] or "", []).append(row)
        for source, rows in by_source.items():
            if source:
                parts += [Text(""), Text(f"{source} ({len(rows)})", style="bold")]
            parts.append(_numbers_table(_merged(rows)))
    parts += [Text(""), Text("Risks", style="bold underline")]
    return parts


def _merged(rows: Sequence[Row]) -> list[Row]:
    """Neighbours in one array with one value and one note, in one row: ``wins.4 to 6``."""
    merged: list[Row] = []
    for row in rows:
        stem, _, place = row["name"].rpartition(".")
        last = merged[-1] if merged else None
        same = last is not None and place.isdigit() and last["stem"] == stem and int(place) == last["last"] + 1
        if last is not None and same and (row["value"], row["note"]) == (last["value"], last["note"]):
            last["last"] = int(place)
            last["name"] = f"{stem}.{last['first']} to {place}"
        else:
            first = int(place) if place.isdigit() else -1
            merged.append(row | {"stem": stem, "first": first, "last": first})
    return merged


def _numbers_table(rows: Sequence[Row]) -> RenderableType:
    """Name, value and note; no heads, since there is one such table for each source."""
    table = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 1), width=100)
    table.add_column(no_wrap=True, min_width=34)
    table.add_column(overflow="fold", ratio=2)
    table.add_column(overflow="fold", ratio=3)
    for row in rows:
        unit = "" if row["unit"] in ("1", "") else f" {row['unit']}"
        table.add_row(f"  {row['name']}", f"{row['value']}{unit}", row["note"] or "")
    return table


# ------------------------------------------------------------------------------------------------------------- risks


def risk_rows(scenario: Scenario) -> list[Row]:
    """Every risk: level, chance, depth, length, window, exposure and response, as text, with the sources."""
    rows = []
    for name, risk in scenario.risks.items():
        response = risk.response
        rows.append(
            {
                "risk": name,
                "level": risk.level,
                "probability": quantity_text(risk.probability) or None,
                "rate": quantity_text(risk.rate) or None,
                "severity": quantity_text(risk.severity),
                "duration": risk.duration if isinstance(risk.duration, str) else quantity_text(risk.duration),
                "window": None if risk.window is None else [quantity_text(end) for end in risk.window],
                "exposure": {selector: quantity_text(share) for selector, share in risk.exposure.items()},
                "response": None if response is None else quantity_text(response.effectiveness),
                "fund": None if response is None else response.fund,
                "sources": sorted(_sources(scenario, f"risks.{name}.")),
            }
        )
    return rows


def risk_table(rows: Sequence[Row]) -> RenderableType:
    """The risk register for people: the gravest levels first."""
    if not rows:
        return Text("no risks")
    order = {level: place for place, level in enumerate(("red", "high", "orange", "yellow", "medium", "blue", "low"))}
    table = _table("Risk", "Level", "Chance", "Severity", "Months", "Hits", "Response")
    table.columns[0].no_wrap = True
    for row in sorted(rows, key=lambda row: order.get(row["level"], len(order))):
        chance = row["probability"] or f"{row['rate']} a year"
        hits = ", ".join(f"{selector} {share}" for selector, share in row["exposure"].items())
        response = row["response"] or "none"
        level = Text(row["level"] or "", style=LEVEL_STYLES.get(row["level"] or "", ""))
        paid = f", paid by {row['fund']}" if row["fund"] else ""
        table.add_row(row["risk"], level, chance, row["severity"], row["duration"], hits, f"{response}{paid}")
    return table


def _sources(scenario: Scenario, prefix: str) -> set[str]:
    return {
        knob.quantity.source
        for knob in knobs.iter_knobs(scenario)
        if knob.name.startswith(prefix) and knob.quantity.source
    }


# -------------------------------------------------------------------------------------------------------------- diff


def diff_rows(first: Scenario, second: Scenario) -> list[Row]:
    """Knobs that the second scenario changes, adds or drops; ``before`` or ``after`` is None where there is none."""
    before, after = ({knob.name: knob.quantity for knob in knobs.iter_knobs(scenario)} for scenario in (first, second))
    rows = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old is None or new is None or quantity_text(old) != quantity_text(new):
            rows.append({"name": name, "before": quantity_text(old) or None, "after": quantity_text(new) or None})
    return rows


def diff_table(rows: Sequence[Row], first: str, second: str) -> RenderableType:
    """The differences for people."""
    if not rows:
        return Text(f"no difference between {first} and {second}")
    table = _table("Knob", first, second)
    for row in rows:
        table.add_row(row["name"], row["before"] or "-", row["after"] or "-")
    return table


# ------------------------------------------------------------------------------------------- validate, schema, plan


def contents(scenario: Scenario) -> Row:
    """How much of what a scenario holds, and where its numbers are from."""
    every = list(knobs.iter_knobs(scenario))
    origins = Counter(knob.quantity.origin for knob in every)
    tables = ("streams", "lines", "funds", "risks", "targets")
    return {
        "scenario": scenario.plan.name or scenario.file,
        "hash": scenario.hash,
        **{table: len(getattr(scenario, table)) for table in tables},
        "knobs": len(every),
        "uncertain": len(knobs.uncertain(scenario)),
        "sourced": origins["plan"],
        "assumed": origins["assumption"],
        "unsourced": origins["none"],
    }


def contents_text(facts: Mapping[str, Any], file: str) -> RenderableType:
    """The same for people."""
    counts = ", ".join(f"{facts[name]} {name}" for name in ("streams", "lines", "funds", "risks", "targets"))
    return Text(
        f"{file} is valid: {facts['scenario']}\n{counts}\n"
        f"{facts['knobs']} numbers: {facts['sourced']} from the plan, {facts['assumed']} assumed, "
        f"{facts['unsourced']} without a source; {facts['uncertain']} drawn once a world"
    )


def schema_table(schema: Mapping[str, Any]) -> RenderableType:
    """A JSON Schema as a table: each table's fields with type, default and meaning."""
    table = _table("Field", "Type", "Default", "Meaning")
    for title, part in [("", schema), *schema.get("$defs", {}).items()]:
        fields = part.get("properties", {})
        if not fields:
            continue
        table.add_section()
        table.add_row(Text(f"[{title or 'top of the file'}]", style="bold"), "", "", _first_sentence(part))
        for name, field in fields.items():
            default = "required" if name in part.get("required", ()) else _default(field)
            table.add_row(f"  {name}", _type(field), default, _first_sentence(field))
    return table


def _first_sentence(part: Mapping[str, Any]) -> str:
    return str(part.get("description", "")).split("\n\n")[0].replace("\n", " ")


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    return "" if default is None or default in ({}, []) else str(default)


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1].lower()
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        names = [_type(option) for option in field["anyOf"]]
        return " | ".join(dict.fromkeys(name for name in names if name != "null"))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"table of {_type(field['additionalProperties'])}"
    return str(field.get("const", field.get("type", "any")))


def calibration_text(answer: Calibration, currency: str) -> RenderableType:
    """What ``calibrate-plan`` says."""
    before, after, target = (x / MILLION for x in (answer.revenue, answer.revenue_after, answer.target))
    text = Text(
        f"With every risk off, no noise and spending as effective as planned, revenue is {before:,.2f} M {currency}:\n"
        f"{percent(answer.surplus, 3)} above the target of {target:,.1f} M.\n"
        f"A common factor of {answer.factor:.6f} on the response ceilings puts it at {after:,.2f} M:"
    )
    for name, ceiling in answer.ceilings.items():
        text.append(f"\n  {name} = {ceiling:.6g}")
    return text


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
