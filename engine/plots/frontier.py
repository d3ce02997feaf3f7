"""P(attain) against money: the budget, or what a fund holds."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.plots.style import BLUE, GREY, VERMILION, in_unit, money_unit, new_axes, number, styled, unit_name


def frontier(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw P(attain) of the best allocation at each amount of money.

    Two intervals: the wide one says what other worlds would change of P itself, the narrow one what they would change
    of the difference to the plan's amount.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``p_attain``, ``se``, ``change``, ``change_se`` (money); attrs ``of``, ``plan``, ``currency``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    money, p, se = (np.asarray(dataset[name].values, dtype=float) for name in ("money", "p_attain", "se"))
    paired = np.asarray(dataset["change_se"].values, dtype=float)
    plan, of = float(dataset.attrs["plan"]), str(dataset.attrs["of"])
    at_plan = float(np.interp(plan, money, p))
    scale, prefix = money_unit(float(money.max()))
    unit = unit_name(prefix, dataset.attrs.get("currency", ""))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ax.fill_between(money, p - 1.645 * se, p + 1.645 * se, color=BLUE, alpha=0.12, lw=0)
        ax.errorbar(money, p, yerr=1.645 * paired, color=BLUE, fmt="o-", ms=5, lw=2, capsize=3)
        ax.axvline(plan, color=VERMILION, lw=1.4, ls=(0, (5, 2)))
        ax.plot([plan], [at_plan], "o", color=VERMILION, ms=8, mec="white", mew=1.2, zorder=5)
        ax.set_ylim(max(0.0, float((p - 2.2 * se).min())), min(1.0, float((p + 2.2 * se).max())))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        in_unit(ax, "x", scale)
        what = "the budget" if of == "budget" else f"the fund {of}"
        ax.set_xlabel(f"{what[0].upper()}{what[1:]}, {unit}")
        ax.set_ylabel("P(attain), money set out best")
        ax.set_title(f"What {what} buys", pad=40)
        words = (
            f"Dashed: the plan, {number(plan / scale, 1)} {unit}, P(attain) {100 * at_plan:.1f} %. 90 % intervals:\n"
            "bars of the difference to it, band of P itself (other worlds would move the whole curve)"
        )
        note = ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        note.set_in_layout(False)
    return ax
