"""The price of each line and fund: points of P(attain) for a million more, with intervals."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREY, ORANGE, money_unit, new_axes, styled, unit_name


def prices(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw what a million more and a million less would change, at the optimum, with 90 % intervals.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``price_up``, ``price_up_se``, ``price_down``, ``price_down_se`` (item) [points a million]; attrs ``currency``,
        ``budget``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    chosen = dataset.isel(item=np.flatnonzero(dataset["acts"].values.astype(bool)))
    chosen = chosen.isel(item=np.argsort(chosen["price_up"].values, kind="stable"))
    rows = np.arange(chosen.sizes["item"], dtype=float)
    scale, prefix = money_unit(float(dataset.attrs["budget"]))
    one = f"1 {unit_name(prefix, dataset.attrs.get('currency', ''))}".strip()
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        for name, shift, colour, label in (
            ("price_up", 0.14, BLUE, f"gained by {one} more"), ("price_down", -0.14, ORANGE, f"lost by {one} less"),
        ):  # fmt: skip
            value, error = (scale / 1e6 * chosen[column].values for column in (name, f"{name}_se"))
            ax.errorbar(
                value, rows + shift, xerr=1.645 * error, fmt="o", ms=6, color=colour, capsize=3, lw=1.8, label=label
            )  # fmt: skip
        ax.axvline(0, color=GREY, lw=1)
        ax.set_yticks(rows, [str(name) for name in chosen["item"].values])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.7, 1.1 * max(rows.size, 1) - 0.2)  # room for the legend
        values = np.concatenate([chosen[name].values for name in ("price_up", "price_down")])
        if not (values < 0).any():
            ax.set_xlim(left=0.0)
        ax.set_xlabel(f"Percentage points of P(attain) for {one}")
        ax.set_title("What a little more money would buy", pad=26)
        words = "At the optimum, for money from outside or put aside. Bars: 90 % intervals"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
        ax.legend(loc="upper left" if values.size and np.nanmin(values) > 0 else "best", ncols=2)
    return ax
