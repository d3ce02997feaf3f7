"""What may not change a result: threads, chunks, the number of paths, what else is in the scenario, the JIT, a file.

The same seed gives the same bits; nothing here has a tolerance but the Sobol' means.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small import (
    YEAR,
    correlation,
    customers,
    demand,
    everything,
    fund,
    launch,
    level,
    line,
    plan,
    risk,
    run,
    scenario,
    stream,
)
from tolerance import mean_of, share_se, within

import engine
from engine import dataset, simulation
from engine.kernels import horizon, layout
from engine.names import VARIABLES
from engine.scenario import arrays, blocks
from engine.scenario.worlds import central, design, draw, key

DETAIL = ("streams", "funds", "targets")
# Severities with uncertain parameters, by how they reach the kernel: a closed form, a PERT of the family of tables, and
# tables of each world's own
SEVERITIES = {
    "triangular": "{ triangular = [0.1, { uniform = [0.15, 0.3] }, 0.4] }",
    "pert": "{ pert = [0.1, { uniform = [0.15, 0.3] }, 0.4] }",
    "beta": "{ beta = [{ uniform = [1, 3] }, 5] }",
    "quantiles": """{ quantiles = { low = 0.0, high = { uniform = [0.4, 0.9] }, "0.01" = 0.2, "0.99" = 0.3 } }""",
    "mixture": """{ mixture = [
        { weight = { uniform = [0.3, 0.7] }, triangular = [0.1, 0.11, 0.4] }, { weight = 0.3, uniform = [0.3, 0.6] }
    ] }""".replace("\n", " "),
}


def uncertain(severity: str = "triangular") -> engine.Scenario:
    """Every mechanism, with uncertain numbers in the plan's, the risks' and the money's part."""
    changed = [
        "demand.level={ uniform = [0.9, 1.1] }",
        "risks.price_war.probability={ uniform = [0.4, 1.0] }",
        "lines.ads.amount={ uniform = [20, 80] }",
        f"risks.slump.severity={SEVERITIES[severity]}",
    ]
    return engine.parse("\n".join(everything()), set=changed)


def digest(result: xr.Dataset) -> str:
    """Hash of the bits of all variables."""
    bits = hashlib.sha256()
    for name in sorted(map(str, result.data_vars)):
        bits.update(name.encode() + np.ascontiguousarray(result[name].values).tobytes())
    return bits.hexdigest()


def assert_same_bits(first: xr.Dataset, second: xr.Dataset) -> None:
    assert list(first.data_vars) == list(second.data_vars)
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].values, second[name].values, err_msg=str(name))


# ---------------------------------------------------------------------------------- threads, chunks, number of paths


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_threads_and_chunks(sampler: str) -> None:
    """3 worlds of 1500 paths: chunks hold parts of a world, one world, or all; blocks are not full at the end."""
    options = {"paths": 4500 if sampler == "random" else 3 * 8 * 300, "worlds": 3, "seed": 4, "sampler": sampler}
    whole = engine.simulate(uncertain(), **options, detail=DETAIL, threads=1)
    for threads, size in [(2, 131_072), (1, 1024), (2, 1024), (2, 3000)]:
        other = engine.simulate(uncertain(), **options, detail=DETAIL, threads=threads, chunk_paths=size)
        assert_same_bits(whole, other)


def test_a_risk_that_strikes_nobody_costs_nothing_whatever_ran_before() -> None:
    """Threads keep their memory: a row that is not written would hold what another plan left there."""

    def costs(exposed: dict[str, dict[str, float]]) -> list[float]:
        answer = {"effectiveness": 0.5, "cost_ratio": 0.5, "fund": "reserve"}
        risks = [risk(name, severity=0.5, window=[0, 0], exposure=at, response=answer) for name, at in exposed.items()]
        found = engine.simulate(scenario(*risks, fund(amount=1000.0)), paths=10, worlds=1, threads=1)
        return found["response_cost"].mean(["world", "path"]).values.tolist()

    only_b, only_a = {"a": {}, "b": {"*": 1.0}}, {"a": {"*": 1.0}, "b": {}}
    assert costs(only_a) == [25.0, 0.0]  # two months of half of half of half of 100
    assert costs(only_b) == [0.0, 25.0]


