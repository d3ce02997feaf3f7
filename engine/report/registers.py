"""Tables of what a scenario holds: its knobs, its risks, what differs from another, what a file may say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from engine.report.figures import money_unit, percent, plain, wrapped
from engine.scenario import knobs
from engine.scenario.model import Part
from engine.scenario.quantity import Quantity

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.analysis.calibrate import Calibration
    from engine.scenario.model import Scenario

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
    """Every knob: name, value, unit, kind, origin and source; a distribution's parameter has its quantity's source.

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
                "origin": knob.origin,
                "source": knob.source,
                "note": quantity.note,
            }
        )
    return rows


def knob_table(rows: Sequence[Row]) -> RenderableType:
    """The knobs for people."""
    if not rows:
        return Text("no such knob")
    table = _table("Knob", "Value", "Unit", "Source")
    table.columns[0].width = 36
    for row in rows:
        kind = {"uncertain": "once a world: ", "random": "on each path: "}.get(row["kind"], "")
        table.add_row(
            Text(wrapped(row["name"], 36)), f"{kind}{row['text']}", row["unit"], row["source"] or _default_word(row)
        )
    return table


def _default_word(row: Row) -> str:
    return "default" if row["origin"] == knobs.DEFAULT else ""


# ---------------------------------------------------------------------------------------------------------- register


ORIGINS = {"plan": "from the plan", "assumption": "assumed", "none": "without a source"}
_ITEMS = ("seasons", "streams", "lines", "funds", "risks", "targets")  # tables of named items
_NAME, _WIDE = 27, 72  # columns of a quantity's name and of the rest: with a space between them 100
_SHORT = 60  # characters of a note that may share a row with its neighbours' in an array


def assumption_rows(scenario: Scenario) -> dict[str, list[Row]]:
    """Every quantity of the scenario by where it is from: ``plan``, ``assumption``, ``none`` or ``default``.

    Parameters of a distribution stand in their quantity's row and have none of their own, unless they have a source.
    ``place`` is the order of the file; a default is what no file states.
    """
    found: dict[str, list[Row]] = {origin: [] for origin in (*ORIGINS, knobs.DEFAULT)}
    for place, knob in enumerate(knobs.iter_knobs(scenario), 1):
        quantity = knob.quantity
        if knob.parent is not None and not quantity.source:
            continue
        found[knob.origin].append(
            {
                "place": place,
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
    """The register of assumptions for people: the counts, then the quantities by table and item."""
    counts = {origin: len(found[origin]) for origin in ORIGINS}
    total = sum(counts.values())
    words = [f"{count} {ORIGINS[origin]} ({percent(count / max(total, 1), 0)})" for origin, count in counts.items()]
    parts: list[RenderableType] = [
        Text(
            f"{total} quantities: {', '.join(words)}\n"
            f"Each is a number or a whole distribution; {len(found[knobs.DEFAULT])} more are left at their default."
        )
    ]
    tables: dict[str, dict[str, list[Row]]] = {}
    for row in sorted((row | {"origin": o} for o in ORIGINS for row in found[o]), key=lambda row: row["place"]):
        table, _, name = row["name"].partition(".")
        item, _, field = name.partition(".") if table in _ITEMS else ("", "", name)
        tables.setdefault(table, {}).setdefault(item, []).append(row | {"name": field})
    for table, items in tables.items():
        every = [row["origin"] for rows in items.values() for row in rows]
        counted = ", ".join(f"{every.count(o)} {word}" for o, word in ORIGINS.items() if o in every)
        parts += [Text(""), Text(f"{table}: {counted}", style="bold underline")]
        for item, rows in items.items():
            if item:
                parts.append(Text(item, style="bold"))
            parts.append(_quantities_table(_merged(rows)))
    parts += [Text(""), Text("Risks", style="bold underline")]
    return parts


def _merged(rows: Sequence[Row]) -> list[Row]:
    """Neighbours in an array in one row, ``weights.1 to 12``: of one source, with notes that agree or are short."""
    runs: list[list[Row]] = []
    for row in rows:
        before = runs[-1][-1] if runs else None
        if before is not None and _follows(row, before):
            runs[-1].append(row)
        else:
            runs.append([row])
    return [run[0] if len(run) == 1 else _one_row(run) for run in runs]


def _follows(row: Row, before: Row) -> bool:
    (stem, _, place), (last_stem, _, last) = (r["name"].rpartition(".") for r in (row, before))
    if not (place.isdigit() and last.isdigit() and stem == last_stem and int(place) == int(last) + 1):
        return False
    short = all(len(r["note"] or "") <= _SHORT for r in (row, before))
    return row["source"] == before["source"] and (row["note"] == before["note"] or short)


def _one_row(run: Sequence[Row]) -> Row:
    stem, _, first = run[0]["name"].rpartition(".")
    last = run[-1]["name"].rpartition(".")[2]
    notes: list[list[str]] = []  # note, first and last place
    for row in run:
        place, note = row["name"].rpartition(".")[2], row["note"] or ""
        if notes and notes[-1][0] == note:
            notes[-1][2] = place
        else:
            notes.append([note, place, place])
    note = notes[0][0]
    if len(notes) > 1:
        note = " ".join(f"{a if a == b else f'{a} to {b}'}: {text}" for text, a, b in notes if text)
    values = [row["value"] for row in run]
    value = values[0] if len(set(values)) == 1 else ", ".join(values)
    return {**run[0], "name": f"{stem}.{first} to {last}", "value": value, "note": note}


def _quantities_table(rows: Sequence[Row]) -> RenderableType:
    """Name; value, where from and note. No heads, since there is one such table for each item."""
    table = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(width=_NAME)
    table.add_column(width=_WIDE, overflow="fold")
    for row in rows:
        unit = "" if row["unit"] in ("1", "") else f" {row['unit']}"
        text = Text(f"{row['value']}{unit}", style="bold")
        origin = "assumed" if row["origin"] == "assumption" else row["source"] or "no source"
        text.append(f"  {origin}", style="not bold yellow" if row["origin"] == "assumption" else "not bold green")
        text.append(f": {row['note']}" if row["note"] else "", style="not bold")
        table.add_row(Text(wrapped(row["name"], _NAME)), text)
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
    table = _table("Risk", "What may happen", "Hits")
    for column, width in zip(table.columns, (22, 39, 34), strict=True):
        column.width = width
    for row in sorted(rows, key=lambda row: order.get(row["level"], len(order))):
        name = Text(wrapped(row["risk"], 22))
        if row["level"]:
            name.append(f"\n{row['level']}", style=LEVEL_STYLES.get(row["level"], ""))
        chance = f"probability {row['probability']}" if row["probability"] else f"starts a year {row['rate']}"
        window = f", months {' to '.join(row['window'])}" if row["window"] else ""
        paid = f", paid by {row['fund']}" if row["fund"] else ""
        lines = [
            f"{chance}{window}",
            f"severity {row['severity']}",
            f"months {row['duration']}",
            f"response {row['response'] or 'none'}{paid}",
        ]
        hits = "\n".join(wrapped(f"{selector} {share}", 34) for selector, share in row["exposure"].items())
        table.add_row(name, Text("\n".join(lines)), Text(hits))
        table.add_section()
    return table


def _sources(scenario: Scenario, prefix: str) -> set[str]:
    return {knob.source for knob in knobs.iter_knobs(scenario) if knob.name.startswith(prefix) and knob.source}


# -------------------------------------------------------------------------------------------------------------- diff


def diff_rows(first: Scenario, second: Scenario) -> list[Row]:
    """Fields that the second scenario changes, adds or drops, as text; None where one of the two has no such field."""
    before, after = (field_texts(scenario) for scenario in (first, second))
    rows = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old != new:
            rows.append({"name": name, "before": old, "after": new})
    return rows


def field_texts(scenario: Scenario) -> dict[str, str]:
    """Every field of a scenario as text by its dotted name: knobs, and what is no quantity, such as a fund's name."""
    numbers: dict[str, dict[str, str]] = {}  # by quantity: itself and its distribution's parameters
    root = ""
    for knob in knobs.iter_knobs(scenario):
        root = knob.name if knob.parent is None else root
        numbers.setdefault(root, {})[knob.name] = quantity_text(knob.quantity)
    found: dict[str, str] = {}
    for name, word in _leaves(scenario, ""):
        found.update(numbers[name] if word is None else {name: word})
    return {name: text for name, text in found.items() if text}


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str | None]]:
    """Fields in the order of the model, with their text; None as the text of a quantity."""
    if isinstance(value, Quantity):
        yield name, None
    elif isinstance(value, Part):
        for field in type(value).model_fields:
            if field != "schema_":
                yield from _leaves(getattr(value, field), f"{name}.{field}" if name else field)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}")
    elif isinstance(value, tuple) and all(isinstance(item, int) for item in value):
        yield name, ", ".join(map(str, value))
    elif isinstance(value, tuple):
        for j, item in enumerate(value, 1):
            yield from _leaves(item, f"{name}.{j}")
    elif value is not None:
        yield name, str(value)


