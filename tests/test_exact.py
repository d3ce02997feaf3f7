"""Exact answers that any implementation must give: the sentences of the model's section 7, the formulas of section 3.

Every expected value is a closed form or a quadrature, worked out in the test; `small` builds the plan: 100 a month.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from small import (
    MONTH,
    YEAR,
    customers,
    demand,
    everything,
    fund,
    incentives,
    launch,
    level,
    line,
    monthly,
    plan,
    risk,
    run,
    scenario,
    season,
    stream,
    target,
)
from tolerance import (
    EXACT,
    KOLMOGOROV,
    agrees,
    assert_exact,
    correlation_of,
    distance,
    mean_of,
    share_se,
    variance_of,
    within,
)

import engine
from engine.scenario.worlds import design

T = 12
MONTHS = np.arange(T)
AHEAD = [0.9, 0.8, 1.0, 1.0, 1.0, 1.1, 0.9, 1.0, 1.1, 1.3, 1.2, 0.7]


def first(result, name: str, **where):
    """A variable of the first path."""
    return result[name].sel(**where).values[0, 0]


def paths_of(result, name: str, **where) -> np.ndarray:
    """A variable on all paths of the first world."""
    return result[name].sel(**where).values[0]


def overlap(begin: float, end: float) -> np.ndarray:
    """The share of each month in an interval."""
    return np.clip(np.minimum(end, MONTHS + 1.0) - np.maximum(begin, MONTHS), 0.0, None)


# ---------------------------------------------------------------------------------- 3.1, 3.2: no risk, no noise


def test_without_risk_and_noise_revenue_is_the_sum_of_v() -> None:
    """All three kinds of stream at once: baseline, launch and customers whom nothing drives away."""
    parts = [
        season("trade", weights=AHEAD),
        stream("shop", baseline=1200.0, growth=0.08, season="trade"),
        launch(peak=50.0, start=3.5, ramp=2.0, fields={"season": "trade"}),
        customers(count=7, spend=36.0, fields={"growth": -0.1}),
    ]
    s = np.array(AHEAD) * 12 / sum(AHEAD)
    shop = 100.0 * s * 1.08 ** ((MONTHS + 6.5) / 12)
    novelty = 50.0 * s * [established(t, begin=3.5, ramp=2.0) for t in range(T)]
    clients = 7 * 36.0 / 12 * 0.9 ** ((MONTHS + 0.5) / 12)
    result = run(*parts)
    assert_exact(monthly(result), shop + novelty + clients)
    assert_exact(first(result, "revenue"), (shop + novelty + clients).sum())
    assert_exact(first(result, "revenue_by_stream"), [shop.sum(), novelty.sum(), clients.sum()])


def test_growth_counts_from_the_middle_of_last_year() -> None:
    """Twelve months on average after last year's: the middle of this year is a whole year on."""
    result = run(stream(growth=0.2))
    assert_exact(monthly(result), MONTH * 1.2 ** ((MONTHS + 6.5) / 12))
    assert_exact(math.sqrt(monthly(result)[5] * monthly(result)[6]), MONTH * 1.2)


def test_a_season_follows_the_calendar_and_has_mean_1() -> None:
    weights = np.arange(1.0, 13.0)
    result = run(plan(start="2024-11", months=4), season("trade", weights=list(weights)), stream(season="trade"))
    assert_exact(monthly(result), MONTH * np.array([11, 12, 1, 2]) / 6.5)


def established(t: int, begin: float, ramp: float) -> float:
    """G_t by quadrature: the mean over month t of 1 - exp(-(u - begin) / ramp) beyond `begin`."""
    low = max(float(t), begin)
    if low >= t + 1:
        return 0.0
    return quad(lambda u: 1.0 - math.exp(-(u - begin) / ramp) if ramp > 0 else 1.0, low, t + 1, epsabs=1e-13)[0]


@pytest.mark.parametrize("slip", [0.0, 1.3, 20.0])
@pytest.mark.parametrize("ramp", [0.0, 0.05, 4.0])
@pytest.mark.parametrize("start", [0.0, 2.7, -5.0])
def test_launch(start: float, ramp: float, slip: float) -> None:
    result = run(launch(peak=80.0, start=start, ramp=ramp, slip=slip))
    expected = [80.0 * established(t, begin=start + slip, ramp=ramp) for t in range(T)]
    assert_exact(monthly(result), expected, atol=1e-9)


def test_a_launchs_slip_is_drawn_once_a_path() -> None:
    """Ramp 0: what is missing after the start is peak * slip, so each path shows its slip."""
    result = run(launch(peak=80.0, start=2.0, slip={"uniform": [0, 3]}), paths=20_000)
    slip = 10.0 - paths_of(result, "revenue") / 80.0
    # n = 20 000: a distance of 2.74 / sqrt(n) = 0.02, so a support wrong by 2 % is caught
    assert distance(slip, stats.uniform(0, 3).cdf) < KOLMOGOROV
    assert distance(slip, stats.uniform(0, 3.1).cdf) > KOLMOGOROV


RESPONSES = {
    "exponential": ({"kind": "exponential", "ceiling": 0.3, "scale": 8.0}, lambda A: 0.3 * (1 - np.exp(-A / 8.0))),
    "hill": (
        {"kind": "hill", "ceiling": 0.4, "scale": 6.0, "slope": 2.5},
        lambda A: np.array([0.4 / (1 + (6.0 / a) ** 2.5) if a > 0 else 0.0 for a in A]),
    ),
    "hill_falling": (
        {"kind": "hill", "ceiling": -0.2, "scale": 6.0, "slope": 0.5},
        lambda A: np.array([-0.2 / (1 + (6.0 / a) ** 0.5) if a > 0 else 0.0 for a in A]),
    ),
}


def adstock(x: np.ndarray, carryover: float, initial: float) -> np.ndarray:
    """A_t = carryover A_{t-1} + (1 - carryover) x_t."""
    A, before = np.empty(len(x)), initial
    for t, spent in enumerate(x):
        A[t] = before = carryover * before + (1 - carryover) * spent
    return A


@pytest.mark.parametrize("kind", RESPONSES)
@pytest.mark.parametrize(("carryover", "initial"), [(0.0, 0.0), (0.6, 0.0), (0.9, 12.0)])
def test_adstock_and_response(kind: str, carryover: float, initial: float) -> None:
    curve, U = RESPONSES[kind]
    weights = [0, 3, 1, 0, 0, 2, 5, 1, 0, 0, 0, 4]
    spent = 96.0 * np.array(weights) / sum(weights)
    ads = line(
        amount=96.0, phasing=weights, carryover=carryover, initial=initial, response=curve, effectiveness=1.25,
        reach={"shop": 0.7},
    )  # fmt: skip
    result = run(ads)
    assert_exact(monthly(result), MONTH * (1 + 0.7 * 1.25 * U(adstock(spent, carryover, initial))))
    assert_exact(first(result, "spend", line="ads"), 96.0)
    assert_exact(first(result, "contribution"), 0.5 * monthly(result).sum() - 96.0)


def test_hill_is_0_without_spend() -> None:
    result = run(
        line(amount=0.0, response={"kind": "hill", "ceiling": 0.4, "scale": 6.0, "slope": 2.5}, reach={"*": 1})
    )
    assert_exact(monthly(result), np.full(T, MONTH))