@pytest.mark.parametrize("start", [1.0, np.nextafter(1.0, 0.0), np.nextafter(1.0, 2.0)])
def test_a_decay_that_starts_at_the_edge_of_a_month(start: float) -> None:
    text = risk(severity=0.5, duration=1.0, window=[start, start], shape="decay")
    found = engine.simulate(scenario(text), paths=1, worlds=1)["monthly_revenue"].values.ravel()
    height = np.exp(-np.arange(12.0))
    assert found == pytest.approx(np.append(100.0, 100.0 * (1.0 + 0.5 * np.diff(height))))


def test_many_worlds_of_few_paths_are_prepared_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each world has tables of its own: all at once they would not fit."""
    built: list[int] = []
    build = arrays.build
    monkeypatch.setattr(arrays, "build", lambda worlds, detail=(): built.append(len(worlds)) or build(worlds, detail))
    whole = engine.simulate(uncertain(), paths=20, worlds=10, seed=4)
    monkeypatch.setattr(simulation, "PREPARED_WORLDS", 4)
    assert_same_bits(whole, engine.simulate(uncertain(), paths=20, worlds=10, seed=4))
    assert built == [10, 4, 4, 2]


def test_worlds_that_would_not_fit_all_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulation.plan_run(uncertain(), 10, 10, 4, "random")
    plan = simulation.prepared(run)
    needed = plan.numbers.nbytes + plan.tables.nbytes
    monkeypatch.setattr(simulation, "available_memory", lambda: 4 * needed)
    assert simulation.prepared(run).numbers.shape == plan.numbers.shape
    monkeypatch.setattr(simulation, "available_memory", lambda: needed)
    with pytest.raises(engine.SimulationError, match=r"10 worlds need .* GiB are free; ask for fewer worlds"):
        simulation.prepared(run)


def test_another_seed_gives_other_bits() -> None:
    """Negative control, also for the upper half of the seed."""
    hashes = {digest(engine.simulate(uncertain(), paths=20, worlds=2, seed=seed)) for seed in (0, 1, 2**32, 2**64 - 1)}
    assert len(hashes) == 4


@pytest.mark.parametrize("n", [1, 9, 127, 777])
def test_the_first_paths_of_a_longer_run(n: int) -> None:
    text = "\n".join(part for part in everything() if not part.startswith("[[review"))
    worlds = draw(engine.parse(text, set=["demand.level={ uniform = [0.9, 1.1] }"]), 3, seed=2)
    short, long = (engine.simulate(worlds, paths=3 * size, seed=2, detail=DETAIL) for size in (n, 2 * n))
    assert_same_bits(short, long.isel(path=slice(n)))


@pytest.mark.parametrize("n", [1, 9, 127])
def test_a_review_of_one_path_does_not_touch_the_others(n: int) -> None:
    """Corrective money on some paths only: those beside them keep their bits."""
    given = scenario(
        plan(target=1.35 * YEAR, phasing=[1] * 12),
        stream(volatility=0.05),
        customers(count=50, spend=6.0, churn=0.3),
        line(
            amount=60.0, effectiveness={"triangular": [0.6, 1.0, 1.3]}, response={"ceiling": 0.15, "scale": 5.0},
            reach={"shop": 0.3},
        ),
        level(lag=0.1, amount=1.0, line="ads"),
    )  # fmt: skip
    short, long = (engine.simulate(given, paths=size, worlds=1, detail=DETAIL) for size in (n, 1024))
    assert 0 < long["review_acted"].values.mean() < 1
    assert_same_bits(short, long.isel(path=slice(n)))


def test_the_first_worlds_of_a_longer_list() -> None:
    short, long = (draw(uncertain(), count, seed=2) for count in (3, 7))
    for name, values in long.values.items():
        assert (short.values[name] == values[:3]).all()
    assert short.streams.tolist() == long.streams[:3].tolist()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_world_is_the_same_alone_and_among_others(severity: str) -> None:
    """As it must be, for chunks and batches hold as many worlds as fit."""
    worlds = draw(uncertain(severity), 20, seed=2)
    together = engine.simulate(worlds, paths=20 * 500, seed=2, detail=DETAIL)
    for w in (0, 3, 19):
        alone = engine.simulate(worlds.part(w, w + 1), paths=500, seed=2, detail=DETAIL)
        assert_same_bits(alone, together.isel(world=[w]))


def test_a_path_is_the_same_alone_and_among_others() -> None:
    """Paths share loops with their neighbours, on which other risks strike, gain and defer: no digit may show it."""
    given = engine.load(Path(__file__).parents[1] / "scenarios" / "reference.toml")
    assert isinstance(given, engine.Scenario)
    plan_of_one = arrays.build(simulation.plan_run(given, 1, 1, 1, "random").worlds)

    def values(paths: np.ndarray) -> np.ndarray:
        out = simulation.allocate(given, paths.size)
        acting = np.full(paths.size, layout.ALL_RISKS)
        horizon.simulate_chosen(plan_of_one, np.array([paths.size]), paths, acting, *key(1), out)
        return np.concatenate([out.values, out.flags])

    alone = [values(np.array([path])) for path in range(0, horizon.LANES, 3)]
    np.testing.assert_array_equal(np.concatenate(alone, axis=1), values(np.arange(horizon.LANES))[:, ::3])


def test_less_detail_changes_no_digit() -> None:
    full = engine.simulate(uncertain(), paths=300, worlds=3, detail=DETAIL)
    plain = engine.simulate(uncertain(), paths=300, worlds=3)
    assert_same_bits(plain, full.drop_vars(["monthly_revenue_by_stream", "monthly_fund_balance", "target_value"]))


def test_leaving_the_losses_out_changes_no_digit() -> None:
    run = simulation.plan_run(uncertain(), 900, 3, 1, "random")
    (full, flag), (lean, lean_flag) = (blocks.results(run.scenario, detail) for detail in ((), (blocks.LEAN,)))
    ((_, all_rows),) = simulation.outputs(run)
    ((_, rows),) = simulation.outputs(run, (blocks.LEAN,))
    assert lean.size == full.size - len(run.scenario.risks)
    assert all_rows.values[full.loss :][: len(run.scenario.risks)].any()
    for name in ("revenue", "gross_margin", "contribution", "deferred_out", "fund_need", "customers", "lag"):
        place, lean_place = getattr(full, name), getattr(lean, name)
        np.testing.assert_array_equal(all_rows.values[place], rows.values[lean_place], err_msg=name)
    np.testing.assert_array_equal(all_rows.flags[flag.target_met :], rows.flags[lean_flag.target_met :])


# ---------------------------------------------------------------------------------- which worlds share their paths


def test_pooled_worlds_have_paths_of_their_own() -> None:
    """World w runs on the stream w + 1: nothing uncertain differs here, and yet no two worlds are alike."""
    given = scenario(demand(volatility=0.1))
    result = engine.simulate(given, paths=40, worlds=4)
    revenue = result["revenue"].values
    assert np.unique(revenue).size == revenue.size
    # the first world's paths are those of a single run
    assert (revenue[0] == engine.simulate(given, paths=10, worlds=1)["revenue"].values[0]).all()


def test_worlds_of_a_design_have_the_same_paths() -> None:
    given = scenario(demand(volatility=0.1), line(amount=1.0))
    worlds = design(given, {"lines.ads.amount": np.array([1.0, 2.0, 3.0])})
    assert worlds.streams.tolist() == [0, 0, 0]
    result = engine.simulate(worlds, paths=30)
    assert (result["revenue"].values == result["revenue"].values[0]).all()
    assert result["spend"].values[:, 0, 0].tolist() == [1.0, 2.0, 3.0]
    pooled = draw(given, 2, seed=1, same_paths=True)
    assert pooled.streams.tolist() == [0, 0]


@pytest.mark.parametrize("knob", ["demand.volatility", "risks.slump.probability", "risks.price_war.probability"])
def test_worlds_that_share_their_paths_are_the_same_alone(knob: str) -> None:
    """Their draws are made once: also where the first world, or the second, needs none of some driver."""
    values = np.array([0.0, 0.9, 0.0, 0.3])
    worlds = design(engine.parse("\n".join(everything())), {knob: values})
    together = engine.simulate(worlds, paths=4 * 700, seed=2, detail=DETAIL)
    for w in range(4):
        alone = engine.simulate(worlds.part(w, w + 1), paths=700, seed=2, detail=DETAIL)
        assert_same_bits(alone, together.isel(world=[w]))
    assert not np.array_equal(together["revenue"].values[0], together["revenue"].values[1])


def test_the_central_world_is_the_single_run() -> None:
    given = uncertain()
    assert_same_bits(
        engine.simulate(given, paths=50, worlds=1, detail=DETAIL),
        engine.simulate(central(given), paths=50, detail=DETAIL),
    )


# ---------------------------------------------------------------------------------- what else is in the scenario


CHANCE = {"probability": 0.6, "severity": {"uniform": [0.1, 0.5]}, "duration": {"uniform": [1, 6]}}


def own_risk(name: str, of: str, **fields: object) -> str:
    """A risk with an answer that strikes one stream alone."""
    answer = {"effectiveness": {"uniform": [0, 1]}}
    return risk(name, **{**CHANCE, "exposure": {of: 1.0}, "response": answer, **fields})


STREAMS = [stream(name, volatility=0.1) for name in ("a", "b", "c")]
RISKS = [
    own_risk("first", of="a"),
    own_risk("second", of="b", rate=2.0, probability=None),
    own_risk("third", of="c", timing="hazard", shape="decay"),
]
NOISY = demand(volatility=0.05, persistence=0.5, noise_correlation=0.3)


def by_name(*parts: str) -> dict[str, np.ndarray]:
    """Losses by risk and monthly revenue by stream, on 300 paths."""
    result = run(NOISY, *parts, paths=300, detail=("streams",))
    months = result["monthly_revenue_by_stream"]
    losses = result["loss"]
    return {str(r): losses.sel(risk=r).values for r in losses["risk"].values} | {
        str(i): months.sel(stream=i).values for i in months["stream"].values
    }


def assert_unmoved(parts: list[str], names: list[str], rtol: float = 0.0) -> None:
    before, after = by_name(*STREAMS, *RISKS), by_name(*parts)
    for name in names:
        np.testing.assert_allclose(after[name], before[name], rtol=rtol, err_msg=name)
        assert np.ptp(before[name]) > 0


def test_removing_a_risk_leaves_the_others() -> None:
    assert_unmoved([*STREAMS, RISKS[0], RISKS[2]], ["first", "third", "a", "c"])


def test_adding_a_risk_leaves_the_others() -> None:
    added = own_risk("another", of="d")
    assert_unmoved([added, stream("d"), *STREAMS, *RISKS], ["first", "second", "third", "a", "b", "c"])


def test_reordering_leaves_every_draw() -> None:
    assert_unmoved([*RISKS[::-1], *STREAMS[::-1]], ["first", "second", "third", "a", "b", "c"])


def test_removing_a_stream_leaves_the_others() -> None:
    assert_unmoved([STREAMS[0], STREAMS[2], RISKS[0], RISKS[2]], ["first", "third", "a", "c"])


def test_adding_streams_and_lines_leaves_the_others() -> None:
    """A launch, customers, a line with its own chance, a fund: all of them draw, none of it from the others."""
    more = [
        launch("novelty", peak=10.0, slip={"uniform": [0, 3]}),
        customers("clients", count=10, spend=12.0, churn=0.3, wins=[1] * 12),
        line(amount=9.0, effectiveness={"uniform": [0, 2]}, response={"ceiling": 1, "scale": 1}, reach={"novelty": 1}),
        fund(amount=5.0),
    ]  # fmt: skip
    assert_unmoved([*more, *STREAMS, *RISKS], ["first", "second", "third", "a", "b", "c"])


def test_removing_a_line_leaves_the_effect_of_the_others() -> None:
    def ads(name: str, of: str) -> str:
        curve = {"ceiling": 0.2, "scale": 1.0}
        return line(name, amount=12.0, effectiveness={"uniform": [0, 2]}, response=curve, reach={of: 1.0})

    both = by_name(*STREAMS, ads("one", "a"), ads("two", "b"))
    alone = by_name(*STREAMS, ads("two", "b"))
    assert (both["b"] == alone["b"]).all()
    assert (both["a"] != alone["a"]).any()


def test_a_correlated_risk_keeps_its_own_uniform_beside_new_ones() -> None:
    """In a group the factors go in the order of names: what sorts behind a risk cannot move it."""
    pair = {"risks.first.occurs ~ risks.second.occurs": 0.5}
    triple = {**pair, "risks.first.occurs ~ risks.third.occurs": 0.3}
    risks = [own_risk(name, of=of) for name, of in (("first", "a"), ("second", "b"), ("third", "c"))]
    two, three = (by_name(*STREAMS, *risks, correlation(pairs)) for pairs in (pair, triple))
    for name in ("first", "second", "a", "b"):
        assert (two[name] == three[name]).all()
    assert (two["third"] != three["third"]).any()


def test_a_changed_name_changes_the_draws() -> None:
    """Negative control: the draws do follow the name."""
    before, after = by_name(*STREAMS, *RISKS), by_name(*STREAMS, own_risk("renamed", of="a"), *RISKS[1:])
    assert (before["first"] != after["renamed"]).any()
    assert (before["second"] == after["second"]).all()


def test_a_changed_number_keeps_the_paths() -> None:
    """Comparisons are paired by path: a lower probability strikes on a part of the same paths, with the same starts."""
    likely, rare = (
        run(risk(probability=p, severity=1.0, duration="rest"), paths=2000)["revenue"].values for p in (0.6, 0.3)
    )
    struck = rare < YEAR - 1e-9
    assert (rare[struck] == likely[struck]).all()
    assert 0 < struck.sum() < (likely < YEAR - 1e-9).sum()


# ---------------------------------------------------------------------------------- Sobol'


def test_sobol_points_give_the_same_mean_with_less_error() -> None:
    """The year's revenue under one risk, an answer and demand; 8 scrambles of 1024 points against 8192 random paths."""
    parts = [
        demand(volatility=0.02),
        risk(probability=0.6, severity={"uniform": [0.1, 0.4]}, duration={"uniform": [1, 4]}),
        line(
            amount=12.0, effectiveness={"uniform": [0.5, 1.5]}, response={"ceiling": 0.3, "scale": 1.0}, reach={"*": 1}
        ),
    ]
    sobol = run(*parts, paths=8 * 1024, sampler="sobol")
    assert sobol.sizes["path"] == 8 * 1024
    assert sobol.attrs["sampler"] == "sobol"
    means = sobol["revenue"].values.reshape(8, 1024).mean(axis=1)
    assert np.unique(means).size == 8
    se = means.std(ddof=1) / np.sqrt(8)
    random = mean_of(run(*parts, paths=200_000)["revenue"].values)
    # random: n = 200 000, se 0.17 of 1388; Sobol': se 0.024. Catches a bias of 0.1 %
    assert within(float(means.mean()), random.value, float(np.hypot(se, random.se)))
    assert not within(float(means.mean()) * 1.002, random.value, float(np.hypot(se, random.se)))
    # of 8192 random paths the se is 0.86; no better, 8 scrambles would show a ratio below 0.2 once in 10 000 (chi2, 7)
    assert se < 0.2 * random.se * np.sqrt(200_000 / 8192)
    # the event's share is p within the error of a random sample, far within it in truth
    struck = (sobol["loss"].values > 0).mean()
    assert within(struck, 0.6, share_se(0.6, 8192))


