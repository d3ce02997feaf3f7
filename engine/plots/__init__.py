"""Charts: each takes a Dataset and ``ax=None``, draws on one Axes and returns it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.plots.allocation import allocation
from engine.plots.box import box
from engine.plots.decision import decision
from engine.plots.density import density
from engine.plots.drawdown import drawdown
from engine.plots.exceedance import exceedance
from engine.plots.fan import fan
from engine.plots.frontier import frontier
from engine.plots.fundcurve import fundcurve
from engine.plots.heatmap import heatmap, multiples
from engine.plots.indices import indices
from engine.plots.matrix import MATRICES, matrix
from engine.plots.peeling import peeling
from engine.plots.prices import prices
from engine.plots.responses import responses
from engine.plots.scurve import scurve
from engine.plots.spider import spider
from engine.plots.stress import stress
from engine.plots.tornado import tornado
from engine.plots.waterfall import waterfall

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from engine.analysis.attainment import Forecast
    from engine.analysis.contingency import Contingency
    from engine.analysis.discovery.study import Discovery

__all__ = [
    "allocation",
    "box",
    "decision",
    "density",
    "drawdown",
    "exceedance",
    "fan",
    "frontier",
    "fundcurve",
    "heatmap",
    "indices",
    "matrix",
    "multiples",
    "peeling",
    "prices",
    "responses",
    "scurve",
    "spider",
    "stress",
    "tornado",
    "waterfall",
    "save",
    "save_allocation",
    "save_contingency",
    "save_decision",
    "save_density",
    "save_discovery",
    "save_forecast",
    "save_frontier",
    "save_sensitivity",
    "save_stress",
]


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


def save_allocation(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write every chart of an allocation into a folder as PNG; returns the files."""
    charts = {"allocation": allocation, "prices": prices, "responses": responses}
    return [save(draw(dataset), Path(folder) / f"{name}.png") for name, draw in charts.items()]


def save_contingency(found: Contingency, folder: str | Path) -> list[Path]:
    """Write every chart of a contingency study into a folder as PNG; returns the files."""
    charts = {
        "fund": fundcurve(found.curve_dataset), "drawdown": drawdown(found.drawn_dataset),
        "exceedance": exceedance(found.losses_dataset), "waterfall": waterfall(found.waterfall_dataset),
    }  # fmt: skip
    placed = found.matrix_dataset
    for which, bands in MATRICES.items():
        if placed["level"].isin(list(bands)).any():
            charts[f"matrix_{which}"] = matrix(placed, which)
    return [save(ax, Path(folder) / f"{name}.png") for name, ax in charts.items()]


def save_decision(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the chart of what each knob does to the decision into a folder as PNG; returns the files."""
    return [save(decision(dataset), Path(folder) / "decision.png")]


def save_discovery(found: Discovery, folder: str | Path) -> list[Path]:
    """Write the charts of every kind of year found into a folder as PNG; returns the files."""
    charts = {f"box_{j + 1}" if j else "box": box(found.box_dataset(j)) for j in range(len(found.boxes))}
    charts["peeling"] = peeling(found.peeling_dataset)
    return [save(ax, Path(folder) / f"{name}.png") for name, ax in charts.items()]


def save_frontier(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the chart of a frontier into a folder as PNG; returns the files."""
    return [save(frontier(dataset), Path(folder) / f"frontier_{_file_name(dataset.attrs['of'])}.png")]


def save_stress(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the chart of a stress test into a folder as PNG; returns the files."""
    return [save(stress(dataset), Path(folder) / "stress.png")]


def save_sensitivity(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the chart of a sensitivity study, named by its method, into a folder as PNG; returns the files."""
    method = str(dataset.attrs["method"])
    draw = {"tornado": tornado, "spider": spider}.get(method, indices)
    return [save(draw(dataset), Path(folder) / f"{method}.png")]


def save_density(dataset: xr.Dataset, folder: str | Path) -> list[Path]:
    """Write the chart of a driver of misses into a folder as PNG; returns the files."""
    return [save(density(dataset), Path(folder) / f"density_{_file_name(dataset.attrs['driver'])}.png")]


def _file_name(name: str) -> str:
    """A name of the user's as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
