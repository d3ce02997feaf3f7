"""How a search for a kind of year trades coverage for density, step by step."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLUE, GREEN, GREY, PURPLE, SIZE, VERMILION, new_figure, styled

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE)
_MARKERS = ("o", "s", "^", "D")
_INTERVAL = 1.96  # standard errors, for 95 %
_WIDTH = 62  # letters of a kind's description in one line
_READ = (
    "Lines: steps of the search, in years it has not seen; dotted: in those that it has.\n"
    "Markers: the kind chosen, in fresh years, with 95 % intervals."
)


def peeling(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw density against coverage along the search for every kind, the step chosen with its 95 % interval.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``coverage``, ``density``, and the same with ``_search`` (box, step); ``fresh_coverage``, ``fresh_density`` and
        their ``_se`` (box); attrs ``miss``, ``share``.
    ax : Axes, optional
        Where to draw. By default a figure of its own.

    Returns
    -------
    Axes
    """
    by = f" by more than {100 * dataset.attrs['miss']:.3g} %" if dataset.attrs["miss"] else ""
    with styled():
        if ax is None:
            size = (SIZE[0], SIZE[1] + 0.6 + 0.4 * dataset.sizes["box"])
            ax = new_figure(dataset.attrs, size).add_subplot()
        for j in range(dataset.sizes["box"]):
            _search(ax, dataset.isel(box=j), j)
        share = float(dataset.attrs["share"])
        ax.axhline(share, color=GREY, lw=1, ls="--")
        ax.annotate("all years", (0.0, share), (4, 3), textcoords="offset points", fontsize=9, color=GREY)
        ax.set_xlim(0.0, 1.02)
        ax.set_ylim(0.0, 1.04)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        ax.set_xlabel("Coverage: share of all misses that these years are")
        ax.set_ylabel("Density: share of these years that miss")
        ax.set_title(f"What kind of year misses the target{by}: wide or certain")
        ax.legend(
            loc="upper left", bbox_to_anchor=(0.0, -0.13), alignment="left", borderaxespad=0.0, title=_READ,
            title_fontsize=9,
        )  # fmt: skip
    return ax


def _search(ax: Axes, at: xr.Dataset, place: int) -> None:
    """The steps of one search, and the one chosen."""
    colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
    ax.plot(at["coverage_search"], at["density_search"], color=colour, lw=1, ls=":")
    ax.plot(at["coverage"], at["density"], color=colour, lw=1.4)
    label = textwrap.fill(f"{place + 1}. {at['box'].item()}", _WIDTH)
    ax.errorbar(
        at["fresh_coverage"], at["fresh_density"], xerr=_INTERVAL * np.asarray(at["fresh_coverage_se"]),
        yerr=_INTERVAL * np.asarray(at["fresh_density_se"]), fmt=marker, ms=8, color=colour, ecolor="#222222",
        elinewidth=1.2, capsize=3, markeredgecolor="white", label=label, zorder=3,
    )  # fmt: skip
