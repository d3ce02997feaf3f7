"""How charts look: colours that colour-blind readers tell apart, money in the plan's unit, type for a board paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Okabe and Ito (2008), Color Universal Design.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#6B6B6B"

PM = "\N{PLUS-MINUS SIGN}"
MINUS = "\N{MINUS SIGN}"
UNITS = ((1e6, "M"), (1e3, "k"))  # as in the summary: each from 20 of it on
LEAST = 20.0
SIZE = (8.0, 5.0)
FOOT = 0.24  # strip below a chart that names plan and run [inch]
DPI = 160
HALVES = (1, 2)  # a grid of two charts side by side
STACKED = (3, 2)  # heights of two charts, one below the other

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "text.parse_math": False,  # a name may hold a dollar sign
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.constrained_layout.use": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """The style, for the length of a block: the user's own settings come back after it."""
    with plt.rc_context(RC):
        yield


def new_figure(attrs: Mapping[Any, Any], size: tuple[float, float]) -> Figure:
    """A figure outside pyplot's list of open ones; its foot names plan and run, for whoever the chart is passed on to.

    Parameters
    ----------
    attrs : mapping
        Of the chart's Dataset: ``scenario``, the plan's name, and ``run``, paths, worlds and seed in words, each left
        out where it is not known.
    size : tuple of float
        Width and height. [inch]
    """
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    words = "   ".join(str(attrs[name]) for name in ("scenario", "run") if attrs.get(name))
    if words:
        figure.set_layout_engine("constrained", rect=(0.0, FOOT / size[1], 1.0, 1.0 - FOOT / size[1]))
        figure.text(0.995, 0.25 * FOOT / size[1], words, ha="right", va="bottom", fontsize=7.5, color=GREY)
    return figure


def new_axes(attrs: Mapping[Any, Any], height: float = SIZE[1]) -> Axes:
    """One Axes on a figure of its own; a chart with rows asks for its height."""
    return new_figure(attrs, (SIZE[0], height)).add_subplot()


def beside(ax: Axes) -> Axes:
    """An Axes to the right of the one given: the other half of its grid, or of its own place."""
    figure, spec = ax.get_figure(), ax.get_subplotspec()
    assert figure is not None and spec is not None
    grid = spec.get_gridspec()
    if (grid.nrows, grid.ncols) == HALVES:
        return figure.add_subplot(grid[0, 1])
    halves = spec.subgridspec(*HALVES)
    ax.set_subplotspec(halves[0, 0])
    return figure.add_subplot(halves[0, 1])


def below(ax: Axes) -> Axes:
    """An Axes below the one given, in the lower part of its place."""
    figure, spec = ax.get_figure(), ax.get_subplotspec()
    assert figure is not None
    if spec is None:  # an Axes that was put somewhere by hand
        left, bottom, width, height = ax.get_position().bounds
        high, low = (0.92 * height * part / sum(STACKED) for part in STACKED)
        ax.set_position((left, bottom + height - high, width, high))
        return figure.add_axes((left, bottom, width, low))
    parts = spec.subgridspec(2, 1, height_ratios=STACKED)
    ax.set_subplotspec(parts[0, 0])
    return figure.add_subplot(parts[1, 0])


def money_unit(target: float) -> tuple[float, str]:
    """What money is divided by for a plan of such a target, and the unit's prefix: M, k or nothing."""
    for scale, prefix in UNITS:
        if target >= LEAST * scale * (1 - 1e-9):
            return scale, prefix
    return 1.0, ""


def unit_name(prefix: str, currency: str) -> str:
    """The unit on a label."""
    return f"{prefix} {currency}".strip()


def number(value: float, digits: int = 3) -> str:
    """A number with as many decimals as it has, at most ``digits``.

    Examples
    --------
    >>> number(1500.0), number(2.5), number(-0.0), number(1500.0, 0)
    ('1,500', '2.5', '0', '1,500')
    """
    words = f"{round(value, digits) + 0.0:,.{digits}f}"
    return words.rstrip("0").rstrip(".") if digits else words


def figure_text(value: float, error: float, most: int, sign: str = "") -> str:
    """A figure with its standard error, rounded up, to one digit of it but at most so many decimals.

    Examples
    --------
    >>> figure_text(0.9931, 0.0521, 3), figure_text(0.0, 0.0, 3), figure_text(-12.3, 25.0, 2)
    ('0.99 ± 0.06', '0.000', '−12 ± 25')
    """
    digits = most if error <= 0.0 else min(most, max(0, -math.floor(math.log10(error))))
    step = 10.0**-digits
    words = f" {PM} {math.ceil(error / step - 1e-9) * step:,.{digits}f}" if error > 0.0 else ""
    return f"{value:{sign if value else ''},.{digits}f}{words}".replace("-", MINUS)


def month_axis(ax: Axes, months: np.ndarray) -> None:
    """Months along x, the first from 0 to 1: ``Jan`` .. ``Dec``, and the year below the first and each January."""
    stamps = months.astype("datetime64[M]")
    every = math.ceil(len(stamps) / 16)  # few enough to stay readable
    labels = []
    for i, stamp in enumerate(stamps):
        name = stamp.item().strftime("%b")
        year = f"\n{stamp.item():%Y}" if i == 0 or stamp.item().month == 1 else ""
        labels.append(name + year if i % every == 0 else "")
    ax.set_xlim(0, len(stamps))
    ax.set_xticks(np.arange(len(stamps)) + 0.5, labels=labels)
    ax.tick_params(axis="x", length=0)
    ax.grid(False, axis="x")


def in_unit(axis_of: Axes, which: str, scale: float) -> None:
    """Label the ticks of one axis in a unit of money."""
    axis = axis_of.xaxis if which == "x" else axis_of.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value / scale)))
