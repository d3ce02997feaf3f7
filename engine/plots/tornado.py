"""The tornado: what each knob changes at the low and at the high end of its range."""

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
    write_beside,
)
from engine.plots.style import BLUE, GREY, ORANGE, new_axes, styled

SHOWN = 12  # knobs


def tornado(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw a bar for each knob from the output at its low end to that at its high end, the longest on top.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``change``, ``change_se`` (knob, point) against the base, ``swing``, ``swing_se``, ``low``, ``high``, ``worth``,
        ``unit`` (knob), knobs in order; attrs ``output``, ``base``, ``base_se``, ``currency``, ``target``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    chosen = worth_showing(dataset, SHOWN)
    rows = np.arange(chosen.sizes["knob"], dtype=float)
    base = float(dataset.attrs["base"])
    ends = chosen["change"].values[:, [0, -1]] + base
    low, high = clipped(dataset, ends, 1.96 * chosen["change_se"].values[:, [0, -1]])
    names = [str(name) for name in chosen["knob"].values]
    with styled():
        ax = new_axes(dataset.attrs, max(3.2, 1.6 + 0.42 * rows.size)) if ax is None else ax
        for k, colour, label in ((0, BLUE, "knob at its low end"), (1, ORANGE, "knob at its high end")):
            ax.barh(rows, ends[:, k] - base, left=base, height=0.62, color=colour, label=label)
            ax.errorbar(
                ends[:, k],
                rows,
                xerr=(ends[:, k] - low[:, k], high[:, k] - ends[:, k]),
                fmt="none",
                ecolor="#222222",
                capsize=2.5,
                lw=1,
            )
        ax.axvline(base, color=GREY, lw=1.2)
        ax.set_yticks(rows, names)
        ax.set_ylim(rows.size + 0.5, -0.6)  # room for the legend below
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        _write_values(ax, chosen, ends, np.minimum(low.min(axis=1), base), np.maximum(high.max(axis=1), base))
        swings = zip(chosen["swing"].values, chosen["swing_se"].values, strict=True)
        write_beside(
            ax, f"high less low,\n{change_unit(dataset)}", [change_text(dataset, float(v), float(e)) for v, e in swings]
        )
        put_units(ax, "x", dataset)
        ax.set_xlabel(output_label(dataset))
        ax.set_title("Which numbers move the outcome most", pad=54)
        subtitle(
            ax, "One at a time, all others central:", base_text(dataset),
            f"Whiskers: 95 % of the change. {left_out(dataset, chosen)}",
        )  # fmt: skip
        ax.legend(loc="lower right", ncols=2, frameon=True, framealpha=1.0, edgecolor="none")
    return ax


def _write_values(ax: Axes, chosen: xr.Dataset, ends: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """The knob's own values beside its bar and whiskers, which reach from `left` to `right`."""
    outer = np.column_stack([left, right])
    room = 0.16 * max(float(np.ptp(outer)), 1e-300)
    ax.set_xlim(float(outer.min()) - room, float(outer.max()) + room)
    for j, (first, second) in enumerate(ends):
        sides = ("low", "high") if first <= second else ("high", "low")
        for end, at, shift in zip(sides, outer[j], (-7, 7), strict=True):
            ax.annotate(
                knob_value(chosen, j, end), (at, j), (shift, 0), textcoords="offset points",
                ha="left" if shift > 0 else "right", va="center", fontsize=8, color="#333333",
            )  # fmt: skip
