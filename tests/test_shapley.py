"""Shapley values against the definition, worked out with whole scenarios from which risks are taken away."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from small import MONTH, YEAR, customers, fund, level, line, plan, risk, scenario, stream
from tolerance import within

import engine
from engine import simulation
from engine.analysis import shapley
from engine.analysis.needs import simulate_needs
from engine.analysis.switching import Switched

PATHS = 6_000


def answer(**fields: object) -> dict[str, object]:
    return {"effectiveness": {"uniform": [0.2, 0.8]}, "fund": "reserve", "cost_ratio": 0.2, **fields}


RISKS = {
    "war": risk(
        "war", probability=0.6, severity={"uniform": [0.1, 0.9]}, duration={"uniform": [2, 9]}, deferred=0.4,
        release=0.6, response=answer(),
    ),
    "slump": risk("slump", probability=0.5, severity=0.5, duration=6.0, shape="decay", response=answer(trigger=0.2)),
    "faults": risk("faults", rate=1.2, max_events=6, severity=0.3, duration=1.5, response=answer(cost_per_month=2.0)),
    "churn": risk("churn", probability=0.4, severity=0.4, duration="rest", churn_multiplier=6.0),
}  # fmt: skip


def text(names: tuple[str, ...] = tuple(RISKS)) -> engine.Scenario:
    """Risks that get in one another's way: a small fund, reviews, customers, backlogs."""
    return scenario(
        plan(target=1.9 * YEAR), stream(volatility=0.1), customers(count=20, spend=60.0, churn=0.2, wins=[0.2] * 12),
        line("ads", amount=5.0, response={"kind": "exponential", "ceiling": 0.3, "scale": 5.0}, reach={"*": 1.0}),
        fund(amount=25.0), level(lag=0.1, amount=6.0, line="ads", fund="reserve"), *(RISKS[name] for name in names),
    )  # fmt: skip


def run_of(what: engine.Scenario, paths: int = PATHS, worlds: int | None = None) -> simulation.Run:
    return simulation.plan_run(what, paths, worlds, 5, "random")


