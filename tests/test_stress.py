"""Stress tests: common random numbers against closed forms, paired errors, the library, and what is refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from small import YEAR, demand, everything, fund, launch, plan, risk, scenario, stream
from tolerance import assert_exact
from typer.testing import CliRunner

import engine
from engine.analysis import estimates
from engine.analysis.stress import BEFORE_RISKS
from engine.cli import app
from engine.report.stress import stress_parts
from engine.scenario import knobs, load, worlds

runner = CliRunner()
SPENT = {"effectiveness": 0.0, "cost_per_month": 5.0, "fund": "reserve"}  # costs 5 a month and helps nothing


def changed(text: engine.Scenario, name: str, *changes: str) -> engine.Scenario:
    """A scenario under another file name, with some knobs changed."""
    return engine.parse(text.resolved_text(), file=f"{name}.toml", set=changes)


def noisy(*parts: str, target: float = 5.0 * YEAR) -> engine.Scenario:
    """A shop whose sales nobody knows, beside a kiosk of 100 a month at level 1; the target is out of reach."""
    shop = stream(volatility=0.2)
    return scenario(
        plan(target=target), demand(level={"uniform": [0.8, 1.2]}), shop,
        stream("kiosk", baseline=YEAR, labels={"place": "corner"}), *parts,
    )  # fmt: skip


def closed(**fields: object) -> str:
    """The flat kiosk closes for two months from the fourth on."""
    return risk("closed", window=[3, 3], severity=0.5, duration=2.0, exposure={"kiosk": 1.0}, **fields)


# ----------------------------------------------------------------------------------------------------- common numbers


def test_a_stress_that_is_the_base_changes_exactly_nothing() -> None:
    same = scenario(*everything())
    found = engine.stress(same, [same], paths=4_000, worlds=4).stresses["scenario (2)"]
    assert found.difference == (0.0, 0.0)
    assert len(found.differences) == 6
    assert set(found.differences.values()) == {(0.0, 0.0)}
    assert set(found.causes.values()) == {(0.0, 0.0)}
    assert found.main_cause is None


def test_a_certain_loss_is_the_same_on_every_path_whatever_else_varies() -> None:
    # half of the kiosk for two months
    reserve = fund("reserve", amount=50.0)
    base = changed(noisy(reserve), "base", "demand.level=1")
    stressed = changed(noisy(reserve, closed(response=SPENT)), "closed", "demand.level=1")
    found = engine.stress(base, [stressed], paths=20_000, worlds=20)
    change = found.stresses["closed"]
    for name in ("revenue", "revenue_p5", "revenue_p10"):
        assert change.differences[name].value == pytest.approx(-100.0, rel=1e-9)
    assert change.differences["shortfall"].value == pytest.approx(100.0, rel=1e-9)
    assert change.differences["fund_need"].value == pytest.approx(10.0, rel=1e-9)
    assert change.differences["fund_need_p80"].value == pytest.approx(10.0, rel=1e-9)
    assert max(figure.se for figure in change.differences.values()) < 1e-9
    assert change.causes["closed"].value == pytest.approx(100.0, rel=1e-9)
    assert change.causes[BEFORE_RISKS].value == pytest.approx(0.0, abs=1e-9)
    assert change.main_cause == "closed"
    # the negative control: the two scenarios apart have an error that would drown half of it
    apart = math.hypot(found.base.figures["revenue"].se, change.figures["revenue"].se)
    assert apart > 0.5


def test_uncertain_knobs_have_the_same_draws_in_both() -> None:
    found = engine.stress(noisy(), [noisy(closed())], paths=20_000, worlds=20, seed=3)
    change = next(iter(found.stresses.values()))
    level = worlds.draw(noisy(), 20, 3).values["demand.level"]
    assert_exact(change.differences["revenue"].value, -100.0 * level.mean())
    assert_exact(change.differences["revenue"].se, 100.0 * level.std(ddof=1) / math.sqrt(20))
    # each by itself is what a plain run of it says: same worlds, same paths
    for outcome, plain in ((found.base, noisy()), (change, noisy(closed()))):
        revenue = engine.simulate(plain, paths=20_000, worlds=20, seed=3)["revenue"].values
        assert_exact(outcome.figures["revenue"], estimates.mean(revenue))
        assert_exact(outcome.figures["shortfall"].value, np.maximum(5 * YEAR - revenue, 0).mean())
        assert_exact(outcome.figures["revenue_p10"].value, np.sort(revenue, axis=None)[1_999])


def test_all_scenarios_get_the_worlds_that_the_most_uncertain_of_them_needs() -> None:
    sure = scenario(stream(volatility=0.2))
    unsure = scenario(stream(volatility=0.2), demand(level={"uniform": [0.8, 1.2]}))
    for base, other in ((sure, unsure), (unsure, sure)):
        assert engine.stress(base, [other], paths=20_000).worlds == 20
    assert engine.stress(sure, [sure], paths=20_000).worlds == 1


def test_threads_change_no_digit() -> None:
    base, other = scenario(*everything()), scenario(*everything(), risk("fire", severity=0.5, duration=1.0))
    one, two = (engine.stress(base, [other], paths=3_000, worlds=3, threads=n).to_json() for n in (1, 2))
    assert one == two


# ------------------------------------------------------------------------------------------------------------- errors


def one_month(*parts: str) -> engine.Scenario:
    """Revenue is one lognormal number: 100 exp(0.1 z - 0.005)."""
    return scenario(plan(target=100.0, months=1), stream(volatility=0.1), *parts)


def test_the_paired_error_of_p_is_right_and_the_unpaired_is_not() -> None:
    # a tenth less for all of the month: P falls from Phi(-0.05) to Phi(-0.05 - ln(1 / 0.9) / 0.1)
    fall = norm.cdf(-0.05 + math.log(0.9) / 0.1) - norm.cdf(-0.05)
    base, loss = one_month(), one_month(risk(window=[0, 0], severity=0.1, duration=1.0))
    paired, apart = [], []
    for seed in range(100):
        found = engine.stress(base, [loss], paths=1_000, worlds=1, seed=seed)
        change = next(iter(found.stresses.values()))
        paired.append((change.difference.value - fall) / change.difference.se)
        apart.append((change.difference.value - fall) / math.hypot(found.base.p_attain.se, change.p_attain.se))
    # a mean of 100 squares of normal numbers: 1, error 0.14; pairing takes a third off the variance here
    assert 0.3 < np.mean(np.square(paired)) < 1.7
    assert abs(np.mean(paired)) < 0.5
    ratio = np.mean(np.square(apart)) / np.mean(np.square(paired))
    assert ratio < 0.9


def test_errors_of_quantiles_and_their_differences_are_those_of_repeats() -> None:
    rng = np.random.default_rng(5)
    found, errors, apart = [], [], []
    for _ in range(400):
        shared = rng.normal(0.0, 0.5, (20, 1)) + rng.normal(size=(20, 200))
        first, second = shared, 1.2 * shared + rng.normal(0.0, 0.3, (20, 200)) - 1.0
        scored = [estimates.quantile_scores(values, 0.1) for values in (first, second)]
        difference = scored[1].minus(scored[0])
        found.append([scored[0].value, difference.value])
        errors.append([scored[0].figure.se, difference.se])
        apart.append(math.hypot(*(s.figure.se for s in scored)))
    # the spread of 400 repeats is known to 3.5 %; the errors have a few percent of bias at 20 worlds
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.15)
    assert np.mean(apart) > 2.0 * np.std(found, axis=0)[1]


def test_the_error_of_a_quantile_is_woodruffs() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(10, 1)) + rng.normal(size=(10, 500))
    for level in (0.05, 0.5, 0.8):
        exact, error = (x[0] for x in estimates.quantiles([values], 1, np.array([level])))
        assert_exact(estimates.quantile_scores(values, level).figure, (exact, error))
    assert estimates.quantile_scores(np.ones((3, 100)), 0.1).figure == (1.0, 0.0)


# ------------------------------------------------------------------------------------------------------------- causes


def test_causes_add_up_to_the_revenue_that_is_lost() -> None:
    base = scenario(*everything())
    parts = [part for part in everything() if not part.startswith("[risks.bankruptcy]")]
    other = scenario(*parts, risk("fire", window=[2, 4], severity=0.5, duration=2.0, exposure={"shop": 1.0}))
    other = changed(other, "other", "risks.slump.probability=0.9", "streams.novelty.launch.slip=4")
    change = next(iter(engine.stress(base, [other], paths=4_000, worlds=2).stresses.values()))
    lost = sum(figure.value for figure in change.causes.values())
    assert lost == pytest.approx(-change.differences["revenue"].value, rel=1e-9)
    assert change.causes["fire"].value > 0 > change.causes["bankruptcy"].value  # one is new, the other is gone
    assert change.causes["slump"].value > 0 and change.causes[BEFORE_RISKS].value > 0


def test_what_no_risk_takes_is_told_apart() -> None:
    # five months of 40 are missed by a launch that comes five months late
    base, late = (scenario(stream(), launch(peak=40.0, start=1.0, slip=slip)) for slip in (0.0, 5.0))
    change = next(iter(engine.stress(base, [late], paths=100).stresses.values()))
    assert change.main_cause == BEFORE_RISKS
    assert change.causes[BEFORE_RISKS].value == pytest.approx(200.0, rel=1e-9)


def test_the_main_cause_of_a_better_year_is_what_is_no_longer_lost() -> None:
    base, better = scenario(risk(severity=0.2, duration=3.0)), scenario()
    change = next(iter(engine.stress(base, [better], paths=2_000).stresses.values()))
    assert change.differences["revenue"].value > 0
    assert change.main_cause == "strike"


def test_the_most_harmful_comes_first() -> None:
    text = scenario(plan(target=0.95 * YEAR), stream(volatility=0.1), risk(severity=0.1, duration=4.0))

    def hits(target: float) -> list[engine.Scenario]:
        knobs = [(f"hit_{s:g}", f"risks.strike.severity={s}") for s in (0.2, 0.0, 0.4, 0.3)]
        return [changed(text, name, knob, f"plan.target={target}") for name, knob in knobs]

    # where P(attain) is 0 in all of them, revenue decides
    for target in (0.95 * YEAR, 10 * YEAR):
        found = engine.stress(changed(text, "base", f"plan.target={target}"), hits(target), paths=4_000)
        assert list(found.stresses) == ["hit_0.4", "hit_0.3", "hit_0.2", "hit_0"]


def test_without_a_fund_there_is_no_need() -> None:
    found = engine.stress(scenario(), [scenario(risk(severity=0.2, duration=1.0))], paths=100).to_json()
    assert "fund_need" not in found["base"]
    assert "fund_need_difference" not in found["stresses"]["scenario (2)"]


# -------------------------------------------------------------------------------------------------------- the library

REFERENCE = engine.reference_path()
LIBRARY = {path.stem: path for path in engine.stress_paths()}
Q1, Q2, Q3 = range(3), range(3, 6), range(6, 9)
# what strikes in each file and in which months, counted from 0, it begins; `late` is the ProMax
BEGINS: dict[str, dict[str, range]] = {
    "price_war_q2": {"price_war": Q2},
    "two_a_customers_lost": {"key_customer_bankrupt": Q1},
    "supplier_stop": {"core_supplier_stops": range(8, 9)},
    "slump_and_price_war": {"demand_slump": Q3, "price_war": Q3},
    "promax_late": {"late": range(6, 7)},
    "promax_late_rival_first": {"late": range(6, 7), "rival_new_product": Q2},
    "price_war_customers_lost": {"price_war": Q2, "key_customer_bankrupt": Q2},
    "bad_year_end": {
        "core_supplier_stops": range(8, 9), "price_war": range(9, 10), "weak_promotion": range(9, 10),
    },
}  # fmt: skip
PROMAX = ("promax_online", "promax_stores")


def months(file: Path, *changes: str) -> np.ndarray:
    """Revenue by world, path, month and stream."""
    plan = engine.load(file, set=changes)
    found = engine.simulate(plan, paths=400, worlds=4, seed=2, detail=["streams"])
    return found["monthly_revenue_by_stream"].values


def test_the_library_is_what_the_tests_know() -> None:
    assert set(LIBRARY) == set(BEGINS)


@pytest.mark.parametrize("name", BEGINS)
def test_each_file_changes_the_reference_in_what_it_is_about_and_says_why(name: str) -> None:
    raw = tomllib.loads(LIBRARY[name].read_text(encoding="utf-8"))
    assert raw["extends"] == "../reference.toml"
    stress, base = engine.load(LIBRARY[name]), engine.load(REFERENCE)
    assert stress.plan.name.startswith(f"{base.plan.name}: ")
    before, after = knobs.index(base), knobs.index(stress)
    moved = [key for key in after if key not in before or after[key].quantity != before[key].quantity]
    about = [f"streams.{s}.launch." for s in PROMAX if "late" in BEGINS[name]]
    about += [f"risks.{r}." for r in BEGINS[name] if r != "late"]
    assert moved
    assert [key for key in moved if not key.startswith(tuple(about))] == []
    for knob in (after[key] for key in moved):
        assert knob.quantity.value is not None  # certain: what is stressed is no longer drawn
        assert knob.source and knob.quantity.note, knob.name
        assert knob.source == "assumption: stress" or knob.origin == "plan"


@pytest.mark.parametrize(
    ("name", "strikes"), [(name, risk) for name, risks in BEGINS.items() for risk in risks if risk != "late"]
)
def test_each_risk_of_a_stress_strikes_every_year_in_its_months(name: str, strikes: str) -> None:
    struck = months(LIBRARY[name]).sum(axis=3)
    spared = months(LIBRARY[name], f"risks.{strikes}.severity=0").sum(axis=3)
    lost = struck < spared * (1.0 - 1e-12)
    assert lost.any(axis=2).all()
    assert set(np.unique(lost.argmax(axis=2))) <= set(BEGINS[name][strikes])
    # in the reference it may come in any month, or not at all
    struck, spared = (months(REFERENCE, *change).sum(axis=3) for change in ([], [f"risks.{strikes}.severity=0"]))
    usual = struck < spared * (1.0 - 1e-12)
    assert not (usual.any(axis=2) & np.isin(usual.argmax(axis=2), list(BEGINS[name][strikes]))).all()


@pytest.mark.parametrize("name", [name for name, risks in BEGINS.items() if "late" in risks])
def test_a_late_promax_sells_nothing_before_july(name: str) -> None:
    streams = [list(engine.load(REFERENCE).streams).index(s) for s in PROMAX]
    late, usual = (months(file)[..., streams] for file in (LIBRARY[name], REFERENCE))
    assert (late[:, :, :6] == 0).all() and (late[:, :, 6:] > 0).all()
    assert (usual[:, :, 5] > 0).mean() > 0.9


@pytest.mark.parametrize("name", [name for name, risks in BEGINS.items() if "key_customer_bankrupt" in risks])
def test_two_of_ten_customers_take_a_fifth_of_class_a_along(name: str) -> None:
    # with money for everything, no review and nothing that comes back from before, nothing else depends on the loss
    calm = ["plan.budget=2e9", "funds.contingency.amount=1e9", *(f"review.levels.{j}.amount=0" for j in (1, 2, 3))]
    calm += [f"risks.{risk}.deferred=0" for risk in ("supply_delay", "core_supplier_stops")]
    key_a = list(engine.load(REFERENCE).streams).index("key_a")
    struck = months(LIBRARY[name], *calm)[..., key_a]
    spared = months(LIBRARY[name], *calm, "risks.key_customer_bankrupt.severity=0")[..., key_a]
    full = BEGINS[name]["key_customer_bankrupt"].stop
    assert_exact(struck[:, :, full:], 0.8 * spared[:, :, full:])


def test_the_library_costs_what_it_says() -> None:
    found = engine.stress(engine.load(REFERENCE), [engine.load(path) for path in LIBRARY.values()], paths=10_000)
    assert set(found.stresses) == set(LIBRARY)
    for name, change in found.stresses.items():
        revenue = change.differences["revenue"]
        assert revenue.value < -5.0 * revenue.se, name
        for reason in BEGINS[name]:
            cause = change.causes[BEFORE_RISKS if reason == "late" else reason]
            assert cause.value > 5.0 * cause.se, (name, reason)


def test_the_library_is_found_where_it_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(path.is_absolute() and path.is_file() for path in engine.stress_paths())
    package = tmp_path / "site-packages" / "engine"  # a wheel carries the scenarios inside the package
    shutil.copytree(REFERENCE.parent, package / "scenarios_data")
    monkeypatch.setattr(load, "__file__", str(package / "scenario" / "load.py"))
    installed = engine.stress_paths()
    assert {path.stem for path in installed} == set(LIBRARY)
    assert all(package in path.parents for path in installed)
    assert engine.load(installed[0]) == engine.load(LIBRARY[installed[0].stem])


# -------------------------------------------------------------------------------------------------------- the command


def run(*arguments: object, code: int = 0) -> str:
    """Run the command in this process; gives what it prints."""
    result = runner.invoke(app, ["stress", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else " ".join(result.output.split())


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """A base, and two stresses of it."""
    base = noisy(fund("reserve", amount=50.0), target=2.1 * YEAR).resolved_text()
    (tmp_path / "base.toml").write_text(base)
    for name, severity in (("closed", 0.5), ("shut", 1.0)):
        text = closed(response=SPENT).replace("0.5", str(severity))
        (tmp_path / f"{name}.toml").write_text(f'extends = "base.toml"\nplan.name = "{name} kiosk"\n{text}')
    return tuple(str(tmp_path / f"{name}.toml") for name in ("base", "closed", "shut"))  # type: ignore[return-value]


def test_json_has_every_figure_with_its_error(files: tuple[str, str, str]) -> None:
    base, closed, shut = files
    found = json.loads(run(closed, shut, "--base", base, "--paths", 4000, "--seed", 5, "--json"))
    assert list(found) == ["base", "paths", "worlds", "seed", "stresses"]
    assert (found["paths"], found["worlds"], found["seed"]) == (4000, 4, 5)
    assert list(found["stresses"]) == ["shut", "closed"]
    one = found["stresses"]["closed"]
    assert (one["file"], one["title"], one["main_cause"]) == ("closed.toml", "closed kiosk", "closed")
    figures = {"revenue", "revenue_p5", "revenue_p10", "shortfall", "fund_need", "fund_need_p80"}
    assert set(found["base"]) == {"file", "title", "p_attain", *figures}
    changes = {"difference", *(f"{name}_difference" for name in figures)}
    assert set(one) == {*found["base"], *changes, "causes", "main_cause"}
    assert all(set(one[name]) == {"value", "se"} for name in (*figures, *changes))
    assert set(one["p_attain"]) == {"value", "se", "se_sampling", "lo", "hi"}
    assert -1.0 < one["difference"]["value"] < 0.0
    assert one["difference"]["value"] == pytest.approx(one["p_attain"]["value"] - found["base"]["p_attain"]["value"])
    assert set(one["causes"]) == {"closed", BEFORE_RISKS}


def test_text_fits_and_the_chart_is_written(files: tuple[str, str, str], tmp_path: Path) -> None:
    base, closed, shut = files
    text = run(closed, shut, "--base", base, "--paths", 4000, "--charts", tmp_path / "charts")
    assert [file.name for file in (tmp_path / "charts").iterdir()] == ["stress.png"]
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert "Worst is shut: it takes" in text and "mostly through closed (" in " ".join(lines)
    rows = [line.split()[0] for line in lines if line.startswith(("closed ", "shut "))]
    assert rows == ["shut", "closed"] * 2
    assert "+10.0" in text and "±" in text


def test_a_stress_that_changes_nothing_is_no_worst_one(files: tuple[str, str, str]) -> None:
    text = run(files[0], "--base", files[0], "--paths", 1000)
    assert "No stress makes attainment less likely or lowers expected revenue." in text
    assert "nothing" in text


def test_the_worst_is_worst_though_attainment_is_the_likelier_for_it() -> None:
    """More revenue on average at a wider spread: a stress that lowers revenue is named, whatever it does to P."""
    level = {"mixture": [{"weight": 0.6, "uniform": [0.5, 0.6]}, {"weight": 0.4, "uniform": [1.1, 1.2]}]}
    base = changed(scenario(stream(baseline=0.9 * YEAR, volatility=0.01)), "base")
    wild = changed(scenario(stream(baseline=0.9 * YEAR, volatility=0.01), demand(level=level)), "wild")
    found = engine.stress(base, [wild], paths=20_000)
    assert found.stresses["wild"].difference.value > 0 > found.stresses["wild"].differences["revenue"].value
    text = str(stress_parts(found)[2])
    assert text.startswith("Worst is wild: it adds ") and "lowers expected revenue by" in text


def test_a_scenario_that_is_no_stress_of_the_base_is_pointed_out(files: tuple[str, str, str], tmp_path: Path) -> None:
    base, closed, shut = files
    alone = tmp_path / "alone.toml"
    alone.write_text(engine.load(shut).resolved_text())
    result = runner.invoke(app, ["stress", closed, str(alone), "--base", base, "--paths", "1000"])
    assert result.exit_code == 0 and f"Note: {alone} does not extend base.toml" in result.stderr
    assert "Note" not in runner.invoke(app, ["stress", closed, shut, "--base", base, "--paths", "1000"]).stderr


def test_set_acts_on_all(files: tuple[str, str, str]) -> None:
    base, closed, _ = files
    found = json.loads(run(closed, "--base", base, "--paths", 1000, "--set", "plan.target=1", "--json"))
    assert found["base"]["p_attain"]["value"] == found["stresses"]["closed"]["p_attain"]["value"] == 1.0


def test_without_names_it_runs_the_library_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "stress", "--paths", "64", "--worlds", "2", "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(engine.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["base"]["file"] == "reference.toml"
    assert set(found["stresses"]) == set(LIBRARY)


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--paths", "0"], "attain stress: --paths: 0 is below 1"),
        (["--worlds", "none"], "--worlds: 'none' is not a whole number"),
        (["--seed", "-1"], "--seed: -1 is below 0"),
        (["--set", "plan.targt=1"], "Error: 1 fault: --set: plan.targt"),  # once, not once a file
        (["missing.toml", "nowhere.toml"], "Error: 2 faults: missing.toml: no such file"),
        (["--charts", __file__], "is a file; name a folder"),
    ],
)
def test_bad_options_are_named(options: list[str], named: str, files: tuple[str, str, str]) -> None:
    assert named in run(files[1], "--base", files[0], *options, code=2)


def test_the_library_does_not_stand_on_another_base(files: tuple[str, str, str]) -> None:
    assert "--base: goes with scenarios" in run("--base", files[0], code=2)


def test_scenarios_that_cannot_be_compared_are_all_named() -> None:
    base = scenario(plan())
    others = [
        changed(scenario(plan(months=6)), "short"),
        changed(scenario(plan(start="2023-07", currency="USD")), "elsewhere"),
        changed(scenario(plan(target=900.0)), "modest"),
        changed(scenario(plan(target={"uniform": [1100.0, 1300.0]})), "vague"),
        changed(scenario(plan()), "fine"),
    ]
    with pytest.raises(engine.ScenarioError) as refused:
        engine.stress(base, others, paths=1_000, worlds=10)
    assert [(fault.file, fault.knob) for fault in refused.value.faults] == [
        ("short.toml", "plan.months"), ("elsewhere.toml", "plan.start"), ("elsewhere.toml", "plan.currency"),
        ("modest.toml", "plan.target"), ("vague.toml", "plan.target"),
    ]  # fmt: skip
    said = [fault.message for fault in refused.value.faults]
    assert said[0] == "6, but 12 in scenario.toml" and said[3] == "900, but 1,200 in scenario.toml"
    assert said[4] == "is drawn otherwise in scenario.toml"


def test_an_uncertain_target_that_both_share_can_be_compared() -> None:
    vague = scenario(plan(target={"uniform": [1100.0, 1300.0]}), stream(volatility=0.1))
    found = engine.stress(vague, [changed(vague, "same")], paths=4_000)
    assert found.worlds == 4 and found.stresses["same"].difference == (0.0, 0.0)


def test_a_test_without_stresses_is_refused() -> None:
    with pytest.raises(engine.SimulationError, match="name at least one"):
        engine.stress(scenario(), [])


def test_a_run_that_would_not_fit_is_refused_before_it_starts() -> None:
    with pytest.raises(engine.SimulationError, match="ask for fewer paths"):
        engine.stress(scenario(), [scenario()], paths=2**32 - 1)
