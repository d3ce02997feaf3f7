"""The S-curve: the chance that the year's revenue reaches at least a given amount, and P(attain) at the target."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLUE, GREY, VERMILION, in_unit, money_unit, new_axes, number, styled, unit_name


def scurve(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the exceedance curve of annual revenue with the target.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``revenue`` (quantile), the quantiles of annual revenue [currency]; attrs ``target`` [currency], ``p_value``
        (P(attain)), ``p_lo`` and ``p_hi`` (its band across worlds; equal with one world), ``p_se_sampling``
        and ``p_se`` (its error at the worlds drawn, and over worlds), ``paths``, ``worlds``, ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    attrs = dataset.attrs
    target = float(attrs["target"])
    levels = np.asarray(dataset["quantile"].values, dtype=float)
    revenue = np.asarray(dataset["revenue"].values, dtype=float)
    attain = float(attrs.get("p_value", 1 - np.interp(target, revenue, levels)))
    low, high = float(attrs.get("p_lo", attain)), float(attrs.get("p_hi", attain))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ax.fill_between(revenue, 0, 1 - levels, color=BLUE, alpha=0.10, lw=0)
        ax.plot(revenue, 1 - levels, color=BLUE, lw=2.2)
        ax.axvline(target, color=VERMILION, lw=1.6, ls=(0, (5, 2)))
        if low < high:
            ax.errorbar(
                [target], [attain], yerr=[[max(0.0, attain - low)], [max(0.0, high - attain)]], color=VERMILION, lw=2.4,
                capsize=6, capthick=2.0, zorder=5, clip_on=False,
            )  # fmt: skip
        ax.plot([target], [attain], "o", color=VERMILION, ms=8, mec="white", mew=1.2, zorder=6, clip_on=False)

        left, right = _limits(revenue, target)
        ax.set_xlim(left, right)
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        scale, prefix = money_unit(target)
        in_unit(ax, "x", scale)
        unit = unit_name(prefix, attrs.get("currency", ""))
        ax.set_xlabel(", ".join(filter(None, ["Revenue of the horizon", unit])))
        ax.set_ylabel("Chance of at least this revenue")
        # Words above the Axes: inside they would hide the curve, or the target's line, for some plan.
        text = _words(attrs, attain, low, high, f"{number(target / scale, 1)} {unit}".strip())
        ax.set_title("How likely the target is", pad=14 + 13 * text.count("\n") + 13)
        words = ax.annotate(
            text, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", va="bottom", color=GREY
        )
        words.set_in_layout(False)  # a long line would squeeze the Axes; the title's pad has made room
    return ax


def _limits(revenue: np.ndarray, target: float) -> tuple[float, float]:
    """Room for the whole curve and the target, with a margin."""
    low, high = min(revenue[0], target), max(revenue[-1], target)
    margin = 0.04 * (high - low) or 0.05 * abs(target)
    return low - margin, high + margin


def _words(attrs: dict, attain: float, low: float, high: float, target: str) -> str:
    lines = [f"Dashed: the target, {target}. {_chance(attrs, attain)}"]
    if low < high:
        lines.append(f"Bar: {100 * low:.0f} % to {100 * high:.0f} % in 90 % of the worlds (what nobody knows)")
    return "\n".join(lines)


def _chance(attrs: dict, attain: float) -> str:
    """P(attain) with both its errors; by the rule of three where all paths agreed."""
    paths = attrs.get("paths")
    if attain in (0.0, 1.0) and paths:
        bound = 300.0 / paths
        if attain == 0.0:
            return f"P(attain): none of {paths:,} paths, at most {bound:.2g} % (95 % bound)"
        return f"P(attain): all of {paths:,} paths, at least {100 - bound:.6g} % (95 % bound)"
    errors = {"sampling": attrs.get("p_se_sampling"), "worlds drawn": attrs.get("p_se")}
    if attrs.get("worlds") == 1:
        del errors["worlds drawn"]
    known = {name: error for name, error in errors.items() if error is not None}
    words = [f" \N{PLUS-MINUS SIGN} {100 * error:.2g} ({name})" for name, error in known.items()]
    return f"P(attain) {100 * attain:.1f}{''.join(words)} %" if words else f"P(attain) {100 * attain:.1f} %"
