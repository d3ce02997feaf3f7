"""How a fund is drawn down through the year."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREY, VERMILION, in_unit, money_unit, new_axes, number, styled, unit_name


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
    months = [str(m)[:7] for m in dataset["month"].values]
    at = np.arange(1, len(months) + 1)  # what is asked by the end of a month
    drawn = np.concatenate([np.zeros((drawn.shape[0], 1)), drawn], axis=1)
    current = float(dataset.attrs["current"])
    scale, prefix = money_unit(max(float(drawn.max()), current))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    with styled():
        ax = new_axes() if ax is None else ax
        ax.fill_between(np.append(0, at), drawn[0], drawn[4], color=BLUE, alpha=0.12, lw=0, label="90 % of all years")
        ax.fill_between(np.append(0, at), drawn[1], drawn[3], color=BLUE, alpha=0.28, lw=0, label="half of all years")
        ax.plot(np.append(0, at), drawn[2], color=BLUE, lw=2.2, label="median year")
        ax.axhline(current, color=VERMILION, lw=1.6, ls=(0, (5, 2)))
        ax.set_xticks(at, months, rotation=45 if len(months) > 6 else 0, ha="right" if len(months) > 6 else "center")
        ax.set_ylim(0, 1.08 * max(float(drawn[4].max()), current))
        ax.set_xlim(0, len(months))
        in_unit(ax, "y", scale)
        ax.set_ylabel(f"Asked of {dataset.attrs['name']} so far, {unit}")
        ax.set_xlabel("By the end of the month")
        ax.set_title("When the fund is needed", pad=26)
        words = f"Dashed: the present fund, {number(current / scale, 1)} {unit}. As if it had no limit"
        ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        ax.legend(loc="upper left")
    return ax
