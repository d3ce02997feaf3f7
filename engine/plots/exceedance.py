"""How often more than an amount of revenue is lost: in a year and by a single strike, in all and by risk."""

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

SHOWN = 6  # risks with the greatest mean loss
LEAST = 1e-3  # smallest chance shown
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
ALL = "all risks"


def exceedance(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw exceedance curves: the chance, on a log scale, that more is lost.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``loss``, ``p`` (risk, view, point), views "year" and "strike"; ``mean`` (risk); the risk "all risks" is
        all together; attr ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    total = dataset.sel(risk=ALL)
    scale, prefix = money_unit(float(np.nanmax(total["loss"].values)))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    risks = dataset.where(dataset["risk"] != ALL, drop=True)
    ranked = risks["risk"].values[np.argsort(-risks["mean"].values)][:SHOWN]
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        for view, style, label in (("year", "-", "all, in a year"), ("strike", "--", "all, the largest single strike")):
            curve = total.sel(view=view)
            ax.plot(curve["loss"], curve["p"], color=BLACK, lw=2.4, ls=style, label=label)
        for name, colour in zip(ranked, COLOURS, strict=False):
            curve = dataset.sel(risk=name, view="year")
            ax.plot(curve["loss"], curve["p"], color=colour, lw=1.6, label=str(name))
        ax.set_yscale("log")
        ax.set_ylim(LEAST, 1.0)
        seen = (total["p"].values >= LEAST) & np.isfinite(total["loss"].values)
        ax.set_xlim(0, max(float(total["loss"].values[seen].max(initial=0.0)), 1e-6 * scale))
        ax.set_yticks([1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001])
        ax.set_yticklabels(["100 %", "50 %", "20 %", "10 %", "5 %", "1 %", "0.1 %"])
        ax.minorticks_off()
        in_unit(ax, "x", scale)
        ax.set_xlabel(f"Revenue lost, {unit}")
        ax.set_ylabel("Chance of more")
        ax.set_title("How much the risks take, and how often", pad=26)
        words = f"Solid: in a year. The {len(ranked)} risks with the greatest mean loss"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
        ax.legend(loc="upper right")
    return ax
