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

from engine import plots
from engine.plots import allocation, fan, frontier, prices, responses, save_forecast, scurve, stress


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


def made_up_allocation(items: int = 3) -> xr.Dataset:
    """Amounts, prices and curves of so many lines and one fund."""
    names = [f"line_{j}" for j in range(items)] + ["reserve"]
    n = len(names)
    amount = np.linspace(0, 1, 50) * np.linspace(20e6, 60e6, n)[:, None]
    columns = {
        "plan": np.full(n, 10e6), "optimum": np.linspace(0, 30e6, n), "low": np.zeros(n), "high": np.full(n, 60e6),
        "price_up": np.linspace(0.05, 0.1, n), "price_up_se": np.full(n, 0.01),
        "price_down": np.append(np.full(n - 1, 0.1), np.nan), "price_down_se": np.append(np.full(n - 1, 0.01), np.nan),
        "acts": np.ones(n, bool),
    }  # fmt: skip
    return xr.Dataset(
        {name: ("item", values) for name, values in columns.items()}
        | {
            "amount": (("item", "point"), amount),
            "response": (("item", "point"), 0.1 * (1 - np.exp(-amount / 1e7))),
        },
        {"item": names, "table": ("item", ["lines"] * items + ["funds"])},
        {
            "currency": "CNY", "budget": 100e6, "unspent": 5e6, "plan_unspent": 0.0, "p_attain": 0.3,
            "p_attain_plan": 0.2, "gain": 0.1, "gain_se": 0.01,
        },
    )  # fmt: skip


@pytest.mark.parametrize("chart", [allocation, prices, responses])
@pytest.mark.parametrize("items", [1, 10])
def test_charts_of_an_allocation_show_every_item(chart: Callable, items: int) -> None:
    dataset = made_up_allocation(items)
    ax = Figure().add_subplot()
    assert chart(dataset, ax=ax) is ax
    shown = {text.get_text() for text in (*ax.get_yticklabels(), *ax.texts)}
    lines = {f"line_{j}" for j in range(items)}
    assert lines <= shown
    assert ("reserve" in shown) is (chart is not responses)  # a fund has no response
    assert ("unspent" in shown) is (chart is allocation)


def test_the_frontier_marks_the_plan() -> None:
    p = np.array([0.1, 0.2, 0.25])
    dataset = xr.Dataset(
        {
            "p_attain": ("money", p), "se": ("money", np.full(3, 0.01)), "change": ("money", p - 0.2),
            "change_se": ("money", np.full(3, 0.002)),
        },
        {"money": [80e6, 100e6, 120e6]},
        {"of": "budget", "plan": 100e6, "currency": "CNY", "paths": 1000},
    )  # fmt: skip
    ax = frontier(dataset)
    assert any("100 M CNY" in text.get_text() for text in ax.texts)
    assert ax.get_ylim()[0] < 0.1 and ax.get_ylim()[1] > 0.25


def made_up_stresses() -> xr.Dataset:
    """Two stresses that harm and one that helps, worst first."""
    columns = {"difference": np.array([-0.06, -0.01, 0.02]), "revenue_difference": np.array([-60e6, -5e6, 0.0])}
    errors = {f"{name}_se": 0.1 * np.abs(values) for name, values in columns.items()}
    attrs = {"p_attain": 0.09, "p_attain_se": 0.01, "revenue": 1.35e9, "revenue_se": 5e6, "target": 1.5e9}
    return xr.Dataset(
        {name: ("stress", values) for name, values in (columns | errors).items()},
        {"stress": ["slump", "a price war that lasts for all of the second quarter", "luck"]},
        {"scenario": "Plan", "currency": "CNY", **attrs},
    )  # fmt: skip


