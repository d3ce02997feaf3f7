"""Charts: drawn on the Axes given, everything in view, no global state left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from forecasts import MadeUpForecast
from matplotlib.figure import Figure

from engine.plots import fan, save_forecast, scurve


@pytest.mark.parametrize(("chart", "source"), [(fan, "fan"), (scurve, "curve")])
def test_charts_draw_on_the_axes_given(chart: Callable, source: str) -> None:
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    assert chart(getattr(MadeUpForecast(), source), ax=ax) is ax
    assert chart(getattr(MadeUpForecast(worlds=1), source)) is not ax
    assert dict(mpl.rcParams) == before


def test_fan_bands_follow_the_lags() -> None:
    dataset = MadeUpForecast().fan
    labels = [text.get_text() for text in fan(dataset).get_legend().get_texts()]
    assert labels[-3:] == ["green: less than 5 % behind", "yellow: between", "red: 20 % behind or more"]
    one = [text.get_text() for text in fan(dataset.assign_attrs(lags=[0.1])).get_legend().get_texts()]
    assert "yellow: between" not in one
    none = [text.get_text() for text in fan(dataset.assign_attrs(lags=[])).get_legend().get_texts()]
    assert not [label for label in none if "behind" in label]


@pytest.mark.parametrize("target", [0.5e9, 1.5e9, 3e9])
def test_target_is_always_in_view(target: float) -> None:
    ax = scurve(MadeUpForecast().curve.assign_attrs(target=target))
    low, high = ax.get_xlim()
    assert low < target < high


def test_a_certain_revenue_can_be_drawn() -> None:
    levels = np.array([0.05, 0.5, 0.95])
    curve = xr.Dataset({"revenue": ("quantile", np.full(3, 1e9))}, coords={"quantile": levels}, attrs={"target": 1e9})
    assert scurve(curve.assign_attrs(p_value=1.0)).get_xlim()[0] < 1e9


def test_charts_become_files(tmp_path: Path) -> None:
    files = save_forecast(MadeUpForecast(), tmp_path)  # type: ignore[arg-type]
    assert [file.name for file in files] == ["fan.png", "scurve.png"]
    assert all(file.stat().st_size > 10_000 for file in files)