@pytest.mark.parametrize("phasing", ["even", "trade", [1, 0, 2, 5]])
def test_phasing_sums_to_1_over_the_horizon(phasing: str | list[float]) -> None:
    """By season: the weights of the plan's own months only, here November to February."""
    curve, U = RESPONSES["exponential"]
    weights = {"even": [1, 1, 1, 1], "trade": [11, 12, 1, 2]}.get(phasing if isinstance(phasing, str) else "", phasing)
    result = run(
        plan(start="2024-11", months=4),
        season("trade", weights=list(range(1, 13))),
        line(amount=40.0, phasing=phasing, response=curve, reach={"*": 1.0}),
    )
    assert_exact(monthly(result), MONTH * (1 + U(40.0 * np.array(weights) / sum(weights))))


def test_lifts_of_lines_add_and_stop_at_minus_1() -> None:
    strong = {"ceiling": 3.0, "scale": 1.0}
    parts = [
        line("ads", amount=12.0, response=strong, reach={"shop": 1.0, "other": -1.0}),
        line("fairs", amount=24.0, response=strong, reach={"*": 0.5}),
        stream("shop"),
        stream("other"),
        stream("third"),
    ]
    ads, fairs = 3 * (1 - math.exp(-1)), 0.5 * 3 * (1 - math.exp(-2))
    assert -ads + fairs > -1
    assert_exact(
        first(run(*parts), "revenue_by_stream"), YEAR * np.array([1 + ads + fairs, 1 - ads + fairs, 1 + fairs])
    )
    alone = [line(amount=12.0, response=strong, reach={"shop": -1.0}), stream("shop"), stream("other")]
    assert first(run(*alone), "revenue_by_stream").tolist() == [0.0, pytest.approx(YEAR)]


def test_the_most_specific_selector_counts() -> None:
    """Reach by `*`, one pair, two pairs, id; a stream that nothing matches gets 0."""
    labels = [("one", {"a": "x"}), ("two", {"a": "x", "b": "y"}), ("three", {"a": "x", "b": "y"}), ("four", {"a": "z"})]
    streams = [stream(name, labels=pairs) for name, pairs in labels]
    U = 0.1 * (1 - math.exp(-1))
    ads = {"amount": 12.0, "response": {"ceiling": 0.1, "scale": 1.0}}
    reach = {"a:x": 1.0, "a:x&b:y": 2.0, "three": 3.0, "*": 0.5}
    lift = first(run(*streams, line(reach=reach, **ads)), "revenue_by_stream") / YEAR - 1
    assert_exact(lift, U * np.array([1, 2, 3, 0.5]), rtol=1e-7)
    lift = first(run(*streams, line(reach={"b:y": 1.0}, **ads)), "revenue_by_stream") / YEAR - 1
    assert_exact(lift, U * np.array([0, 1, 1, 0]), rtol=1e-7, atol=1e-12)


# ---------------------------------------------------------------------------------- 3.3: demand and noise


def sum_variance(rho: float, sd: float, beta: float) -> float:
    """Variance of a year's sum of exp(beta d_t - beta**2 v / 2), d an AR(1) of stationary variance v."""
    v = sd**2 / (1 - rho**2)
    apart = np.abs(np.subtract.outer(MONTHS, MONTHS))
    return float((np.exp(beta**2 * v * rho**apart) - 1).sum())


def test_demand_alone() -> None:
    result = run(demand(volatility=0.1, persistence=0.7), stream(demand_beta=1.5), paths=200_000)
    year = paths_of(result, "revenue") / MONTH
    # n = 200 000, se of the mean 0.003 of 12: catches a bias of 0.15 %; of the variance 0.4 %: a persistence of 0.705
    assert agrees(mean_of(year), 12.0)
    assert agrees(variance_of(year), sum_variance(rho=0.7, sd=0.1, beta=1.5))
    assert not agrees(variance_of(year), sum_variance(rho=0.72, sd=0.1, beta=1.5))
    by_month = paths_of(result, "monthly_revenue") / MONTH
    v = (1.5 * 0.1) ** 2 / (1 - 0.49)
    for t in (0, 1, 11):  # the stationary law holds from the first month on; se 0.0005 and 0.4 %
        assert agrees(mean_of(by_month[:, t]), 1.0)
        assert agrees(variance_of(by_month[:, t]), math.exp(v) - 1)


def test_demand_is_common_to_all_streams() -> None:
    """One month, so that a stream shows its d; betas 1 and -2."""
    parts = [plan(months=1), demand(volatility=0.1, persistence=0.5), stream("a"), stream("b", demand_beta=-2.0)]
    result = run(*parts, paths=50)
    v = 0.1**2 / (1 - 0.5**2)
    a, b = (np.log(paths_of(result, "revenue_by_stream", stream=i) / MONTH) for i in "ab")
    assert_exact(b + 4 * v / 2, -2 * (a + v / 2), rtol=0, atol=1e-9)


def test_level_moves_everything_alike() -> None:
    assert_exact(monthly(run(demand(level=0.9))), np.full(T, 0.9 * MONTH))


def test_noise_alone_is_lognormal_with_mean_1() -> None:
    result = run(stream(volatility=0.3), paths=100_000)
    by_month = paths_of(result, "monthly_revenue") / MONTH
    # n = 1.2 M months: se of the mean 2.8e-4, of the variance 0.18 %: catches a volatility of 0.302
    assert agrees(mean_of(by_month), 1.0)
    assert agrees(variance_of(by_month), math.exp(0.09) - 1)
    assert not agrees(variance_of(by_month), math.exp(0.31**2) - 1)
    # months are independent: n = 100 000, se 0.003
    assert agrees(correlation_of(np.log(by_month[:, 3]), np.log(by_month[:, 4])), 0.0)
    # the law itself, n = 100 000: a distance of 0.009
    assert distance(by_month[:, 7], stats.lognorm(0.3, scale=math.exp(-0.045)).cdf) < KOLMOGOROV


@pytest.mark.parametrize("c", [0.0, 0.4, 1.0])
def test_noise_correlation(c: float) -> None:
    parts = [demand(noise_correlation=c), stream("a", volatility=0.1), stream("b", volatility=0.2)]
    result = run(*parts, paths=40_000, detail=("streams",))
    a, b = (np.log(paths_of(result, "monthly_revenue_by_stream", stream=i)[:, 5]) for i in "ab")
    # n = 40 000, se 0.005 at c = 0, 0.0042 at 0.4: catches 0.03
    estimate = correlation_of(a, b)
    assert within(estimate.value, c, max(estimate.se, 1e-9))
    assert not within(estimate.value, c - 0.05, max(estimate.se, 1e-9))


def test_with_full_noise_correlation_the_split_does_not_matter() -> None:
    noisy = demand(noise_correlation=1.0, volatility=0.05)
    whole = run(noisy, stream("whole", volatility=0.2), paths=100)
    split = run(
        noisy, stream("a", baseline=500.0, volatility=0.2), stream("b", baseline=700.0, volatility=0.2), paths=100
    )
    assert_exact(split["monthly_revenue"].values, whole["monthly_revenue"].values)


# ---------------------------------------------------------------------------------- 3.4: one risk


def test_one_fixed_risk() -> None:
    p, S, D, n = 0.35, 0.4, 2.5, 50_000
    result = run(risk(probability=p, severity=S, duration=D, window=[0, T - D]), paths=n)
    loss = paths_of(result, "loss", risk="strike")
    spared = (loss == 0).mean()
    # n = 50 000, se 0.0021: catches a probability off by 0.013
    assert within(spared, 1 - p, share_se(p, n))
    assert not within(spared, 1 - p - 0.02, share_se(p, n))
    assert_exact(loss[loss != 0], S * D * MONTH)
    assert_exact(paths_of(result, "revenue") + loss, np.full(n, YEAR))


