"""An output of a batch over two knobs: a field of cells, or one small line chart for each value of a third."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from engine.plots.style import BLUE, GREY, SIZE, money_unit, new_axes, new_figure, number, styled, unit_name

_SHARE = "1"  # the unit of probabilities and shares
_INTERVAL = 1.96  # standard errors, for 95 %
_TICKS = 5  # values at most that are named below a small chart
_PANELS = 4  # small multiples in a row


def heatmap(dataset: xr.Dataset, x: str, y: str, output: str = "p_attain", ax: Axes | None = None) -> Axes:
    """Draw the mean of an output over all worlds with the same values of two knobs, a cell for each pair.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of a batch: the output and its ``_se`` (world), knobs as coordinates; attrs ``currency`` and ``common_paths``.
    x, y : str
        Knobs of a grid.
    output : str, optional
        A probability or money.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
    """
    across, up = (np.unique(dataset[knob].values) for knob in (x, y))
    mean, se = (np.full((up.size, across.size), np.nan) for _ in range(2))
    for i, high in enumerate(up):
        for j, wide in enumerate(across):
            mean[i, j], se[i, j] = _of_point(dataset, output, {x: wide, y: high})
    scale, unit = _unit(dataset, output)
    with styled():
        ax = new_axes(dataset.attrs) if ax is None else ax
        ax.imshow(mean, origin="lower", aspect="auto", cmap="cividis")
        ax.grid(False)
        digits = _digits(se / scale)
        middle = 0.5 * (np.nanmin(mean) + np.nanmax(mean))
        for i, j in np.ndindex(mean.shape):
            if np.isfinite(mean[i, j]):
                words = f"{mean[i, j] / scale:,.{digits}f}\n± {se[i, j] / scale:,.{digits}f}"
                colour = "white" if mean[i, j] < middle else "black"
                ax.annotate(words, (j, i), ha="center", va="center", color=colour, fontsize=9)
        ax.set_xticks(range(across.size), _ticks(across))
        ax.set_yticks(range(up.size), _ticks(up))
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.set_title(f"{_title(dataset, output)}, {unit}", pad=26)
        note = ax.annotate(
            "Mean over all draws of a point ± one standard error", (0, 1), (0, 8), xycoords="axes fraction",
            textcoords="offset points", color=GREY,
        )  # fmt: skip
        note.set_in_layout(False)
    return ax


def multiples(dataset: xr.Dataset, x: str, by: str, output: str = "p_attain") -> list[Axes]:
    """Draw an output against one knob, a small chart for each value of another, all on the same scale.

    Parameters
    ----------
    dataset : xarray.Dataset
        As for `heatmap`.
    x, by : str
        Knobs of a grid.
    output : str, optional

    Returns
    -------
    list of Axes
        On one figure, a row of at most four.
    """
    across, values = (np.unique(dataset[knob].values) for knob in (x, by))
    scale, unit = _unit(dataset, output)
    rows = -(-values.size // _PANELS)
    columns = min(values.size, _PANELS)
    with styled():
        figure = new_figure(dataset.attrs, (SIZE[0] + 1.0, 0.6 + 2.9 * rows))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax, value, label in zip(grid, values, _ticks(values), strict=False):
            points = np.array([_of_point(dataset, output, {x: at, by: value}) for at in across]) / scale
            ax.errorbar(across, points[:, 0], yerr=_INTERVAL * points[:, 1], color=BLUE, fmt="o-", ms=4, capsize=3)
            ax.set_title(label, fontsize=10)
            every = -(-across.size // _TICKS)
            ax.set_xticks(across[::every], _ticks(across)[::every])
        for ax in grid[values.size :]:
            ax.set_visible(False)
        for ax in grid[max(0, values.size - columns) : values.size]:
            ax.tick_params(labelbottom=True)  # below it there may be no panel to have them
        figure.supylabel(f"{_title(dataset, output)}, {unit}", fontsize=10)
        figure.supxlabel(f"{x}. Bars: 95 % intervals over draws and paths", fontsize=10)
        figure.suptitle(textwrap.fill(f"By {by}", 90), x=0.01, ha="left", fontsize=12, weight="bold")
    return list(grid[: values.size])


def _of_point(dataset: xr.Dataset, output: str, at: dict[str, float]) -> tuple[float, float]:
    """Mean of an output over the worlds of one point, and its error: over draws and paths, or of the one world."""
    here = np.ones(dataset.sizes["world"], bool)
    for knob, value in at.items():
        here &= dataset[knob].values == value
    found = dataset[output].values[here]
    found, errors = found[np.isfinite(found)], dataset[f"{output}_se"].values[here]
    if found.size == 0:
        return np.nan, np.nan
    if found.size == 1:
        return float(found[0]), float(np.nanmax(errors))
    # draws on common paths share the luck of these: what differs between draws knows nothing of it
    shared = float(np.nanmean(errors**2)) if dataset.attrs.get("common_paths", False) else 0.0
    return float(found.mean()), float(np.sqrt(found.var(ddof=1) / found.size + shared))


def _unit(dataset: xr.Dataset, output: str) -> tuple[float, str]:
    """What an output is divided by, and the name of that."""
    if dataset[output].attrs.get("units", _SHARE) == _SHARE:
        return 0.01, "%"
    scale, prefix = money_unit(float(np.nanmax(np.abs(dataset[output].values))))
    return scale, unit_name(prefix, dataset.attrs.get("currency", ""))


def _digits(errors: np.ndarray) -> int:
    """Decimals that show the smallest error, one to three.

    Examples
    --------
    >>> _digits(np.array([0.6, 2.0])), _digits(np.array([0.04, 0.0])), _digits(np.array([np.nan, 0.0]))
    (1, 2, 1)
    """
    known = errors[np.isfinite(errors) & (errors > 0.0)]
    return int(np.clip(-np.floor(np.log10(known.min())), 1, 3)) if known.size else 1


def _ticks(values: np.ndarray) -> list[str]:
    """A knob's values, large money in millions or thousands alike."""
    most = float(np.abs(values).max())
    scale, prefix = (1e6, " M") if most >= 1e6 else (1e3, " k") if most >= 1e4 else (1.0, "")
    return [f"{number(value / scale)}{prefix}" for value in values]


def _title(dataset: xr.Dataset, output: str) -> str:
    return str(dataset[output].attrs.get("long_name", output)).capitalize() if output != "p_attain" else "P(attain)"
