"""How the charts of a sensitivity study write its output: P(attain) in percent, money in the plan's unit."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from engine.names import SENSITIVITY_LABELS
from engine.plots.style import GREY, figure_text, in_unit, money_unit, number, unit_name

FEWEST = 3  # knobs of a chart


def worth_showing(dataset: xr.Dataset, most: int) -> xr.Dataset:
    """The knobs worth a row, in order: at most so many, but a few in any case."""
    return dataset.isel(knob=slice(min(most, max(FEWEST, int(dataset["worth"].values.sum())))))


def left_out(dataset: xr.Dataset, shown: xr.Dataset) -> str:
    """How many knobs have no place in the chart."""
    rest = dataset.sizes["knob"] - shown.sizes["knob"]
    return f"{rest} more knob{'s' if rest > 1 else ''} left out" if rest else ""


def knob_value(dataset: xr.Dataset, j: int, end: str) -> str:
    """The value of a knob at one end of its range, money in the plan's unit."""
    value = float(dataset[end].values[j])
    if dataset.attrs.get("currency") and str(dataset["unit"].values[j]) == dataset.attrs["currency"]:
        scale, prefix = money_unit(float(dataset.attrs["target"]))
        return f"{number(value / scale, 1)} {prefix}".strip()
    return number(value, 0) if abs(value) >= 1e4 else f"{value:.3g}"


def clipped(dataset: xr.Dataset, value: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of intervals; a probability stays between 0 and 1."""
    low, high = value - error, value + error
    if dataset.attrs["output"] == "p_attain":
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return low, high


def scale_of(dataset: xr.Dataset) -> float:
    """What the output is divided by: 1 for P(attain)."""
    return 1.0 if dataset.attrs["output"] == "p_attain" else money_unit(float(dataset.attrs["target"]))[0]


def unit_of(dataset: xr.Dataset) -> str:
    """Unit of the output; nothing for P(attain)."""
    if dataset.attrs["output"] == "p_attain":
        return ""
    return unit_name(money_unit(float(dataset.attrs["target"]))[1], dataset.attrs.get("currency", ""))


def output_label(dataset: xr.Dataset) -> str:
    """Label of the axis of the output."""
    label, unit = SENSITIVITY_LABELS[dataset.attrs["output"]], unit_of(dataset)
    label = label[0].upper() + label[1:]
    return f"{label}, {unit}" if unit else label


def base_text(dataset: xr.Dataset) -> str:
    """The output with all knobs central, with its standard error."""
    label = SENSITIVITY_LABELS[dataset.attrs["output"]]
    value, error = float(dataset.attrs["base"]), float(dataset.attrs["base_se"])
    if dataset.attrs["output"] == "p_attain":
        return f"{label} {figure_text(100 * value, 100 * error, 3)} %"
    scale = scale_of(dataset)
    return f"{label} {figure_text(value / scale, error / scale, 1)} {unit_of(dataset)}"


def put_units(ax: Axes, which: str, dataset: xr.Dataset) -> None:
    """Label the ticks of the axis of the output."""
    if dataset.attrs["output"] == "p_attain":
        axis = ax.xaxis if which == "x" else ax.yaxis
        axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    else:
        in_unit(ax, which, scale_of(dataset))


def change_text(dataset: xr.Dataset, value: float, error: float, sign: str = "+") -> str:
    """A change of the output with its standard error: P(attain) in points, money in the plan's unit.

    Examples
    --------
    >>> study = xr.Dataset(attrs={"output": "p_attain"})
    >>> change_text(study, 0.4581, 0.0071), change_text(study, -0.0018, 0.00051)
    ('+45.8 ± 0.8', '−0.18 ± 0.06')
    """
    scale = 0.01 if dataset.attrs["output"] == "p_attain" else scale_of(dataset)
    return figure_text(value / scale, error / scale, 2, sign)


def change_unit(dataset: xr.Dataset) -> str:
    """Unit of changes of the output."""
    return unit_of(dataset) or "points"


def write_beside(ax: Axes, head: str, texts: list[str]) -> None:
    """A column of figures to the right of the axes, a row each: bars that one long bar dwarfs can still be read."""
    for row, text in enumerate(texts):
        ax.annotate(
            text, (1.0, row), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=9,
        )  # fmt: skip
    ax.annotate(
        head, (1.0, 1.0), (8, 2), xycoords="axes fraction", textcoords="offset points", va="bottom", fontsize=9,
        color=GREY,
    )  # fmt: skip


def subtitle(ax: Axes, *lines: str) -> None:
    """Lines between the title and the axes."""
    text = "\n".join(line for line in lines if line)
    note = ax.annotate(text, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=GREY)
    note.set_in_layout(False)