def test_beyond_the_horizon() -> None:
    """E = p S / T * integral over uniform starts of min(D, T - tau)."""
    p, S, D, n = 0.6, 0.4, 5.0, 50_000
    result = run(risk(probability=p, severity=S, duration=D), paths=n)
    lost = paths_of(result, "loss", risk="strike") / (S * MONTH)
    # n = 50 000, se 0.01 months of 2.4: catches 2.5 %
    assert agrees(mean_of(lost), p * (D - D**2 / (2 * T)))
    assert not agrees(mean_of(lost), p * D)


def test_a_window_may_begin_before_the_plan() -> None:
    n = 50_000
    result = run(risk(severity=0.5, duration=3.0, window=[-4, 2]), paths=n)
    seen = paths_of(result, "loss", risk="strike") / (0.5 * MONTH)
    # starts in [-4, -3] are over before the plan begins: a sixth; se 0.0017
    assert within((seen == 0).mean(), 1 / 6, share_se(1 / 6, n))
    # then 3 - |tau| for tau in [-3, 0], 3 for [0, 2]: se 0.005 of 1.75, catches 2 %
    assert agrees(mean_of(seen), (4.5 + 6) / 6)


def starts_of(result) -> np.ndarray:
    """The starts: a risk that takes all sales to the end of the horizon leaves just those before it."""
    return paths_of(result, "revenue") / MONTH


TO_THE_END = {"severity": 1.0, "duration": "rest"}


def test_hazard_timing_is_a_truncated_exponential() -> None:
    p, begin, end = 0.9, 2.0, 10.0
    result = run(risk(probability=p, timing="hazard", window=[begin, end], **TO_THE_END), paths=50_000)
    tau = starts_of(result)
    struck = tau[tau < T - 1e-9]
    hazard = -math.log(1 - p) / (end - begin)
    # n = 45 000: a distance of 0.013; the negative control has p = 0.85 in the hazard's place
    assert within(struck.size / tau.size, p, share_se(p, tau.size))
    assert distance(struck, lambda x: (1 - np.exp(-hazard * (x - begin))) / p) < KOLMOGOROV
    wrong = -math.log(1 - 0.85) / (end - begin)
    assert distance(struck, lambda x: (1 - np.exp(-wrong * (x - begin))) / 0.85) > KOLMOGOROV


def test_uniform_timing() -> None:
    tau = starts_of(run(risk(window=[2, 10], **TO_THE_END), paths=50_000))
    assert distance(tau, stats.uniform(2, 8).cdf) < KOLMOGOROV  # n = 50 000: a distance of 0.012
    assert distance(tau, stats.uniform(2, 8.2).cdf) > KOLMOGOROV


def test_a_fixed_start() -> None:
    result = run(risk(window=[3.25, 3.25], severity=0.4, duration=2.0))
    assert_exact(monthly(result), MONTH * (1 - 0.4 * overlap(3.25, 5.25)))


def test_decay_from_a_fixed_start() -> None:
    tau, S, D = 1.25, 0.5, 2.0
    result = run(risk(window=[tau, tau], severity=S, duration=D, shape="decay"))
    begin, end = np.maximum(MONTHS - tau, 0) / D, np.maximum(MONTHS + 1 - tau, 0) / D
    assert_exact(monthly(result), MONTH * (1 - S * D * (np.exp(-begin) - np.exp(-end))))


@pytest.mark.parametrize("shape", ["step", "decay"])
def test_buffer(shape: str) -> None:
    """Step: S (D - share days / 30). Decay: the tail from the buffer's end, as ever with the time constant D."""
    share, days, S, D = 0.6, 21.0, 0.4, 1.7
    result = run(
        risk(window=[2, 2], severity=S, duration=D, shape=shape, buffer={"days": days, "share": share}),
        plan(months=36),
        stream(),
    )
    gone = D - share * days / 30 if shape == "step" else D * (1 - share * (1 - math.exp(-days / 30 / D)))
    assert_exact(first(result, "loss", risk="strike"), S * gone * MONTH, rtol=1e-8)


def test_a_buffer_longer_than_the_event() -> None:
    result = run(risk(window=[2, 2], severity=0.4, duration=1.5, buffer={"days": 60, "share": 0.6}))
    assert_exact(first(result, "loss", risk="strike"), 0.4 * 0.4 * 1.5 * MONTH)


@pytest.mark.parametrize("m", [0.5, 1.0, 1.6])
def test_lag_and_effectiveness(m: float) -> None:
    lag, S, D = 18 / 30, 0.4, 3.3
    result = run(risk(window=[2.2, 2.2], severity=S, duration=D, response={"lag_days": 18, "effectiveness": m}))
    assert_exact(first(result, "loss", risk="strike"), S * (D - m * (D - lag)) * MONTH)
    assert_exact(monthly(result), MONTH * (1 - S * (overlap(2.2, 5.5) - m * overlap(2.2 + lag, 5.5))))


def test_response_under_decay_and_buffer() -> None:
    """oR is o counted from the lag on; the buffered share waits for the later of lag and buffer."""
    S, D, m, lag, wait, share = 0.4, 1.5, 0.7, 0.2, 0.5, 0.6
    result = run(
        plan(months=36),
        risk(
            window=[2, 2], severity=S, duration=D, shape="decay", buffer={"days": 15, "share": share},
            response={"lag_days": 6, "effectiveness": m},
        ),
    )  # fmt: skip

    def tail(delay: float) -> float:
        return D * math.exp(-delay / D)

    o = (1 - share) * tail(0) + share * tail(wait)
    oR = (1 - share) * tail(lag) + share * tail(max(lag, wait))
    assert_exact(first(result, "loss", risk="strike"), S * (o - m * oR) * MONTH, rtol=1e-8)


def test_trigger_with_uniform_severity() -> None:
    """Answered in full from 0.25 on: what is lost is the integral of S below it."""
    n = 50_000
    result = run(
        risk(
            window=[2, 2], severity={"uniform": [0, 0.4]}, duration=3, response={"trigger": 0.25, "effectiveness": 1.0}
        ),
        paths=n,
    )
    loss = paths_of(result, "loss", risk="strike") / (3 * MONTH)
    hit = loss[np.abs(loss) > 1e-12]
    # n = 50 000, se of the mean 0.0004 of 0.078: catches 3 %; of the share 0.0022
    assert agrees(mean_of(loss), 0.25**2 / 2 / 0.4)
    assert not agrees(mean_of(loss), 0.26**2 / 2 / 0.4)
    assert within(hit.size / n, 0.625, share_se(0.625, n))
    assert hit.max() < 0.25


def test_a_severity_at_the_trigger_is_answered() -> None:
    result = run(risk(severity=0.25, response={"trigger": 0.25, "effectiveness": 1.0}))
    assert_exact(first(result, "loss", risk="strike"), 0.0, atol=1e-9)


