"""Response curves of the lines, with the plan's amount and the optimum's on each."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    in_unit,
    money_unit,
    new_axes,
    styled,
    unit_name,
)

_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, GREY)
_DASHES: tuple = ("-", (0, (5, 2)))


def responses(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw what each line's amount does to the sales that it reaches.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``amount``, ``response`` (item, point), ``plan``, ``optimum`` (item); attrs ``currency``, ``budget``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    lines = np.flatnonzero((dataset["table"].values == "lines") & dataset["acts"].values.astype(bool))
    scale, prefix = money_unit(float(dataset.attrs["budget"]))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ends = []
        for number, j in enumerate(lines):
            at, height = dataset["amount"].values[j], 100 * dataset["response"].values[j]
            colour, dashes = _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % 2]
            ax.plot(at, height, color=colour, lw=1.8, ls=dashes)
            for name, marker, face in (("plan", "o", "white"), ("optimum", "D", colour)):
                x = float(dataset[name].values[j])
                ax.plot([x], [np.interp(x, at, height)], marker, color=colour, mfc=face, ms=7, mew=1.6, zorder=3)
            ends.append((float(height[-1]), float(at[-1]), str(dataset["item"].values[j]), colour))
        _label(ax, ends)
        ax.plot([], [], "o", color=BLACK, mfc="white", mew=1.6, label="plan")
        ax.plot([], [], "D", color=BLACK, label="optimum")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        ax.margins(x=0.02)
        in_unit(ax, "x", scale)
        ax.set_xlabel(f"Amount of the line, {unit_name(prefix, dataset.attrs.get('currency', ''))}")
        ax.set_ylabel("Lift of the sales that it reaches, %")
        ax.set_title("What money does before chance comes in", pad=26)
        words = "Mean of the year, lines as effective as planned. From the least amount to the greatest"
        ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        ax.legend(loc="upper left")
    return ax


def _label(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names at the ends of the curves, moved apart where they would meet."""
    if not ends:
        return
    top = max(height for height, *_ in ends)
    least = 0.055 * max(top - min(0.0, min(height for height, *_ in ends)), 1e-9)
    right = max(at for _, at, *_ in ends)
    taken = -np.inf
    for height, at, name, colour in sorted(ends):
        y = max(height, taken + least)
        taken = y
        ax.annotate(
            name, (at, height), (1.04 * right, y), color=colour, fontsize=9, va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "alpha": 0.6},
        )  # fmt: skip
    ax.set_xlim(right=1.42 * right)
    ax.set_ylim(top=1.06 * max(top, taken))