@pytest.fixture(scope="module")
def coalitions() -> dict[str, dict[frozenset[str], float]]:
    """Every measure under every set of risks, from scenarios that have only these."""
    found: dict[str, dict[frozenset[str], float]] = {measure: {} for measure in shapley.MEASURES}
    for size in range(len(RISKS) + 1):
        for names in combinations(RISKS, size):
            reduced = text(names)
            revenue = engine.simulate(reduced, paths=PATHS, seed=5)["revenue"].values
            key = frozenset(names)
            found["fund_need"][key] = float(simulate_needs(reduced, PATHS, None, 5).of("reserve").mean())
            found["revenue"][key] = float(revenue.mean())
            found["p_attain"][key] = float((revenue >= 1.9 * YEAR * (1 - 1e-9)).mean())
            found["revenue_p50"][key] = float(np.sort(revenue, axis=None)[PATHS // 2 - 1])
    return found


def by_definition(worth: dict[frozenset[str], float], name: str) -> float:
    """sum over sets S without the risk of |S|! (n - |S| - 1)! / n! (v(S and it) - v(S))"""
    n = len(RISKS)
    return sum(
        factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n) * (worth[s | {name}] - worth[s])
        for s in worth
        if name not in s
    )


@pytest.fixture(scope="module")
def exact() -> shapley.Split:
    return shapley.split(run_of(text()), list(RISKS))


@pytest.mark.parametrize("measure", shapley.MEASURES)
def test_exact_values_are_the_definition(coalitions, exact: shapley.Split, measure: str) -> None:
    worth, ledger = coalitions[measure], exact.ledgers[measure]
    everyone = frozenset(RISKS)
    size = max(abs(worth[everyone]), 1.0)
    assert exact.exact and ledger.none.value == pytest.approx(worth[frozenset()], abs=1e-9 * size)
    assert ledger.all.value == pytest.approx(worth[everyone], abs=1e-9 * size)
    for name, share in ledger.shares.items():
        assert share.shapley.value == pytest.approx(by_definition(worth, name), abs=1e-9 * size), name
        assert share.first_in.value == pytest.approx(worth[frozenset({name})] - worth[frozenset()], abs=1e-9 * size)
        assert share.last_in.value == pytest.approx(worth[everyone] - worth[everyone - {name}], abs=1e-9 * size)
        assert share.shapley.se > 0
    # the risks do get in one another's way, so that the order matters
    assert any(abs(share.interaction) > 1e-4 * size for share in ledger.shares.values())


@pytest.mark.parametrize("measure", shapley.MEASURES)
def test_shares_add_up(exact: shapley.Split, measure: str) -> None:
    ledger = exact.ledgers[measure]
    total, size = ledger.all.value - ledger.none.value, max(abs(ledger.all.value), 1.0)
    assert sum(s.shapley.value for s in ledger.shares.values()) == pytest.approx(total, abs=1e-9 * size)
    assert sum(s.first_in.value + s.interaction for s in ledger.shares.values()) == pytest.approx(
        total, abs=1e-9 * size
    )


@pytest.mark.parametrize("measure", shapley.MEASURES)
def test_random_orders_come_near_within_their_error(exact: shapley.Split, measure: str) -> None:
    sampled = shapley.split(run_of(text()), list(RISKS), exact=0, pairs=4)
    assert not sampled.exact
    ledger, whole = sampled.ledgers[measure], exact.ledgers[measure]
    size = max(abs(whole.all.value), 1.0)
    assert sum(s.shapley.value for s in ledger.shares.values()) == pytest.approx(
        whole.all.value - whole.none.value, abs=1e-9 * size
    )
    for name, share in ledger.shares.items():
        # the paths are the same, so that only the orders differ; the error holds both
        assert within(share.shapley.value, whole.shares[name].shapley.value, share.shapley.se), name
        assert share.first_in.value == pytest.approx(whole.shares[name].first_in.value, abs=1e-9 * size)
    assert any(share.shapley.value != whole.shares[name].shapley.value for name, share in ledger.shares.items())


def test_a_path_needs_only_the_sets_of_what_strikes() -> None:
    rare = {name: risk(name, probability=0.1, severity=0.1, duration=1.0) for name in "abcdefgh"}
    found = shapley.split(run_of(scenario(*rare.values()), 2_000), list(rare))
    # (1 + 0.1)^8 = 2.1 sets a path, not 256
    assert found.years / found.paths - 1 == pytest.approx(1.1**8, rel=0.1)


def test_additive_risks_get_their_own_means() -> None:
    parts = [stream(name, baseline=YEAR) for name in "abc"]
    risks = [
        risk(f"r_{name}", probability=0.5, window=[0, 6], severity=0.2 * k, duration=2.0, exposure={name: 1.0})
        for k, name in enumerate("abc", start=1)
    ]
    split = shapley.split(run_of(scenario(plan(target=3 * YEAR), *parts, *risks), 40_000), [f"r_{n}" for n in "abc"])
    for k, (name, share) in enumerate(split.ledgers["revenue"].shares.items(), start=1):
        assert share.shapley.value == pytest.approx(share.first_in.value, rel=1e-12)
        assert within(share.shapley.value, -0.5 * 0.2 * k * 2 * MONTH, share.shapley.se), name
        assert abs(share.interaction) < 1e-9
        # the error would show a value off by a tenth
        assert not within(share.shapley.value, -0.55 * 0.2 * k * 2 * MONTH, share.shapley.se)


def test_alike_risks_get_equal_shares_and_idle_ones_none() -> None:
    alike = [risk(name, window=[2, 2], severity=0.6, duration=3.0, response=answer(effectiveness=0.5)) for name in "ab"]
    idle = [risk("never", probability=0.0, severity=0.5, duration=3.0), risk("harmless", severity=0.0, duration=3.0)]
    what = scenario(plan(target=0.95 * YEAR), stream(volatility=0.1), *alike, *idle, fund(amount=30.0))
    split = shapley.split(run_of(what, 4_000), ["a", "b", "never", "harmless"])
    for ledger in split.ledgers.values():
        size = max(abs(ledger.all.value), 1.0)
        assert ledger.shares["a"].shapley.value == pytest.approx(ledger.shares["b"].shapley.value, abs=1e-9 * size)
        for name in ("never", "harmless"):
            assert ledger.shares[name].shapley.value == pytest.approx(0.0, abs=1e-12 * size)
        assert ledger.shares["a"].shapley.value != 0.0


def test_what_has_nothing_to_do_with_it_does_not_move_it(exact: shapley.Split) -> None:
    names = (*RISKS,)
    never = risk("never", probability=0.0, severity=0.5, duration=3.0, response=answer())
    base = text()
    more = engine.parse(base.resolved_text() + "\n" + never)
    again = shapley.split(run_of(more), [*names, "never"], exact=4)
    # a risk that never strikes does not count among those up to which all sets do
    assert again.exact
    for measure, ledger in exact.ledgers.items():
        assert again.ledgers[measure].shares["never"].shapley.value == 0.0
        for name in names:
            value = again.ledgers[measure].shares[name].shapley.value
            assert value == pytest.approx(ledger.shares[name].shapley.value, rel=1e-9, abs=1e-9)


def test_one_more_name_leaves_the_order_of_the_others() -> None:
    few, more = (shapley.random_orders(names, 5, 3) for names in (["a", "b", "c"], ["a", "new", "b", "c"]))
    place = {0: 0, 2: 1, 3: 2}
    for old, new in zip(few, more, strict=True):
        assert list(old) == [place[j] for j in new if j != 1]
    assert sorted(more[0]) == [0, 1, 2, 3] and list(more[1]) == list(more[0][::-1])


def test_risks_beyond_the_switchable_ones_act_always() -> None:
    many = [risk(f"r{k:02}", window=[0, 0], severity=0.01, duration=1.0) for k in range(54)]
    what = scenario(stream(baseline=YEAR), *many)
    split = shapley.split(run_of(what, 50), ["r00", "r01"])
    ledger = split.ledgers["revenue"]
    assert ledger.all.value == pytest.approx(YEAR - MONTH * (1 - 0.99**54), rel=1e-9)
    assert ledger.none.value == pytest.approx(YEAR - MONTH * (1 - 0.99**52), rel=1e-9)
    with pytest.raises(engine.SimulationError, match="r53 come after the first 52"):
        shapley.split(run_of(what, 50), ["r00", "r53"])


def test_the_error_is_what_other_paths_would_change() -> None:
    what = text()
    values = {measure: [] for measure in shapley.MEASURES}
    errors = {measure: [] for measure in shapley.MEASURES}
    for seed in range(40):
        run = simulation.plan_run(what, 1_500, None, seed, "random")
        for measure, ledger in shapley.split(run, list(RISKS)).ledgers.items():
            values[measure].append(ledger.shares["war"].shapley.value)
            errors[measure].append(ledger.shares["war"].shapley.se)
    for measure, found in values.items():
        # the spread of 40 values is known to 11 %
        assert np.mean(errors[measure]) == pytest.approx(np.std(found, ddof=1), rel=0.4), measure


def test_paths_come_out_as_in_the_run() -> None:
    run = run_of(text(), 3_000)
    switched = Switched(run, list(RISKS))
    revenue = engine.simulate(text(), paths=3_000, seed=5)["revenue"].values.ravel()
    some = np.array([7, 7, 100, 2_999])
    everyone = np.full(4, 2 ** len(RISKS) - 1)
    assert np.array_equal(switched.measure(some, everyone).revenue, revenue[some])
    losses = engine.simulate(text(), paths=3_000, seed=5)["loss"].values.reshape(-1, len(RISKS))
    struck = switched.struck()[:, None] >> np.arange(len(RISKS)) & 1
    assert (struck[:, 0] == (losses[:, 0] != 0)).all()
    assert not losses[struck == 0].any()
