"""The contingency fund against exact laws: two points, compound Poisson, order statistics, Euler's rule."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small import MONTH, YEAR, fund, level, line, plan, risk, scenario, stream
from tolerance import share_se, within
from typer.testing import CliRunner

import engine
from engine.analysis import contingency as study
from engine.analysis import funds
from engine.analysis.levels import level as level_of
from engine.analysis.needs import TOTAL, simulate_needs
from engine.cli import app
from engine.plots import save_contingency
from engine.report.contingency import contingency_parts

runner = CliRunner()


def answer(**fields: object) -> dict[str, object]:
    return {"effectiveness": 1.0, "fund": "reserve", **fields}


def once(*, probability: float = 0.3, **fields: object) -> str:
    """A risk of two months whose response costs 5 a month."""
    return risk(
        probability=probability,
        window=[1, 6],
        severity=0.2,
        duration=2.0,
        response=answer(cost_per_month=5.0),
        **fields,
    )


def test_one_risk_with_a_fixed_cost_is_a_two_point_law() -> None:
    found = engine.contingency(scenario(once(), fund(amount=4.0)), paths=40_000)
    facts = found.facts["reserve"]
    n = found.needs.run.n_paths
    need = found.needs.of("reserve")
    assert set(np.round(np.unique(need), 6)) == {0.0, 10.0}
    # n = 40 000: se 0.0023; a probability wrong by 0.015 would show
    assert within(facts.confidence.value, 0.7, share_se(0.7, n))
    assert within(facts.need.value, 3.0, facts.need.se) and facts.need.se > 0
    assert facts.levels["0.5"].value == 0.0
    assert facts.levels["0.8"].value == pytest.approx(10.0, rel=1e-6)
    assert within(facts.unspent.value, 0.7 * 4.0, facts.unspent.se)
    # the two-point law can be told from another
    assert not within(facts.confidence.value, 0.68, share_se(0.7, n))


def test_the_month_of_exhaustion_is_that_of_the_cost() -> None:
    fixed = risk(window=[3, 3], severity=0.2, duration=2.0, response=answer(cost_per_month=5.0))
    facts = engine.contingency(scenario(fixed, fund(amount=6.0)), paths=2_000).facts["reserve"]
    # 5 in the fourth month, 10 by the end of the fifth
    assert facts.exhausted_month is not None and facts.exhausted_month.value == 5.0
    assert facts.exhausted_early == 5.0 and facts.confidence.value == 0.0
    enough = engine.contingency(scenario(fixed, fund(amount=10.0)), paths=2_000).facts["reserve"]
    assert enough.confidence.value == 1.0 and enough.exhausted_month is None


def panjer(rate: float, sizes: dict[int, float], most: int) -> np.ndarray:
    """Law of a compound Poisson sum on whole numbers (Panjer 1981): p[n] = rate / n sum j f(j) p[n - j]."""
    p = np.zeros(most + 1)
    p[0] = math.exp(-rate)
    for n in range(1, most + 1):
        p[n] = rate / n * sum(j * f * p[n - j] for j, f in sizes.items() if j <= n)
    return p


def test_poisson_needs_are_a_compound_poisson_law() -> None:
    # a strike of depth S over one month asks for 0.1 x 100 S: 1 or 3 with the same chance
    text = scenario(
        risk(
            rate=1.5, max_events=12, window=[0, 11], severity={"samples": [0.1, 0.3]}, duration=1.0,
            response=answer(cost_ratio=0.1),
        ),
        fund(amount=5.0),
    )  # fmt: skip
    need = np.rint(simulate_needs(text, 200_000, 1, 3).of("reserve")).astype(int).ravel()
    exact = panjer(1.5 * 11 / 12, {1: 0.5, 3: 0.5}, 40)
    for k in range(9):
        assert within(np.mean(need == k), exact[k], share_se(exact[k], need.size)), k
    wrong = panjer(1.5, {1: 0.5, 3: 0.5}, 40)
    assert not within(np.mean(need == 0), wrong[0], share_se(wrong[0], need.size))


def test_levels_are_order_statistics_that_cover() -> None:
    rng = np.random.default_rng(1)
    held = {0.5: 0, 0.8: 0, 0.95: 0}
    for _ in range(1000):
        need = rng.exponential(size=(1, 2000))
        for confidence in held:
            found = level_of(need, confidence)
            held[confidence] += found.lo <= -math.log(1 - confidence) <= found.hi
            assert found.lo <= found.value <= found.hi and found.world_lo == found.world_hi
    # the steps of the binomial make it 90 to 91 %; 1000 repeats have an error of 0.9 points
    assert all(880 <= count <= 920 for count in held.values()), held


def test_the_band_across_worlds_is_free_of_sampling_noise() -> None:
    rng = np.random.default_rng(2)
    alike = level_of(rng.exponential(size=(200, 500)), 0.8)
    assert alike.world_hi - alike.world_lo < 0.05
    scale = rng.uniform(1.0, 2.0, (200, 1))
    apart = level_of(scale * rng.exponential(size=(200, 2000)), 0.8)
    quantile = -math.log(0.2)
    assert apart.world_lo == pytest.approx(1.05 * quantile, rel=0.05)
    assert apart.world_hi == pytest.approx(1.95 * quantile, rel=0.05)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_euler_shares_add_up(confidence: float) -> None:
    rng = np.random.default_rng(3)
    parts = rng.exponential(size=(5, 20, 300)) * np.arange(5)[:, None, None]
    parts[1] = np.round(parts[1])  # ties
    shares, tail = funds.euler(parts, confidence)
    assert shares.sum() == pytest.approx(tail, rel=1e-12)
    assert shares[0] == 0.0
    total = np.sort(parts.sum(axis=0), axis=None)
    assert tail == pytest.approx(total[round(confidence * total.size) :].mean(), rel=1e-9)


def test_euler_of_tied_paths_is_their_mean() -> None:
    shares, tail = funds.euler(np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]), 0.75)
    assert shares == pytest.approx([0.5, 0.5]) and tail == 1.0


def test_split_and_total_hold_together() -> None:
    text = scenario(
        plan(target=YEAR), stream(volatility=0.2), line("ads"), once(), fund(amount=8.0), fund("second", amount=2.0),
        risk("other", probability=0.5, severity=0.3, duration=1.0, response=answer(cost_ratio=0.2, fund="second")),
        risk("outside", severity=0.1, duration=1.0, response={"effectiveness": 0.5, "cost_ratio": 0.1}),
        level(lag=0.02, amount=1.0, line="ads", fund="reserve"),
    )  # fmt: skip
    found = engine.contingency(text, paths=20_000)
    assert set(found.facts) == {"reserve", "second", TOTAL}
    assert found.facts[TOTAL].current == 10.0
    assert sum(found.euler.values()) == pytest.approx(found.tail, rel=1e-9)
    assert set(found.euler) == {"strike", "other", study.REVIEWS}  # what is paid from outside asks for nothing
    run = engine.simulate(text, paths=20_000, seed=1)
    assert found.facts["reserve"].confidence.value == float(1 - run["fund_exhausted"].sel(fund="reserve").mean())
    assert found.facts["reserve"].unspent.value == pytest.approx(float(run["fund_balance"].sel(fund="reserve").mean()))
    # together: no fund runs dry, and what is left in both
    assert found.facts[TOTAL].confidence.value == float((~run["fund_exhausted"].any("fund")).mean())
    assert found.facts[TOTAL].unspent.value == pytest.approx(float(run["fund_balance"].sum("fund").mean()))


def test_one_fund_runs_dry_because_another_has() -> None:
    """What a fund is asked for depends on what the others can pay: the present funds are judged as they are."""
    text = scenario(
        plan(target=YEAR), stream(volatility=0.1), line("ads"), fund("small", amount=3.0), fund("big", amount=6.0),
        risk(
            window=[0, 3], severity=0.9, duration=8.0,
            response=answer(effectiveness=1.0, cost_ratio=0.1, fund="small"),
        ),
        level(lag=0.2, amount=4.0, line="ads", fund="big"),
    )  # fmt: skip
    found = engine.contingency(text, paths=4_000, choices=200)
    dry = engine.simulate(text, paths=4_000, seed=1)["fund_exhausted"].sel(fund="big")
    assert found.facts["big"].confidence.value == pytest.approx(1 - float(dry.mean()), abs=1e-12)
    # were no fund ever used up, the big one would do far better
    assert float((found.needs.of("big") > 6.0).mean()) < 0.5 * float(dry.mean())


def test_uncertain_funds_are_judged_world_by_world() -> None:
    text = scenario(once(probability=0.5), fund(amount={"uniform": [0, 20]}))
    found = engine.contingency(text, paths=20_000, choices=200, worlds=100)
    facts = found.facts["reserve"]
    # 10 are needed in half of the years; half of the worlds hold less
    assert within(facts.confidence.value, 0.75, facts.confidence.se) and facts.confidence.se > 0.01
    assert facts.current == pytest.approx(10.0, abs=2.0)


def test_few_paths_and_names_like_the_sums(tmp_path) -> None:
    text = scenario(
        once(), risk("total", severity=0.1, duration=1.0), risk("reviews", severity=0.1, duration=1.0),
        fund(amount=4.0), fund("total", amount=1.0),
    )  # fmt: skip
    for paths in (1, 7):
        found = engine.contingency(text, paths=paths, choices=paths)
        assert found.facts["total"].current == 1.0 and found.facts[TOTAL].current == 5.0
        assert save_contingency(found, tmp_path) and contingency_parts(found)


def test_joint_confidence_is_read_off_the_curve() -> None:
    found = engine.contingency(scenario(plan(target=0.97 * YEAR), once(probability=0.5), fund(amount=5.0)), paths=4_000)
    at = {round(point.fund, 6): point for point in found.curve}
    assert at[0.0].both.value == at[0.0].attains.value == pytest.approx(0.5, abs=0.05)
    assert at[10.0].both.value == 1.0
    assert found.joint_for["0.99"] == pytest.approx(10.0, rel=1e-2)
    # between the points nothing is guessed: 5 of 10 do not suffice, however large the present fund
    rich = engine.contingency(
        scenario(plan(target=0.97 * YEAR), once(probability=0.5), fund(amount=500.0)), paths=4_000
    )
    assert rich.joint_for["0.8"] == pytest.approx(10.0, rel=1e-2) and rich.joint_for["0.8"] >= 10.0 - 1e-9


def test_release_keeps_what_the_rest_may_need() -> None:
    drawn = np.zeros((4, 1, 10))
    drawn[2:, 0, :2] = 5.0  # two years in ten ask for 5 in the third month
    schedule, covers = funds.release(drawn, 5.0, 0.8)
    assert [month.keep for month in schedule] == [0.0, 0.0, 0.0, 0.0]
    assert covers.value == pytest.approx(0.8)
    schedule, covers = funds.release(drawn, 5.0, 0.9)
    assert [month.keep for month in schedule] == [5.0, 5.0, 0.0, 0.0]
    assert covers.value == 1.0 and schedule[2].returned.value == pytest.approx(4.0)


def test_the_release_for_the_year_covers_the_year() -> None:
    rng = np.random.default_rng(5)
    drawn = np.cumsum(rng.exponential(size=(12, 4, 5_000)), axis=0)
    alone, year = funds.schedule(drawn, 0.0, 0.8), funds.release_for_year(drawn, 0.0, 0.8)
    assert alone.covers.value < 0.7 and year.confidence > 0.9 and year.start > alone.start
    assert 0.8 <= year.covers.value < 0.81
    assert all(a.keep <= b.keep for a, b in zip(alone.months, year.months, strict=True))


def test_what_has_nothing_to_do_with_it_does_not_move_it() -> None:
    parts = [once(), fund(amount=5.0), line("ads")]
    base = engine.contingency(scenario(stream(), *parts), paths=4_000, worlds=1)
    more = engine.contingency(
        scenario(
            stream(), stream("kiosk", baseline=50.0), *parts,
            risk("never", probability=0.0, severity=0.5, duration=3.0, response=answer(cost_ratio=0.3)),
        ),
        paths=4_000, worlds=1,
    )  # fmt: skip
    assert base.facts == more.facts


def busy() -> engine.Scenario:
    """Two funds, reviews and several risks, two of them in the plan's matrices."""
    return scenario(
        plan(target=0.97 * YEAR), stream(volatility=0.1),
        line("ads", amount=20.0, response={"kind": "exponential", "ceiling": 0.2, "scale": 1.0}, reach={"*": 1.0}),
        fund(amount=8.0), fund("second", amount=2.0), once(probability={"uniform": [0.2, 0.6]}, level="high"),
        risk(
            "other", probability=0.5, severity={"uniform": [0.1, 0.5]}, duration=2.0, level="orange",
            response=answer(cost_ratio=0.2, fund="second"),
        ),
        risk("faults", rate=1.0, severity=0.2, duration=0.5),
        level(lag=0.02, amount=1.0, line="ads", fund="reserve"),
    )  # fmt: skip


