"""The fan chart: cumulative revenue month by month against the plan and the review's bands."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from engine.plots.style import BLACK, BLUE, GREEN, VERMILION, YELLOW, in_unit, money_unit, new_axes, styled, unit_name


def fan(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the quantiles of cumulative revenue around the plan's path.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``cumulative`` (quantile, month) and ``plan`` (month), both cumulative to the end of the month [currency];
        attrs ``lags`` (fractions of the plan by which revenue may lag), ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes

    Notes
    -----
    Green is less than the lowest lag behind the plan, red at or beyond the highest, yellow between. Everything starts
    from 0 at the start of the first month.
    """
    with styled():
        ax = new_axes() if ax is None else ax
        ends = np.arange(dataset.sizes["month"] + 1)
        plan = _from_zero(dataset["plan"].values)
        quantiles = dataset["cumulative"].transpose("month", "quantile")
        levels = np.asarray(quantiles["quantile"].values, dtype=float)
        values = _from_zero(quantiles.values)
        top = 1.05 * max(values.max(), plan.max())

        bands = _bands(ax, ends, plan, dataset.attrs.get("lags", ()), top)
        ranges = _ranges(ax, ends, values, levels)
        middle = values[:, int(np.argmin(abs(levels - 0.5)))]
        ax.plot(ends, middle, color=BLUE, lw=2.4, zorder=4)
        ax.plot(ends, plan, color=BLACK, lw=1.6, ls=(0, (5, 2)), zorder=5)

        ax.set_xlim(0, ends[-1])
        ax.set_ylim(0, top)
        ax.set_xticks(ends[1:] - 0.5, labels=_month_labels(dataset["month"].values))
        ax.tick_params(axis="x", length=0)
        ax.grid(False, axis="x")
        scale, prefix = money_unit(plan[-1])  # the plan's path ends at its target
        in_unit(ax, "y", scale)
        ax.set_ylabel(
            ", ".join(filter(None, ["Cumulative revenue", unit_name(prefix, dataset.attrs.get("currency", ""))]))
        )
        ax.set_title("Revenue to date against the plan")
        lines = [
            Line2D([], [], color=BLACK, lw=1.6, ls=(0, (5, 2)), label="plan"),
            Line2D([], [], color=BLUE, lw=2.4, label="median"),
        ]
        ax.legend(
            handles=[*lines, *ranges, *bands],
            loc="upper left",
            frameon=True,
            facecolor="white",
            framealpha=1.0,
            edgecolor="none",
        )
    return ax


def _from_zero(cumulative: np.ndarray) -> np.ndarray:
    """Put the zero before the first month in front."""
    return np.concatenate([np.zeros_like(cumulative[:1]), cumulative], axis=0)


def _bands(ax: Axes, ends: np.ndarray, plan: np.ndarray, lags: object, top: float) -> list[Patch]:
    """Shade where the review says green, yellow and red."""
    lags = np.sort(np.atleast_1d(np.asarray(lags, dtype=float)))
    if lags.size == 0:
        return []
    first, last = plan * (1 - lags[0]), plan * (1 - lags[-1])
    zones = [
        (first, np.full_like(plan, top), GREEN, 0.20, f"green: less than {100 * lags[0]:g} % behind"),
        (last, first, YELLOW, 0.55, "yellow: between"),
        (np.zeros_like(plan), last, VERMILION, 0.22, f"red: {100 * lags[-1]:g} % behind or more"),
    ]
    handles = []
    for low, high, colour, alpha, label in zones:
        if not np.array_equal(low, high):
            ax.fill_between(ends, low, high, color=colour, alpha=alpha, lw=0, zorder=0)
            handles.append(Patch(color=colour, alpha=alpha, lw=0, label=label))
    return handles


def _ranges(ax: Axes, ends: np.ndarray, values: np.ndarray, levels: np.ndarray) -> list[Line2D]:
    """The widest pair of quantiles and the one nearest to the quartiles, as lines: fills would hide the bands."""
    pairs = len(levels) // 2
    if pairs == 0:
        return []
    inner = int(np.argmin(abs(levels[:pairs] - 0.25)))
    handles = []
    for k, style in {inner: "-", 0: (0, (1.2, 1.6))}.items():
        pair = values[:, [k, -1 - k]]
        ax.plot(ends, pair, color=BLUE, lw=1.2, ls=style, zorder=3)
        label = f"{100 * (levels[-1 - k] - levels[k]):g} % of years lie between"
        handles.append(Line2D([], [], color=BLUE, lw=1.2, ls=style, label=label))
    return handles


def _month_labels(months: np.ndarray) -> list[str]:
    """``Jan`` .. ``Dec``, the year below the first month and below each January; few enough to stay readable."""
    stamps = months.astype("datetime64[M]")
    every = int(np.ceil(len(stamps) / 16))
    labels = []
    for i, stamp in enumerate(stamps):
        name = stamp.item().strftime("%b")
        year = f"\n{stamp.item():%Y}" if i == 0 or stamp.item().month == 1 else ""
        labels.append(name + year if i % every == 0 else "")
    return labels
