"""How a fund is drawn down through the year."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    in_unit,
    money_unit,
    month_axis,
    new_axes,
    number,
    styled,
    unit_name,
)


def drawdown(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw what has been asked of a fund by the end of each month: median, half and 90 % of all years.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``drawn`` (quantile, month) [currency], with the quantiles 0.05, 0.25, 0.5, 0.75 and 0.95; attrs ``name``,
        ``current``, ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    drawn = np.asarray(dataset["drawn"].values, dtype=float)
    drawn = np.concatenate([np.zeros((drawn.shape[0], 1)), drawn], axis=1)
    ends = np.arange(drawn.shape[1])  # of months, from the start of the first
    current = float(dataset.attrs["current"])
    scale, prefix = money_unit(max(float(drawn.max()), current))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ax.fill_between(ends, drawn[0], drawn[4], color=BLUE, alpha=0.12, lw=0, label="90 % of all years")
        ax.fill_between(ends, drawn[1], drawn[3], color=BLUE, alpha=0.28, lw=0, label="half of all years")
        ax.plot(ends, drawn[2], color=BLUE, lw=2.2, label="median year")
        ax.axhline(current, color=VERMILION, lw=1.6, ls=(0, (5, 2)))
        month_axis(ax, dataset["month"].values)
        ax.set_ylim(0, 1.08 * max(float(drawn[4].max()), current))
        in_unit(ax, "y", scale)
        ax.set_ylabel(f"Asked of {dataset.attrs['name']} so far, {unit}")
        ax.set_title("When the fund is needed", pad=26)
        words = f"Dashed: the present fund, {number(current / scale, 1)} {unit}. As if it had no limit"
        ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        ax.legend(loc="upper left")
    return ax
