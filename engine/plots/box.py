"""One kind of year: the range that each factor keeps to, within the range that it usually has."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREY, PM, SIZE, new_figure, styled

_WIDTH = 30  # letters of a factor's name in one line
_ROW = 0.75  # height of a row [inch]


def box(dataset: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Draw the range of every restricted factor as a bar within its usual range, with the limits written.

    Parameters
    ----------
    dataset : xarray.Dataset
        ``low``, ``high`` (infinite where there is no limit), ``least``, ``most`` and their ``_text``, ``text``, all
        (factor); attrs ``miss``, ``number``, ``share``, ``density``, ``coverage``, ``mass``, and of these
        three ``_se``.
    ax : Axes, optional
        Where to draw. By default a figure of its own, as high as its rows need.

    Returns
    -------
    Axes
    """
    attrs, names = dataset.attrs, [str(name) for name in dataset["factor"].values]
    rows = np.arange(len(names))[::-1]
    with styled():
        if ax is None:
            size = (SIZE[0] + 1.0, 2.1 + _ROW * len(names))
            ax = new_figure(dataset.attrs, size).add_subplot()
        ax.barh(rows, 1.0, height=0.34, color="#E4E4E4")
        for row, name in zip(rows, names, strict=True):
            _range(ax, int(row), dataset.sel(factor=name))
        ax.set_yticks(rows, [_folded(name) for name in names])
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.7, len(names) - 0.3)
        ax.set_xticks([])
        ax.grid(visible=False)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.set_title(_title(attrs))
        much = " by so much" if attrs["miss"] else ""
        usual = f"Of all years {100 * attrs['share']:.1f} % miss{much}. {PM} is one standard error."
        bars = "Blue: what holds in these years. Grey: the factor's usual range. Lengths are of ranges, not of years."
        note = f"{bars}\n{usual}"
        ax.set_xlabel(note, fontsize=9, color=GREY, loc="left")
    return ax


def _folded(name: str) -> str:
    """A dotted name in lines that break after dots.

    Examples
    --------
    >>> _folded("streams.key_accounts_north.customers.change")
    'streams.key_accounts_north.\\ncustomers.change'
    """
    return "\n".join(line.replace(". ", ".") for line in textwrap.wrap(name.replace(".", ". "), _WIDTH))


def _title(attrs: dict[str, float]) -> str:
    by = f" by more than {100 * attrs['miss']:.3g} %" if attrs["miss"] else ""
    head = f"Kind of year {attrs['number']}: {_share(attrs, 'density')} miss the target{by}"
    return f"{head}\n{_share(attrs, 'mass')} of all years, {_share(attrs, 'coverage')} of all misses"


def _share(attrs: dict[str, float], name: str) -> str:
    error = math.ceil(1000 * attrs[f"{name}_se"] - 1e-9) / 10  # rounded up: what is written never understates it
    return f"{100 * attrs[name]:.1f}{f' {PM} {error:.1f}' if error else ''} %"


def _range(ax: Axes, row: int, at: xr.Dataset) -> None:
    """One factor: its bar, its limits above, the ends of its usual range below, the restriction in words above."""
    least, most = float(at["least"]), float(at["most"])
    span = (most - least) or 1.0
    left, right = (float(np.clip((float(at[name]) - least) / span, 0.0, 1.0)) for name in ("low", "high"))
    ax.barh(row, right - left, left=left, height=0.34, color=BLUE)
    ax.annotate(str(at["text"].item()), (0.0, row + 0.2), (0, 4), textcoords="offset points", fontsize=10)
    for x, name, side in ((left, "low_text", "left"), (right, "high_text", "right")):
        if words := str(at[name].item()):
            inside = right - left > 0.2
            where = side if inside else {"left": "right", "right": "left"}[side]
            shift = 4 if (where == "left") else -4
            colour = "white" if inside else "#222222"
            ax.annotate(
                words, (x, row), (shift, 0), textcoords="offset points", va="center", ha=where, fontsize=9, color=colour
            )
    for x, name, side in ((0.0, "least_text", "left"), (1.0, "most_text", "right")):
        ax.annotate(
            str(at[name].item()), (x, row - 0.2), (0, -3), textcoords="offset points", va="top", ha=side, fontsize=8,
            color=GREY,
        )  # fmt: skip
