"""Charts: each takes a Dataset and ``ax=None``, draws on one Axes and returns it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.plots.fan import fan
from engine.plots.scurve import scurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from engine.analysis.attainment import Forecast

__all__ = ["fan", "scurve", "save", "save_forecast"]


def save(ax: Axes, file: str | Path) -> Path:
    """Write the figure of an Axes; the suffix of the name says the format."""
    from matplotlib.figure import Figure

    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.savefig(file, facecolor="white")
    return Path(file)


def save_forecast(forecast: Forecast, folder: str | Path) -> list[Path]:
    """Write every chart of a forecast into a folder as PNG; returns the files."""
    charts = {"fan": fan(forecast.fan), "scurve": scurve(forecast.curve)}
    return [save(ax, Path(folder) / f"{name}.png") for name, ax in charts.items()]