def test_the_curve_is_that_of_full_simulations() -> None:
    found = engine.contingency(busy(), paths=4_000, choices=400, worlds=4, seed=7)
    for point in found.curve[::7]:
        text = busy().resolved_text()
        changed = engine.parse(text, set=[f"funds.reserve.amount={point.fund!r}"])
        attained = engine.simulate(changed, paths=4_000, worlds=4, seed=7)["attainment"].values >= 1 - 1e-9
        assert point.attains.value == pytest.approx(float(attained.mean()), abs=1e-12), point.fund


def test_the_waterfall_adds_up() -> None:
    steps = engine.contingency(busy(), paths=4_000, choices=2_000, seed=7).waterfall_dataset
    change = steps["change"].values
    assert change[0] == 0.97 * YEAR and list(steps["step"].values[:2]) == ["plan", study.BEFORE]
    assert change[:-1].sum() == pytest.approx(change[-1], rel=1e-9)


def test_chosen_risks_share_and_the_others_always_act() -> None:
    whole = engine.contingency(busy(), paths=4_000, choices=2_000, seed=7)
    part = engine.contingency(busy(), paths=4_000, choices=2_000, seed=7, risks=["strike", "other"])
    assert list(part.split.ledgers["revenue"].shares) == ["strike", "other"]
    assert part.split.ledgers["revenue"].all == whole.split.ledgers["revenue"].all
    assert part.split.ledgers["revenue"].none.value < whole.split.ledgers["revenue"].none.value
    assert part.losses.total.mean == whole.losses.total.mean


