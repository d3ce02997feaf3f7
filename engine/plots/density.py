"""How a year goes with a risk and without it: two densities of attainment."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLACK, BLUE, GREY, ORANGE, figure_text, new_axes, styled


def density(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the density of attainment in years in which a risk strikes and in years in which it does not.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``strikes``, ``spared`` (attainment); attrs ``risk``, ``share``, ``miss_if``, ``miss_if_not`` and their ``_se``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    at = np.asarray(dataset["attainment"].values, dtype=float)
    share, risk = float(dataset.attrs["share"]), dataset.attrs["risk"]
    with styled():
        ax = new_axes() if ax is None else ax
        for name, years, miss, colour, style in (
            ("spared", 1 - share, "miss_if_not", BLUE, "-"), ("strikes", share, "miss_if", ORANGE, "--"),
        ):  # fmt: skip
            value, error = (100 * float(dataset.attrs[key]) for key in (miss, f"{miss}_se"))
            chance = figure_text(value, error, 1)
            verb = "strikes" if name == "strikes" else "does not strike"
            label = f"{risk} {verb} ({100 * years:.3g} % of years)\nmisses in {chance} %"
            values = np.asarray(dataset[name].values, dtype=float)
            ax.fill_between(at, values, color=colour, alpha=0.22, lw=0, step="mid")
            ax.plot(at, values, color=colour, lw=1.8, ls=style, label=label, drawstyle="steps-mid")
        ax.axvline(1.0, ymax=0.83, color=BLACK, lw=1.4, ls=(0, (5, 2)))
        ax.set_xlim(float(at[0]), float(at[-1]))
        top = max(float(dataset[name].values.max()) for name in ("strikes", "spared"))
        ax.set_ylim(0, 1.3 * top)  # room for the legend
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %", decimals=0))
        ax.set_yticks([])
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("Revenue of the year, of the target")
        ax.set_ylabel("How often")
        ax.set_title(f"A year with {risk}, and without", pad=26)
        words = "Each area is 1. A year that ends left of the dashed line misses the target"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
        ax.legend(loc="upper left", ncols=2)
    return ax
