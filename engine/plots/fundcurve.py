"""How sure a fund of each size is: that it suffices, and that the target is met besides."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    in_unit,
    money_unit,
    new_axes,
    number,
    styled,
    unit_name,
)


def fundcurve(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw P(the fund suffices), P(attain) and P(both) against the size of the fund, with their bands across worlds.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``suffices``, ``attains``, ``both``, each with its ``_lo`` and ``_hi`` across worlds (fund); attrs ``name``,
        ``current``, ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    size = np.asarray(dataset["fund"].values, dtype=float)
    current = float(dataset.attrs["current"])
    scale, prefix = money_unit(float(size.max()))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        for name, colour, label in (
            ("suffices", BLUE, "the fund suffices"), ("attains", ORANGE, "the target is met"), ("both", GREEN, "both"),
        ):  # fmt: skip
            p, low, high = (np.asarray(dataset[f"{name}{end}"].values, dtype=float) for end in ("", "_lo", "_hi"))
            ax.fill_between(size, low, high, color=colour, alpha=0.12, lw=0)
            ax.plot(size, p, color=colour, lw=2.2, ls="--" if name == "both" else "-", label=label)
        at_current = float(np.interp(current, size, dataset["suffices"].values))
        ax.axvline(current, color=VERMILION, lw=1.4, ls=(0, (5, 2)))
        ax.plot([current], [at_current], "o", color=VERMILION, ms=8, mec="white", mew=1.2, zorder=5)
        ax.set_ylim(0, 1)
        ax.set_xlim(0, float(size.max()))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        in_unit(ax, "x", scale)
        ax.set_xlabel(f"Size of the fund {dataset.attrs['name']}, {unit}")
        ax.set_ylabel("Chance")
        ax.set_title("How sure the fund is", pad=26)
        held = f"{number(current / scale, 1)} {unit}"
        words = f"Dashed: the present fund, {held}, suffices with {100 * at_current:.0f} %. Bands: 90 % of worlds"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
        ax.legend(loc="center right")
    return ax
