"""What each stress does to P(attain) and to mean revenue, side by side."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engine.plots.style import (
    BLUE,
    GREY,
    HALVES,
    MINUS,
    SIZE,
    VERMILION,
    beside,
    figure_text,
    money_unit,
    new_figure,
    number,
    styled,
    unit_name,
)

_INTERVAL = 1.96  # standard errors, for 95 %
_WIDTH = 34  # letters of a stress's name in one line
_ROW = 0.42  # height of a row [inch]


def stress(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the differences of P(attain) and of mean revenue from the base, with 95 % intervals, worst at the top.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``difference`` [1], ``revenue_difference`` [currency] and their ``_se`` (stress), worst first; attrs
        ``scenario``, ``target``, ``currency``, ``p_attain``, ``revenue`` and their ``_se``.
    ax : Axes, optional
        Where to draw, its place being shared between P(attain) and an Axes for revenue to its right; title and note go
        to its figure or subfigure. By default a figure of its own, as high as its rows need.

    Returns
    -------
    Axes
        That of P(attain).
    """
    attrs, labels = dataset.attrs, [textwrap.fill(str(name), _WIDTH) for name in dataset["stress"].values]
    scale, prefix = money_unit(float(attrs["target"]))
    unit = unit_name(prefix, attrs.get("currency", ""))
    rows = np.arange(len(labels))[::-1]
    with styled():
        if ax is None:
            size = (SIZE[0] + 1.6, max(0.7 * SIZE[1], 1.5 + _ROW * len(labels)))
            ax = new_figure(dataset.attrs, size).add_subplot(*HALVES, 1)
        right = beside(ax)
        for axes, name, factor in ((ax, "difference", 100.0), (right, "revenue_difference", 1.0 / scale)):
            _bars(axes, factor * dataset[name].values, factor * dataset[f"{name}_se"].values, rows)
        ax.set_yticks(rows, labels)
        right.set_yticks(rows, [""] * len(labels))
        ax.set_title("P(attain), points", fontsize=10, weight="normal")
        right.set_title(f"Expected revenue, {unit}", fontsize=10, weight="normal")
        figure = ax.get_figure()
        assert figure is not None
        figure.suptitle("What each stress would do to the plan", x=0.01, ha="left", fontsize=12, weight="bold")
        p = figure_text(100 * float(attrs["p_attain"]), 100 * float(attrs["p_attain_se"]), 1)
        revenue = figure_text(float(attrs["revenue"]) / scale, float(attrs["revenue_se"]) / scale, 1)
        words = (
            f"Differences from {attrs['scenario']}, where P(attain) is {p} % and expected revenue {revenue} {unit} "
            "(standard errors)."
        )
        words = f"{textwrap.fill(words, 140)}\nThin lines: 95 % intervals of the differences."
        figure.supxlabel(words, x=0.01, ha="left", fontsize=9, color=GREY)
    return ax


def _bars(ax: Axes, value: np.ndarray, error: np.ndarray, rows: np.ndarray) -> None:
    """One bar a stress from zero, its interval, and its number beyond that."""
    reach = _INTERVAL * error
    ax.barh(rows, value, height=0.5, color=np.where(value < 0, VERMILION, BLUE), alpha=0.75)
    ax.errorbar(value, rows, xerr=reach, fmt="none", ecolor="#222222", elinewidth=1.3, capsize=3)
    ax.axvline(0, color=GREY, lw=1)
    for row, v, e in zip(rows, value, reach, strict=True):
        side = -1 if v < 0 else 1
        ax.annotate(
            _signed(v), (v + side * e, row), (5 * side, 0), textcoords="offset points", va="center",
            ha="right" if side < 0 else "left", fontsize=9,
        )  # fmt: skip
    span = float(np.max(np.abs(value) + reach, initial=0.0)) or 1.0
    left, right = bool((value < 0).any()), bool((value >= 0).any())
    ax.set_xlim(-1.35 * span if left else -0.04 * span, 1.35 * span if right else 0.04 * span)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: number(x).replace("-", MINUS)))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)


def _signed(value: float) -> str:
    """A difference with its sign, two figures at least.

    Examples
    --------
    >>> _signed(-6.73), _signed(0.0), _signed(-0.0849), _signed(61.1)
    ('−6.7', '0', '−0.08', '+61.1')
    """
    digits = 1 if abs(value) >= 1 else 2
    return f"{value:+,.{digits}f}".replace("-", MINUS) if value else "0"