@pytest.mark.parametrize("given", [True, False])
def test_stresses_stand_side_by_side_worst_at_the_top(given: bool) -> None:
    axes = Figure(layout="constrained").add_subplot() if given else None
    ax = stress(made_up_stresses(), ax=axes)
    assert axes is None or ax is axes
    figure = ax.get_figure()
    assert figure is not None
    left, right = figure.axes
    assert left is ax
    tops = sorted(zip(ax.get_yticks(), ax.get_yticklabels(), strict=True), key=lambda tick: -tick[0])
    assert [label.get_text().split()[0] for _, label in tops] == ["slump", "a", "luck"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([-6.0, -1.0, 2.0])  # points
    assert [bar.get_width() for bar in right.patches] == pytest.approx([-60.0, -5.0, 0.0])  # M CNY
    for panel, number in ((left, "+2.0"), (right, "0")):
        assert number in [text.get_text() for text in panel.texts]
        low, high = panel.get_xlim()
        assert all(
            low < bar.get_width() + sign * 0.2 * abs(bar.get_width()) < high
            for bar in panel.patches
            for sign in (-1, 1)
        )


def steps(names: list[str], change: list[float], se: list[float]) -> xr.Dataset:
    return xr.Dataset(
        {"change": ("step", np.array(change)), "se": ("step", np.array(se))}, {"step": names}, {"currency": "CNY"}
    )


def test_the_bars_of_a_waterfall_meet_and_the_small_ones_share_one() -> None:
    taken = [-40.0, 25.0, *(-float(k) for k in range(1, 12))]
    names = ["plan", "before any risk", *(f"r{k}" for k in range(12)), "median year"]
    change = [1000.0, *taken, 1000.0 + sum(taken)]
    ax = plots.waterfall(steps(names, change, [0.0, *([1.0] * 13), 2.0]))
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(bars) == len(labels) == 2 + 8 + 2 and labels[-2] == "4 other risks"
    ends = [bars[0][1]]
    for low, high in bars[1:-1]:
        assert any(end == pytest.approx(ends[-1]) for end in (low, high))
        ends.append(low if high == pytest.approx(ends[-1]) else high)
    assert ends[-1] == pytest.approx(change[-1]) == pytest.approx(bars[-1][1])


def test_a_chart_of_its_own_names_plan_and_run_and_one_in_a_given_place_does_not() -> None:
    forecast = MadeUpForecast()
    curve = forecast.curve.assign_attrs(scenario="Plan A", run="10 paths in 1 world, seed 3")
    assert [text.get_text() for text in scurve(curve).get_figure().texts] == ["Plan A   10 paths in 1 world, seed 3"]
    figure = Figure()
    scurve(curve, figure.add_subplot())
    assert not figure.texts


def test_below_the_fan_stands_how_far_each_line_is_from_the_plan() -> None:
    dataset = MadeUpForecast().fan.assign_attrs(lags=[0.05, 0.15])
    ax = fan(dataset)
    _, gap = ax.get_figure().axes
    plan, median, *_ = gap.get_lines()
    share = dataset["cumulative"].sel(quantile=0.5).values / dataset["plan"].values - 1.0
    assert np.allclose(median.get_ydata(), share) and not np.any(plan.get_ydata())
    low, high = gap.get_ylim()
    assert low < -0.15 and high >= 0.0


def test_a_fan_of_one_month_shows_points_and_one_may_lie_anywhere() -> None:
    dataset = MadeUpForecast().fan.assign_attrs(lags=[])
    ax = fan(dataset.isel(month=[0]))
    assert all(line.get_marker() == "o" for line in ax.get_figure().axes[1].get_lines())
    flat = dataset.copy(deep=True)
    flat["cumulative"] = flat["plan"] + 0.0 * flat["cumulative"]
    low, high = fan(flat).get_figure().axes[1].get_ylim()
    assert low < 0.0 < high
    figure = Figure()
    upper = fan(dataset, figure.add_axes((0.1, 0.1, 0.8, 0.8)))
    lower = figure.axes[1]
    assert upper.get_position().y0 > lower.get_position().y1 > lower.get_position().y0 == pytest.approx(0.1)


def test_the_matrix_places_risks_and_keeps_labels_apart() -> None:
    names = ["a_long_name_of_a_risk", "another_long_name", "third"]
    columns = {"p": [0.8, 0.8, 0.79], "impact": [0.1, 0.12, 0.11], "p_se": [0.01] * 3, "impact_se": [0.01] * 3}
    dataset = xr.Dataset(
        {"level": ("risk", ["high", "high", "red"]), **{name: ("risk", values) for name, values in columns.items()}},
        {"risk": names},
    )
    ax = plots.matrix(dataset, "levels")
    texts = {text.get_text(): text for text in ax.texts}
    shown = [f"{name} (high)" for name in names[:2]]
    assert all(name in texts for name in shown) and not any(names[2] in text for text in texts)
    (_, upper), (_, lower) = sorted((texts[name].xyann for name in shown), key=lambda at: -at[1])
    assert upper == 0.8 and upper - lower >= 0.045 - 1e-9  # a line of text is 4 % of the height


def test_exceedance_falls_and_ends_where_it_is_seen() -> None:
    loss = np.linspace(0, 100, 60)
    p = np.exp(-loss / 10)
    curves = np.array([[loss, loss / 2], [loss, loss / 2]])
    dataset = xr.Dataset(
        {
            "loss": (("risk", "view", "point"), curves),
            "p": (("risk", "view", "point"), np.broadcast_to(p, (2, 2, 60))),
            "mean": ("risk", [10.0, 10.0]),
        },
        {"risk": ["strike", "all risks"], "view": ["year", "strike"]}, {"currency": "CNY"},
    )  # fmt: skip
    ax = plots.exceedance(dataset)
    assert ax.get_yscale() == "log" and ax.get_xlim()[1] == pytest.approx(loss[p >= 1e-3].max())
    assert [text.get_text() for text in ax.get_legend().get_texts()][2:] == ["strike"]


def grid(draws: int = 2) -> xr.Dataset:
    """A batch of 2 x 3 points with an output that is 10 x + y, and a noise of 1 that the draws share out."""
    x, y, draw = (a.ravel() for a in np.meshgrid([1.0, 2.0], [1e6, 2e6, 3e6], np.arange(draws), indexing="ij"))
    noise = np.where(draw % 2, 1.0, -1.0) if draws > 1 else np.zeros(x.size)
    return xr.Dataset(
        {
            "revenue": ("world", 1e6 * (10 * x + y / 1e6 + noise), {"units": "CNY", "long_name": "revenue"}),
            "revenue_se": ("world", np.full(x.size, 2e5)),
        },
        {"a": ("world", x), "b": ("world", y)}, {"currency": "CNY"},
    )  # fmt: skip


def test_a_heatmap_shows_the_mean_of_each_point() -> None:
    ax = plots.heatmap(grid(), "a", "b", "revenue")
    assert np.asarray(ax.images[0].get_array()) / 1e6 == pytest.approx(np.array([[11, 21], [12, 22], [13, 23.0]]))
    # two draws at -1 and 1: a standard deviation of sqrt(2), an error of 1
    assert ax.texts[0].get_text() == "11.0\n± 1.0" and ax.get_title(loc="left") == "Revenue, M CNY"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1 M", "2 M", "3 M"]
    # on common paths their sampling error of 0.2 comes on top: sqrt(1 + 0.04)
    three = plots.multiples(grid().assign_attrs(common_paths=True), "a", "b", "revenue")
    assert three[0].collections[0].get_segments()[0][:, 1] == pytest.approx(
        11.0 + 1.96 * np.sqrt(1.04) * np.array([-1, 1])
    )
    alone = plots.heatmap(grid(draws=1), "a", "b", "revenue")
    assert alone.texts[-2].get_text().endswith("± 0.2")


def test_many_small_multiples_name_some_values_below_every_column() -> None:
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0.1, 0.9, 9), np.arange(6.0), indexing="ij"))
    columns = {"p_attain": ("world", x, {"units": "1"}), "p_attain_se": ("world", np.full(x.size, 0.0004))}
    batch = xr.Dataset(columns, {"a": ("world", x), "b": ("world", y)})
    axes = plots.multiples(batch, "a", "b")
    assert len(axes[0].get_xticks()) == 5
    named = [ax.xaxis.get_tick_params()["labelbottom"] for ax in axes]
    assert named == [False, False, True, True, True, True]
    assert plots.heatmap(batch, "a", "b").texts[0].get_text() == "10.00\n± 0.04"


def test_small_multiples_share_their_scale() -> None:
    axes = plots.multiples(grid(), "a", "b", "revenue")
    assert [ax.get_title(loc="left") for ax in axes] == ["1 M", "2 M", "3 M"]
    assert len({ax.get_ylim() for ax in axes}) == 1
    assert axes[2].lines[0].get_ydata() == pytest.approx([13.0, 23.0])