@pytest.mark.parametrize("max_events", [12, 3])
def test_poisson_rate(max_events: int) -> None:
    """Each start takes 0.01 * 0.5 months, so the loss counts them; the first max_events are kept."""
    rate, n = 2.0, 50_000
    result = run(risk(rate=rate, max_events=max_events, severity=0.01, duration=0.5, window=[0, 11.5]), paths=n)
    count = paths_of(result, "loss", risk="strike") / (0.01 * 0.5 * MONTH)
    assert_exact(count, np.round(count), rtol=0, atol=1e-7)
    expected = stats.poisson(rate * 11.5 / 12)
    for k in range(max_events):
        # n = 50 000, se at most 0.002: catches a rate off by 3.5 %
        assert within((np.round(count) == k).mean(), expected.pmf(k), share_se(expected.pmf(k), n))
    assert within((np.round(count) == max_events).mean(), expected.sf(max_events - 1), share_se(0.15, n))
    assert not within((np.round(count) == 0).mean(), stats.poisson(1.07 * rate * 11.5 / 12).pmf(0), share_se(0.15, n))


def test_the_first_of_poisson_starts_is_kept() -> None:
    """With one event the start is the first arrival: exponential, cut at the window's end."""
    rate = 6.0
    tau = starts_of(run(risk(rate=rate, max_events=1, window=[0, 9], **TO_THE_END), paths=50_000))
    struck = tau[tau < T - 1e-9]
    p = 1 - math.exp(-rate * 9 / 12)
    assert within(struck.size / tau.size, p, share_se(p, tau.size))
    # n = 49 000: a distance of 0.012, so a rate off by 4 %
    assert distance(struck, lambda x: (1 - np.exp(-rate * x / 12)) / p) < KOLMOGOROV
    assert distance(struck, lambda x: (1 - np.exp(-1.06 * rate * x / 12)) / p) > KOLMOGOROV


def test_starts_of_a_rate_come_in_time_order() -> None:
    """Keeping one, two and three events: each further one only adds to the loss."""
    losses = [
        paths_of(run(risk(rate=4, max_events=k, severity=0.01, duration=0.5), paths=500), "loss", risk="strike")
        for k in (1, 2, 3)
    ]
    assert (losses[0] <= losses[1] + 1e-12).all()
    assert (losses[1] <= losses[2] + 1e-12).all()
    assert (losses[1] > losses[0]).any()


def test_depth_and_hit_stop_at_1() -> None:
    """Exposure 3 at severity 0.5 strikes once; two risks multiply what is left."""
    wide = risk("wide", window=[2, 2], severity=0.5, duration=1, exposure={"shop": 3.0})
    assert_exact(monthly(run(wide))[2], 0.0, atol=1e-9)
    half = risk("half", window=[2, 2], severity=0.5, duration=1)
    third = risk("third", window=[2, 2], severity=0.3, duration=1)
    result = run(half, third)
    assert_exact(monthly(result)[2], MONTH * 0.5 * 0.7)
    # losses share 100 (1 - 0.35) in proportion to the hits
    assert_exact(first(result, "loss"), 65 * np.array([0.5, 0.3]) / 0.8)


# ---------------------------------------------------------------------------------- 3.4: funds, costs, attribution


ANSWER = {"effectiveness": 0.5, "cost_ratio": 0.2, "fund": "reserve"}


def test_a_full_answer_at_no_cost_leaves_no_loss() -> None:
    result = run(
        risk(rate=5, max_events=12, severity={"uniform": [0, 0.3]}, response={"effectiveness": 1.0}), paths=500
    )
    assert_exact(result["revenue"].values, np.full((1, 500), YEAR))
    assert_exact(result["loss"].values, np.zeros((1, 500, 1)), atol=1e-9)
    assert_exact(result["response_cost"].values, np.zeros((1, 500, 1)))


def test_an_empty_fund_equals_no_response() -> None:
    struck = {"probability": 0.7, "severity": {"uniform": [0.1, 0.5]}, "duration": {"uniform": [1, 4]}}
    empty = run(risk(response=ANSWER, **struck), fund(amount=0.0), paths=500)
    none = run(risk(**struck), paths=500)
    assert_exact(empty["monthly_revenue"].values, none["monthly_revenue"].values)
    assert_exact(empty["response_cost"].values, np.zeros((1, 500, 1)))
    struck_paths = paths_of(none, "loss", risk="strike") > 0
    assert paths_of(empty, "fund_exhausted", fund="reserve").tolist() == struck_paths.tolist()


def test_a_fund_beyond_every_need_covers_all() -> None:
    result = run(risk(window=[2.5, 2.5], severity=0.4, duration=2, response=ANSWER), fund(amount=1e6))
    cost = 0.2 * 0.4 * 2 * MONTH * 0.5
    assert_exact(first(result, "loss", risk="strike"), 0.5 * 0.4 * 2 * MONTH)
    assert_exact(first(result, "response_cost", risk="strike"), cost)
    assert_exact(first(result, "fund_need", fund="reserve"), cost)
    assert_exact(first(result, "fund_balance", fund="reserve"), 1e6 - cost)
    assert not first(result, "fund_exhausted", fund="reserve")


def test_without_a_fund_the_answer_is_paid_in_full_and_counted() -> None:
    result = run(risk(window=[2, 2], severity=0.4, duration=2, response={"effectiveness": 0.5, "cost_ratio": 0.2}))
    assert_exact(first(result, "response_cost", risk="strike"), 8.0)
    assert_exact(first(result, "contribution"), 0.5 * (YEAR - 40.0) - 8.0)


def test_an_effectiveness_above_1_costs_as_1() -> None:
    result = run(risk(window=[2, 2], severity=0.4, duration=2, response={"effectiveness": 1.5, "cost_ratio": 0.2}))
    assert_exact(first(result, "response_cost", risk="strike"), 0.2 * 0.4 * 2 * MONTH)
    assert_exact(first(result, "loss", risk="strike"), -0.5 * 0.4 * 2 * MONTH)


def test_two_risks_share_a_short_fund_alike() -> None:
    parts = [
        risk("a", window=[2, 2], severity=0.4, duration=1, response=ANSWER),
        risk(
            "b",
            window=[2, 2],
            severity=0.2,
            duration=1,
            exposure={"other": 1},
            response=ANSWER | {"effectiveness": 1.0},
        ),
        risk(
            "idle",
            window=[2, 2],
            severity=0.1,
            duration=1,
            exposure={"third": 1},
            response=ANSWER | {"cost_ratio": 0.0},
        ),
        stream("shop"),
        stream("other"),
        stream("third"),
        fund(amount=6.0),
    ]
    need_a = 0.2 * 3 * MONTH * 0.4 * 0.5
    need_b = 0.2 * MONTH * 0.2
    a = 6.0 / (need_a + need_b)
    assert a < 1
    result = run(*parts)
    assert_exact(first(result, "response_cost"), [a * need_a, a * need_b, 0.0])
    assert_exact(first(result, "fund_need", fund="reserve"), need_a + need_b)
    assert_exact(first(result, "fund_balance", fund="reserve"), 0.0, atol=1e-9)
    assert first(result, "fund_exhausted", fund="reserve")
    hits = {"shop": [0.4 * (1 - 0.5 * a)], "other": [0.4 * (1 - 0.5 * a), 0.2 * (1 - a)]}
    # the risk that needs nothing this month is covered to the same share
    hits["third"] = [0.4 * (1 - 0.5 * a), 0.1 * (1 - 0.5 * a)]
    for name, hit in hits.items():
        left = math.prod(1 - h for h in hit)
        assert_exact(first(result, "revenue_by_stream", stream=name), YEAR - MONTH * (1 - left))


