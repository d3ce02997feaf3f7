"""The fan chart: cumulative revenue month by month against the plan and the review's bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from engine.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    SIZE,
    VERMILION,
    YELLOW,
    below,
    in_unit,
    money_unit,
    month_axis,
    new_figure,
    styled,
    unit_name,
)


def fan(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the quantiles of cumulative revenue around the plan's path, and below them how far each is from it.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``cumulative`` (quantile, month) and ``plan`` (month), both cumulative to the end of the month [currency];
        attrs ``lags`` (fractions of the plan by which revenue may lag), ``currency``.
    ax : Axes, optional
        Where to draw, its place being shared with an Axes for the distance below it; a figure of its own by default.

    Returns
    -------
    Axes
        That of cumulative revenue.

    Notes
    -----
    Green is less than the lowest lag behind the plan, red at or beyond the highest, yellow between. Everything starts
    from 0 at the start of the first month.
    """
    with styled():
        if ax is None:
            ax = new_figure(dataset.attrs, (SIZE[0], 1.45 * SIZE[1])).add_subplot()
        gap = below(ax)
        ends = np.arange(dataset.sizes["month"] + 1)
        plan = _from_zero(dataset["plan"].values)
        quantiles = dataset["cumulative"].transpose("month", "quantile")
        levels = np.asarray(quantiles["quantile"].values, dtype=float)
        values = _from_zero(quantiles.values)
        lags = np.sort(np.atleast_1d(np.asarray(dataset.attrs.get("lags", ()), dtype=float)))

        ax.set_ylim(0, 1.05 * max(values.max(), plan.max()))
        bands = _bands(ax, ends, plan, lags)
        ranges = _lines(ax, ends, values, levels, plan)
        scale, prefix = money_unit(plan[-1])  # the plan's path ends at its target
        in_unit(ax, "y", scale)
        unit = unit_name(prefix, dataset.attrs.get("currency", ""))
        ax.set_ylabel(", ".join(filter(None, ["Cumulative revenue", unit])))
        ax.set_title("Revenue to date against the plan")
        ax.legend(
            handles=[*ranges, *bands], loc="upper left", frameon=True, facecolor="white", framealpha=1.0,
            edgecolor="none",
        )  # fmt: skip
        _draw_gap(gap, ends, values, levels, plan, lags)
        for axes in (ax, gap):
            month_axis(axes, dataset["month"].values)
        ax.tick_params(axis="x", labelbottom=False)
    return ax


def _draw_gap(
    ax: Axes, ends: np.ndarray, values: np.ndarray, levels: np.ndarray, plan: np.ndarray, lags: np.ndarray
) -> None:
    """How far revenue to date is from the plan; nothing where the plan has sold nothing yet."""
    there = plan > 0.0
    share = values[there] / plan[there, None] - 1.0
    low, high = min(share.min(), -1.2 * lags.max(initial=0.0)), max(share.max(), 0.0)
    margin = 0.06 * (high - low) or 0.01
    ax.set_ylim(low - margin, high + margin)
    _bands(ax, ends, np.zeros(ends.size), lags, 1.0)
    _lines(ax, ends[there], share, levels, np.zeros(share.shape[0]))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %", decimals=0))
    ax.set_ylabel("Against the plan")


def _from_zero(cumulative: np.ndarray) -> np.ndarray:
    """Put the zero before the first month in front."""
    return np.concatenate([np.zeros_like(cumulative[:1]), cumulative], axis=0)


def _bands(
    ax: Axes, ends: np.ndarray, plan: np.ndarray, lags: np.ndarray, whole: np.ndarray | float | None = None
) -> list[Patch]:
    """Shade where the review says green, yellow and red; a lag is a share of `whole`, by default of the plan."""
    if lags.size == 0:
        return []
    whole = plan if whole is None else whole
    bottom, top = (np.full(ends.size, end) for end in ax.get_ylim())
    first, last = plan - lags[0] * whole, plan - lags[-1] * whole
    zones = [
        (first, top, GREEN, 0.20, f"green: less than {100 * lags[0]:g} % behind"),
        (last, first, YELLOW, 0.55, "yellow: between"),
        (bottom, last, VERMILION, 0.22, f"red: {100 * lags[-1]:g} % behind or more"),
    ]
    handles = []
    for low, high, colour, alpha, label in zones:
        if not np.array_equal(low, high):
            ax.fill_between(ends, low, high, color=colour, alpha=alpha, lw=0, zorder=0)
            handles.append(Patch(color=colour, alpha=alpha, lw=0, label=label))
    return handles


def _lines(ax: Axes, ends: np.ndarray, values: np.ndarray, levels: np.ndarray, plan: np.ndarray) -> list[Line2D]:
    """The plan, the median, the widest pair of quantiles and the one nearest to the quartiles.

    Lines all: fills would hide the bands.
    """
    looks: list[tuple[np.ndarray, dict[str, Any]]] = [
        (plan, {"color": BLACK, "lw": 1.6, "ls": (0, (5, 2)), "label": "plan", "zorder": 5}),
        (values[:, int(np.argmin(abs(levels - 0.5)))], {"color": BLUE, "lw": 2.4, "label": "median", "zorder": 4}),
    ]
    pairs = len(levels) // 2
    inner = int(np.argmin(abs(levels[:pairs] - 0.25))) if pairs else 0
    for k, style in ({inner: "-", 0: (0, (1.2, 1.6))} if pairs else {}).items():
        label = f"{100 * (levels[-1 - k] - levels[k]):g} % of years lie between"
        looks.append((values[:, [k, -1 - k]], {"color": BLUE, "lw": 1.2, "ls": style, "label": label, "zorder": 3}))
    marker = "o" if ends.size == 1 else None  # a line of one point would not show
    return [ax.plot(ends, at, marker=marker, **look)[0] for at, look in looks]
