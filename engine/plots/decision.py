"""What keeping the present optimum would cost as a number turns out otherwise, and how much money would move."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engine.plots.outcome import knob_value
from engine.plots.style import (
    BLUE,
    GREY,
    HALVES,
    ORANGE,
    SIZE,
    beside,
    money_unit,
    new_figure,
    number,
    styled,
    unit_name,
)

SHOWN = 10  # knobs
MINUS = "\N{MINUS SIGN}"
PM = "\N{PLUS-MINUS SIGN}"
_INTERVAL = 1.96  # standard errors, for 95 %
_WIDTH = 36  # letters of a knob's name in one line
_BAR = 0.36  # height of a bar, of a row
_BEHIND = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}  # of words that cross a line


def decision(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw regret with 95 % intervals and the money that would move, at both ends of each knob, the worst on top.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``regret``, ``regret_se`` [1] and ``moved`` [currency] (knob, end), NaN where no move pays; ``changes``
        (knob, end); ``low``, ``high``, ``unit`` (knob), knobs in order, of which those that move money are drawn;
        attrs ``target``, ``currency``, ``least``, ``p_attain`` and its ``_se``.
    ax : Axes, optional
        Where to draw, its place being shared between regret and an Axes for money to its right; title and note go to
        its figure or subfigure. By default a figure of its own, as high as its rows need.

    Returns
    -------
    Axes
        That of regret.
    """
    attrs = dataset.attrs
    searched = (dataset["moved"] > 0).any("end").values
    shown = dataset.isel(knob=np.flatnonzero(searched)[:SHOWN])
    scale, prefix = money_unit(float(attrs["target"]))
    rows = np.arange(shown.sizes["knob"])[::-1].astype(float)
    with styled():
        if ax is None:
            size = (SIZE[0] + 1.6, max(0.75 * SIZE[1], 2.0 + 0.62 * rows.size))
            ax = new_figure(dataset.attrs, size).add_subplot(*HALVES, 1)
        right = beside(ax)
        _bars(ax, shown, 100.0 * shown["regret"].values, 100.0 * shown["regret_se"].values, rows)
        _bars(right, shown, shown["moved"].values / scale, np.zeros(shown["moved"].shape), rows)
        ax.axvline(100.0 * float(attrs["least"]), color=GREY, lw=1.2, ls="--")
        ax.set_yticks(rows, [_label(str(name)) for name in shown["knob"].values])
        right.set_yticks(rows, [""] * rows.size)
        ax.set_title("Regret, points of P(attain)", fontsize=10, weight="normal")
        right.set_title(f"Money moved, {unit_name(prefix, attrs.get('currency', ''))}", fontsize=10, weight="normal")
        figure = ax.get_figure()
        assert figure is not None
        figure.suptitle("Which numbers would change the allocation", x=0.01, ha="left", fontsize=12, weight="bold")
        figure.legend(
            handles=[Patch(color=BLUE, label="knob at its low end"), Patch(color=ORANGE, label="at its high end")],
            loc="outside upper right", ncols=2,
        )  # fmt: skip
        note = _note(dataset, shown, int(searched.sum()))
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=GREY)
    return ax


def _label(name: str) -> str:
    """A knob's name in lines that begin where it has a dot.

    Examples
    --------
    >>> _label("lines.shops_and_dealers.response.ceiling")
    'lines.shops_and_dealers.response\\n.ceiling'
    """
    first, *rest = name.split(".")
    lines = [first]
    for part in rest:
        if len(lines[-1]) + 1 + len(part) > _WIDTH:
            lines.append("")
        lines[-1] += f".{part}"
    return "\n".join(lines)


def _note(dataset: xr.Dataset, shown: xr.Dataset, searched: int) -> str:
    """What is drawn, and what is not."""
    attrs = dataset.attrs
    p, error = (100 * float(attrs[name]) for name in ("p_attain", "p_attain_se"))
    digits = 1 if error >= 0.05 else 2
    words = [
        f"Regret: what keeping the present optimum (P(attain) {p:.{digits}f} {PM} {error:.{digits}f} %, standard "
        "error) would give up; lines: 95 %; dashed: "
        f"{100 * float(attrs['least']):g} points, from which on a decision counts as changed."
    ]
    if not shown["changes"].values[shown["moved"].notnull().values].all():
        words.append("Hatched: no change.")
    if searched > shown.sizes["knob"]:
        words.append(f"Left out: {_knobs(searched - shown.sizes['knob'])} with no greater regret.")
    kept = dataset.sizes["knob"] - searched
    if kept:
        words.append(f"{_knobs(kept)} more: no move pays.")
    return textwrap.fill(" ".join(words), 140)


def _knobs(n: int) -> str:
    return f"{n} knob{'' if n == 1 else 's'}"


def _bars(ax: Axes, shown: xr.Dataset, value: np.ndarray, error: np.ndarray, rows: np.ndarray) -> None:
    """Two bars a knob, that of the low end above, each with its interval and the knob's value beyond it."""
    reach = _INTERVAL * np.nan_to_num(error)
    height = np.nan_to_num(value)
    top = max(float((height + reach).max(initial=0.0)), 1e-9)
    for k, colour in enumerate((BLUE, ORANGE)):
        at = rows + (0.5 - k) * _BAR
        counts = shown["changes"].values[:, k]
        ax.barh(
            at, height[:, k], height=0.9 * _BAR, facecolor=colour, edgecolor="white",
            hatch=["" if c else "////" for c in counts], alpha=0.85,
        )  # fmt: skip
        seen = np.flatnonzero(error[:, k] > 0)
        ax.errorbar(
            height[seen, k], at[seen], xerr=reach[seen, k], fmt="none", ecolor="#222222", elinewidth=1.2, capsize=2.5
        )
        for j, row in enumerate(at):
            idle = bool(np.isnan(value[j, k]))
            words = "no move pays" if idle else knob_value(shown, j, ("low", "high")[k])
            ax.annotate(
                words, (max(height[j, k] + reach[j, k], 0.0), row), (6, 0), textcoords="offset points", va="center",
                fontsize=8, color=GREY if idle else "#333333", bbox=_BEHIND,
            )  # fmt: skip
    low = min(float((height - reach).min(initial=0.0)), 0.0)
    ax.set_xlim(low * 1.05, 1.35 * top)
    ax.set_ylim(-0.6, max(rows.size, 1) - 0.4)
    ax.axvline(0, color=GREY, lw=1)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: number(x).replace("-", MINUS)))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
