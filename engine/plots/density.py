"""How the year goes in two kinds of years, such as with a risk and without it: two densities of attainment."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLACK, BLUE, GREY, ORANGE, figure_text, new_axes, styled

_LOOKS = ((BLUE, "-"), (ORANGE, "--"))


def density(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the density of attainment in two kinds of years.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``density`` (part, attainment); ``share``, ``miss`` and ``miss_se`` (part), two parts named by what holds in
        them; attr ``driver``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    at = np.asarray(dataset["attainment"].values, dtype=float)
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        for j, (colour, style) in enumerate(_LOOKS):
            values = np.asarray(dataset["density"].values[j], dtype=float)
            ax.fill_between(at, values, color=colour, alpha=0.22, lw=0, step="mid")
            ax.plot(at, values, color=colour, lw=1.8, ls=style, label=_label(dataset, j), drawstyle="steps-mid")
        ax.axvline(1.0, ymax=0.78, color=BLACK, lw=1.4, ls=(0, (5, 2)))
        ax.set_xlim(float(at[0]), float(at[-1]))
        ax.set_ylim(0, 1.35 * float(dataset["density"].values.max()))  # room for the legend
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %", decimals=0))
        ax.set_yticks([])
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("Revenue of the year, of the target")
        ax.set_ylabel("How often")
        ax.set_title(f"How the year goes with {dataset.attrs['driver']}", pad=26)
        words = "Each area is 1. A year that ends left of the dashed line misses the target"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
        ax.legend(loc="upper left", ncols=1)
    return ax


def _label(dataset: xr.Dataset, j: int) -> str:
    """What holds in a kind of years, how many there are and how many of them miss."""
    share, miss, error = (100 * float(dataset[name].values[j]) for name in ("share", "miss", "miss_se"))
    return f"{dataset['part'].values[j]}: {share:.3g} % of years, of which {figure_text(miss, error, 1)} % miss"
