"""The plan's risk matrices: where the plan puts each risk, and where the simulation does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, YELLOW, new_axes, styled

# Bands of probability and impact by level (plan 2.4.2 and 7.2), with a colour for each.
LEVELS = {
    "high": ((0.7, 1.0), (0.3, 0.5), VERMILION), "medium": ((0.3, 0.7), (0.1, 0.3), ORANGE),
    "low": ((0.0, 0.3), (0.0, 0.1), GREEN),
}  # fmt: skip
COLOURS = {
    "red": ((0.7, 1.0), (0.3, 0.5), VERMILION), "orange": ((0.5, 0.7), (0.2, 0.3), ORANGE),
    "yellow": ((0.3, 0.5), (0.1, 0.2), YELLOW), "blue": ((0.0, 0.3), (0.0, 0.1), BLUE),
}  # fmt: skip
CHARACTER, LINE, STEP = 0.0066, 0.045, 0.005  # of labels: width, in impact; height and how far moved, in chance
MATRICES = {"levels": LEVELS, "colours": COLOURS}


def matrix(dataset: xr.Dataset, which: str, ax: Axes | None = None) -> Axes:
    """Draw the bands of one matrix and, in the colour of its band, each risk where the simulation puts it.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``level``, ``p``, ``impact`` and their ``_se`` (risk): chance that it strikes in the year, and loss as a share
        of what the exposed streams would sell while it lasts.
    which : {"levels", "colours"}
        Three levels, or four colours.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    bands = MATRICES[which]
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        for name, ((low, high), (least, most), colour) in bands.items():
            ax.add_patch(Rectangle((least, low), most - least, high - low, color=colour, alpha=0.22, lw=0))
            ax.annotate(name, (most, high), (-5, -5), textcoords="offset points", ha="right", va="top", color=GREY)
        chosen = dataset.where(dataset["level"].isin(list(bands)) & np.isfinite(dataset["impact"]), drop=True)
        impact, chance = (np.asarray(chosen[column].values, dtype=float) for column in ("impact", "p"))
        labels = [
            f"{name} ({level})" for name, level in zip(chosen["risk"].values, chosen["level"].values, strict=True)
        ]
        heights = _apart(labels, impact, chance)
        for k, level in enumerate(chosen["level"].values):
            _place(ax, chosen.isel(risk=k), labels[k], bands[str(level)][-1], heights[k])
        ax.set_xlim(min(-0.01, 1.1 * impact.min(initial=0.0)), max(0.5, 1.1 * impact.max(initial=0.0)))
        ax.set_ylim(0, 1.05)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        ax.set_xlabel("Impact: share of the exposed sales that is lost while it lasts")
        ax.set_ylabel("Chance that it strikes in the year")
        ax.set_title("Risks where the plan puts them, and where they turn out", pad=26)
        words = (
            "Fields: the plan's bands. Dots: the simulation, after all answers; colour and (word) say the plan's band"
        )
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
    return ax


def _place(ax: Axes, risk: xr.Dataset, label: str, colour: str, height: float) -> None:
    p, impact = float(risk["p"]), float(risk["impact"])
    ax.errorbar(
        impact, p, xerr=1.645 * float(risk["impact_se"]), yerr=1.645 * float(risk["p_se"]), fmt="o", ms=7, color=colour,
        mec=BLACK, mew=0.8, ecolor=GREY, capsize=2,
    )  # fmt: skip
    ax.annotate(
        label, (impact, p), (impact + 0.008, height), fontsize=9, va="center", zorder=6,
        bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.6},
        arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkA": 0, "shrinkB": 3} if height != p else None,
    )  # fmt: skip


def _apart(names: Sequence[str], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Heights of the labels, each moved down from its dot until it lies on no other dot or label."""
    heights = y.copy()
    width = CHARACTER * np.array([len(name) for name in names])
    placed: list[int] = []
    for k in np.argsort(-y):
        others = np.delete(np.arange(x.size), k)
        while True:
            dots = (np.abs(y[others] - heights[k]) < LINE) & (x[others] > x[k]) & (x[others] < x[k] + width[k])
            labels = [
                abs(heights[j] - heights[k]) < LINE and x[j] < x[k] + width[k] and x[k] < x[j] + width[j]
                for j in placed
            ]  # fmt: skip
            if not dots.any() and not any(labels):
                break
            heights[k] -= STEP
        placed.append(int(k))
    return heights
