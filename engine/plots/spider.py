"""The spider: the output as each knob moves across its range, all others central."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.outcome import (
    base_text,
    change_text,
    change_unit,
    clipped,
    knob_value,
    left_out,
    output_label,
    put_units,
    subtitle,
    worth_showing,
)
from engine.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, new_axes, styled

COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKS = "osD^vPX"


def spider(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw a line for each of the knobs that move the output most, with 95 % intervals of the change.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``change``, ``change_se``, ``position`` (knob, point), the position from 0 at the low end to 1 at the high end,
        ``swing``, ``swing_se``, ``low``, ``high``, ``worth``, ``unit`` (knob), knobs in order; attrs ``output``,
        ``base``, ``base_se``, ``currency``, ``target``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    chosen = worth_showing(dataset, len(COLOURS))
    base = float(dataset.attrs["base"])
    with styled():
        ax = new_axes(dataset.attrs, 4.4 + 0.2 * chosen.sizes["knob"]) if ax is None else ax
        for j, name in enumerate(chosen["knob"].values):
            at = chosen["position"].values[j]
            value, error = base + chosen["change"].values[j], 1.96 * chosen["change_se"].values[j]
            ends = " to ".join(knob_value(chosen, j, end) for end in ("low", "high"))
            ax.fill_between(at, *clipped(dataset, value, error), color=COLOURS[j], alpha=0.12, lw=0)
            swing = change_text(chosen, float(chosen["swing"][j]), float(chosen["swing_se"][j]))
            label = f"{name}, {ends}: {swing} {change_unit(chosen)}"
            ax.plot(at, value, color=COLOURS[j], marker=MARKS[j], ms=4.5, lw=1.8, label=label)
        ax.axhline(base, color=GREY, lw=1, ls=(0, (5, 2)))
        ax.set_xlim(-0.02, 1.02)
        ax.set_xticks(np.linspace(0, 1, 5), ["low", "", "middle", "", "high"])
        put_units(ax, "y", dataset)
        ax.set_xlabel("Where the knob stands between the ends of its range")
        ax.set_ylabel(output_label(dataset))
        ax.set_title("How the outcome follows each number", pad=40)
        subtitle(
            ax, f"One at a time. Dashed: all central, {base_text(dataset)}",
            f"Bands: 95 % of the change. {left_out(dataset, chosen)}",
        )  # fmt: skip
        ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=1, fontsize=8.5)
    return ax