@pytest.mark.parametrize(
    ("lag", "cost_ratio", "amount", "covered"),
    [
        (0.0, 0.1, 0.0, False), (1.5, 0.1, 0.0, False), (0.0, 0.1, 1e9, True), (0.0, 0.0, 0.0, True),
    ],
)  # fmt: skip
def test_a_decay_asks_an_empty_fund_for_ever(lag: float, cost_ratio: float, amount: float, covered: bool) -> None:
    """However far it has fallen, it needs something: the answer to another risk, which costs nothing, is not covered.

    Negative controls: a fund that has money; a decay whose answer costs nothing.
    """
    fading = {"effectiveness": 0.5, "cost_ratio": cost_ratio, "lag_days": 30 * lag, "fund": "reserve"}
    result = run(
        risk("fault", window=[0, 0], severity=0.3, duration=0.1, shape="decay", response=fading),
        risk("war", window=[9, 9], severity=0.2, duration=2, response={"effectiveness": 1.0, "fund": "reserve"}),
        fund(amount=amount),
    )
    assert_exact(first(result, "loss", risk="war"), 0.0 if covered else 0.2 * 2 * MONTH, atol=1e-9)


def test_other_funds_are_left_alone() -> None:
    parts = [
        risk("a", window=[2, 2], severity=0.4, duration=1, response=ANSWER),
        risk("b", window=[2, 2], severity=0.2, duration=1, response=ANSWER | {"fund": "other"}),
        fund("reserve", amount=0.0),
        fund("other", amount=50.0),
    ]
    result = run(*parts)
    assert_exact(first(result, "response_cost"), [0.0, 0.2 * 0.2 * MONTH * 0.5])
    assert first(result, "fund_exhausted").tolist() == [True, False]


def test_a_fund_runs_dry_over_the_months() -> None:
    """4 a month from 10: full, full, half, none."""
    result = run(risk(window=[2, 2], severity=0.4, duration=4, response=ANSWER), fund(amount=10.0), detail=("funds",))
    cover = np.zeros(T)
    cover[2:6] = [1, 1, 0.5, 0]
    assert_exact(monthly(result), MONTH * (1 - 0.4 * overlap(2, 6) * (1 - 0.5 * cover)))
    assert_exact(first(result, "monthly_fund_balance", fund="reserve"), 10 - 4 * np.cumsum(cover), atol=1e-9)
    assert_exact(first(result, "fund_need", fund="reserve"), 16.0)


def test_cost_per_month_counts_the_answers_interval() -> None:
    """From the lag to the event's end; nothing where the lag outlasts the event, or the trigger is not reached."""

    def cost(duration: float, **answer) -> float:
        answer = {"effectiveness": 0.5, "cost_per_month": 7.0, "lag_days": 15, **answer}
        result = run(risk(window=[2.2, 2.2], severity=0.4, duration=duration, response=answer))
        return float(first(result, "response_cost", risk="strike"))

    assert_exact(cost(duration=3.0), 7.0 * 2.5)
    assert_exact(cost(duration=30.0), 7.0 * (12 - 2.7))
    assert cost(duration=0.4) == 0.0
    assert cost(duration=3.0, trigger=0.5) == 0.0


def test_cost_per_month_counts_a_union_once() -> None:
    """Month u is covered where a start fell into [u - D, u - lag]: E = c * integral of 1 - exp(-rate/12 * length)."""
    rate, D, lag, n = 5.0, 2.5, 0.5, 50_000
    answer = {"effectiveness": 0.5, "cost_per_month": 1.0, "lag_days": 15}
    result = run(risk(rate=rate, max_events=12, severity=0.05, duration=D, response=answer), paths=n)
    months = paths_of(result, "response_cost", risk="strike")

    def covered(u: float) -> float:
        return 1 - math.exp(-rate / 12 * (min(u, D) - lag)) if u > lag else 0.0

    expected = quad(covered, lag, T, points=[D], epsabs=1e-12)[0]
    # n = 50 000, se 0.0095 of 6.02 months: catches 1 %; events beyond the 12 kept are worth below 0.006, E[(N - 12)+]
    # being 0.003 of at most 2 months each
    assert agrees(mean_of(months), expected)
    # counted one by one the intervals would make more
    one_by_one = quad(lambda u: rate / 12 * (min(u, D) - lag), lag, T, points=[D])[0]
    assert not agrees(mean_of(months), one_by_one)


def test_the_answers_cost_of_decay_ends_with_the_active_interval() -> None:
    result = run(
        risk(
            window=[2, 2],
            severity=0.4,
            duration=1.5,
            shape="decay",
            response={"effectiveness": 0.5, "cost_per_month": 7},
        )
    )
    assert_exact(first(result, "response_cost", risk="strike"), 7 * 1.5)


def test_losses_and_revenue_make_up_what_would_have_been() -> None:
    """Noise and all, gains included: revenue + sum of losses = sum of Y0, path by path."""
    streams = [stream("a", volatility=0.1), stream("b", volatility=0.2, baseline=600.0)]
    noisy = demand(volatility=0.05, persistence=0.5)
    struck = {"probability": 0.8, "severity": {"uniform": [0.1, 0.6]}, "duration": {"uniform": [1, 6]}}
    risks = [
        risk("plain", **struck),
        risk("gain", **struck, response={"effectiveness": {"uniform": [1, 2]}}),
        risk("late", **struck, deferred=0.5, release=0.4, exposure={"a": 1.5, "b": 0.4}),
        risk("cannibal", **struck, exposure={"a": -0.3, "b": 1.0}),
    ]
    quiet = run(noisy, *streams, paths=1000)
    result = run(noisy, *streams, *risks, paths=1000)
    assert (result["loss"].sel(risk="gain").values < 0).any()
    assert_exact((result["revenue"] + result["loss"].sum("risk")).values, quiet["revenue"].values)


def test_gains_act_on_what_is_left() -> None:
    parts = [
        risk("bad", window=[2, 2], severity=0.4, duration=1),
        risk("worse", window=[2, 2], severity=0.5, duration=1),
        risk("good", window=[2, 2], severity=0.2, duration=1, response={"effectiveness": 1.5}),
        risk("better", window=[2, 2], severity=0.3, duration=1, response={"effectiveness": 2.0}),
    ]
    left = 0.6 * 0.5
    gains = left * (1.1 * 1.3 - 1)
    result = run(*parts)
    assert_exact(monthly(result)[2], MONTH * 0.6 * 0.5 * 1.1 * 1.3)
    expected = [(1 - left) * 0.4 / 0.9, (1 - left) * 0.5 / 0.9, -gains * 0.1 / 0.4, -gains * 0.3 / 0.4]
    assert_exact(first(result, "loss"), MONTH * np.array(expected))


# ---------------------------------------------------------------------------------- 3.5: deferral


def test_all_deferred_and_released_is_not_lost() -> None:
    struck = {"severity": {"uniform": [0.1, 0.9]}, "duration": {"uniform": [0.5, 3]}, "window": [0, 8]}
    result = run(risk(**struck, deferred=1.0, release=1.0), paths=500)
    assert_exact(result["revenue"].values, np.full((1, 500), YEAR))
    assert_exact(result["loss"].values, np.zeros((1, 500, 1)), atol=1e-9)
    assert_exact(result["revenue_deferred_out"].values, np.zeros((1, 500)), atol=1e-9)
    assert (result["monthly_revenue"].values.min(axis=-1) < MONTH - 1).all()