def test_sobol_worlds_and_scrambles_differ() -> None:
    given = scenario(risk(probability=0.5, severity={"uniform": [0.1, 0.9]}))
    result = engine.simulate(given, paths=2 * 8 * 64, worlds=2, sampler="sobol")
    first, second = result["revenue"].values
    assert (np.sort(first) != np.sort(second)).any()
    again = engine.simulate(given, paths=2 * 8 * 64, worlds=2, sampler="sobol")
    assert_same_bits(result, again)


# ---------------------------------------------------------------------------------- with the JIT and without


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_invariance as own
print(own.digest(own.a_few_paths()))
"""


def a_few_paths() -> xr.Dataset:
    """Every mechanism on 3 paths of 2 worlds."""
    return engine.simulate(uncertain(), paths=6, worlds=2, seed=3, detail=DETAIL, threads=1)


def test_the_jit_changes_no_bit() -> None:
    here = Path(__file__).parent
    plain = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(here)],
        cwd=here.parent,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert plain.returncode == 0, plain.stderr[-2000:]
    assert plain.stdout.split()[-1] == digest(a_few_paths())


# ---------------------------------------------------------------------------------- the Dataset and its file


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    result = engine.simulate(uncertain(), paths=40, worlds=2, detail=DETAIL)
    dataset.save(result, tmp_path / "year.nc")
    stored = engine.load(tmp_path / "year.nc")
    xr.testing.assert_identical(stored, result)
    for name in result.variables:
        assert stored[name].dtype.kind == result[name].dtype.kind, name
    assert [p.name for p in tmp_path.iterdir()] == ["year.nc"]


@pytest.mark.parametrize("parts", [(), (risk(),), (fund(amount=1.0), line())], ids=["flat", "risk", "money"])
def test_results_with_empty_dimensions_survive_too(tmp_path: Path, parts: tuple[str, ...]) -> None:
    result = run(*parts, paths=3)
    dataset.save(result, tmp_path / "year.nc")
    stored = engine.load(tmp_path / "year.nc")
    assert stored.sizes == result.sizes
    for name in result.data_vars:
        np.testing.assert_array_equal(stored[name].values, result[name].values)


def test_every_variable_says_what_it_is() -> None:
    result = run(plan(target=YEAR, currency="EUR", start="2025-04"), *STREAMS, *RISKS, paths=3, detail=DETAIL)
    assert set(result.data_vars) == set(VARIABLES)
    for name, variable in result.data_vars.items():
        declared = VARIABLES[str(name)]
        assert variable.dims == declared.dims
        assert variable.attrs["long_name"] == declared.long_name
        assert variable.attrs["units"] == ("EUR" if declared.units == "currency" else declared.units)
    assert result["revenue"].attrs["units"] == "EUR"
    assert result["month"].dtype == np.dtype("datetime64[ns]")
    assert [str(m)[:10] for m in result["month"].values[[0, 8, 9, 11]]] == [
        "2025-04-01", "2025-12-01", "2026-01-01", "2026-03-01",
    ]  # fmt: skip
    assert result["stream"].values.tolist() == ["a", "b", "c"]
    assert result["risk"].values.tolist() == ["first", "second", "third"]
    assert result["target"].values.tolist() == ["revenue"]


def test_a_result_says_how_to_repeat_it() -> None:
    given = uncertain()
    result = engine.simulate(given, paths=41, worlds=2, seed=2**64 - 1, detail=DETAIL)
    attrs = result.attrs
    assert attrs["scenario_hash"] == given.hash == hashlib.sha256(attrs["scenario_text"].encode()).hexdigest()
    assert tomllib.loads(attrs["scenario_text"])["plan"]["target"] == 3200.0
    assert attrs["paths"] == 42  # rounded up to a multiple of the worlds
    assert attrs["worlds"] == 2
    assert attrs["engine_version"] == engine.__version__
    for package in ("python", "numpy", "scipy", "numba", "xarray"):
        assert attrs[f"{package}_version"]
    again = engine.simulate(
        engine.parse(attrs["scenario_text"]), paths=attrs["paths"], worlds=attrs["worlds"], seed=int(attrs["seed"]),
        detail=DETAIL,
    )  # fmt: skip
    assert_same_bits(again, result)
    assert again.attrs == {**attrs, "scenario": again.attrs["scenario"]}


def test_the_hash_follows_the_scenario() -> None:
    assert run(risk(probability=0.5)).attrs["scenario_hash"] != run(risk(probability=0.51)).attrs["scenario_hash"]
    assert run(risk(probability=0.5)).attrs["scenario_hash"] == run(risk(probability=0.5)).attrs["scenario_hash"]