def test_the_command(tmp_path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(busy().resolved_text())
    sizes = ["--paths", "4000", "--choices", "1000"]
    result = runner.invoke(app, ["contingency", str(file), *sizes, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) >= {"funds", "joint", "split", "ledger", "release", "responses", "losses", "trade_off"}
    assert set(found["funds"]["reserve"]) >= {"current", "confidence", "levels", "expected_unspent"}
    assert set(found["funds"]["reserve"]["levels"]["0.8"]) == {"fund", "se", "lo", "hi", "world_lo", "world_hi"}
    assert len(found["release"]) == 12 and found["trade_off"] is None
    assert set(found["split"]["shapley"]) == {"strike", "other", "faults"}
    assert set(found["split"]["shapley"]["strike"]) == {"value", "se"}
    assert found["ledger"]["strike"]["shapley"] == found["split"]["shapley"]["strike"]["value"]
    assert all(isinstance(found["ledger"]["strike"][part], float) for part in ("first_in", "last_in", "shapley"))
    assert set(found["responses"]) == {"strike", "other", "fund reserve", "fund second", "reviews"}
    assert all(
        isinstance(found["responses"]["strike"][part], float) for part in ("cost", "revenue", "p_attain_points", "se")
    )
    assert isinstance(found["joint"]["confidence"], float)
    assert set(found["losses"]["total"]) >= {"aggregate", "occurrence"}
    assert set(found["losses"]["shortfall"]["0.95"]) == {"var", "cvar"}
    arguments = ["contingency", str(file), *sizes, "--trade-off", "--charts", str(tmp_path / "charts")]
    text = runner.invoke(app, arguments, catch_exceptions=False).stdout
    assert sorted(chart.stem for chart in (tmp_path / "charts").iterdir()) == [
        "drawdown", "exceedance", "frontier_reserve", "fund", "matrix_colours", "matrix_levels", "waterfall",
    ]  # fmt: skip
    assert "P(it suffices)" in text and "Taken from the lines" in text and max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--fund", "chest"], "'chest' is no fund of this scenario; funds are reserve"),
        (["--confidence", "1"], "--confidence: 1 is no number between 0 and 1"),
        (["--paths", "0"], "attain contingency: --paths: 0 is below 1"),
        (["--set", 'remove=["x"]'], "remove"),
        (["--risks", "strike,stroke"], "'stroke' is no risk of this scenario; risks are strike"),
        (["--risks", "strike,strike"], "risks: strike twice"),
        (["--choices", "0"], "--choices: 0 is below 1"),
    ],
)
def test_bad_input_is_named(tmp_path, options: list[str], named: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(scenario(once(), fund(amount=4.0)).resolved_text())
    result = runner.invoke(app, ["contingency", str(file), *options], catch_exceptions=False)
    assert result.exit_code == 2 and named in " ".join(result.output.split())


def test_a_scenario_without_funds_is_refused() -> None:
    with pytest.raises(engine.SimulationError, match="there is no fund"):
        engine.contingency(scenario(stream(baseline=12 * MONTH)))


def test_a_year_in_which_nothing_happens(tmp_path) -> None:
    for text in (scenario(fund(amount=4.0)), scenario(fund(amount=4.0), risk(probability=0.0, level="low"))):
        found = engine.contingency(text, paths=200, choices=200)
        assert found.losses.total.mean.value == 0.0 and found.split.ledgers["fund_need"].all.value == 0.0
        assert all(file.stat().st_size > 10_000 for file in save_contingency(found, tmp_path))
        assert contingency_parts(found)