def test_deferral_by_month() -> None:
    """Active over [2, 4.25]: month 4 is free for three quarters; what comes back is not exposed again."""
    S, d, r = 0.4, 0.6, 0.5
    result = run(risk(window=[2, 2], severity=S, duration=2.25, deferred=d, release=r))
    on = overlap(2, 4.25)
    backlog, back = 0.0, np.zeros(T)
    for t in range(T):
        back[t] = r * (1 - on[t]) * backlog
        backlog += d * MONTH * S * on[t] - back[t]
    assert_exact(monthly(result), MONTH * (1 - S * on) + back)
    assert_exact(first(result, "revenue_deferred_out"), backlog)
    assert_exact(first(result, "loss", risk="strike"), MONTH * S * on.sum() - back.sum())


def test_what_is_deferred_in_the_last_month_stays_out() -> None:
    result = run(risk(window=[11, 11], severity=0.4, duration=1, deferred=0.7))
    assert_exact(first(result, "revenue_deferred_out"), 0.7 * 0.4 * MONTH)
    assert_exact(first(result, "loss", risk="strike"), 0.4 * MONTH)


def test_a_decays_tail_does_not_hold_back_the_backlog() -> None:
    """Active is [tau, tau + D] whatever the shape."""
    S, D = 0.5, 1.0
    result = run(risk(window=[2, 2], severity=S, duration=D, shape="decay", deferred=1.0, release=1.0))
    lost = MONTH * S * D * np.where(MONTHS >= 2, np.exp(-(MONTHS - 2.0)) - np.exp(-(MONTHS - 1.0)), 0.0)
    back = np.concatenate([[0.0], lost[:-1]])
    assert_exact(monthly(result), MONTH - lost + back)


# ---------------------------------------------------------------------------------- 3.6: customers


def test_customers_alone() -> None:
    N0, churn, rescue, n = 40, 0.3, 0.4, 50_000
    result = run(customers(count=N0, spend=12.0, churn=churn, rescue=rescue), paths=n)
    kept = (1 - churn) ** (1 - rescue)  # (1 - h)**12
    N = paths_of(result, "customers", stream="clients")
    # n = 50 000, se of the mean 0.011, of the variance 0.6 %: catches a churn off by 0.0025
    assert agrees(mean_of(N), N0 * kept)
    assert not agrees(mean_of(N), N0 * (1 - churn - 0.01) ** (1 - rescue))
    assert agrees(variance_of(N), N0 * kept * (1 - kept))
    by_month = paths_of(result, "monthly_revenue")
    for t in (1, 6, 11):
        assert agrees(mean_of(by_month[:, t]), N0 * kept ** (t / 12))


def test_wins_are_poisson_and_lifted() -> None:
    n = 50_000
    U = 0.5 * (1 - math.exp(-1))
    ads = line(amount=12.0, response={"ceiling": 0.5, "scale": 1.0}, reach={"clients": 1.0})
    result = run(customers(count=10, spend=12.0, wins=[0.25] * 11 + [3]), ads, paths=n)
    won = paths_of(result, "customers", stream="clients") - 10
    mean = (0.25 * 11 + 3) * (1 + U)
    # n = 50 000, se of the mean 0.012 of 7.6, of the variance 0.7 %
    assert agrees(mean_of(won), mean)
    assert agrees(variance_of(won), mean)
    assert not agrees(mean_of(won), mean / (1 + U))
    # wins of the last month buy nothing any more: V counts N at the month's start; lift does not touch it
    assert_exact(paths_of(result, "monthly_revenue")[:, 0], 10.0)


def test_the_number_of_customers_is_rounded() -> None:
    assert first(run(customers(count=9.6, spend=12.0)), "customers", stream="clients") == 10


def test_many_customers() -> None:
    """Means beyond the plain search of the kernel: 5000 customers, 60 wins a month."""
    result = run(customers(count=5000, spend=12.0, churn=0.4, wins=[60.0] * 12), paths=4000)
    q = 0.6 ** (1 / 12)
    expected = 5000 * q**12 + 60 * sum(q**k for k in range(12))
    spread = 5000 * q**12 * (1 - q**12) + 60 * sum(q**k for k in range(12))  # thinned Poisson stays Poisson
    N = paths_of(result, "customers", stream="clients")
    # n = 4000, se 0.67 of 3577: catches a churn off by 0.001; of the variance 2.2 %
    assert agrees(mean_of(N), expected)
    assert agrees(variance_of(N), spread)


@pytest.mark.parametrize("m", [None, 0.6, 3.0])
def test_churn_multiplier(m: float | None) -> None:
    """h = 1 - (1 - churn)^((1 + extra)(1 - rescue)/12), extra = multiplier * S * (o - a m oR), not below 0."""
    n, churn, rescue, S, multiplier = 50_000, 0.3, 0.2, 0.5, 4.0
    answer = None if m is None else {"effectiveness": m, "lag_days": 6}
    result = run(
        customers(count=40, spend=12.0, churn=churn, rescue=rescue),
        risk(
            window=[2.5, 2.5], severity=S, duration=3, churn_multiplier=multiplier, exposure={"*": 0.5}, response=answer
        ),
        paths=n,
    )
    extra = np.maximum(0, multiplier * 0.5 * S * (overlap(2.5, 5.5) - (m or 0) * overlap(2.7, 5.5)))
    expected = 40 * np.prod((1 - churn) ** ((1 + extra) * (1 - rescue) / 12))
    # n = 50 000, se 0.013 of 26: catches an extra off by 5 %
    assert agrees(mean_of(paths_of(result, "customers", stream="clients")), expected)
    if m is None:
        assert not agrees(mean_of(paths_of(result, "customers", stream="clients")), 40 * (1 - churn) ** (1 - rescue))


def test_exposure_beyond_1_drives_no_more_customers_away() -> None:
    def left(exposure: float) -> np.ndarray:
        result = run(
            customers(count=40, spend=12.0, churn=0.3),
            risk(window=[2, 2], severity=0.2, duration=3, churn_multiplier=4.0, exposure={"*": exposure}),
            paths=200,
        )
        return result["customers"].values

    assert (left(3.0) == left(1.0)).all()
    assert (left(-2.0) == left(0.0)).all()
    assert (left(0.5) != left(1.0)).any()


# ---------------------------------------------------------------------------------- 3.7: review


def spent(result) -> float:
    return float(first(result, "spend", line="ads"))


@pytest.mark.parametrize(
    ("start", "acts"),
    [("2024-01", 4), ("2024-02", 4), ("2024-03", 5), ("2023-12", 5)],
    ids=["January", "February", "March", "December"],
)
def test_a_level_acts_once_in_a_calendar_quarter(start: str, acts: int) -> None:
    """From February: in Feb, Apr, Jul, Oct; from March also in January; the last month's review can do nothing."""
    result = run(plan(start=start, target=2 * YEAR), line(amount=3.0), level(lag=0.1, amount=5.0, line="ads"))
    assert_exact(spent(result), 3.0 + 5.0 * acts)
    assert_exact(first(result, "contribution"), 0.5 * YEAR - 3.0 - 5.0 * acts)


def test_corrective_money_works_in_the_next_month() -> None:
    """Acts at the end of months 0, 3, 6, 9; an adstock carries it on."""
    curve, U = RESPONSES["exponential"]
    result = run(
        plan(target=2 * YEAR, phasing=[1] * 12),
        line(amount=12.0, maximum=12.0, carryover=0.5, response=curve, reach={"*": 1.0}),
        level(lag=0.1, amount=6.0, line="ads"),
    )
    x = np.ones(T)
    x[[1, 4, 7, 10]] += 6.0
    assert_exact(monthly(result), MONTH * (1 + U(adstock(x, 0.5, 0.0))))


