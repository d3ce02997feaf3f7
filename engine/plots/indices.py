"""Indices of all knobs as bars with intervals: Sobol', Morris, PAWN, ranks."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.names import SENSITIVITY_LABELS
from engine.plots.outcome import (
    change_text,
    change_unit,
    left_out,
    put_units,
    subtitle,
    unit_of,
    worth_showing,
    write_beside,
)
from engine.plots.style import BLUE, GREY, ORANGE, VERMILION, figure_text, new_axes, styled

SHOWN = 12  # knobs
_SERIES = {
    "sobol": (("total", "total order: interactions included"), ("first", "first order: alone")),
    "morris": (("mu_star", "mu*: mean size of the change"), ("sigma", "sigma: how it varies")),
    "pawn": (("distance", "distance of the laws"),),
    "rank": (("coefficient", "coefficient: the others taken out"), ("correlation", "rank correlation")),
}
_AXIS = {
    "sobol": "Share of the variance of {label} across worlds", "morris": "Change of {label} across the range",
    "pawn": "Kolmogorov's distance of the law of {label}", "rank": "Rank correlation with {label}",
}  # fmt: skip
_TITLE = {
    "sobol": "What the spread of the outcome comes from", "morris": "Which numbers matter at all",
    "pawn": "Which numbers move the law of the outcome", "rank": "Which numbers go with the outcome",
}  # fmt: skip


def indices(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw a bar for each index of each knob with its 95 % interval, the most influential knob on top.

    Parameters
    ----------
    dataset : xarray.Dataset
        The indices of the method, such as ``total`` and ``first``, with their ``_se``, ``_lo`` and ``_hi``, and
        ``worth`` (knob), knobs in order; attrs ``method``, ``output``, ``currency``, ``target``, ``worlds``, ``paths``
        and ``without``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    method = str(dataset.attrs["method"])
    chosen = worth_showing(dataset, SHOWN)
    rows = np.arange(chosen.sizes["knob"], dtype=float)
    series = _SERIES[method]
    height = 0.76 / len(series)
    with styled():
        ax = new_axes(dataset.attrs, max(3.2, 1.6 + 0.42 * rows.size)) if ax is None else ax
        for k, ((name, label), colour) in enumerate(zip(series, (BLUE, ORANGE), strict=False)):
            value, low, high = (chosen[f"{name}{part}"].values for part in ("", "_lo", "_hi"))
            at = rows + (k - 0.5 * (len(series) - 1)) * height
            error = np.abs(np.stack([value - low, high - value]))
            ax.barh(at, value, height=0.9 * height, color=colour, label=label)
            ax.errorbar(value, at, xerr=error, fmt="none", ecolor="#222222", capsize=2, lw=1)
        if "without" in dataset.attrs:
            ax.axvline(
                float(dataset.attrs["without"]),
                color=VERMILION,
                lw=1.4,
                ls=(0, (5, 2)),
                label="95 % of knobs without effect stay below",
            )
        ax.axvline(0, color=GREY, lw=1)
        ax.set_yticks(rows, [str(name) for name in chosen["knob"].values])
        ax.set_ylim(rows.size + 0.5, -0.6)  # room for the legend below
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        _write_figures(ax, chosen, *series[0])
        _label(ax, dataset, chosen, method)
        ax.legend(loc="lower right", ncols=2, frameon=True, framealpha=1.0, edgecolor="none")
    return ax


def _write_figures(ax: Axes, chosen: xr.Dataset, name: str, label: str) -> None:
    """The index by which knobs are ranked, in figures."""
    pairs = list(zip(chosen[name].values.tolist(), chosen[f"{name}_se"].values.tolist(), strict=True))
    head = label.partition(":")[0]
    if chosen.attrs["method"] == "morris":
        write_beside(ax, f"{head},\n{change_unit(chosen)}", [change_text(chosen, *pair, sign="") for pair in pairs])
    else:
        write_beside(ax, head, [figure_text(*pair, 3) for pair in pairs])


def _label(ax: Axes, dataset: xr.Dataset, chosen: xr.Dataset, method: str) -> None:
    """Axis, title and the line below it."""
    text = _AXIS[method].format(label=SENSITIVITY_LABELS[dataset.attrs["output"]])
    if method == "morris":
        put_units(ax, "x", dataset)
        text += f", {unit_of(dataset)}" if unit_of(dataset) else ""
    ax.set_xlabel(text)
    ax.set_title(_TITLE[method], pad=40)
    subtitle(
        ax, f"{dataset.attrs['worlds']:,} worlds of {dataset.attrs['paths']:,} paths. Whiskers: 95 %",
        left_out(dataset, chosen),
    )  # fmt: skip
