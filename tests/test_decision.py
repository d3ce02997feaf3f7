"""Decision sensitivity: where the optimum flips in closed form, regret, switch points, the worth of knowing."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from budgets import BASE, chance, concave, hill, lift, one_month, optimise_table
from small import line
from test_cli_budget import SMALL, run
from tolerance import within

import engine
from engine.analysis.estimates import Figure
from engine.budget import knowing, switch
from engine.budget.decision import DecisionSensitivity, KnobDecision, resting_on
from engine.errors import EngineError
from engine.plots import decision as draw
from engine.report.decision import decision_parts
from engine.scenario.derive import with_amounts, with_knob
from engine.scenario.worlds import fresh_seed

TARGET, SCALE, BUDGET = 1100.0, 50.0, 100.0
FAST = {"paths": 20_000, "fresh_paths": 100_000}


def either(first: object = 0.2, second: object = 0.18) -> engine.Scenario:
    """All the money goes to one line or to the other, in one piece: the one with the higher ceiling has it."""
    lines = [
        line(name, amount=amount, unit=BUDGET, maximum=BUDGET, reach={"*": 1.0},
             response={"kind": "exponential", "ceiling": ceiling, "scale": SCALE})
        for name, ceiling, amount in (("a", first, BUDGET), ("b", second, 0.0))
    ]  # fmt: skip
    return one_month(*lines, target=TARGET, budget=BUDGET)


def p_of(ceiling: float) -> float:
    """P(attain) with all the money on a line of such a ceiling."""
    return chance(BASE * (1 + lift(ceiling, SCALE, BUDGET)), TARGET)


def decide(plan_: engine.Scenario, *knobs: str, **options) -> DecisionSensitivity:
    return engine.decision_sensitivity(plan_, knobs=knobs, **{**FAST, **options})


def of(found: DecisionSensitivity, name: str) -> KnobDecision:
    return next(knob for knob in found.knobs if knob.factor.name == name)


# ------------------------------------------------------------------------------------------------------ closed forms


def test_the_optimum_flips_where_theory_says() -> None:
    found = decide(either(), "lines.a.response.ceiling=0.1:0.3", "lines.b.response.ceiling=0.09:0.27")
    assert found.amounts == {"lines.a.amount": 100.0, "lines.b.amount": 0.0}
    a, b = of(found, "lines.a.response.ceiling"), of(found, "lines.b.response.ceiling")
    assert found.changing == [a, b]  # the most regretted first
    # n = 100 000: se 0.0013 and 0.0011; a ceiling 3 % off would move the regret by 0.01
    for end, own, kept in ((a.low, 0.18, 0.1), (b.high, 0.27, 0.2)):
        assert end.regret is not None and end.p_kept is not None
        assert within(end.regret.value, p_of(own) - p_of(kept), end.regret.se)
        assert within(end.p_kept.value, p_of(kept), end.p_kept.se)
        assert end.moved == 100.0 and found.shifts(end) == {"a": -100.0, "b": 100.0}
    assert not a.high.searched and a.high.promise == 0.0  # the line that has all gets better still
    assert a.low.switch is not None and b.high.switch is not None and a.high.switch is b.low.switch is None
    # both lines are alike but for their ceilings: the decision switches where these are equal
    for found_at, exact in ((a.low.switch, 0.18), (b.high.switch, 0.2)):
        assert found_at.lo <= found_at.value <= found_at.hi
        assert found_at.value == pytest.approx(exact, abs=1e-3) and found_at.hi - found_at.lo < 2e-3


def test_the_closed_form_can_fail() -> None:
    end = of(decide(either(), "lines.a.response.ceiling=0.1:0.3"), "lines.a.response.ceiling").low
    assert end.regret is not None
    assert not within(end.regret.value, p_of(0.19) - p_of(0.1), end.regret.se)


@pytest.mark.parametrize("every", [False, True])
def test_a_knob_without_effect_changes_nothing(every: bool) -> None:
    plan_ = one_month(
        concave("a", ceiling=0.1, scale=20.0, amount=40.0), concave("b", ceiling=0.15, scale=60.0, amount=20.0)
    )
    found = decide(plan_, "streams.shop.margin=50%", every=every)
    (knob,) = found.knobs
    assert found.changing == [] and knob.worth is None
    for end in knob.ends:
        assert end.searched == every and end.allowed
        assert (end.regret, end.moved) == (((0.0, 0.0), 0.0) if every else (None, None))
        assert end.amounts == (found.amounts if every else None)


def test_what_knowing_is_worth_has_a_closed_form() -> None:
    plan_ = either({"uniform": [0.1, 0.3]})
    found = decide(plan_, "lines.a.response.ceiling", worlds=500, paths=50_000)
    knob = of(found, "lines.a.response.ceiling")
    ceilings = np.linspace(0.1, 0.3, 2001)
    first = np.array([p_of(ceiling) for ceiling in ceilings])
    exact = np.maximum(first, p_of(0.18)).mean() - first.mean()
    assert knob.worth is not None and knob.low.regret is not None
    # 500 worlds: se 0.0035; a rule of thumb that always took the other line would lose 0.02
    assert within(knob.worth.value, exact, knob.worth.se) and knob.worth.value > 5 * knob.worth.se
    assert within(knob.low.regret.value, p_of(0.18) - p_of(0.11), knob.low.regret.se)  # the 5 % quantile


def test_regret_is_what_a_full_enumeration_finds() -> None:
    plan_ = one_month(
        concave("a", ceiling=0.1, scale=20.0, amount=40.0), concave("b", ceiling=0.15, scale=60.0, amount=20.0)
    )
    end = of(decide(plan_, "lines.b.response.ceiling=0.05:0.25"), "lines.b.response.ceiling").low
    low = with_knob(plan_, "lines.b.response.ceiling", 0.05)

    def p(a: float, b: float) -> float:
        changed = with_amounts(low, {"lines.a.amount": float(a), "lines.b.amount": float(b)}, "test")
        result = engine.simulate(changed, paths=100_000, worlds=1, seed=fresh_seed(1))
        return float(result["target_met"].sel(target="revenue").mean())

    best = max(p(a, 100.0 - a) for a in np.linspace(0, 100, 41))
    assert end.regret is not None and end.amounts is not None and end.p_kept is not None
    assert end.regret.value == pytest.approx(best - end.p_kept.value, abs=1.5e-3) and end.regret.value > 0.01
    a, b = end.amounts.values()
    assert p(a, b) == pytest.approx(end.p_kept.value + end.regret.value, abs=1e-9)


def test_a_decision_may_switch_on_both_sides() -> None:
    plan_ = one_month(
        concave("a", ceiling=0.1, scale=20.0, amount=40.0), concave("b", ceiling=0.15, scale=60.0, amount=20.0)
    )
    found = decide(plan_, "lines.b.response.ceiling=0.05:0.4")
    knob = of(found, "lines.b.response.ceiling")
    low, high = knob.low.switch, knob.high.switch
    assert low is not None and high is not None
    assert 0.05 < low.lo <= low.hi < 0.15 < high.lo <= high.hi < 0.4
    # both allocations are alike where what a loses is what b gains, and b's lift is linear in its ceiling
    for end, at in ((knob.low, low), (knob.high, high)):
        assert end.amounts is not None
        (a, b), (c, d) = found.amounts.values(), end.amounts.values()
        exact = (lift(0.1, 20.0, a) - lift(0.1, 20.0, c)) / (lift(1.0, 60.0, d) - lift(1.0, 60.0, b))
        assert within(at.value, exact, at.se)


def test_it_agrees_with_a_new_optimisation() -> None:
    plan_ = either()
    end = of(decide(plan_, "lines.a.response.ceiling=0.1:0.3"), "lines.a.response.ceiling").low
    again = engine.optimise(with_knob(plan_, "lines.a.response.ceiling", 0.1), paths=20_000, fresh_paths=100_000)
    assert again.amounts == end.amounts
    assert end.p_kept is not None and end.regret is not None
    assert again.p_attain.value == pytest.approx(end.p_kept.value + end.regret.value, abs=1e-9)


def test_an_optimum_far_away_is_found_where_responses_are_s_shaped() -> None:
    # half of the money brings either line next to nothing: no small move pays
    plan_ = one_month(
        hill("a", ceiling=0.2, scale=70.0, slope=6.0, amount=100.0), hill("b", ceiling=0.18, scale=75.0, slope=6.0)
    )
    found = decide(plan_, "lines.a.response.ceiling=0.1:0.3")
    end = of(found, "lines.a.response.ceiling").low
    assert found.amounts["lines.a.amount"] > 95.0
    assert found.is_change(end) and end.amounts is not None and end.amounts["lines.b.amount"] > 95.0


def test_keeping_is_what_constraints_leave_of_the_optimum() -> None:
    plan_ = one_month(concave("a", ceiling=0.2, scale=50.0, maximum=80.0), concave("b", ceiling=0.02, scale=50.0))
    knob = of(decide(plan_, "lines.a.maximum=0:100"), "lines.a.maximum")
    assert not knob.low.allowed and knob.low.searched and knob.low.switch is None
    # what line a may not have is best given to b, but keeping lets it lie
    exact = chance(BASE * (1 + lift(0.02, 50.0, 100.0)), TARGET) - chance(
        BASE * (1 + lift(0.02, 50.0, found_b(plan_))), TARGET
    )
    assert knob.low.regret is not None and within(knob.low.regret.value, exact, max(knob.low.regret.se, 1e-3))
    assert knob.high.allowed


def found_b(plan_: engine.Scenario) -> float:
    """What line b has at the present optimum."""
    return engine.optimise(plan_, paths=20_000, fresh_paths=20_000).amounts["lines.b.amount"]


def test_the_same_seed_gives_the_same_answer() -> None:
    one, other = (decide(either(), "lines.*.response.ceiling=40%", threads=n) for n in (None, 1))
    assert one.to_json() == other.to_json()
    third = decide(either(), "lines.*.response.ceiling=40%", seed=2)
    assert third.to_json() != one.to_json()


# ------------------------------------------------------------------------------------------------ what is a change


def test_small_and_unsure_regrets_are_no_change() -> None:
    found = decide(either(), "lines.a.response.ceiling=0.175:0.3", least=0.05)
    end = of(found, "lines.a.response.ceiling").low
    assert end.regret is not None and 0.0 < end.regret.value < 0.05 and found.changing == []
    assert decide(either(), "lines.a.response.ceiling=0.175:0.3", least=0.0).changing != []


def test_more_ends_ask_for_more_certainty() -> None:
    few = decide(either(), "lines.a.response.ceiling=0.1:0.3")
    more = decide(either(), "lines.*.response.*=20%", every=True)
    assert 1.6 < few.sigmas < more.sigmas < 3.0


def test_default_knobs_are_what_a_decision_rests_on() -> None:
    plan_ = engine.parse(SMALL)
    wanted = resting_on(plan_)
    assert "plan.target" in wanted and "risks.strike.probability" not in wanted
    assert "lines.stores.response.slope" in wanted and "lines.ads.response.scale" in wanted
    assert not {"lines.ads.amount", "lines.ads.response.slope", "plan.budget"} & set(wanted)
    held = engine.parse(SMALL + optimise_table(fixed=["ads"]))
    assert not any(name.startswith("lines.ads") for name in resting_on(held))
    studied = {knob.factor.name: knob.factor for knob in decide(plan_, paths=2000, worlds=2).knobs}
    assert studied.keys() == {"risks.strike.probability", *wanted}
    target = studied["plan.target"]
    assert (target.low, target.high) == (0.9 * target.central, 1.1 * target.central)


# ---------------------------------------------------------------------------------------- switch points and knowing


def straight(slope: float, root: float, se: float) -> switch.Switch | None:
    low, high = 0.0, 10.0
    ahead = lambda value: Figure(slope * (value - root), se)  # noqa: E731
    end, other = (high, low) if slope > 0 else (low, high)
    return switch.find(ahead, end, 5.0, other, ahead(end))


@pytest.mark.parametrize("slope", [-1.0, 2.0])
@pytest.mark.parametrize("root", [0.3, 2.0, 5.0, 7.7])
def test_a_straight_difference_switches_at_its_root(slope: float, root: float) -> None:
    found = straight(slope, root, 0.05)
    assert found is not None and found.value == pytest.approx(root)
    half = 1.96 * 0.05 / abs(slope)
    assert (found.lo, found.hi) == pytest.approx((root - half, root + half), abs=1e-9)


def test_a_switch_that_errors_hide_has_an_open_interval_and_may_not_exist() -> None:
    unsure = straight(1.0, 5.5, 4.0)
    assert unsure is not None and unsure.lo == 0.0 and unsure.hi == 10.0
    assert straight(1.0, -2.0, 0.1) is None  # ahead at all values


def test_knowing_takes_the_better_side_of_a_line() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(-1, 1, 2000)
    ahead = np.array([values, -0.5 - values]) + rng.normal(0, 0.2, (2, 2000))
    found = knowing.worth(ahead, values)
    exact = (np.maximum(0.0, np.maximum(np.linspace(-1, 1, 4001), -0.5 - np.linspace(-1, 1, 4001)))).mean()
    assert within(found.value, exact, found.se)


def test_knowing_what_says_nothing_is_worth_nothing() -> None:
    rng = np.random.default_rng(4)
    found = [knowing.worth(rng.normal(-0.05, 1.0, (8, 256)), rng.uniform(size=256)) for _ in range(200)]
    gained = np.array([figure.value for figure in found])
    # a rule that is judged in the worlds that made it would gain some 0.2 by luck
    better = knowing.worth(np.array([rng.normal(0.5, 1.0, 256)]), rng.uniform(size=256))
    assert within(better.value, 0.0, max(better.se, 1e-3))  # what is better anyhow needs no knowing
    assert gained.mean() <= 5 * gained.std(ddof=1) / math.sqrt(gained.size)
    assert knowing.worth(np.empty((0, 256)), rng.uniform(size=256)) == (0.0, 0.0)


# ------------------------------------------------------------------------------------------- faults, command, chart


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(EngineError) as caught:
        decide(
            either(), "lines.a.respons", "plan.budget=10%", "lines.b.minimum=0:90", paths=0, least=1.5, solver="abacus",
            fresh_paths=100,
        )  # fmt: skip
    said = str(caught.value)
    for words in (
        "paths: 0 is below 1", "abacus", "least: 1.5 lies outside 0 to below 1",
        "lines.a.respons: no such knob", "plan.budget: at 90: ", "narrow its range",
    ):  # fmt: skip
        assert words in said


def test_a_value_that_leaves_no_allocation_is_named() -> None:
    plan_ = one_month(concave("a", ceiling=0.2, scale=50.0, minimum=20.0), concave("b", ceiling=0.1, scale=50.0))
    with pytest.raises(EngineError, match=r"lines\.b\.minimum: at 90: .*narrow its range"):
        decide(plan_, "lines.b.minimum=0:90")


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return str(file)


QUICK = ("--paths", "8000", "--knob", "lines.stores.response.ceiling=40%", "--knob", "risks.*.probability")


def test_the_command_prints_json_and_a_chart(small: str, tmp_path: Path) -> None:
    text, said = run("decision", small, *QUICK, "--json", "--charts", str(tmp_path / "c"))
    found = json.loads(text)
    assert (tmp_path / "c" / "decision.png").exists() and "2 knobs at both ends" in said
    knob = next(row for row in found["knobs"] if row["name"] == "lines.stores.response.ceiling")
    assert found["changing"] == ["lines.stores.response.ceiling"] and knob["changes"]
    assert set(knob["regret"]) == {"value", "se"} and knob["regret"]["se"] > 0
    assert set(knob["ends"]["low"]) >= {"value", "promise", "allowed", "searched", "allocation", "moved", "p_kept"}
    assert set(knob["ends"]["low"]["switch"]) == {"value", "lo", "hi"} and knob["ends"]["high"]["switch"] is None
    assert found["unfinished"] == [] and set(found["p_attain"]) >= {"value", "se", "se_sampling"}


def test_the_command_prints_a_table(small: str) -> None:
    text, _ = run("decision", small, *QUICK)
    flat = " ".join(text.split())
    assert "Of 2 knobs, 1 would change the allocation: keeping the present optimum would cost 0.1 points" in flat
    assert "Most: lines.stores.response.ceiling at 0.06, " in flat and "±" in flat
    assert max(map(len, text.splitlines())) <= 100
    text, _ = run("decision", small, "--paths", "4000", "--knob", "streams.shop.margin=10%")
    flat = " ".join(text.split())
    assert "streams.shop.margin would not change the allocation" in flat
    assert "No move away from the present optimum pays at either end." in flat and "more knob" not in flat
    assert "4,000 paths in 4 worlds, seed 1" in flat and "Only 4 worlds: " in flat


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--range", "ten"], "--range: 'ten' is no percentage above 0; give one such as 10%"),
        (["--least", "-1%"], "--least: '-1%' is no percentage above 0; give one such as 0.1%"),
        (["--least", "2"], "--least: '2' is no percentage above 0"),
        (["--knob", "risks.strike.probability", "--range", "20%"], "range: no plain number is among the knobs"),
        (["--solver", "abacus"], "--solver: 'abacus' is not known"),
        (["--knob", "lines.ads.maxum=10%"], "did you mean lines.ads.maximum?"),
        (["--knob", "lines.ads.maximum"], "a plain number with no range"),
        (["--knob", "plan.budget=10%"], "plan.budget: at 54: "),
        (["--paths", "0"], "attain decision: --paths: 0 is below 1"),
    ],
)
def test_bad_input_is_named(small: str, arguments: list[str], named: str) -> None:
    _, said = run("decision", small, *arguments, code=2)
    assert named in " ".join(said.split())


def test_an_interruption_keeps_what_is_finished() -> None:
    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    names = ["lines.a.response.ceiling=0.1:0.3", "streams.shop.margin=10%", "streams.shop.volatility=10%"]
    # the first knob waits for a search, the second was screened when the work stopped
    found = decide(either(), *names, progress=stop)
    assert [knob.factor.name for knob in found.knobs] == []
    assert found.unfinished == [name.partition("=")[0] for name in names]

    def later(done: int, total: int) -> None:
        if done >= 7:
            raise KeyboardInterrupt

    found = decide(either(), *names, progress=later)
    assert [knob.factor.name for knob in found.knobs] == [name.partition("=")[0] for name in names[1:]]
    assert found.unfinished == ["lines.a.response.ceiling"] and decision_parts(found)


def test_the_command_says_that_it_was_interrupted(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("engine.cli.budget.progress", lambda of_paths: nullcontext(stop))
    text, said = run(
        "decision", small, "--paths", "4000", "--knob", "streams.shop.margin=10%",
        "--knob", "lines.stores.response.ceiling=40%", code=130,
    )  # fmt: skip
    assert "1 more knob was not finished" in " ".join(text.split()) and "Interrupted: 1 of the knobs" in said


def test_the_chart_shows_what_was_searched() -> None:
    found = decide(either(), "lines.a.response.ceiling=0.1:0.3", "streams.shop.margin=10%")
    ax = draw(found.dataset)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["lines.a.response.ceiling"]
    bars = [patch.get_width() for patch in ax.patches]
    assert max(bars) == pytest.approx(100 * (p_of(0.18) - p_of(0.1)), abs=1.0)
    assert "no move pays" in [text.get_text() for text in ax.texts]