def test_lag_and_status() -> None:
    """100 a month against plans that lead and lag; where nothing is planned yet, the lag is 0."""
    path = np.array([0, 210, 110, 150, 40, 100, 100, 100, 100, 100, 90, 90], float)
    levels = [level(lag=0.10), level(lag=0.02), level(lag=0.05)]
    result = run(plan(target=path.sum(), phasing=path), *levels)
    planned, made = np.cumsum(path), MONTH * (MONTHS + 1)
    lag = np.append(0.0, 1 - made[1:] / planned[1:])
    assert_exact(first(result, "lag"), lag, rtol=0, atol=1e-12)
    assert first(result, "status").tolist() == [0, 1, 1, 2, *[0] * 8]
    # at the end of month 1 the first level is exceeded, of month 2 the second, of month 3 the third
    assert first(result, "review_acted").tolist() == [True, True, True]
    for share, colour in [(0.981, 0), (0.979, 1), (0.91, 1), (0.89, 2)]:
        result = run(plan(target=YEAR / share, phasing=[1] * 12), *levels)
        assert first(result, "status").tolist() == [colour] * 12
        assert_exact(first(result, "lag"), np.full(T, 1 - share))


def test_only_the_highest_level_counts() -> None:
    """Both are exceeded throughout: the lower never acts, also where the higher has acted already."""
    result = run(
        plan(target=2 * YEAR),
        line(amount=0.0),
        level(lag=0.1, amount=5.0, line="ads"),
        level(lag=0.3, amount=7.0, line="ads"),
    )
    assert_exact(spent(result), 4 * 7.0)
    assert first(result, "review_acted").tolist() == [False, True]


def test_two_levels_may_act_in_one_quarter() -> None:
    """The lag is 0.2 at the end of month 0 and 0.4 ever after: the lower level acts once, the higher four times."""
    path = np.diff(MONTH * (MONTHS + 1) / np.where(MONTHS == 0, 0.8, 0.6), prepend=0.0)
    result = run(
        plan(target=path.sum(), phasing=path),
        line(amount=0.0),
        level(lag=0.1, amount=5.0, line="ads"),
        level(lag=0.3, amount=7.0, line="ads"),
    )
    assert_exact(first(result, "lag"), np.where(MONTHS == 0, 0.2, 0.4))
    assert_exact(spent(result), 5.0 + 4 * 7.0)
    assert first(result, "review_acted").tolist() == [True, True]


def test_a_lag_at_the_level_is_not_beyond_it() -> None:
    """100 a month against 200, a lag of 0.5 exactly: no act, but red, which begins at the highest level."""
    result = run(
        plan(target=800.0, months=4, phasing=[1] * 4), line(amount=0.0), level(lag=0.5, amount=5.0, line="ads")
    )
    assert (first(result, "lag") == 0.5).all()
    assert spent(result) == 0.0
    assert first(result, "status").tolist() == [2] * 4


def test_an_act_with_an_empty_fund_is_an_act() -> None:
    """7 in the fund: 5, then 2, then nothing, in every quarter an act."""
    result = run(
        plan(target=2 * YEAR),
        line(amount=0.0),
        fund(amount=7.0),
        level(lag=0.1, amount=5.0, line="ads", fund="reserve"),
        detail=("funds",),
    )
    assert_exact(spent(result), 7.0)
    assert_exact(first(result, "monthly_fund_balance", fund="reserve"), [2] * 3 + [0] * 9, atol=1e-12)
    assert_exact(first(result, "fund_need", fund="reserve"), 20.0)
    assert first(result, "fund_exhausted", fund="reserve")
    empty = run(
        plan(target=2 * YEAR),
        line(amount=0.0),
        fund(amount=0.0),
        level(lag=0.1, amount=5.0, line="ads", fund="reserve"),
    )
    assert first(empty, "review_acted").tolist() == [True]
    assert spent(empty) == 0.0


