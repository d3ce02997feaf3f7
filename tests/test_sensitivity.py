"""Sensitivity against exact indices, closed forms of the kernel, and laws of misses that can be counted by hand."""

from __future__ import annotations

import io
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console
from small import YEAR, demand, fund, launch, line, plan, risk, scenario, stream, table
from tolerance import assert_exact, share_se, within
from typer.testing import CliRunner

import engine
from engine import plots
from engine.analysis import estimates
from engine.analysis.sensitivity import drivers, indices, one_at_a_time
from engine.analysis.sensitivity.demand import mean_demand
from engine.analysis.sensitivity.factors import choose
from engine.analysis.sensitivity.indices import Index
from engine.cli import app
from engine.errors import SimulationError
from engine.report.drivers import driver_parts
from engine.report.figures import rule_of_three
from engine.scenario.worlds import central
from engine.simulation import Run, plan_run

runner = CliRunner()


def ishigami(b: float = 0.1):
    """Ishigami and Homma (1990) on the unit cube, a = 7."""

    def function(u: np.ndarray) -> np.ndarray:
        x = math.pi * (2.0 * u - 1.0)
        return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])

    return function


def ishigami_exact(b: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """First and total order: the variance splits into V1, V2 and V13."""
    v1 = 0.5 * (1.0 + b * math.pi**4 / 5.0) ** 2
    v2, v13 = 49.0 / 8.0, b**2 * math.pi**8 * (1.0 / 18.0 - 1.0 / 50.0)
    total = v1 + v2 + v13
    return np.array([v1, v2, 0.0]) / total, np.array([v1 + v13, v2, v13]) / total


G = np.array([0.0, 1.0, 4.5, 9.0, 99.0])


def g_function(u: np.ndarray) -> np.ndarray:
    """Sobol's g-function."""
    return np.prod((np.abs(4.0 * u - 2.0) + G) / (1.0 + G), axis=1)


def g_exact() -> tuple[np.ndarray, np.ndarray]:
    single = 1.0 / (3.0 * (1.0 + G) ** 2)
    every = np.prod(1.0 + single)
    return single / (every - 1.0), single * every / (1.0 + single) / (every - 1.0)


def agree(index: Index, exact: np.ndarray) -> bool:
    return all(within(v, e, se) for v, e, se in zip(index.value, exact, index.se, strict=True))


@pytest.mark.parametrize(
    ("function", "exact", "d"), [(ishigami(), ishigami_exact(), 3), (g_function, g_exact(), G.size)]
)
def test_sobol_indices_are_the_exact_ones(function, exact, d: int) -> None:
    found = indices.sobol(function, d, 1024, seed=0)
    # n = 1024: standard errors of 0.001 to 0.05
    assert agree(found.index["first"], exact[0]) and agree(found.index["total"], exact[1])
    assert found.index["total"].se.max() < 0.06
    assert list(found.index["total"].order()) == list(np.argsort(-exact[1], kind="stable"))


def test_sobol_intervals_can_tell_another_function() -> None:
    found = indices.sobol(ishigami(b=0.2), 3, 1024, seed=0)
    assert not agree(found.index["total"], ishigami_exact(b=0.1)[1])


def test_no_seed_makes_a_design_whose_intervals_are_far_off() -> None:
    """Pairs of coordinates of one Sobol' sequence may be copies of each other: then an index is many errors off."""
    held = []
    for seed in range(40):
        found = indices.sobol(g_function, G.size, 128, seed=seed).index
        score = np.array(
            [(found[name].value - e) / found[name].se for name, e in zip(("first", "total"), g_exact(), strict=True)]
        )
        assert np.abs(score).max() < 5.0, seed
        held.append(np.abs(score) < indices.Z)
    # of 40 intervals of 95 % 32 or fewer hold it once in 20 000
    assert (np.sum(held, axis=0) > 32).all()


def test_the_design_varies_one_factor_at_a_time_from_the_first_matrix_to_the_second() -> None:
    points: list[np.ndarray] = []
    indices.sobol(lambda u: (points.append(u), u[:, 0])[1], 3, 64, seed=1)
    first, *between, second = points[0].reshape(64, 5, 3).transpose(1, 0, 2)
    for j, matrix in enumerate(between):
        assert_exact(matrix, np.where(np.arange(3) == j, second, first))
    for matrix in (first, second):  # each fills the cube evenly: one point in each of 64 slices
        assert (np.sort((64 * matrix).astype(int), axis=0) == np.arange(64)[:, None]).all()


def linear(u: np.ndarray) -> np.ndarray:
    return u @ np.array([3.0, -2.0, 0.0])


def test_morris_of_a_linear_function_is_its_slope() -> None:
    found = indices.morris(linear, 3, 8, seed=2)
    # the grid spans nine tenths of the cube
    assert_exact(found.index["mu"].value, [2.7, -1.8, 0.0], atol=1e-12)
    assert_exact(found.index["mu_star"].value, [2.7, 1.8, 0.0], atol=1e-12)
    assert_exact(found.index["sigma"].value, 0.0, atol=1e-12)


def test_morris_errors_are_those_of_its_effects() -> None:
    def function(u: np.ndarray) -> np.ndarray:
        return u[:, 0] * u[:, 1] + np.sin(7.0 * u[:, 1])

    grid: list[np.ndarray] = []
    found = indices.morris(lambda u: (grid.append(u), function(u))[1], 2, 40, seed=3)
    effects = indices._effects((grid[0] - 0.05) / 0.9, function(grid[0]), 40)
    assert_exact(found.index["mu_star"].value, np.abs(effects).mean(axis=1))
    assert_exact(found.index["mu_star"].covariance, np.cov(np.abs(effects)) / 40)
    assert_exact(found.index["mu"].covariance, np.cov(effects) / 40)
    assert_exact(found.index["sigma"].value, effects.std(axis=1, ddof=1))
    for j, row in enumerate(effects):
        left_out = np.array([np.delete(row, k).std(ddof=1) for k in range(40)])
        assert_exact(found.index["sigma"].se[j] ** 2, 39 * left_out.var())


def test_morris_intervals_hold_the_mean_size_of_effects() -> None:
    """Of 100 intervals of 95 % from the fewest trajectories 85 at least hold it; from four only some 85 would."""
    exact = indices.morris(ishigami(), 3, 5000, seed=99).index["mu_star"]
    held = np.zeros(3)
    for seed in range(100):
        found = indices.morris(ishigami(), 3, 10, seed=seed).index["mu_star"]
        held += (found.lo <= exact.hi) & (exact.lo <= found.hi)
    assert (held[[0, 2]] >= 85).all()  # on this grid the effects of the second are all of one size


def test_pawn_distances_are_those_of_the_laws() -> None:
    found = indices.pawn(lambda u: u[:, 0], 3, 2000, seed=1)
    # held in slide k of ten, the law is uniform there: distances 0.9, 0.8, ..., 0.5, 0.5, ..., 0.9
    assert found.index["distance"].value[0] == pytest.approx(0.7, abs=0.01)
    assert all(found.index["distance"].value[1:] <= found.facts["without"] * 1.3)
    assert 0.03 < found.facts["without"] < 0.1


def test_pawn_resamples_the_estimator_of_salib() -> None:
    pawn = indices._salib()["pawn"]
    rng = np.random.default_rng(4)
    u = rng.random((500, 3))
    y = np.round(u[:, 0] + 0.3 * u[:, 1], 1)  # ties
    assert_exact(indices.distances(u, y), pawn.analyze(indices._problem(3), u, y, S=indices.SLIDES)["median"])


def test_rank_figures_of_a_sum_of_uniforms() -> None:
    found = indices.rank(lambda u: u[:, 0] + u[:, 1], 3, 2000, seed=1)
    # Spearman's correlation of a uniform with the sum of two: 12 E[F(u + v) u] - 3 = 12 (1/20 + 31/120) - 3 = 0.7
    exact = np.array([0.7, 0.7, 0.0])
    assert agree(found.index["correlation"], exact) and agree(found.index["coefficient"], exact)
    assert not agree(found.index["correlation"], exact + 0.1)
    assert found.index["coefficient"].se[2] < 0.5 * found.index["correlation"].se[2]
    assert indices.rank(lambda u: np.exp(u[:, 0]), 1, 100, seed=1).facts["fit"] == pytest.approx(1.0)


@pytest.mark.parametrize("method", list(indices.METHODS))
def test_a_constant_has_no_indices_and_one_factor_has_them_all(method: str) -> None:
    none = indices.METHODS[method](lambda u: np.full(len(u), 0.3), 2, 256, 1)
    assert all(not index.value.any() and not index.se.any() for index in none.index.values())
    one = indices.METHODS[method](lambda u: u[:, 0], 1, 256, 1)
    assert one.index[one.main].value[0] > 0.6 and one.index[one.main].covariance.shape == (1, 1)


def test_the_order_is_settled_by_the_error_of_the_difference() -> None:
    apart = np.diag([1e-4, 1e-4, 1e-4])
    assert Index(np.array([0.5, 0.3, 0.1]), apart).unsettled() == []
    near = np.array([0.50, -0.49, 0.1])
    assert Index(near, apart).unsettled() == [(0, 1)]
    # errors that move together, here with opposite signs as the indices have, cancel in the difference of the sizes
    together = apart + 1e-4 * np.array([[0.0, -0.9999, 0.0], [-0.9999, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert Index(near, together).unsettled() == []
    assert Index(np.zeros(2), np.zeros((2, 2))).unsettled() == []


# ------------------------------------------------------------------------------------------------------ the engine


TWO = [stream("a", baseline={"uniform": [80.0, 120.0]}), stream("b", baseline=50.0), fund(amount=5.0)]
KNOBS = ["streams.a.baseline", "streams.b.baseline=10%", "funds.reserve.amount=0:8"]


def test_the_tornado_of_a_linear_model_is_exact() -> None:
    found = engine.sensitivity(scenario(*TWO), output="revenue", knobs=KNOBS, paths=300)
    assert found.legs is not None
    assert_exact(found.legs.base.value, 150.0)
    assert_exact(found.index["swing"].value, [0.9 * 40.0, 10.0, 0.0], atol=1e-9)
    assert_exact(found.legs.output, [[132.0, 168.0], [145.0, 155.0], [150.0, 150.0]])
    assert_exact(found.legs.change_se, 0.0, atol=1e-9)
    assert found.order[:2] == [0, 1] and list(found.told) == [True, True, False]
    assert [(f.low, f.central, f.high) for f in found.factors][1:] == [(45.0, 50.0, 55.0), (0.0, 5.0, 8.0)]


@pytest.mark.parametrize(("output", "exact"), [("margin", 18.0), ("shortfall", -36.0), ("fund_need", 0.0)])
def test_outputs_are_what_they_say(output: str, exact: float) -> None:
    parts = [plan(target=200.0), *TWO]
    found = engine.sensitivity(scenario(*parts), output=output, knobs=KNOBS[:1], paths=100)
    assert_exact(found.index["swing"].value, [exact], atol=1e-9)


def test_need_of_all_funds() -> None:
    struck = risk(
        window=[1, 1], severity={"uniform": [0.1, 0.3]}, duration=2.0,
        response={"effectiveness": 1.0, "cost_ratio": 0.5, "fund": "reserve"},
    )  # fmt: skip
    text = scenario(struck, fund(amount=100.0), fund("other", amount=1.0))
    found = engine.sensitivity(text, output="fund_need", knobs=["risks.strike.severity"], paths=100)
    # half of what is at stake in two months of 100; the severity, drawn on paths, is held at one value a world
    assert_exact(found.legs.output[0], [0.5 * 200.0 * 0.11, 0.5 * 200.0 * 0.29])
    assert "here one value a world: risks.strike.severity" in found.warnings[0]


def test_a_spider_has_more_points_of_the_same_line() -> None:
    found = engine.sensitivity(scenario(*TWO), method="spider", output="revenue", knobs=KNOBS, paths=100)
    assert_exact(found.legs.output[0], 50.0 + np.linspace(82.0, 118.0, 7))
    knob = found.to_json()["knobs"][0]
    assert_exact([point["value"] for point in knob["points"]], np.linspace(82.0, 118.0, 7))


def test_changes_are_paired_by_path() -> None:
    text = scenario(plan(target=YEAR), risk(probability={"uniform": [0.2, 0.6]}, window=[1, 1]))
    found = engine.sensitivity(text, paths=20_000)
    # a miss where it strikes: 18 % of paths change sides between the ends, all of them the same way
    swing = found.index["swing"]
    assert within(swing.value[0], -0.36, share_se(0.36, 20_000))
    assert swing.se[0] == pytest.approx(share_se(0.36, 20_000), rel=0.02)
    assert within(found.legs.base.value, 0.6, share_se(0.6, 20_000))


def test_an_output_that_rises_and_falls_is_pointed_out() -> None:
    # below the trigger a deeper strike costs more, beyond it the answer wins more than was lost
    text = scenario(
        risk("gain", severity={"uniform": [0.0, 1.0]}, window=[0, 0], duration=2.0,
             response={"trigger": 0.5, "effectiveness": 1.5}),
    )  # fmt: skip
    found = engine.sensitivity(text, method="spider", output="revenue", knobs=["risks.gain.severity"], paths=50)
    assert any("highest or lowest within the range" in warning for warning in found.warnings)


def legs_of(*changes: list[float], se: float = 0.1) -> one_at_a_time.Legs:
    change = np.array(changes)
    levels, error = np.broadcast_to(np.linspace(0.05, 0.95, change.shape[1]), change.shape), np.full(change.shape, se)
    swing = Index(change[:, -1] - change[:, 0], np.diag(error[:, 0] ** 2))
    return one_at_a_time.Legs(estimates.Figure(1.0, se), levels, 1.0 + change, error, change, error, swing)


def test_a_knob_whose_middle_is_best_is_pointed_out() -> None:
    """Both ends of the first lie below the base; those of the others to both sides of it, at it, or within errors."""
    assert one_at_a_time.bent(legs_of([-5.0, -5.0], [-1.0, 1.0], [0.0, 3.0], [-0.1, -0.1])) == [0]
    assert one_at_a_time.bent(legs_of([-5.0, 0.0, -5.0], [-1.0, 0.0, 1.0], [2.0, 0.0, 3.0])) == [0, 2]


def test_one_path_has_no_error_and_no_fault() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = engine.sensitivity(scenario(*TWO), output="revenue", knobs=KNOBS, paths=1)
    assert list(found.index["swing"].se) == [0.0, 0.0, 0.0]


def test_a_spider_of_a_linear_model_is_straight_whatever_the_distribution() -> None:
    text = scenario(stream("a", baseline={"pert": [80.0, 90.0, 180.0]}), stream("b", baseline={"samples": [5.0, 5.0]}))
    found = engine.sensitivity(text, method="spider", output="revenue", paths=10).dataset
    at, value = found["position"].values, found["output"].values
    assert_exact(at[0], (value[0] - value[0, 0]) / np.ptp(value[0]))
    assert np.abs(at[0] - np.linspace(0, 1, 7)).max() > 0.05  # the control: by levels the line would be bent
    assert_exact(at[1], np.linspace(0, 1, 7))


def test_sobol_of_the_kernel() -> None:
    found = engine.sensitivity(
        scenario(*TWO), method="sobol", output="revenue", knobs=[*KNOBS[:1], "streams.b.baseline=40:60", KNOBS[2]],
        samples=256, paths=20,
    )  # fmt: skip
    exact = np.array([0.8, 0.2, 0.0])  # variances of 40^2 / 12 and 20^2 / 12
    assert agree(found.index["first"], exact) and agree(found.index["total"], exact)
    assert found.worlds == 256 * 5 and found.facts["path_noise"] == pytest.approx(0.0, abs=1e-12)
    assert found.facts["mean"] == pytest.approx(150.0, abs=0.5)


@pytest.mark.parametrize(
    ("method", "samples"), [("sobol", 64), ("morris", 10), ("pawn", 200), ("rank", 100), ("spider", None)]
)
def test_a_knob_without_effect_has_none_and_threads_change_no_digit(method: str, samples: int | None) -> None:
    text = scenario(*TWO, demand(volatility=0.05), risk(probability={"uniform": [0.0, 1.0]}), plan(target=150.0))
    how = {"method": method, "samples": samples, "paths": 300, "seed": 2**63, "knobs": [*KNOBS, "risks.*"]}
    one, two = (engine.sensitivity(text, threads=threads, **how) for threads in (1, 2))
    assert one.to_json() == two.to_json()
    nothing = [factor.name for factor in one.factors].index("funds.reserve.amount")
    main = one.index[one.main]
    assert abs(main.value[nothing]) <= max(indices.Z * main.se[nothing] + 1e-12, one.facts.get("without", 0.0) * 1.3)
    assert one.order[-1] == nothing or method in ("pawn", "rank")
    assert engine.sensitivity(text, **(how | {"seed": 3})).to_json() != one.to_json()


def test_path_noise_is_what_other_paths_would_change() -> None:
    text = scenario(plan(target=100.0), stream(baseline={"uniform": [80.0, 120.0]}), demand(volatility=0.3))
    found = engine.sensitivity(text, method="rank", output="revenue", samples=60, paths=50)
    # revenue is the baseline B times the demand N of the path: the interaction B N has the variance V(B) V(N), the
    # worlds' means have V(B) mean(N)^2
    noise = mean_demand(Run(central(text, 0), 50, 1, 1))
    assert found.facts["path_noise"] == pytest.approx(noise.var() / 50 / noise.mean() ** 2, rel=1e-4)


def test_the_mean_over_all_knobs_has_the_error_of_its_paths_too() -> None:
    text = scenario(plan(target=100.0), stream(baseline={"uniform": [99.0, 101.0]}), demand(volatility=0.3))
    found = engine.sensitivity(text, method="rank", output="revenue", samples=200, paths=100)
    # revenue is the baseline times the demand of the path: the knob moves it by 0.6 %, the paths by 8 %
    noise = mean_demand(Run(central(text, 0), 100, 1, 1))
    exact = math.hypot(100.0 * noise.std() / math.sqrt(100), found.facts["sd"] / math.sqrt(200))
    assert found.facts["mean_se"] == pytest.approx(exact, rel=1e-3)
    assert found.facts["mean_se"] > 15.0 * found.facts["sd"] / math.sqrt(200)


def test_few_paths_are_said_to_be_few() -> None:
    text = scenario(plan(target=100.0), stream(baseline={"uniform": [99.0, 101.0]}), demand(volatility=0.3))
    found = engine.sensitivity(text, method="rank", samples=60, paths=100)
    assert found.facts["path_noise"] > 0.1 and any("noise of so few paths" in w for w in found.warnings)


def test_which_knobs_a_pattern_takes() -> None:
    text = scenario(
        risk("a", probability={"uniform": [0.1, 0.3]}, severity={"pert": [0.1, {"uniform": [0.2, 0.3]}, 0.4]}),
        risk("b", probability=0.5, severity={"uniform": [0.1, 0.2]}), line(amount=10.0), line("tv", amount=0.0),
    )  # fmt: skip

    def names(*wanted: str, share: float | None = None) -> list[str]:
        return [factor.name for factor in choose(text, wanted, share)]

    # the parameters of a distribution come before it
    uncertain = ["risks.a.probability", "risks.a.severity.pert.2"]
    assert sorted(names()) == uncertain and names("risks.*") == uncertain
    assert names("risks.*.severity") == ["risks.a.severity", "risks.b.severity"]
    assert names("risks.*.probability", share=0.1) == ["risks.a.probability", "risks.b.probability"]
    assert names("lines.*.amount=20%") == ["lines.ads.amount"]  # a fifth of 0 is 0
    factor = choose(text, ["risks.a.probability=10%"])[0]
    assert factor.ranged and (factor.low, factor.high) == pytest.approx((0.18, 0.22))
    assert factor.values(np.array([0.0, factor.middle, 1.0])) == pytest.approx([0.18, 0.2, 0.22])


def test_correlated_knobs_are_said_to_be_moved_independently() -> None:
    text = scenario(
        demand(level={"uniform": [0.9, 1.1]}), stream(growth={"uniform": [0.0, 0.1]}),
        table("[correlation]", {"demand.level ~ streams.shop.growth": 0.5}),
    )  # fmt: skip
    found = engine.sensitivity(text, output="revenue", paths=10)
    assert "moved independently: demand.level and streams.shop.growth" in found.warnings[-1]


# --------------------------------------------------------------------------------------------------- what drives a miss


def third(name: str, month: int) -> str:
    """A risk of two months that takes a twentieth of the year."""
    return risk(name, probability=0.5, window=[month, month], severity=0.3, duration=2.0)


MAJORITY = [plan(target=0.93 * YEAR), third("a", 0), third("b", 3), third("c", 6)]


def test_the_odds_of_a_majority() -> None:
    found = engine.miss_drivers(scenario(*MAJORITY), paths=100_000)
    n = found.run.n_paths
    # two of three strikes miss: given one the chance is 3/4, without it 1/4, the odds ratio 9
    assert within(found.p_miss.value, 0.5, share_se(0.5, n))
    error = math.sqrt(2 * (1 / 0.375 + 1 / 0.125) / n)  # Woolf's
    for name in ("a", "b", "c"):
        risk = found.risks[name]
        assert risk.miss_if is not None and within(risk.miss_if.value, 0.75, share_se(0.75, n / 2))
        assert risk.miss_if_not is not None and within(risk.miss_if_not.value, 0.25, share_se(0.25, n / 2))
        assert risk.odds is not None and within(math.log(risk.odds.value), math.log(9.0), error)
        assert math.log(risk.odds.hi / risk.odds.lo) == pytest.approx(2 * indices.Z * error, rel=0.03)
        assert not within(math.log(risk.odds.value), math.log(10.0), error)
        loss = found.numbers[f"risks.{name}.loss"]
        # lost in three of four misses, one of four attained years; half a standard deviation apart each way
        assert within(loss.missed.value, 0.75 * 60.0, loss.missed.se)
        assert within(loss.difference.value, 1.0, loss.difference.se)
    density = found.density("a")
    width = float(np.diff(density["attainment"])[0])
    assert density["density"].sum("attainment").values * width == pytest.approx([1.0, 1.0], abs=0.01)
    assert list(density["part"].values) == ["a does not strike", "a strikes"]
    found_a = found.risks["a"]
    assert_exact(density["miss"].values, [found_a.miss_if_not.value, found_a.miss_if.value])
    assert_exact(density["miss_se"].values, [found_a.miss_if_not.se, found_a.miss_if.se])


def test_a_risk_strikes_though_all_comes_back_and_by_the_same_flag_as_elsewhere() -> None:
    """Nothing is left of a strike whose loss comes back within the year at no cost: it has struck all the same."""
    back = risk("back", probability=0.5, window=[0, 0], severity=0.3, duration=1.0, deferred=1.0, release=1.0)
    text = scenario(plan(target=0.97 * YEAR), back, third("a", 3))
    found = engine.miss_drivers(text, paths=4_000)
    assert within(found.risks["back"].strikes.value, 0.5, share_se(0.5, 4_000))
    assert found.risks["back"].odds is not None and found.risks["back"].odds.lo < 1.0 < found.risks["back"].odds.hi
    contingency = engine.contingency(
        scenario(fund(amount=1.0), plan(target=0.97 * YEAR), back, third("a", 3)), paths=4_000
    )
    assert contingency.losses.by_risk["back"].strikes.value == found.risks["back"].strikes.value


def test_what_is_drawn_for_a_risk_is_compared_where_it_strikes() -> None:
    # six months of a loss of S / 2 of the year miss where S is above 0.15, a strike before July where it is not cut off
    hit = risk("hit", probability=0.5, window=[0, 12], severity={"uniform": [0.0, 0.3]}, duration="rest")
    found = engine.miss_drivers(scenario(plan(target=0.95 * YEAR), hit), paths=100_000)
    severity, start = found.numbers["risks.hit.severity"], found.numbers["risks.hit.start"]
    # missed where S (12 - start) / 12 > 0.05; with s = S / 0.3 and x the share of the year that is left: s x > 1/6
    part = 1.0 - (1.0 + math.log(6.0)) / 6.0  # chance of a miss where it strikes
    above = (0.5 * (1.0 - 1.0 / 36.0) - (1.0 - 1.0 / 6.0) / 6.0) / part  # mean of s, and of x, given a miss
    below = (0.5 - part * above) / (1.0 - part)
    for number, exact in ((severity, (0.3 * above, 0.3 * below)), (start, (12 * (1 - above), 12 * (1 - below)))):
        for figure, value in zip((number.missed, number.attained), exact, strict=True):
            assert within(figure.value, value, figure.se)
    assert "risks.hit.duration" not in found.numbers
    assert not within(severity.attained.value, 0.15, severity.attained.se)  # the control: the mean of all strikes


def test_a_risk_that_says_nothing_is_hardly_ever_sure() -> None:
    """Thirty idle risks: at 95 % one or two would differ surely in most studies, at three errors one in twelve does."""
    idle = [risk(f"r{j}", probability=0.5, severity=0.1, duration=1.0, exposure={"*": 0.0}) for j in range(30)]
    text = scenario(plan(target=YEAR), demand(volatility=0.1), *idle)
    sure = [
        sum(r.distance > 0 for r in engine.miss_drivers(text, paths=4_000, seed=s).risks.values()) for s in range(3)
    ]
    assert sum(sure) <= 2  # of 90: expected 0.24; two or fewer but for one seed in 500


def test_a_chance_is_bounded_by_the_years_that_show_it() -> None:
    rare = risk("rare", probability=0.01, window=[0, 0], severity=1.0, duration=12.0)
    found = engine.miss_drivers(scenario(plan(target=0.9 * YEAR), third("a", 0), rare), paths=10_000)
    strikes, spared = found.risks["rare"].years
    assert strikes + spared == 10_000 and 50 < strikes < 200 and found.risks["rare"].miss_if.value == 1.0
    console = Console(file=io.StringIO(), width=100)
    console.print(*driver_parts(found))
    shown = console.file.getvalue()
    assert f"> {1 - rule_of_three(strikes)[0]:.2f}" in shown and "> 0.9997" not in shown


def test_hardly_any_year_on_one_side_is_refused() -> None:
    rare = risk("rare", probability=0.002, window=[0, 0], severity=1.0, duration=12.0)
    with pytest.raises(SimulationError, match=r"all but \d+ of 2,000 paths attain the target: too few would miss"):
        engine.miss_drivers(scenario(plan(target=0.9 * YEAR), rare), paths=2_000)


def test_a_density_where_hardly_any_year_differs() -> None:
    rare = risk("rare", probability=0.0003, window=[0, 0], severity=1.0, duration=12.0)
    density = engine.miss_drivers(scenario(plan(target=0.9 * YEAR), rare), paths=200_000).density("rare")
    width = float(np.diff(density["attainment"])[0])
    assert float(density["density"].sel(part="rare strikes").sum()) * width == pytest.approx(1.0)


def test_odds_have_an_answer_where_a_cell_is_empty() -> None:
    missed = np.zeros((1, 100), bool)
    missed[0, :10] = True
    struck = missed.copy()
    found = drivers.odds_ratio(missed, struck)
    assert found is not None and found.value == pytest.approx((10.5 * 90.5) / (0.5 * 0.5)) and found.lo > 1.0
    assert drivers.odds_ratio(missed, np.ones_like(missed)) is None
    assert drivers.odds_ratio(np.ones_like(missed), struck) is None


def test_intervals_of_odds_are_clustered_by_world() -> None:
    # 200 worlds in which either all years strike or none: the paths within say nothing new
    rng = np.random.default_rng(5)
    struck = np.repeat(rng.random((200, 1)) < 0.5, 500, axis=1)
    missed = np.repeat(rng.random((200, 1)) < 0.5, 500, axis=1)
    wide, narrow = drivers.odds_ratio(missed, struck), drivers.odds_ratio(missed.reshape(1, -1), struck.reshape(1, -1))
    assert wide is not None and narrow is not None and wide.value == narrow.value
    assert math.log(wide.hi / wide.lo) > 15 * math.log(narrow.hi / narrow.lo)


def test_uncertain_knobs_are_drivers_too() -> None:
    text = scenario(plan(target=1180.0), demand(level={"uniform": [0.9, 1.1]}))
    found = engine.miss_drivers(text, paths=60_000, worlds=300)
    level = found.numbers["demand.level"]
    # attained above 1180 / 1200: the mean is that of the part of the range on each side
    edge = 1180.0 / 1200.0
    assert within(level.missed.value, 0.5 * (0.9 + edge), level.missed.se)
    assert within(level.attained.value, 0.5 * (edge + 1.1), level.attained.se)
    assert level.kind == "world" and level.difference.value < 0 and found.telling == ["demand.level"]
    halves = found.density("demand.level")
    # the lower half misses below 1180 of 1200 only, the upper half never
    assert [part.rsplit(" ", 1)[0] for part in halves["part"].values] == [
        "demand.level is below", "demand.level is at least",
    ]  # fmt: skip
    assert_exact(halves["share"].values, [0.5, 0.5])
    assert within(halves["miss"].values[0], 2 * (edge - 0.9) / 0.2, halves["miss_se"].values[0])
    assert halves["miss"].values[1] == 0.0
    with pytest.raises(SimulationError, match="'level' is neither a risk nor a number of this study, such as"):
        found.density("level")


def test_what_is_drawn_on_a_path_is_compared_as_the_year_has_it() -> None:
    text = scenario(
        stream("shop"), stream("kiosk", baseline=100.0), launch(peak=10.0, start=2.0, slip={"uniform": [0.0, 3.0]}),
        line("ads", amount=60.0, response={"kind": "exponential", "ceiling": 0.1, "scale": 5.0}, reach={"shop": 1.0},
             effectiveness={"uniform": [0.5, 1.5]}),
        line("tv", amount=60.0, response={"kind": "exponential", "ceiling": 0.1, "scale": 5.0}, reach={"kiosk": 1.0},
             effectiveness={"uniform": [0.5, 1.5]}),
        risk(probability=0.5, severity={"uniform": [0.0, 0.1]}, exposure={"kiosk": 0.0}),
        table("[correlation]", {
            "lines.ads.effectiveness ~ lines.tv.effectiveness": 0.7,
            "risks.strike.severity ~ streams.novelty.launch.slip": -0.5,
        }),
    )  # fmt: skip
    result = engine.simulate(text, paths=6_000, worlds=1)
    draws = drivers._simulate(plan_run(text, 6_000, 1, 1, "random"), drivers._rows(text), None).numbers
    revenue = {name: result["revenue_by_stream"].sel(stream=name).values for name in ("shop", "kiosk", "novelty")}
    lift = 0.1 * (1.0 - math.exp(-1.0))
    # the kernel's normal quantiles are right to 5e-7 in p
    assert_exact(draws["lines.ads.effectiveness"], (revenue["shop"] / YEAR - 1.0) / lift, rtol=1e-5)
    assert_exact(draws["lines.tv.effectiveness"], (revenue["kiosk"] / 100.0 - 1.0) / lift, rtol=1e-5)
    assert_exact(draws["streams.novelty.launch.slip"], 10.0 - revenue["novelty"] / 10.0, atol=1e-4)
    assert np.corrcoef(draws["lines.ads.effectiveness"][0], draws["lines.tv.effectiveness"][0])[0, 1] > 0.6


def test_demand_is_found_again_at_its_addresses() -> None:
    text = scenario(demand(volatility=0.1, persistence=0.6))
    result = engine.simulate(text, paths=5_000, worlds=1, seed=7)
    assert_exact(mean_demand(plan_run(text, 5_000, 1, 7, "random")), result["revenue"].values / YEAR, rtol=1e-6)


# -------------------------------------------------------------------------------------------- command, charts, faults


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "plan.toml"
    text = scenario(*MAJORITY, demand(level={"uniform": [0.9, 1.1]}, volatility=0.02))
    file.write_text(text.resolved_text(), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("method", "samples", "names"),
    [
        ("tornado", None, {"swing", "points"}), ("spider", None, {"swing", "points"}),
        ("sobol", "64", {"first", "total"}), ("morris", "10", {"mu_star", "mu", "sigma"}),
        ("pawn", "200", {"distance"}), ("rank", "60", {"coefficient", "correlation"}),
    ],
)  # fmt: skip
def test_the_command(small: str, tmp_path: Path, method: str, samples: str | None, names: set[str]) -> None:
    arguments = ["sensitivity", small, "--method", method, "--paths", "200", "--charts", str(tmp_path / "charts")]
    arguments += ["--knob", "demand.*", "--knob", "risks.*.probability", "--range", "10%"]
    arguments += ["--samples", samples] if samples is not None else []
    text = runner.invoke(app, arguments, catch_exceptions=False)
    assert text.exit_code == 0 and max(map(len, text.stdout.splitlines())) <= 100
    assert "demand.level" in text.stdout and "worlds of 200 paths" in text.stderr
    assert [file.name for file in (tmp_path / "charts").iterdir()] == [f"{method}.png"]
    found = json.loads(runner.invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert set(found["knobs"][0]) >= {"name", "low", "central", "high", *names}
    assert found["knobs"][0]["name"] == "demand.level" and len(found["knobs"]) == 5
    assert set(found["knobs"][0][found["ranked_by"]]) == {"value", "se", "lo", "hi"}


def test_the_command_about_misses(small: str, tmp_path: Path) -> None:
    arguments = ["sensitivity", small, "--drivers", "--paths", "20_000", "--charts", str(tmp_path / "charts")]
    text = runner.invoke(app, arguments, catch_exceptions=False)
    assert text.exit_code == 0 and max(map(len, text.stdout.splitlines())) <= 100
    assert "P(miss)" in text.stdout and "Odds ratio" in text.stdout
    charts = sorted(file.name for file in (tmp_path / "charts").iterdir())
    assert charts[1] == "density_demand_level.png" and charts[0] in {f"density_{name}.png" for name in "abc"}
    found = json.loads(runner.invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert set(found["risks"]) == {"a", "b", "c"} and "demand.level" in found["numbers"]


@pytest.mark.parametrize("chart", ["tornado", "spider", "indices"])
def test_charts_show_every_knob_that_can_be_told(chart: str) -> None:
    method = "sobol" if chart == "indices" else chart
    found = engine.sensitivity(
        scenario(*TWO), method=method, output="revenue", knobs=KNOBS, paths=50,
        samples=64 if method == "sobol" else None,
    )  # fmt: skip
    ax = Figure().add_subplot()
    assert getattr(plots, chart)(found.dataset, ax=ax) is ax
    legend = ax.get_legend()
    shown = {text.get_text() for text in (*ax.get_yticklabels(), *(legend.get_texts() if legend else ()))}
    assert all(any(name in text for text in shown) for name in ("streams.a.baseline", "streams.b.baseline"))


def test_charts_say_in_figures_what_one_long_bar_dwarfs() -> None:
    parts = [stream("a", baseline={"uniform": [800.0, 1200.0]}), stream("b", baseline={"uniform": [49.0, 51.0]})]
    found = engine.sensitivity(scenario(*parts), output="revenue", paths=50)
    shown = [text.get_text() for text in plots.tornado(found.dataset).texts]
    assert {"+360.00", "+1.80"} <= set(shown) and any("high less low" in text for text in shown)
    legend = [text.get_text() for text in plots.spider(found_spider(parts)).get_legend().get_texts()]
    assert legend[1].startswith("streams.b.baseline, ") and legend[1].endswith(": +1.80 CNY")
    sobol = engine.sensitivity(scenario(*parts), method="sobol", output="revenue", samples=64, paths=5)
    ax = plots.indices(sobol.dataset)
    assert any(text.get_text() == "total order" for text in ax.texts)


def test_a_rare_chance_is_not_written_as_nothing() -> None:
    rare = risk("rare", probability={"uniform": [0.998, 1.0]}, window=[0, 0], severity=1.0, duration=12.0)
    found = engine.sensitivity(scenario(plan(target=0.9 * YEAR), rare), paths=20_000)
    note = next(text.get_text() for text in plots.tornado(found.dataset).texts if "all others" in text.get_text())
    # P is 0.001, its error 0.0002: with one decimal they would read 0.1 ± 0.0 %
    assert f"P(attain) {100 * found.legs.base.value:.2f} ± 0.0" in note and "± 0.00" not in note


def found_spider(parts: list[str]) -> xr.Dataset:
    return engine.sensitivity(scenario(*parts), method="spider", output="revenue", paths=50).dataset


def test_a_knob_that_would_read_nothing_has_no_bar() -> None:
    parts = [stream("a", baseline={"uniform": [800.0, 1200.0]})]
    parts += [stream(f"s{j}", baseline={"uniform": [0.99, 1.01]}) for j in range(6)]
    found = engine.sensitivity(scenario(*parts), method="sobol", output="revenue", samples=64, paths=5)
    assert found.told.all() and found.worth.sum() == 1  # shares of variance of 1e-10
    assert len(plots.indices(found.dataset).get_yticks()) == 3  # a few in any case


BAD = [
    (["--knob", "demand.levle"], "demand.levle: no such knob; did you mean demand.level?"),
    (["--knob", "risks.a.probability"], "a plain number with no range; say how far it may move, such as --range 10%"),
    (["--knob", "nothing.*"], "no knob has such a name"),
    (["--knob", "lines.*"], "no knob has such a name"),
    (["--knob", "streams.*"], "no match is uncertain or random, nor a number with a range"),
    (["--range", "10%"], "range: no plain number is among the knobs"),
    (["--range", "0%"], "--range: '0%' is no percentage above 0; give one such as 10%"),
    (["--range", "0.1"], "--range: '0.1' is no percentage above 0"),
    (["--knob", "risks.a.probability=0%"], "'0%' is no range; give a share above 0, such as 10%, or LOW:HIGH"),
    (["--knob", "risks.a.probability=150%"], "its range reaches -0.25, which is not between 0 and 1"),
    (["--knob", "risks.a.probability=0.4:1.2"], "its range reaches 1.2, which is not between 0 and 1"),
    (["--knob", "risks.a.probability=0.6:0.7"], "0.6:0.7 does not hold its central value 0.5"),
    (["--knob", "risks.a.probability=0.7:0.6"], "the first number is not below the second"),
    (["--knob", "risks.a.deferred=10%"], "a share of 0 is 0: nothing would move"),
    (["--method", "tornadoes"], "--method: 'tornadoes' is not known; give tornado or spider or sobol"),
    (["--output", "profit"], "--output: 'profit' is not known; give p_attain or revenue"),
    (["--output", "fund_need"], "there is no fund"),
    (["--method", "sobol", "--samples", "8"], "8 is too few for sobol; give at least 64"),
    (["--method", "sobol", "--samples", "100"], "100 is no power of 2, as Sobol' points ask for; give 64 or 128"),
    (["--method", "morris", "--samples", "2"], "2 is too few for morris; give at least 10"),
    (["--method", "rank", "--samples", "20"], "20 is too few for rank; give at least 50"),
    (["--method", "tornado", "--samples", "64"], "samples: tornado draws no samples; leave it out"),
    (
        ["--method", "sobol", "--samples", "1048576"],
        "3,145,728 worlds of 2,000 paths, 6,291,456,000 paths",
    ),
    (["--paths", "0"], "--paths: 0 is below 1"),
    (["--drivers", "--method", "sobol"], "--drivers: does not go with --method"),
    (["--drivers", "--paths", "100", "--set", "plan.target=1"], "all 100 paths attain the target"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input(small: str, arguments: list[str], named: str) -> None:
    result = runner.invoke(app, ["sensitivity", small, *arguments], catch_exceptions=False)
    assert result.exit_code == 2 and result.stdout == ""
    assert named in " ".join(result.stderr.split()), result.stderr


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(SimulationError) as caught:
        engine.sensitivity(
            scenario(*TWO), method="sobol", output="profit", knobs=["streams.a.baselin", "streams.b.margin=90:110"],
            paths=0, samples=10,
        )  # fmt: skip
    message = str(caught.value)
    assert all(part in message for part in ("'profit'", "paths: 0", "did you mean streams.a.baseline?", "90:110"))


def test_a_plan_without_uncertain_numbers_asks_for_knobs() -> None:
    with pytest.raises(SimulationError, match="nothing is uncertain in this scenario"):
        engine.sensitivity(scenario())


def test_a_missing_salib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib.analyze", None)
    with pytest.raises(SimulationError, match=r"pip install 'attain-engine\[sensitivity\]'"):
        engine.sensitivity(scenario(*TWO), method="sobol", samples=64)
    engine.sensitivity(scenario(*TWO), method="rank", samples=60, paths=10)  # needs none
