"""Plan against optimum: what each line and fund has, and what it is to get."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREY, ORANGE, in_unit, money_unit, new_axes, number, styled, unit_name


def allocation(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the amounts of the plan and of the optimum, a row for each line and fund.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``plan``, ``optimum`` (item) [currency]; attrs ``currency``, ``budget``, ``unspent``, ``plan_unspent``,
        ``p_attain``, ``p_attain_plan``, ``gain``, ``gain_se``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    attrs = dataset.attrs
    plan, optimum = (np.asarray(dataset[name].values, dtype=float) for name in ("plan", "optimum"))
    names = [str(name) for name in dataset["item"].values]
    budget = float(attrs["budget"])
    left, plan_left = float(attrs["unspent"]), float(attrs["plan_unspent"])
    if max(left, plan_left) > 1e-4 * budget:
        names, plan, optimum = [*names, "unspent"], np.append(plan, plan_left), np.append(optimum, left)
    rows = np.arange(len(names))[::-1]
    scale, prefix = money_unit(budget)
    unit = unit_name(prefix, attrs.get("currency", ""))
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ax.hlines(rows, np.minimum(plan, optimum), np.maximum(plan, optimum), color="#BBBBBB", lw=3, zorder=1)
        ax.scatter(plan, rows, s=60, color=GREY, marker="o", label="plan", zorder=2, clip_on=False)
        ax.scatter(optimum, rows, s=70, color=BLUE, marker="D", label="optimum", zorder=3, clip_on=False)
        for row, before, after in zip(rows, plan, optimum, strict=True):
            if abs(after - before) > 5e-4 * budget:
                text = f"{(after - before) / scale:+,.1f}".replace("-", "\N{MINUS SIGN}")
                ax.annotate(
                    text, (max(before, after), row), (9, 0), textcoords="offset points", va="center",
                    color=BLUE if after > before else ORANGE, fontsize=9,
                )  # fmt: skip
        ax.set_yticks(rows, names)
        ax.tick_params(axis="y", pad=8)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.7, len(names) - 0.3)
        ax.set_xlim(0, 1.12 * max(plan.max(), optimum.max()))
        in_unit(ax, "x", scale)
        ax.set_xlabel(unit)
        words = (
            f"{number(budget / scale, 1)} {unit} in all. P(attain) {100 * attrs['p_attain']:.1f} % against "
            f"{100 * attrs['p_attain_plan']:.1f} %: {100 * attrs['gain']:+.1f} \N{PLUS-MINUS SIGN} "
            f"{100 * attrs['gain_se']:.1f} points"
        )
        ax.set_title("Where the money goes", pad=26)
        ax.annotate(words, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
        ax.legend(loc="lower right")
    return ax