def test_the_plans_path_without_phasing_is_the_central_worlds_own() -> None:
    """E = 1, slip 0, expected customers: the revenue that the plan itself expects, scaled to the target."""
    curve, U = RESPONSES["exponential"]
    result = run(
        plan(target=1000.0),
        stream("shop", growth=0.2, volatility=0.0),
        launch(peak=30.0, start=3.0, slip={"uniform": [1, 2]}),
        customers(count=10, spend=24.0, churn=0.3, wins=[1] * 12),
        line(amount=60.0, effectiveness={"uniform": [0.2, 0.4]}, response=curve, reach={"*": 1.0}),
        risk(severity=0.5),
    )
    lift = float(U(np.array([5.0]))[0])
    N, clients = 10.0, []
    for _ in range(T):
        clients.append(2 * N)
        N = N * 0.7 ** (1 / 12) + 1 + lift
    shape = MONTH * 1.2 ** ((MONTHS + 6.5) / 12) * (1 + lift) + 30 * (MONTHS >= 3) * (1 + lift) + clients
    planned = 1000.0 * np.cumsum(shape) / shape.sum()
    made = np.cumsum(monthly(result))
    assert_exact(first(result, "lag"), 1 - made / planned, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------------------- 3.8: money


def test_margin_loss() -> None:
    """An answer keeps volume, not margin; exposure counts between 0 and 1."""
    result = run(
        risk(
            window=[2, 2], severity=0.2, duration=1.5, margin_loss=0.3, response={"effectiveness": 1.0},
            exposure={"shop": 2.0, "other": 0.5, "third": -1.0},
        ),
        stream("shop", margin=0.4),
        stream("other", margin=0.3),
        stream("third", margin=0.2),
    )  # fmt: skip
    eroded = 0.3 * 0.2 * 1.5 * MONTH
    assert_exact(first(result, "revenue"), 3 * YEAR)
    assert_exact(first(result, "gross_margin"), YEAR * 0.9 - eroded * (1 + 0.5 + 0))


@pytest.mark.parametrize(
    ("share", "rate"), [(0.79, 0.0), (0.8, 0.01), (0.99, 0.01), (1.0, 0.015), (1.19, 0.015), (1.2, 0.02), (5.0, 0.02)]
)
def test_incentive_tiers(share: float, rate: float) -> None:
    result = run(
        plan(target=YEAR / share, phasing=[1] * 12), incentives(tiers=[[0.8, 0.01], [1.0, 0.015], [1.2, 0.02]])
    )
    assert_exact(first(result, "incentive_cost"), rate * YEAR, atol=1e-12)


@pytest.mark.parametrize(("short", "reached"), [(5e-10, True), (2e-9, False)])
def test_a_tier_is_reached_to_1e_9(short: float, reached: bool) -> None:
    result = run(plan(target=YEAR * (1 + short), phasing=[1] * 12), incentives(tiers=[[1.0, 0.02]]))
    assert_exact(first(result, "incentive_cost"), 0.02 * YEAR if reached else 0.0)


def test_a_month_without_plan_reaches_the_highest_tier() -> None:
    """The company's month counts, the named streams are paid for; months of 0 planned pay 2 %, the others 0."""
    result = run(
        plan(target=5 * YEAR, phasing=[0, 0, 0, *[1] * 9]),
        stream("shop", labels={"channel": "online"}),
        stream("other", baseline=600.0),
        line("pay", amount=3.0),
        line("ads", amount=10.0),
        incentives(tiers=[[0.8, 0.01], [1.2, 0.02]], streams="channel:online", line="pay"),
        target("overrun", measure="incentive_overrun", at_most=3.0),
        target("tight", measure="incentive_overrun", at_most=2.999),
    )
    assert_exact(first(result, "incentive_cost"), 0.02 * 3 * MONTH)
    # spend of all lines but the incentives' own; their cost in its place
    assert_exact(first(result, "contribution"), 0.5 * 1.5 * YEAR - 10.0 - 6.0)
    assert first(result, "target_met", target="overrun")
    assert not first(result, "target_met", target="tight")


NEAR = 5e-10  # within the tolerance of a bound
FAR = 5e-9  # beyond it

MEASURES = {
    # streams: online sells 100, other 50 a month, 10 customers buy 2 each; margins 0.4, 0.2, 0.5
    "revenue": ({"measure": "revenue", "where": "channel:online", "months": [1, 12]}, 200.0),
    "share": ({"measure": "revenue", "where": "channel:online", "of": "*", "months": [3]}, 100 / 170),
    "gross_margin": ({"measure": "gross_margin"}, 12 * (40 + 10 + 10)),
    "margin_rate": ({"measure": "margin_rate", "where": "side:new"}, 50 / 150),
    "margin_share": ({"measure": "gross_margin", "where": "other", "of": "channel:online", "months": [2]}, 10 / 40),
    "customers": ({"measure": "customers", "where": "clients", "months": [3, 6]}, 10.0),
    "retention": ({"measure": "retention", "where": "clients"}, 1.0),
    "fund_left": ({"measure": "fund_left", "where": "reserve"}, 7.0),
    "all_funds_left": ({"measure": "fund_left"}, 10.0),
    "incentive_overrun": ({"measure": "incentive_overrun"}, 0.01 * 170 * 12 - 5.0),
}


@pytest.mark.parametrize("bound", ["at_least", "at_most"])
@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_against_its_bound(name: str, bound: str) -> None:
    """A bound holds to 1e-9 relative, and not to more."""
    fields, value = MEASURES[name]
    sign = 1 if bound == "at_least" else -1
    goals = {"met": value, "near": value * (1 + sign * NEAR), "missed": value * (1 + sign * FAR)}
    result = run(
        plan(target=2040.0, phasing=[1] * 12),
        stream("online", margin=0.4, labels={"channel": "online", "side": "new"}),
        stream("other", baseline=600.0, margin=0.2, labels={"channel": "shops", "side": "new"}),
        customers(count=10, spend=24.0, margin=0.5),
        line("pay", amount=5.0),
        incentives(tiers=[[1.0, 0.01]], line="pay"),
        fund("reserve", amount=7.0),
        fund("other", amount=3.0),
        *(target(goal, **fields, **{bound: limit}) for goal, limit in goals.items()),
    )
    met = dict(zip(result["target"].values.tolist(), first(result, "target_met").tolist(), strict=True))
    assert met == {"revenue": True, "met": True, "near": True, "missed": False}


def test_the_plans_own_target_has_the_same_tolerance() -> None:
    for short, met in [(0.0, True), (5e-10, True), (5e-9, False)]:
        result = run(plan(target=YEAR * (1 + short)))
        assert bool(first(result, "target_met", target="revenue")) is met
        assert_exact(first(result, "attainment"), 1 / (1 + short))


def test_retention_and_customers_over_months() -> None:
    """Retention over the months named, matching streams pooled; customers after the last month named."""
    parts = [
        customers("a", count=20, spend=12.0, churn=0.5, fields={"labels": {"kind": "closed"}}),
        customers("b", count=30, spend=12.0, churn=0.3, fields={"labels": {"kind": "closed"}}),
        customers("open", count=30, spend=12.0, churn=0.3, wins=[1.0] * 12),
        customers("none", count=0, spend=12.0),
    ]
    bounds, counts = [0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], range(0, 51, 3)
    kept_of = {"measure": "retention", "where": "kind:closed", "months": [2, 3, 5]}
    left_of = {"measure": "customers", "where": "kind:closed", "months": [5, 2]}
    goals = [target(f"kept_{n}", **kept_of, at_least=bound) for n, bound in enumerate(bounds)]
    goals += [target(f"left_{n}", **left_of, at_least=n) for n in counts]
    goals += [target("empty", measure="retention", where="none", at_least=1.0)]
    result = run(*parts, *goals, paths=300, detail=("streams",))
    # without wins, spend 12 a year: the month's revenue is N at its start
    N = np.round(result["monthly_revenue_by_stream"].sel(stream=["a", "b"]).sum("stream").values[0])
    kept = np.prod([N[:, t + 1] / N[:, t] for t in (1, 2, 4)], axis=0)
    for n, bound in enumerate(bounds):
        assert (paths_of(result, "target_met", target=f"kept_{n}") == (kept >= bound * (1 - EXACT))).all()
    for n in counts:
        assert (paths_of(result, "target_met", target=f"left_{n}") == (N[:, 5] >= n)).all()
    assert paths_of(result, "target_met", target="empty").all()


# ---------------------------------------------------------------------------------- worlds and order


def test_variance_between_worlds() -> None:
    """p uniform on [a, b]: variance of the worlds' shares is (b - a)**2 / 12 plus E[p (1 - p)] / n."""
    a, b, W, n = 0.2, 0.8, 4000, 25
    result = run(risk(probability={"uniform": [a, b]}), paths=W * n, worlds=W)
    shares = (result["loss"].sel(risk="strike").values > 0).mean(axis=1)
    mean_square = (a * a + a * b + b * b) / 3
    between, binomial = (b - a) ** 2 / 12, ((a + b) / 2 - mean_square) / n
    # W = 4000, se of the mean 0.003, of the variance 0.0007 of 0.038: catches either part off by 10 %, or the binomial
    # part (0.0088) left out
    assert agrees(mean_of(shares), (a + b) / 2)
    assert agrees(variance_of(shares), between + binomial)
    assert not agrees(variance_of(shares), between)


def test_a_higher_target_is_never_likelier() -> None:
    parts = [
        stream(volatility=0.2, baseline=YEAR),
        demand(volatility=0.05, persistence=0.5),
        risk(probability=0.5, severity={"uniform": [0, 0.6]}, duration=4, response=ANSWER),
        fund(amount=5.0),
        incentives(tiers=[[0.8, 0.01], [1.0, 0.02]]),
    ]
    plans = scenario(plan(), *parts)
    targets = np.linspace(0.8, 1.2, 21) * YEAR
    result = engine.simulate(design(plans, {"plan.target": targets}), paths=21 * 1000)
    met = result["target_met"].sel(target="revenue").values
    assert (result["revenue"].values == result["revenue"].values[0]).all()
    assert (met[1:] <= met[:-1]).all()
    assert 0.0 < met[-1].mean() < met[0].mean() < 1.0
    assert (met == (result["attainment"].values >= 1 - EXACT)).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_permutation_changes_nothing_beyond_rounding(seed: int) -> None:
    """Streams, risks, lines, funds and targets in another order; every mechanism at work."""
    parts = everything()
    shuffled = list(parts)
    np.random.default_rng(seed).shuffle(shuffled)
    assert [p for p in shuffled if p.startswith("[risks")] != [p for p in parts if p.startswith("[risks")]
    given, other = (run(*text, paths=3000, detail=("streams", "funds")) for text in (parts, shuffled))
    other = other.reindex_like(given)
    for name in given.data_vars:
        assert given[name].dims == other[name].dims
        assert_exact(other[name].values, given[name].values, rtol=1e-9, atol=1e-9)
