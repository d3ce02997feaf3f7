"""Losses and the worth of answers against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small import MONTH, YEAR, customers, fund, level, line, plan, risk, scenario, stream
from tolerance import share_se, within

import engine
from engine import simulation
from engine.analysis import losses, responses
from engine.scenario import blocks

PATHS = 40_000


def run_of(what: engine.Scenario, paths: int = PATHS) -> simulation.Run:
    return simulation.plan_run(what, paths, None, 3, "random")


def of(*parts: str, paths: int = PATHS) -> losses.Losses:
    return losses.simulate_losses(run_of(scenario(*parts), paths))


def test_one_strike_of_fixed_size() -> None:
    strike = risk("strike", probability=0.25, window=[1, 6], severity=0.4, duration=3.0)
    found = of(plan(target=YEAR), stream(), strike)
    loss = 0.4 * 3 * MONTH
    one = found.by_risk["strike"]
    assert within(one.strikes.value, 0.25, share_se(0.25, PATHS))
    assert within(one.mean.value, 0.25 * loss, one.mean.se)
    assert one.given is not None and one.given.value == pytest.approx(loss, rel=1e-9)
    assert one.impact is not None and one.impact.value == pytest.approx(0.4, rel=1e-9)
    for view in (one.aggregate, one.occurrence, found.total.aggregate):
        assert view["0.5"].value == pytest.approx(0.0, abs=1e-9) and view["0.9"].value == pytest.approx(loss, rel=1e-9)
    # in the worst fifth of all years it always strikes, in the worst half in a half of them
    assert found.shortfall["0.8"].cvar.value == pytest.approx(loss, rel=1e-9)
    half = found.shortfall["0.5"]
    assert within(half.cvar.value, 0.5 * loss, half.cvar.se) and not within(half.cvar.value, 0.54 * loss, half.cvar.se)
    assert within(found.mean_shortfall.value, 0.25 * loss, found.mean_shortfall.se)


def test_the_largest_single_loss_of_poisson_strikes() -> None:
    # strikes of half a month, depth S uniform on (0, 1): the largest of Poisson(m) many has P(<= x) = exp(-m (1 - x))
    rate, window = 2.0, 11.0
    strikes = risk("faults", rate=rate, max_events=12, window=[0, window], severity={"uniform": [0, 1]}, duration=0.5)
    found = of(stream(baseline=YEAR), strikes)
    mean = rate * window / 12
    largest = found.by_risk["faults"].occurrence
    for name in ("0.8", "0.9", "0.95"):
        exact = (1 + math.log(float(name)) / mean) * 0.5 * MONTH
        # overlaps, which share what is lost, are rare; the order statistics cover with 90 %
        assert largest[name].value == pytest.approx(exact, rel=0.01)
    faults = found.by_risk["faults"]
    assert within(faults.strikes.value, 1 - math.exp(-mean), share_se(math.exp(-mean), PATHS))
    assert faults.aggregate["0.9"].value > 1.3 * largest["0.9"].value


def test_single_losses_add_up_to_the_year() -> None:
    what = scenario(
        plan(target=YEAR), stream(volatility=0.1), fund(amount=50.0),
        risk(
            "faults", rate=4.0, max_events=12, severity={"uniform": [0.3, 1]}, duration=2.0, deferred=0.5, release=0.5,
            response={"effectiveness": {"uniform": [0.5, 2.0]}, "fund": "reserve", "cost_ratio": 0.1},
        ),
    )  # fmt: skip
    run = run_of(what, 2_000)
    value, _ = blocks.results(what, ("occurrences",))
    for _, out in simulation.outputs(run, ("occurrences",)):
        single = out.values[value.occurrence_loss :][:12]
        net, back = out.values[value.loss], out.values[value.deferred_out]
        gross = single.sum(axis=0)
        # overlaps hit the cap of the class, responses win sales; what is lost is what came back and what did not
        assert (single < 0).any() and (single > 0).any()
        assert (gross - net >= -1e-6).all() and (gross - net > 1.0).any() and (back >= 0).all()
    plain = scenario(
        plan(target=YEAR), stream(volatility=0.1),
        risk("faults", rate=4.0, max_events=12, severity={"uniform": [0.3, 1]}, duration=2.0),
    )  # fmt: skip
    value, _ = blocks.results(plain, ("occurrences",))
    for _, out in simulation.outputs(run_of(plain, 2_000), ("occurrences",)):
        single, net = out.values[value.occurrence_loss :][:12].sum(axis=0), out.values[value.loss]
        assert single == pytest.approx(net, abs=1e-7)


def test_a_single_loss_is_never_more_than_strikes_can_take() -> None:
    what = scenario(
        plan(target=YEAR), stream(volatility=0.1), fund(amount=500.0),
        risk(
            "faults", rate=4.0, max_events=12, severity={"uniform": [0.3, 1]}, duration=2.0, deferred=0.9, release=1.0,
            response={"effectiveness": {"uniform": [0.5, 2.5]}, "fund": "reserve", "cost_ratio": 0.1},
        ),
    )  # fmt: skip
    found = losses.simulate_losses(run_of(what, 5_000))
    # a strike of two months takes less than two months and some noise, however much comes back or is won
    assert 0.0 <= found.by_risk["faults"].occurrence["0.99"].value < 2.5 * MONTH


def test_risks_that_overlap_share_and_the_total_is_theirs() -> None:
    parts = [risk(name, window=[2, 2], severity=0.6, duration=2.0) for name in "ab"]
    found = of(stream(), *parts, paths=200)
    both = (1 - 0.4 * 0.4) * 2 * MONTH
    assert found.total.mean.value == pytest.approx(both, rel=1e-9)
    assert found.by_risk["a"].mean.value == pytest.approx(both / 2, rel=1e-9)
    assert found.total.occurrence["0.9"].value == pytest.approx(both / 2, rel=1e-9)
    assert found.total.strikes.value == 1.0


def worth(what: engine.Scenario, name: str, paths: int = 4_000) -> responses.Worth:
    study = responses.Responses(run_of(what, paths))
    return study.worth(next(answer for answer in responses.answers(what) if answer.name == name))


def test_a_response_that_costs_a_share_of_what_it_protects() -> None:
    # a certain strike puts half of 4 months at stake; the answer keeps 60 % of it at once, for 0.2 a unit
    strike = risk(
        window=[1, 1], severity=0.5, duration=4.0,
        response={"effectiveness": 0.6, "cost_ratio": 0.2, "fund": "reserve"},
    )  # fmt: skip
    found = worth(scenario(plan(target=YEAR - 100), stream(margin=0.5), strike, fund(amount=500.0)), "strike", 200)
    kept = 0.6 * 0.5 * 4 * MONTH
    assert found.revenue.value == pytest.approx(kept, rel=1e-9)
    assert found.cost is not None and found.cost.value == pytest.approx(0.2 * kept, rel=1e-9)
    assert found.contribution.value == pytest.approx((0.5 - 0.2) * kept, rel=1e-9)
    assert found.most.value == pytest.approx(0.5 * kept, rel=1e-9)
    # it keeps margins of 0.5: it pays until it costs 0.5 a unit, that is 2.5 times as much
    assert found.pays_up_to is not None and found.pays_up_to.value == pytest.approx(2.5, rel=1e-6)
    # without it 1000 are sold, with it 1120, against a target of 1100
    assert found.points.value == 100.0


def test_a_small_fund_bends_the_multiple() -> None:
    def fixed(amount: float) -> engine.Scenario:
        strike = risk(
            window=[1, 1], severity=0.5, duration=4.0,
            response={"effectiveness": 0.6, "cost_ratio": 0.2, "fund": "reserve"},
        )  # fmt: skip
        return scenario(plan(target=YEAR), stream(margin=0.5), strike, fund(amount=amount))

    # a fund that pays for less of a dearer answer: what it pays for still brings 0.5 for what costs k 0.2
    small = worth(fixed(30.0), "strike", 200)
    assert small.pays_up_to is not None and small.pays_up_to.value == pytest.approx(2.5, rel=0.02)


def test_an_uncertain_cost_scales_as_it_is() -> None:
    strike = risk(
        window=[1, 1], severity=0.5, duration=4.0,
        response={"effectiveness": 0.6, "cost_ratio": {"lognormal": [0.1, 0.5]}, "fund": "reserve"},
    )  # fmt: skip
    what = scenario(plan(target=YEAR), stream(margin=0.5), strike, fund(amount=5e4))
    found = responses.Responses(simulation.plan_run(what, 4_000, 200, 3, "random"))
    worth = found.worth(next(responses.answers(what)))
    assert worth.cost is not None and worth.pays_up_to is not None
    assert worth.pays_up_to.value == pytest.approx(worth.most.value / worth.cost.value, rel=0.01)


def test_buffers_rescue_funds_and_reviews_are_answers_too() -> None:
    what = scenario(
        plan(target=1.5 * YEAR), stream(), customers(count=100, spend=6.0, churn=0.3, rescue=0.4),
        line("ads", amount=10.0, response={"kind": "exponential", "ceiling": 0.2, "scale": 2.0}, reach={"*": 1.0}),
        risk(window=[1, 1], severity=0.5, duration=4.0, buffer={"days": 30, "share": 1.0}),
        fund(amount=20.0), level(lag=0.05, amount=4.0, line="ads", fund="reserve"),
    )  # fmt: skip
    names = [answer.name for answer in responses.answers(what)]
    assert names == ["strike buffer", "clients rescue", "fund reserve", "reviews"]
    buffer = worth(what, "strike buffer")
    assert buffer.cost is None and buffer.pays_up_to is None and buffer.most == buffer.contribution
    # a month of the strike, 0.5 of both streams' sales, is kept
    assert buffer.revenue.value == pytest.approx(0.5 * (MONTH + 100 * 6 / 12), rel=0.1)
    rescue = worth(what, "clients rescue")
    assert rescue.revenue.value > 5 * rescue.revenue.se
    reserve, reviews = worth(what, "fund reserve"), worth(what, "reviews")
    # only the reviews draw on the fund, so that both are worth the same
    assert reserve.cost is not None and reviews.cost is not None
    assert reserve.cost.value == pytest.approx(reviews.cost.value) and reserve.revenue == reviews.revenue
    assert 0 < reserve.cost.value <= 16.0


def test_an_answer_that_does_nothing_is_worth_nothing() -> None:
    idle = risk(probability=0.0, severity=0.5, duration=1.0, response={"effectiveness": 1.0, "cost_ratio": 0.1})
    found = worth(scenario(stream(volatility=0.2), idle), "strike")
    assert found.revenue == found.contribution == found.points == (0.0, 0.0)
    assert found.pays_up_to is None and found.cost is not None and found.cost.value == 0.0


def test_differences_are_paired() -> None:
    what = scenario(
        plan(target=YEAR), stream(volatility=0.5),
        risk(probability=0.5, severity=0.3, duration=3.0, response={"effectiveness": 0.5, "cost_ratio": 0.1}),
    )  # fmt: skip
    found = worth(what, "strike", 20_000)
    revenue = engine.simulate(what, paths=20_000, seed=3)["revenue"].values
    unpaired = float(np.sqrt(2) * revenue.std() / np.sqrt(revenue.size))
    assert 0 < found.revenue.se < 0.3 * unpaired
