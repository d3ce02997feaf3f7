"""What ``attain batch`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from engine.batch.summary import SPREAD
from engine.report.figures import MISSING, PM, Unit, error_text, money_unit, plain, probability, with_error
from engine.report.summary import make_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from engine.analysis.estimates import Figure
    from engine.batch.summary import Status, Summary

MOST_ROWS = 20
WIDEST = 4  # outputs side by side


def batch_parts(found: Summary, before: int) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns; `before` is the number of worlds already there."""
    status, attrs = found.status, found.dataset.attrs
    unit = money_unit(float(attrs["target"]), str(attrs["currency"]))
    worlds = _count(status.worlds, "world")
    size = (
        worlds if int(attrs["draws"]) == 1 else f"{_count(found.n_points, 'point')} x {attrs['draws']} draws = {worlds}"
    )
    title = Text.assemble((status.batch, "bold"), f": {size}, {int(attrs['paths']):,} paths each, seed {attrs['seed']}")
    parts: list[RenderableType] = [title, Text(_outcome(status, before))]
    if status.done and found.outputs:
        few = found.n_points <= MOST_ROWS and bool(attrs["axes"] or "scenario" in found.dataset.coords)
        parts.append(Padding(_points(found, unit) if few else _spreads(found, unit), (1, 0, 0, 0)))
        parts.append(Padding(Text(_note(found, unit, few), style="dim"), (1, 0, 0, 0)))
    return [*parts, *_errors(status)]


def status_parts(status: Status) -> list[RenderableType]:
    """How far a store is."""
    parts = [f"{status.done:,} of {_count(status.worlds, 'world')} done", f"{status.failed:,} failed"]
    title = Text.assemble((status.batch, "bold"), f": {', '.join([*parts, f'{status.missing:,} missing'])}")
    written = status.written.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    text = f"In {status.store}; {duration(status.seconds)} so far, last commit at {written}."
    if status.is_written:
        text += " A process is writing to it now."
    elif not status.is_finished:
        text += " Nobody is writing to it: go on with --resume."
    return [title, Text(text), *_errors(status)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Time as people say it.

    Examples
    --------
    >>> duration(4.26), duration(75.0), duration(7260.0)
    ('4.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _outcome(status: Status, before: int) -> str:
    """One sentence: what was done now, and what was there."""
    took = f"{duration(status.seconds)} of work"
    failed = f", {status.failed:,} of them failed" if status.failed else ""
    if before == status.worlds:
        return f"Finished already, nothing was simulated: all worlds are in {status.store}{failed} ({took})."
    kept = f", {before:,} of them from before" if before else ""
    return f"All worlds are in {status.store}{kept}{failed} ({took})."


def _figure(name: str, figure: Figure | None, paths: int, unit: Unit, units: str) -> str:
    if figure is None:
        return MISSING
    if name.startswith("p_"):
        return probability({"value": figure.value, "se": figure.se}, paths)
    return with_error(figure.value, figure.se, *((1.0, 4) if units == "1" else (unit.scale, 1)))


def _points(found: Summary, unit: Unit) -> Table:
    """A row a point."""
    dataset, names = found.dataset, found.outputs[:WIDEST]
    by_file = "scenario" in dataset.coords
    axes = [str(name) for name in dataset.attrs["axes"]]
    units = {name: str(dataset[name].attrs["units"]) for name in (*axes, *names)}
    table = make_table(*(["Scenario"] if by_file else map(_heading, axes)), *names)
    for point in found.points():
        place = [str(point.scenario)] if by_file else [_knob(v, units[name], unit) for name, v in point.knobs.items()]
        paths = point.worlds * int(dataset.attrs["paths"])
        table.add_row(*place, *(_figure(name, point.outputs[name], paths, unit, units[name]) for name in names))
    return table


def _heading(knob: str) -> str:
    """A knob's name in two lines: most are long."""
    head, _, tail = knob.rpartition(".")
    return f"{head}\n.{tail}"


def _knob(value: float, units: str, unit: Unit) -> str:
    return unit.amount(value) if units == unit.currency and unit.scale > 1 else plain(float(f"{value:.6g}"))


def _spreads(found: Summary, unit: Unit) -> Table:
    """A row an output: how it spreads across worlds."""
    one = [] if found.is_sample else [f"{PM} of one"]
    table = make_table("Output", "Lowest", *(f"{100 * level:g} %" for level in SPREAD), "Highest", *one)
    for name, spread in found.spreads.items():
        units, paths = str(found.dataset[name].attrs["units"]), int(found.dataset.attrs["paths"])
        scale, digits = (1.0, 3) if units == "1" else (unit.scale, 1)
        middle = [with_error(*figure, scale, digits) for figure in spread.quantiles.values()]
        ends = [_figure(name, figure, paths, unit, units) for figure in (spread.low, spread.high)]
        error = error_text(spread.error / scale, digits).removeprefix(f"{PM} ") if spread.error else MISSING
        table.add_row(name, ends[0], *middle, ends[1], *([error] if one else []))
    return table


def _note(found: Summary, unit: Unit, few: bool) -> str:
    money = f"Money in {unit}. "
    more = found.outputs[WIDEST:] if few else []
    hidden = f" Not shown: {', '.join(more)}." if more else ""
    if not few:
        first = found.outputs[0]
        spread = found.spreads[first]
        error = (
            f"{PM} is what other draws would change" if found.is_sample else f"{PM} of one: the error of a usual world"
        )
        return (
            f"{money}Lowest and highest world with the standard error for its own paths; between them what 5, 50 and "
            f"95 % of worlds stay below ({error}). {first} is lowest in world {spread.low_world}, highest in world "
            f"{spread.high_world}; --export writes a row a world."
        )
    if int(found.dataset.attrs["draws"]) == 1:
        return f"{money}{PM} is one standard error for the paths of the world.{hidden}"
    text = f"{money}Mean over the draws of a point; {PM} is one standard error, over paths and draws.{hidden}"
    return f"{text} All points share their draws, so that differences between them are surer than {PM} says."


def _errors(status: Status) -> list[RenderableType]:
    """The last worlds that failed, and why."""
    if not status.errors:
        return []
    shown = [f"  world {world}: {text}" for world, text in status.errors]
    head = "Failed:" if len(shown) == status.failed else f"Failed, the last {len(shown)} of {status.failed:,}:"
    return [Padding(Text("\n".join([head, *shown])), (1, 0, 0, 0))]
