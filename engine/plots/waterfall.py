"""From the plan to the median year: what each risk takes on the way."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREEN, GREY, VERMILION, in_unit, money_unit, new_axes, number, styled, unit_name

SHOWN = 8  # risks with a bar of their own; the others share one


def waterfall(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw bars that start where the one before ends, from the first amount to the last.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``change`` and ``se`` (step): the first and the last step hold an amount, the others what they add, and these
        add up; attr ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    names, change, se = _gathered(dataset)
    level = np.concatenate([[change[0]], change[0] + np.cumsum(change[1:-1]), [change[-1]]])
    scale, prefix = money_unit(float(change[0]))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    place = np.arange(len(names))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        height = max(float(np.ptp(level)), 1e-3 * abs(float(level[0])), 1e-9)
        floor = float(level.min()) - 0.25 * height
        for k in place:
            whole = k in (0, place[-1])
            start = floor if whole else level[k - 1]
            colour = BLUE if whole else (VERMILION if change[k] < 0 else GREEN)
            ax.barh(k, level[k] - start, left=start, color=colour, height=0.7)
            if k < place[-1]:
                ax.plot([level[k], level[k]], [k + 0.35, k + 0.65], color=GREY, lw=0.8)
            right = max(start, level[k])
            words = number(level[k] / scale, 0) if whole else f"{change[k] / scale:+.1f}".replace("-", "\N{MINUS SIGN}")
            words += f" ± {number(se[k] / scale, 1)}" if se[k] > 0 else ""
            ax.annotate(words, (right, k), (5, 0), textcoords="offset points", va="center", fontsize=9)
        ax.set_yticks(place, names)
        ax.invert_yaxis()
        ax.set_xlim(floor, float(level.max()) + 0.2 * height)
        ax.grid(False, axis="y")
        in_unit(ax, "x", scale)
        ax.set_xlabel(f"Revenue of the year, {unit} (the axis does not begin at 0)")
        ax.set_title("From the plan to the median year", pad=26)
        words = "Shapley values of the median; the bars add up. ± one standard error"
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
    return ax


def _gathered(dataset: xr.Dataset) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Steps with the smallest of them as one; its error as if they were independent."""
    names = [str(name) for name in dataset["step"].values]
    change, se = (np.asarray(dataset[name].values, dtype=float) for name in ("change", "se"))
    middle = np.arange(2, len(names) - 1)
    ranked = middle[np.argsort(-np.abs(change[middle]))]
    if ranked.size <= SHOWN + 1:
        return names, change, se
    kept, rest = np.sort(ranked[:SHOWN]), ranked[SHOWN:]
    order = [0, 1, *kept]
    labels = [*(names[k] for k in order), f"{rest.size} other risks", names[-1]]
    return (
        labels, np.array([*change[order], change[rest].sum(), change[-1]]),
        np.array([*se[order], np.sqrt((se[rest] ** 2).sum()), se[-1]]),
    )  # fmt: skip
