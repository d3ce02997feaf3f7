"""What ``attain discover`` prints for people: sentences first, then the figures behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from engine.analysis.discovery.reverse import FEWEST
from engine.analysis.discovery.words import joined
from engine.analysis.discovery.years import SIGNS
from engine.analysis.estimates import CLEAR
from engine.report.figures import PM, probability, with_error
from engine.report.summary import make_table, spaced

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from engine.analysis.discovery.reverse import Combination, Ratio, Reverse, Shift
    from engine.analysis.discovery.study import Box, Discovery
    from engine.analysis.discovery.years import Factor
    from engine.analysis.estimates import Figure

MINUS = "\N{MINUS SIGN}"
TO = "\N{EN DASH}"
SHOWN = 8  # risks and drivers of the reverse stress test
NAMED = 3  # drivers that are named in words
_FLATTERED = 2.0  # standard errors from which on it is said that the search saw other figures


def sentences(found: Discovery) -> list[str]:
    """The answer in words: a sentence for every kind of year, then what they hold together; or that there is none."""
    if found.too_few:
        return [_too_few(found)]
    if not found.boxes:
        return ["No kind of year stands out: nothing that was searched tells years that miss clearly from all others."]
    texts = [_sentence(box, found, first=j == 0) for j, box in enumerate(found.boxes)]
    if found.together is not None and len(found.boxes) > 1:
        coverage, mass = found.together
        kinds = "two" if len(found.boxes) == 2 else f"{len(found.boxes)}"
        texts.append(
            f"Together these {kinds} kinds are {share(mass)} of all years and hold {share(coverage)} of all misses."
        )
    return texts


def reverse_sentences(found: Reverse) -> list[str]:
    """The most likely way to miss by so much, in words."""
    if found.years < FEWEST:
        return [_hardly_any(found)]
    span = f"{_percent(found.by - found.width)} to {_percent(found.by + found.width)}"
    texts = [f"{share(found.share)} of all years miss the target by {span}."]
    if found.combinations:
        first = found.combinations[0]
        texts.append(
            f"The most likely way there: {_together(first)}. So it is in {share(first.share)} of those years, against "
            f"{share(first.usual)} of all{_as_often(first.ratio)}."
        )
    else:
        texts.append("No risk takes revenue in them.")
    if found.lead is not None and found.lead.value < 2 * found.lead.se:
        texts.append(f"Hardly less likely ({share(found.combinations[1].share)}): {_together(found.combinations[1])}.")
    causes = [(f, s) for f, s in _clear_shifts(found) if f.kind not in SIGNS][:NAMED]
    if causes:
        shown = [f"{f.name} ({_with_unit(f, s.mean)} against {_with_unit(f, s.usual)})" for f, s in causes]
        texts.append(f"Besides, what differs most from other years on average: {joined(shown)}.")
    more = [name for name, strikes in found.risks.items() if strikes.ratio is not None and strikes.ratio.clear]
    if more:
        texts.append(f"Clearly more often than usual {'strike' if len(more) > 1 else 'strikes'}: {joined(more)}.")
    elif found.combinations:
        texts.append("No risk strikes clearly more often than in other years.")
    return texts


def discovery_parts(found: Discovery) -> list[RenderableType]:
    """The whole answer, part by part, for a console of 100 columns."""
    worlds = "1 world" if found.worlds == 1 else f"{found.worlds:,} worlds"
    title = Text.assemble(
        (found.title, "bold"), f": what kind of year {_misses(found.miss)}", f"? Seed {found.seed}",
    )  # fmt: skip
    usual = (
        f"{_share_of(found)} of all years do: measured on {found.paths:,} fresh years in {worlds}, "
        f"after a search among {found.searched:,} others"
    )
    parts: list[RenderableType] = [title, Text(usual)]
    for number, text in enumerate(sentences(found), 1):
        label = f"{number}. " if number <= len(found.boxes) and len(found.boxes) > 1 else ""
        parts.append(spaced(Text(label + text, "bold")))
    if found.boxes:
        tables = [_figures(found), _restrictions(found), *([_signs(found)] if found.boxes[0].signs else [])]
        parts += [spaced(table) for table in tables]
    if found.reverse is not None:
        parts += _reverse_parts(found.reverse)
    return [*parts, spaced(Text(_note(found), style="dim"))]


def share(figure: Figure) -> str:
    """A share in percent with its error.

    Examples
    --------
    >>> from engine.analysis.estimates import Figure
    >>> share(Figure(0.8312, 0.0037)), share(Figure(0.5, 0.0))
    ('83.1 ± 0.4 %', '50 %')
    """
    if figure.se == 0.0:
        return f"{100 * figure.value:.3g} %"
    return f"{with_error(figure.value, figure.se, 0.01, 3)} %"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _share_in(figure: Figure, years: int) -> str:
    """A share of so many years, with the bound of the rule of three where all of them agree."""
    if figure.value not in (0.0, 1.0):
        return share(figure)
    sign, bound = probability({"value": figure.value, "se": 0.0}, years, 6).split()
    return f"{'more' if sign == '>' else 'less'} than {100 * float(bound):.6g} %"


def _share_of(found: Discovery) -> str:
    text = share(found.share_figure) if 0.0 < found.share.value < 1.0 else _share_in(found.share_figure, found.paths)
    return text[0].upper() + text[1:]


def _misses(miss: float) -> str:
    return "misses the target" + (f" by more than {_percent(miss)}" if miss else "")


def _sentence(box: Box, found: Discovery, first: bool) -> str:
    missed = f"missed{f' by more than {_percent(found.miss)}' if found.miss else ''}"
    density = _share_in(box.density, box.years)
    years = f"years in which {joined(box.conditions)}"
    start = f"The target is {missed} in {density} of {years}."
    if not first:
        start = f"Otherwise it is {missed} in {density} of {years}."
    return f"{start} Those are {share(box.mass)} of all years and {share(box.coverage)} of all misses."


def _too_few(found: Discovery) -> str:
    rare = found.share.value < 0.5
    what = _misses(found.miss)
    text = f"Hardly any year {what}" if rare else f"Nearly every year {what}"
    lower = "a lower --miss, or " if found.miss else ""
    remedy = f"{lower}more years to search (--search)" if rare else "a higher --miss, such as 0.1"
    return f"{text}: there is too little to tell the kinds apart by. Try {remedy}."


def _hardly_any(found: Reverse) -> str:
    span = f"{_percent(found.by - found.width)} to {_percent(found.by + found.width)}"
    few = f"Only {found.years:,} years miss the target by {span}: too few to say what is typical of them."
    return f"{few} The worst year of all is {_percent(found.worst)} below it."


def _together(combination: Combination) -> str:
    parts = []
    if combination.strike:
        parts.append(f"{joined(list(combination.strike))} {'strikes' if len(combination.strike) == 1 else 'strike'}")
    if combination.stay_away:
        away = joined(list(combination.stay_away))
        parts.append(f"{away} {'stays' if len(combination.stay_away) == 1 else 'stay'} away")
    return ", ".join(parts)


def _as_often(ratio: Ratio | None) -> str:
    return "" if ratio is None else f" ({_times(ratio)} times as often)"


def _times(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}{TO}{ratio.high:.2f}]"


def _figures(found: Discovery) -> Table:
    """The figures of every kind: fresh, and as the search saw them."""
    table = make_table("Kind", "Years that miss", "The search saw", "Of all years", "Of all misses")
    for number, box in enumerate(found.boxes, 1):
        table.add_row(
            str(number), _share_in(box.density, box.years), share(box.searched["density"]), share(box.mass),
            share(box.coverage),
        )  # fmt: skip
    table.add_section()
    table.add_row("all", _share_of(found), "", "100 %", "100 %")
    return table


def _signs(found: Discovery) -> Table:
    """What is left in the funds in every kind of year."""
    table = make_table("Kind", *(f"Left in {fund}" for fund in found.boxes[0].signs))
    for number, box in enumerate(found.boxes, 1):
        table.add_row(str(number), *(share(there) for there, _ in box.signs.values()))
    table.add_section()
    table.add_row("all", *(share(usual) for _, usual in found.boxes[0].signs.values()))
    return table


def _restrictions(found: Discovery) -> Table:
    """What each restriction says."""
    table = make_table("Kind", "What holds", "Miss without it", "It adds, points", "Quasi-p")
    table.columns[1].justify = "left"
    for number, box in enumerate(found.boxes, 1):
        for measured in box.restrictions:
            gain = with_error(measured.gain.value, measured.gain.se, 0.01, 2)
            p = f"{measured.p:.3f}" if measured.p >= 0.001 else "< 0.001"
            table.add_row(str(number), measured.text, share(measured.without), gain, p)
    return table


def _reverse_parts(found: Reverse) -> list[RenderableType]:
    head = Text(f"The most likely way to miss by {_percent(found.by)}", "bold")
    parts: list[RenderableType] = [spaced(head), Text(" ".join(reverse_sentences(found)))]
    if found.risks:
        parts.append(spaced(_strikes(found)))
    if shifts := _clear_shifts(found):
        parts.append(spaced(_drivers(shifts[:SHOWN])))
    return parts


def _clear_shifts(found: Reverse) -> list[tuple[Factor, Shift]]:
    """Drivers that differ by more than chance."""
    return [(f, s) for f, s in found.shifts.items() if abs(s.spreads.value) > CLEAR * s.spreads.se]


def _strikes(found: Reverse) -> Table:
    table = make_table("Risk", "Strikes in those", "In all years", "Times as often (95 %)")
    for name, strikes in list(found.risks.items())[:SHOWN]:
        times = TO if strikes.ratio is None else _times(strikes.ratio)
        table.add_row(name, share(strikes.there), share(strikes.usual), times)
    return table


def _drivers(shifts: list[tuple[Factor, Shift]]) -> Table:
    table = make_table("What differs most", "In those", "In all years", "In spreads", "Typical")
    for factor, shift in shifts:
        apart = ("+" if shift.spreads.value > 0 else "") + with_error(shift.spreads.value, shift.spreads.se, 1.0, 2)
        typical = TO if shift.typical is None else _value(factor, shift.typical)
        name = f"{factor.name}, {factor.unit}" if factor.unit else factor.name
        usual = _value(factor, shift.usual)
        table.add_row(name, _value(factor, shift.mean), usual, apart.replace("-", MINUS), typical)
    return table


def _with_unit(factor: Factor, figure: Figure) -> str:
    return f"{_value(factor, figure)} {factor.unit}".strip()


def _value(factor: Factor, figure: Figure) -> str:
    """A value of a driver with its error, in its unit."""
    scale = 0.01 if factor.unit.startswith("%") else 1.0
    text = with_error(figure.value, figure.se, scale, 3) if figure.se else f"{figure.value / scale:,.4g}"
    return text.replace("-", MINUS)


def _note(found: Discovery) -> str:
    text = ""
    if found.boxes:
        later = "Of the kinds but the first: years that are of no earlier kind. " if len(found.boxes) > 1 else ""
        text = (
            f"{later}The search saw: in the years that the limits were fitted to, which flatters them. Miss without "
            "it: of years in which all else of the kind holds. Quasi-p: how often a restriction that says nothing "
            "would add as much. "
        )
        if any(_flattered(box) for box in found.boxes):
            text += "Where the two differ by more than chance, believe the first. "
        if found.boxes[0].signs:
            text += "Left in a fund: share of it at the end, on average. "
    if found.reverse is not None and found.reverse.shifts:
        text += (
            "In spreads: difference of the means over the standard deviation in all years; start, severity and "
            "duration of a risk where it strikes, starts in months from the plan's start. Typical: median in the most "
            "likely way. "
        )
    return f"{text}{PM} is one standard error, over paths and worlds."


def _flattered(box: Box) -> bool:
    seen = box.searched["density"]
    return abs(seen.value - box.density.value) > _FLATTERED * (seen.se**2 + box.density.se**2) ** 0.5
