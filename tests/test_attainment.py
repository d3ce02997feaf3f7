"""forecast() and its errors: against theory, against every path, and to the last bit for any chunks and threads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerance import assert_exact, share_se, within
from typer.testing import CliRunner

from engine import SimulationError, forecast, parse, simulate, simulation
from engine.analysis import estimates
from engine.cli import app
from engine.scenario.model import Scenario

# One event or none: without it the plan is met exactly, with it missed. P(attain) = 1 - p.
COIN = """
schema = 1
[plan]
target = 1200
[streams.shop]
baseline = 1200
margin = 0.5
[risks.strike]
probability = {p}
window = [0, 0]
severity = 0.5
duration = 1
"""
# Something of everything that a forecast reports.
FULL = """
schema = 1
[plan]
name = "Full"
target = 112e6
[streams.shop]
labels = { channel = "shop" }
baseline = 60e6
volatility = 0.05
margin = 0.3
[streams.web]
labels = { channel = "web" }
baseline = 40e6
volatility = 0.1
margin = 0.4
[streams.key]
labels = { channel = "web" }
margin = 0.2
customers = { count = 30, spend = 5e5, churn = 0.3, wins = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0] }
[lines.ads]
amount = 5e6
[funds.contingency]
amount = 1e6
[risks.price_war]
probability = { uniform = [0.2, 0.6] }
severity = { uniform = [0.1, 0.4] }
duration = { pert = [1, 2, 4] }
[risks.price_war.response]
effectiveness = 0.5
cost_ratio = 0.3
fund = "contingency"
[[review.levels]]
lag = { uniform = [0.02, 0.04] }
amount = 1e5
line = "ads"
fund = "contingency"
[[review.levels]]
lag = 0.1
amount = 2e5
line = "ads"
fund = "contingency"
[targets.margin]
measure = "gross_margin"
at_least = 35e6
"""
KEYS = {
    "scenario", "paths", "worlds", "seed", "p_attain", "revenue", "monthly_revenue", "revenue_by_stream",
    "revenue_by_channel", "loss_by_risk", "fund_need", "p_fund_exhausted", "gross_margin", "contribution",
    "incentive_cost", "customers_end", "revenue_deferred_out", "review_acted", "targets", "p_all_targets", "timing",
}  # fmt: skip
QUANTILES = ["0.05", "0.1", "0.5", "0.9", "0.95"]
PAIR = {"mean", "se"}


def coin(p: str) -> Scenario:
    return parse(COIN.format(p=p))


@pytest.fixture(scope="module")
def full() -> Scenario:
    return parse(FULL)


def figures(scenario: Scenario, **how: Any) -> dict[str, Any]:
    """JSON of a forecast without the times, which differ from run to run."""
    found = forecast(scenario, **how).to_json()
    del found["timing"]
    return found


def test_one_event_has_the_binomial_error() -> None:
    # n = 20 000, p = 0.3: se 0.0032; an error of 0.02 in p is caught
    n = 20_000
    found = figures(coin("0.3"), paths=n, worlds=1)["p_attain"]
    assert within(estimate=found["value"], exact=0.7, se=share_se(0.7, n))
    assert not within(estimate=found["value"], exact=0.65, se=share_se(0.65, n))  # negative control
    assert_exact([found["se"], found["se_sampling"]], share_se(found["value"], n))
    assert found["lo"] == found["hi"] == found["value"]


def test_the_clustered_error_is_the_spread_of_repeated_runs() -> None:
    # P_w uniform on [0.2, 0.8], 32 worlds of 50 paths: variance ((b - a)^2 / 12 + (1/4 - (b - a)^2 / 12) / 50) / 32,
    # sd 0.0319. 120 runs: the sd of their values has a relative se of 1/sqrt(238) = 0.065.
    worlds, paths, runs, spread = 32, 50, 120, 0.6**2 / 12
    scenario = coin("{ uniform = [0.2, 0.8] }")
    found = [figures(scenario, paths=worlds * paths, worlds=worlds, seed=s)["p_attain"] for s in range(runs)]
    exact = np.sqrt((spread + (0.25 - spread) / paths) / worlds)
    values = np.array([f["value"] for f in found])
    assert within(estimate=values.std(ddof=1) / exact, exact=1.0, se=1 / np.sqrt(2 * (runs - 1)))
    assert within(estimate=values.mean(), exact=0.5, se=exact / np.sqrt(runs))
    # a run's own se^2 is a chi-square estimate with 31 degrees of freedom: relative se of the mean sqrt(2/31/120)
    own = np.mean([f["se"] ** 2 for f in found])
    assert within(estimate=own / exact**2, exact=1.0, se=np.sqrt(2 / (worlds - 1) / runs))
    # negative control: the sampling error alone, sqrt((1/4 - spread) / 1600) = 0.0117, is no error of the whole
    sampling = np.mean([f["se_sampling"] ** 2 for f in found])
    assert not within(estimate=sampling / exact**2, exact=1.0, se=np.sqrt(2 / (worlds - 1) / runs))
    # P_w (1 - P_w) underestimates by (n - 1)/n; the mean of 3840 worlds' values has a relative se below 0.005
    assert within(
        estimate=sampling, exact=(0.25 - spread) / (worlds * paths) * (paths - 1) / paths, se=0.005 * sampling
    )


def test_the_band_of_equal_worlds_closes() -> None:
    # 256 worlds of 1000 paths, all with p = 0.3: the raw band is 2 * 1.645 * 0.0145 = 0.048 wide, all of it noise
    rng = np.random.default_rng(1)
    raw, cleaned = [], []
    for _ in range(101):
        worlds = rng.binomial(1000, 0.3, 256) / 1000
        low, high = estimates.band(worlds, worlds * (1 - worlds) / 1000)
        cleaned.append(high - low)
        raw.append(np.diff(np.quantile(worlds, [0.05, 0.95]))[0])
    assert np.mean(raw) > 0.045  # negative control: without cleaning
    # the excess of the variance has sd sqrt(2/255) = 0.089: it is negative, and the band closed, half of the time
    assert np.mean(np.array(cleaned) == 0.0) > 0.25
    assert np.mean(cleaned) < 0.4 * np.mean(raw)


def test_the_band_of_an_uncertain_probability() -> None:
    # p uniform on [0.2, 0.6], 400 worlds: se of a 5 % quantile sqrt(0.05 * 0.95 / 400) * 0.4 = 0.0044. That the worlds
    # are drawn in no strata, and noise of another shape than the worlds', adds at most 0.002.
    found = figures(coin("{ uniform = [0.2, 0.6] }"), paths=400_000, worlds=400)["p_attain"]
    se = np.sqrt(0.05 * 0.95 / 400) * 0.4
    assert abs(found["lo"] - 0.42) < 5 * se + 0.002
    assert abs(found["hi"] - 0.78) < 5 * se + 0.002
    assert not abs(found["lo"] - 0.46) < 5 * se + 0.002  # negative control: as if p were uniform on [0.2, 0.56]


@pytest.mark.parametrize("cells", [1, 64])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_quantile_errors_cover(cells: int, level: float) -> None:
    # 600 repeats of a nominal 90 % interval: se sqrt(0.09 / 600) = 0.0122. With 64 cells, whose own means vary, the
    # normal factor instead of Student's takes 0.006.
    from scipy.special import ndtri

    rng = np.random.default_rng(cells + int(100 * level))
    repeats, paths = 600, 3000 // cells
    exact = ndtri(level) * (np.sqrt(2) if cells > 1 else 1)
    covered = {"clustered": 0, "pooled": 0}
    for _ in range(repeats):
        draws = rng.standard_normal((cells, paths)) + (rng.standard_normal((cells, 1)) if cells > 1 else 0)
        for name, shape in (("clustered", (cells, paths)), ("pooled", (1, cells * paths))):
            value, se = estimates.quantiles([draws.reshape(shape)], 1, np.array([level]))
            covered[name] += abs(value[0] - exact) <= 1.645 * se[0]
    assert abs(covered["clustered"] / repeats - 0.9) < 5 * 0.0122 + 0.006
    if cells > 1:
        assert covered["pooled"] / repeats < 0.6  # negative control: clusters not heeded


def test_quantiles_of_rounds_are_those_of_the_whole() -> None:
    draws = np.random.default_rng(3).standard_normal((4, 1000))
    levels = np.array([0.1, 0.5])
    whole = estimates.quantiles([draws], 1, levels)
    parts = estimates.quantiles([draws[:, :300], draws[:, 300:]], 1, levels)
    assert np.array_equal(whole, parts)
    assert np.array_equal(whole[0], np.quantile(draws, levels, method="inverted_cdf"))


@pytest.mark.parametrize(("worlds", "sampler"), [(1, "random"), (4, "random"), (2, "sobol")])
def test_forecast_says_what_every_path_says(full: Scenario, worlds: int, sampler: str) -> None:
    how = {"paths": 6000, "worlds": worlds, "seed": 5, "sampler": sampler}
    result = forecast(full, **how)
    found, paths = result.to_json(), simulate(full, **how)
    assert found["paths"] == paths.attrs["paths"] == paths["revenue"].size

    def equal(figure: float, name: str, **where: Any) -> None:
        assert_exact(figure, float(paths[name].sel(**where).astype(float).mean()), rtol=1e-12)

    equal(found["p_attain"]["value"], "target_met", target="revenue")
    assert_exact(found["p_attain"]["value"], float((paths["attainment"] >= 1 - 1e-9).mean()), rtol=1e-12)
    for name in ("revenue", "gross_margin", "contribution", "incentive_cost", "revenue_deferred_out"):
        equal(found[name]["mean"], name)
    assert_exact(found["revenue"]["sd"], float(paths["revenue"].std()), rtol=1e-9)
    for t, figure in enumerate(found["monthly_revenue"]):
        assert_exact(figure["mean"], float(paths["monthly_revenue"][:, :, t].mean()), rtol=1e-12)
    for stream, figure in found["revenue_by_stream"].items():
        equal(figure["mean"], "revenue_by_stream", stream=stream)
    web = paths["revenue_by_stream"].sel(stream=["web", "key"]).sum("stream")
    assert_exact(found["revenue_by_channel"]["web"]["mean"], float(web.mean()), rtol=1e-12)
    equal(found["loss_by_risk"]["price_war"]["mean"], "loss", risk="price_war")
    equal(found["fund_need"]["contingency"]["mean"], "fund_need", fund="contingency")
    equal(found["p_fund_exhausted"]["contingency"]["value"], "fund_exhausted", fund="contingency")
    equal(found["customers_end"]["key"]["mean"], "customers", stream="key")
    for j, figure in enumerate(found["review_acted"], 1):
        equal(figure["p"], "review_acted", level=j)
    for target, figure in found["targets"].items():
        equal(figure["p"], "target_met", target=target)
    assert_exact(found["p_all_targets"]["value"], float(paths["target_met"].all("target").mean()), rtol=1e-12)
    for figure, values in (
        (found["revenue"], paths["revenue"]),
        (found["fund_need"]["contingency"], paths["fund_need"]),
    ):
        exact = np.quantile(values.values, [float(q) for q in QUANTILES], method="inverted_cdf")
        assert list(figure["quantiles"].values()) == exact.tolist()
    for colour, code in (("green", 0), ("yellow", 1), ("red", 2)):
        shares = [month["p"] for month in result.status(colour)]
        assert_exact(shares, (paths["status"] == code).mean(("world", "path")).values, rtol=1e-12, atol=1e-15)
    if (worlds, sampler) == (4, "random"):
        spread = paths["revenue"].mean("path").values.std(ddof=1) / 2
        assert_exact(found["revenue"]["se"], spread, rtol=1e-9)


@pytest.mark.parametrize("worlds", [1, 5])
@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_chunks_and_threads_change_no_digit(full: Scenario, worlds: int, sampler: str) -> None:
    how = {"paths": 12_000, "worlds": worlds, "sampler": sampler}
    whole = figures(full, **how)
    for chunk_paths, threads in ((1024, 1), (3000, 2), (1, None)):
        assert figures(full, chunk_paths=chunk_paths, threads=threads, **how) == whole
    assert figures(full, **how | {"seed": 2}) != whole  # negative control


@pytest.mark.parametrize("worlds", [1, 4])
def test_precision_is_reached_and_the_run_can_be_repeated(full: Scenario, worlds: int) -> None:
    found = figures(full, paths=1000, worlds=worlds, precision=0.002)
    assert found["p_attain"]["se_sampling"] <= 0.002
    assert 10_000 < found["paths"] < 150_000  # P (1 - P) / se^2 is at most 62 500, and a round no more than needed
    assert found["paths"] % worlds == 0
    again = simulate(full, paths=found["paths"], worlds=worlds)
    assert again.attrs["paths"] == found["paths"]
    assert_exact(found["revenue"]["mean"], float(again["revenue"].mean()), rtol=1e-12)
    assert figures(full, paths=1000, worlds=worlds, precision=0.002, chunk_paths=2048) == found


def test_paths_that_all_agree_are_not_taken_for_certainty() -> None:
    # a chance of 0.0001: with the first 100 paths it is mostly not seen, and their error is 0
    found = figures(coin("0.0001"), paths=100, worlds=1, precision=0.0005)
    assert found["paths"] >= 2000


def test_runs_that_would_not_fit_are_refused(full: Scenario, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"precision: 1e-06 asks for some .* paths"):
        forecast(full, paths=1000, worlds=1, precision=1e-6)
    monkeypatch.setattr(simulation, "available_memory", lambda: 2 * 10**8)
    forecast(full, paths=1000)
    with pytest.raises(SimulationError, match=r"GiB are free; ask for fewer paths"):
        forecast(full, paths=10_000_000)
    with pytest.raises(SimulationError, match=r"ask for a larger --precision"):
        forecast(full, paths=1000, worlds=1, precision=1e-4)
    forecast(full, paths=500_000, worlds=1)
    file = tmp_path / "full.toml"
    file.write_text(FULL)
    out = tmp_path / "r.nc"
    answer = CliRunner().invoke(app, ["run", str(file), "--paths", "5e5", "--worlds", "1", "--out", str(out)])
    assert answer.exit_code == 2
    assert "GiB are free" in answer.stderr
    assert not out.exists()


def test_sobol_points_hold_and_are_sharper() -> None:
    # two uniforms a path decide; 8 scrambles of 2048 points
    scenario = coin("0.3")
    found = figures(scenario, paths=16_384, worlds=1, sampler="sobol")
    assert found["paths"] == 16_384
    plain = share_se(0.7, 16_384)  # 0.0036
    assert abs(found["p_attain"]["value"] - 0.7) < plain
    assert found["p_attain"]["se"] == found["p_attain"]["se_sampling"] < 0.25 * plain
    assert found["p_attain"]["lo"] == found["p_attain"]["hi"] == found["p_attain"]["value"]
    assert not abs(found["p_attain"]["value"] - 0.69) < plain  # negative control


def test_json_holds_the_keys_of_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "full.toml"
    file.write_text(FULL)
    answer = CliRunner().invoke(app, ["run", str(file), "--paths", "4000", "--worlds", "2", "--json"])
    found = json.loads(answer.stdout)
    assert set(found) == KEYS
    assert set(found["p_attain"]) == {"value", "se", "se_sampling", "lo", "hi"}
    assert set(found["revenue"]) == {"mean", "se", "sd", "quantiles", "quantiles_se"}
    assert list(found["revenue"]["quantiles"]) == list(found["revenue"]["quantiles_se"]) == QUANTILES
    assert set(found["fund_need"]["contingency"]) == {"mean", "se", "quantiles", "quantiles_se"}
    assert len(found["monthly_revenue"]) == 12
    pairs = [*found["monthly_revenue"]]
    for name in ("revenue_by_stream", "revenue_by_channel", "loss_by_risk", "customers_end"):
        pairs += found[name].values()
    pairs += [found[n] for n in ("gross_margin", "contribution", "incentive_cost", "revenue_deferred_out")]
    assert all(set(pair) == PAIR for pair in pairs)
    assert set(found["revenue_by_channel"]) == {"shop", "web"}
    assert [set(level) for level in found["review_acted"]] == [{"lag", "p", "se"}] * 2
    assert [level["lag"] for level in found["review_acted"]] == pytest.approx([0.03, 0.1])  # a distribution's median
    assert set(found["targets"]) == {"revenue", "margin"}
    assert set(found["targets"]["margin"]) == {"p", "se"}
    assert set(found["p_all_targets"]) == set(found["p_fund_exhausted"]["contingency"]) == {"value", "se"}
    assert set(found["timing"]) == {"compile_s", "simulate_s", "total_s"}


def test_out_writes_the_run_of_the_forecast(tmp_path: Path) -> None:
    from engine import load

    file, out = tmp_path / "full.toml", tmp_path / "r.nc"
    file.write_text(FULL)
    options = ["--paths", "1000", "--worlds", "3", "--seed", "7", "--precision", "0.01", "--out", str(out), "--json"]
    found = json.loads(CliRunner().invoke(app, ["run", str(file), *options]).stdout)
    paths = load(out)
    assert found["paths"] == paths["revenue"].size > 1002
    assert found["worlds"] == paths.sizes["world"] == 3
    assert_exact(found["revenue"]["mean"], float(paths["revenue"].mean()), rtol=1e-12)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ("1", "P(attain) 0: none of 3,000 paths, at most 0.001 at 95 %"),
        ("0", "P(attain) 1: all of 3,000 paths, at least 0.999 at 95 %"),
    ],
)
def test_certainty_is_printed_as_a_bound(tmp_path: Path, p: str, words: str) -> None:
    file = tmp_path / "coin.toml"
    file.write_text(COIN.format(p=p))
    lines = CliRunner().invoke(app, ["run", str(file), "--paths", "3000"]).stdout.splitlines()
    assert lines[1].startswith(words)
    assert any(("< 0.001" if p == "1" else "> 0.999") in line for line in lines)
    assert not any("0.000 ±" in line or "1.000 ±" in line for line in lines)