def diff_table(rows: Sequence[Row], first: str, second: str) -> RenderableType:
    """The differences for people."""
    if not rows:
        return Text(f"no difference between {first} and {second}")
    table = _table("Knob", first, second)
    for row in rows:
        table.add_row(*(Text(text or "-") for text in (row["name"], row["before"], row["after"])))
    return table


# ------------------------------------------------------------------------------------------- validate, schema, plan


def contents(scenario: Scenario) -> Row:
    """How much of what a scenario holds, and where its numbers are from."""
    every = list(knobs.iter_knobs(scenario))
    origins = Counter(knob.origin for knob in every)
    tables = ("streams", "lines", "funds", "risks", "targets")
    return {
        "scenario": scenario.title,
        "hash": scenario.hash,
        **{table: len(getattr(scenario, table)) for table in tables},
        "knobs": len(every),
        "uncertain": len(knobs.uncertain(scenario)),
        "sourced": origins["plan"],
        "assumed": origins["assumption"],
        "unsourced": origins["none"],
        "defaults": origins[knobs.DEFAULT],
    }


def contents_text(facts: Mapping[str, Any], file: str) -> RenderableType:
    """The same for people."""
    tables = ("streams", "lines", "funds", "risks", "targets")
    counts = ", ".join(f"{facts[name]} {name if facts[name] != 1 else name[:-1]}" for name in tables)
    return Text(
        f"{file} is valid: {facts['scenario']}\n{counts}\n"
        f"{facts['knobs']} numbers: {facts['sourced']} from the plan, {facts['assumed']} assumed, "
        f"{facts['unsourced']} without a source, {facts['defaults']} at their default; "
        f"{facts['uncertain']} drawn once a world"
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
    unit = money_unit(answer.target, currency)
    before = f"{unit.amount(answer.revenue, 2)} {unit}"
    text = Text(
        f"With every risk off, no noise and spending as effective as planned, revenue is {before}:\n"
        f"{percent(answer.surplus, 3)} above the target of {unit.named(answer.target)}.\n"
        f"A common factor of {answer.factor:.6f} on the response ceilings puts it at "
        f"{unit.named(answer.revenue_after, 2)},\n"
        f"{percent(answer.margin, 2)} above the target, which is what the factor aims at:"
    )
    for name, ceiling in answer.ceilings.items():
        text.append(f"\n  {name} = {ceiling:.6g}")
    return text


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
