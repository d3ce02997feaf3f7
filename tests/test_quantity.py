"""Quantities: every family against scipy or a closed form, in Python and in what the kernel draws from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from scipy.interpolate import PchipInterpolator

from engine.kernels.variates import quantile_row
from engine.scenario.distributions import FAMILIES, LEAST_MASS, Z95
from engine.scenario.quantity import Quantity, QuantityError, parse
from engine.scenario.tables import DrawsBuilder

TAIL = np.append(np.logspace(-6, np.log10(0.5), 120), [0.1, 0.25, 1 / 3])
P = np.unique(np.concatenate([TAIL, 1.0 - TAIL]))
TOLERANCE = 1e-3  # of min(p, 1 - p): the model's section 4
SLACK = 1e-12  # rounding of p near 1


def pert(low: float, mode: float, high: float) -> Any:
    c = (mode - low) / (high - low)
    return stats.beta(1 + 4 * c, 5 - 4 * c, loc=low, scale=high - low)


def lognormal(median: float, p95: float) -> Any:
    return stats.lognorm(s=math.log(p95 / median) / Z95, scale=median)


SMOOTH = [
    ({"uniform": [2, 5]}, stats.uniform(2, 3)),
    ({"uniform": [-1e6, 1e9]}, stats.uniform(-1e6, 1e9 + 1e6)),
    ({"triangular": [0, 1, 4]}, stats.triang(0.25, 0, 4)),
    ({"triangular": [1, 1, 2]}, stats.triang(0.0, 1, 1)),
    ({"triangular": [-1, 3, 3]}, stats.triang(1.0, -1, 4)),
    ({"pert": [0, 0.5, 3]}, pert(0, 0.5, 3)),
    ({"pert": [0.05, 0.05, 0.25]}, pert(0.05, 0.05, 0.25)),
    ({"pert": [0.3, 1.0, 1.0]}, pert(0.3, 1.0, 1.0)),
    ({"pert": [0.4, 1.0, 1.3]}, pert(0.4, 1.0, 1.3)),
    ({"normal": [3, 2]}, stats.norm(3, 2)),
    ({"lognormal": [2.0, 5.0]}, lognormal(2.0, 5.0)),
    ({"lognormal": [1.0, 1.05]}, lognormal(1.0, 1.05)),
    ({"lognormal": [1.0, 100.0]}, lognormal(1.0, 100.0)),
    ({"beta": [2, 5]}, stats.beta(2, 5)),
    ({"beta": [0.5, 0.5]}, stats.beta(0.5, 0.5)),
    ({"beta": [30, 2]}, stats.beta(30, 2)),
    ({"scipy": {"name": "weibull_min", "c": 1.8, "scale": 2.0}}, stats.weibull_min(1.8, scale=2.0)),
    ({"scipy": {"name": "gamma", "a": 0.5, "loc": 1.0}}, stats.gamma(0.5, loc=1.0)),
    ({"scipy": {"name": "expon"}}, stats.expon()),
    ({"scipy": {"name": "t", "df": 3}}, stats.t(3)),
]
TRUNCATED = [
    ({"normal": [0.2, 0.1], "truncate": [0, 1]}, stats.norm(0.2, 0.1), 0, 1),
    ({"normal": [0, 1], "truncate": [4, 9]}, stats.norm(0, 1), 4, 9),
    ({"normal": [0, 1], "truncate": [-9, -4]}, stats.norm(0, 1), -9, -4),
    ({"lognormal": [2, 5], "truncate": [1, 6]}, lognormal(2, 5), 1, 6),
    ({"uniform": [0, 10], "truncate": [2, 3]}, stats.uniform(0, 10), 2, 3),
    ({"pert": [0, 1, 4], "truncate": [0.5, 9]}, pert(0, 1, 4), 0.5, 9),
    ({"triangular": [0, 1, 4], "truncate": [0.5, 2]}, stats.triang(0.25, 0, 4), 0.5, 2),
    ({"beta": [2, 5], "truncate": [-1, 0.5]}, stats.beta(2, 5), -1, 0.5),
    ({"scipy": {"name": "gumbel_r"}, "truncate": [0, 3]}, stats.gumbel_r(), 0, 3),
]
PARTS = [{"weight": 7, "uniform": [0, 1]}, {"weight": 3, "normal": [5, 0.5]}, {"weight": 0, "beta": [2, 2]}]
ids = [str(raw) for raw, *_ in SMOOTH]


def numbers(quantity: Quantity) -> dict[str, np.ndarray]:
    assert quantity.distribution is not None
    return {suffix: np.full(1, q.central()) for suffix, q in quantity.distribution.params.items()}


def in_python(raw: Any, p: np.ndarray) -> np.ndarray:
    quantity = parse(raw)
    assert quantity.distribution is not None
    return np.broadcast_to(quantity.distribution.quantile(p, numbers(quantity)), p.shape)


def in_kernel(raw: Any, p: np.ndarray, values: dict[str, np.ndarray] | None = None, world: int = 0) -> np.ndarray:
    """Variates as a path draws them, by the quantile table or closed form that the kernel gets."""
    quantity = parse(raw)
    assert quantity.distribution is not None
    draws = DrawsBuilder()
    draws.constant(value=np.full(1, 7.0))  # so that the table of interest does not start at 0
    other = parse({"beta": [2, 2]})
    assert other.distribution is not None
    draws.random(distribution=other.distribution, values=numbers(other), nested=False)
    at = draws.random(distribution=quantity.distribution, values=values or numbers(quantity), nested=values is not None)

    def of(column: np.ndarray) -> float:
        return float(column[world if column.size > 1 else 0])

    block, cells = p[None, :].copy(), np.empty(p.size, np.int64)
    start = draws.starts()[at] + world * draws.strides()[at]
    quantile_row(
        block, 0, p.size, draws.kind[at], of(draws.loc[at]), of(draws.scale[at]), of(draws.shape[at]), draws.nodes(),
        start, draws.bits[at], cells,
    )  # fmt: skip
    return block[0]


BOTH = pytest.mark.parametrize("draw", [in_python, in_kernel])


def assert_accurate(found: np.ndarray, cdf: Any, sf: Any, p: np.ndarray = P) -> None:
    """|F(Q(p)) - p| <= 1e-3 min(p, 1 - p), the upper half by the survival function."""
    error = np.where(p <= 0.5, cdf(found) - p, sf(found) - (1.0 - p))
    assert np.all(np.abs(error) <= TOLERANCE * np.minimum(p, 1.0 - p) + SLACK * 1e-3), p[np.argmax(np.abs(error))]


# ------------------------------------------------------------------------------------------------------- each family


@BOTH
@pytest.mark.parametrize(("raw", "exact"), SMOOTH, ids=ids)
def test_quantiles_of_smooth_families(draw: Any, raw: Any, exact: Any) -> None:
    found = draw(raw, P)
    assert_accurate(found=found, cdf=exact.cdf, sf=exact.sf)
    assert np.all(np.diff(found) >= 0)
    if draw is in_python:
        np.testing.assert_allclose(found, exact.ppf(P), rtol=1e-7, atol=1e-9 * float(np.ptp(exact.ppf(P))))


@pytest.mark.parametrize(("raw", "exact"), SMOOTH, ids=ids)
def test_mean_and_support_of_smooth_families(raw: Any, exact: Any) -> None:
    quantity = parse(raw)
    assert quantity.distribution is not None
    np.testing.assert_allclose(quantity.distribution.mean(numbers(quantity)), exact.mean(), rtol=1e-12)
    support = quantity.distribution.support(numbers(quantity))
    np.testing.assert_allclose(np.ravel(support), exact.support(), rtol=1e-12)
    assert quantity.central() == pytest.approx(exact.median(), rel=1e-7)


@BOTH
def test_a_wrong_parameter_is_noticed(draw: Any) -> None:
    with pytest.raises(AssertionError):
        assert_accurate(draw({"pert": [0, 0.5, 3]}, P), cdf=pert(0, 0.51, 3).cdf, sf=pert(0, 0.51, 3).sf)


@BOTH
@pytest.mark.parametrize(("raw", "whole", "low", "high"), TRUNCATED, ids=[str(raw) for raw, *_ in TRUNCATED])
def test_truncation_conditions_on_the_interval(draw: Any, raw: Any, whole: Any, low: float, high: float) -> None:
    below, above = whole.cdf(low), whole.sf(high)
    # by the nearer tail, so that an interval far out is not lost in rounding
    mass = whole.sf(low) - above if below > 0.5 else whole.cdf(high) - below

    def cdf(x: np.ndarray) -> np.ndarray:
        return np.where(below > 0.5, 1 - (whole.sf(x) - above) / mass, (whole.cdf(x) - below) / mass)

    def sf(x: np.ndarray) -> np.ndarray:
        return np.where(above < 0.5, (whole.sf(x) - above) / mass, 1 - (whole.cdf(x) - below) / mass)

    found = draw(raw, P)
    assert_accurate(found=found, cdf=cdf, sf=sf)
    quantity = parse(raw)
    assert quantity.distribution is not None
    support = np.ravel(quantity.distribution.support(numbers(quantity)))
    assert support[0] == max(low, whole.support()[0])
    assert support[1] == min(high, whole.support()[1])
    assert np.all((found >= support[0]) & (found <= support[1]))
    exact = integrate.quad(lambda x: x * whole.pdf(x), *support)[0] / mass
    np.testing.assert_allclose(quantity.distribution.mean(numbers(quantity)), exact, rtol=1e-4)


QUANTILES = {"low": 0.0, "high": 6.0, "0.05": 1.0, "0.5": 2.0, "0.95": 4.0}
KNOTS = PchipInterpolator([0, 0.05, 0.5, 0.95, 1], [0, 1, 2, 4, 6])


def test_quantiles_are_scipys_pchip() -> None:
    raw = {"quantiles": dict(reversed(QUANTILES.items()))}  # the order of the keys means nothing
    np.testing.assert_allclose(in_python(raw, P), KNOTS(P), rtol=1e-12)
    quantity = parse(raw)
    assert quantity.distribution is not None
    np.testing.assert_allclose(quantity.distribution.mean(numbers(quantity)), KNOTS.integrate(0, 1), rtol=1e-12)
    assert [float(end[0]) for end in quantity.distribution.support(numbers(quantity))] == [0.0, 6.0]
    drawn, off = in_kernel(raw, P), TOLERANCE * np.minimum(P, 1 - P)
    assert np.all((KNOTS(P - off) <= drawn) & (drawn <= KNOTS(P + off)))
    within = parse(raw | {"truncate": [1.0, 4.0]})
    assert within.distribution is not None
    np.testing.assert_allclose(within.distribution.quantile(P, numbers(within)), KNOTS(0.05 + 0.9 * P), rtol=1e-9)


def test_samples_are_the_ceil_np_th_smallest() -> None:
    data = [3.0, 1.0, 2.0, 2.0, 10.0, -4.0, 7.0]
    p = np.append(P, np.arange(1, 7) / 7)
    exact = np.array([sorted(data)[math.ceil(round(7 * x, 9)) - 1] for x in p])
    assert in_python({"samples": data}, p).tolist() == exact.tolist()
    off_steps = np.setdiff1d(P, np.arange(1, 7) / 7)
    assert in_kernel({"samples": data}, off_steps).tolist() == in_python({"samples": data}, off_steps).tolist()
    quantity = parse({"samples": data})
    assert quantity.distribution is not None
    assert quantity.distribution.mean(numbers(quantity)) == pytest.approx(np.mean(data))
    assert [float(end[0]) for end in quantity.distribution.support(numbers(quantity))] == [-4.0, 10.0]


@BOTH
def test_truncated_samples_are_samples(draw: Any) -> None:
    raw = {"samples": [1, 2, 3, 4, 5, 6, 7, 8], "truncate": [3, 6]}
    p = np.array([1e-6, 0.2, 0.3, 0.49, 0.51, 0.7, 0.8, 1 - 1e-6])
    assert draw(raw, p).tolist() == [3, 3, 4, 4, 5, 5, 6, 6]


@BOTH
@pytest.mark.parametrize("truncate", [None, [0.5, 6.0]])
def test_mixtures(draw: Any, truncate: list[float] | None) -> None:
    first, second = stats.uniform(0, 1), stats.norm(5, 0.5)
    below, mass = 0.0, 1.0
    if truncate is not None:
        ends = [0.7 * first.cdf(x) + 0.3 * second.cdf(x) for x in truncate]
        below, mass = ends[0], ends[1] - ends[0]
    found = draw({"mixture": PARTS} | ({"truncate": truncate} if truncate else {}), P)
    # between the humps F is flat: there the quantile is read from F itself, elsewhere by the tolerance
    assert_accurate(
        found=found,
        cdf=lambda x: (0.7 * first.cdf(x) + 0.3 * second.cdf(x) - below) / mass,
        sf=lambda x: 1 - (0.7 * first.cdf(x) + 0.3 * second.cdf(x) - below) / mass,
        p=P,
    )
    if truncate is None and draw is in_python:
        for p in (0.01, 0.5, 0.75, 0.99):
            exact = optimize.brentq(lambda x, p=p: 0.7 * first.cdf(x) + 0.3 * second.cdf(x) - p, -1, 9, xtol=1e-14)
            assert draw({"mixture": PARTS}, np.array([p]))[0] == pytest.approx(exact, rel=1e-9)


def test_mean_and_support_of_a_mixture() -> None:
    quantity = parse({"mixture": PARTS[:1] + [{"weight": 3, "triangular": [4, 5, 9]}]})
    assert quantity.distribution is not None
    assert quantity.distribution.mean(numbers(quantity)) == pytest.approx(0.7 * 0.5 + 0.3 * 6.0)
    assert [float(end) for end in np.ravel(quantity.distribution.support(numbers(quantity)))] == [0.0, 9.0]
    equal = parse({"mixture": [{"uniform": [0, 1]}, {"uniform": [2, 3]}]})  # no weights: all alike
    assert equal.distribution is not None
    assert equal.distribution.quantile(0.75, numbers(equal)) == pytest.approx(2.5)


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        {"uniform": [3, 3]},
        {"triangular": [3, 3, 3]},
        {"pert": [3, 3, 3]},
        {"normal": [3, 0]},
        {"lognormal": [3, 3]},
        {"samples": [3]},
        {"quantiles": {"low": 3, "high": 3}},
        {"mixture": [{"uniform": [3, 3]}, {"normal": [3, 0]}]},
        {"normal": [3, 0], "truncate": [2, 4]},
        {"uniform": [3, 3], "truncate": [2, 4]},
    ],
    ids=str,
)
def test_a_distribution_without_width_is_its_number(draw: Any, raw: Any) -> None:
    np.testing.assert_allclose(draw(raw, P), 3.0, rtol=1e-12)
    quantity = parse(raw)
    assert quantity.distribution is not None
    assert quantity.distribution.mean(numbers(quantity)) == pytest.approx(3.0)
    support = [float(end) for end in np.ravel(quantity.distribution.support(numbers(quantity)))]
    assert support == ([2.0, 4.0] if "normal" in raw and "truncate" in raw and support[0] != 3 else [3.0, 3.0])


# ------------------------------------------------------------------------------------------------ worlds and nesting


@pytest.mark.parametrize(
    ("raw", "columns"),
    [
        ({"uniform": [0, 1]}, {"uniform.1": [0, 1, 2], "uniform.2": [1, 1, 5]}),
        ({"triangular": [0, 1, 2]}, {"triangular.2": [0, 0.5, 2]}),
        ({"pert": [0, 1, 2]}, {"pert.2": [0.0, 0.37, 2.0]}),
        ({"pert": [0, 1, 2]}, {"pert.1": [0, 1, -3], "pert.3": [1, 2, 2]}),
        ({"normal": [0, 1]}, {"normal.2": [0, 1, 2]}),
        ({"lognormal": [1, 2]}, {"lognormal.2": [1, 2, 9]}),
        ({"beta": [2, 2]}, {"beta.1": [0.5, 2, 3]}),
        ({"quantiles": QUANTILES}, {"quantiles.0.5": [1.5, 2, 3]}),
        ({"scipy": {"name": "weibull_min", "c": 1.8}}, {"scipy.c": [1, 2, 3]}),
        ({"mixture": PARTS[:2]}, {"mixture.1.weight": [0, 1, 7], "mixture.1.uniform.2": [1, 2, 4]}),
        ({"normal": [0, 1], "truncate": [-1, 1]}, {"truncate.2": [0, 1, 2]}),
    ],
    ids=str,
)
def test_worlds_broadcast_and_equal_one_by_one(raw: Any, columns: dict[str, list[float]]) -> None:
    quantity = parse(raw)
    assert quantity.distribution is not None
    values = numbers(quantity) | {suffix: np.array(column, float) for suffix, column in columns.items()}
    one = [{s: v[[w]] if v.size > 1 else v for s, v in values.items()} for w in range(3)]
    p = np.array([0.03, 0.4, 0.97])
    together = quantity.distribution.quantile(p, values)  # world by world: one p each
    assert together.shape == (3,)
    np.testing.assert_allclose(
        together, [quantity.distribution.quantile(p[[w]], one[w])[0] for w in range(3)], rtol=1e-9
    )
    tables = quantity.distribution.quantile(P[None, :], {s: v[:, None] for s, v in values.items()})
    assert tables.shape == (3, P.size)
    means = np.broadcast_to(quantity.distribution.mean(values), (3,))
    for w in range(3):
        alone = np.broadcast_to(quantity.distribution.quantile(P, one[w]), P.shape)
        np.testing.assert_allclose(tables[w], alone, rtol=1e-9)
        np.testing.assert_allclose(means[w], quantity.distribution.mean(one[w]), rtol=1e-9)
        drawn, off = in_kernel(raw, P, values=values, world=w), 1.001 * TOLERANCE * np.minimum(P, 1 - P)
        low, high = (quantity.distribution.quantile(q, one[w]) for q in (P - off, P + off))
        assert np.all((low - 1e-9 <= drawn) & (drawn <= high + 1e-9))


def test_nested_parameters_are_quantities_with_sources() -> None:
    quantity = parse({"pert": [0.1, {"uniform": [0.2, {"triangular": [0.2, 0.3, 0.4]}], "source": "plan 7"}, 0.5]})
    assert quantity.distribution is not None
    middle = quantity.distribution.params["pert.2"]
    assert middle.source == "plan 7"
    assert middle.distribution is not None
    assert middle.distribution.params["uniform.2"].distribution is not None
    mode = 0.5 * (0.2 + 0.3)  # the median of the triangular is its middle, that of the uniform lies half way
    assert quantity.central() == pytest.approx(pert(0.1, mode, 0.5).median(), rel=1e-9)


def test_origin_and_equality() -> None:
    assert parse(0.3).origin == "none"
    assert parse({"value": 0.3, "source": "plan 2"}).origin == "plan"
    assert parse({"value": 0.3, "source": "Assumption: ours"}).origin == "assumption"
    assert parse({"uniform": [0, 1]}) == parse({"uniform": [0, 1]})
    assert parse({"uniform": [0, 1]}) != parse({"uniform": [0, 2]})
    assert parse({"samples": [1, 2]}) != parse({"samples": [1, 3]})


WRONG = [
    ("text", "'text' is not a number"),
    (True, "True is not a number"),
    ([1, 2], "[1, 2] is not a number"),
    (math.nan, "nan is not a finite number"),
    (math.inf, "inf is not a finite number"),
    (10**400, "inf is not a finite number"),
    (1e16, "larger than 1e+15"),
    ({}, "neither a value nor a distribution"),
    ({"source": "x"}, "neither a value nor a distribution"),
    ({"value": 1, "uniform": [0, 1]}, "value and uniform stand side by side"),
    ({"uniform": [0, 1], "pert": [0, 1, 2]}, "uniform and pert stand side by side"),
    ({"value": 1, "truncate": [0, 1]}, "a plain value cannot be truncated"),
    ({"value": {"uniform": [0, 1]}}, "is not a number"),
    ({"value": 1, "source": 3}, "3 is not text"),
    ({"uniform": [0, 1], "per": "path"}, "per: 'path' is not known"),
    ({"unifrom": [0, 1]}, "unknown key"),
    ({"uniform": [0, 1, 2]}, "is not a list of 2 numbers"),
    ({"uniform": [2, 1]}, "uniform: low 2 exceeds high 1"),
    ({"triangular": [0, 3, 2]}, "triangular: mode 3 exceeds high 2"),
    ({"pert": [2, 1, 3]}, "pert: low 2 exceeds mode 1"),
    ({"normal": [0, -1]}, "normal: sd -1 is below 0"),
    ({"lognormal": [0, 1]}, "lognormal: median 0 is not above 0"),
    ({"lognormal": [2, 1]}, "lognormal: median 2 exceeds p95 1"),
    ({"beta": [0, 1]}, "beta: a 0 is not above 0"),
    ({"quantiles": [1, 2]}, "is not a table of quantiles"),
    ({"quantiles": {"low": 0, "0.5": 1}}, "high is missing"),
    ({"quantiles": {"low": 0, "high": 3, "0.5": 2, "0.4": 2.5}}, "quantiles: 0.4 = 2.5 exceeds 0.5 = 2"),
    ({"quantiles": {"low": 0, "high": 3, "1.5": 2}}, "no probability between 0 and 1"),
    ({"quantiles": {"low": 0, "high": 3, "median": 2}}, "no probability between 0 and 1"),
    ({"quantiles": {"low": 0, "high": 3, "0.5": 1, "0.50": 2}}, "one probability stands twice"),
    ({"samples": []}, "is not a list of numbers"),
    ({"samples": [1, math.nan]}, "nan is not a finite number"),
    ({"samples": [1, "a"]}, "'a' is not a finite number"),
    ({"scipy": {"c": 1.8}}, "names no distribution"),
    ({"scipy": {"name": "poisson", "mu": 3}}, "no continuous distribution 'poisson'"),
    ({"scipy": {"name": "__doc__"}}, "no continuous distribution"),
    ({"scipy": {"name": "weibull_min"}}, "lacks c"),
    ({"scipy": {"name": "weibull_min", "c": 1.8, "sale": 2}}, "unknown parameter"),
    ({"scipy": {"name": "weibull_min", "c": -1}}, "weibull_min is not defined for c -1"),
    ({"scipy": {"name": "norm", "scale": 0}}, "norm is not defined for scale 0"),
    ({"mixture": []}, "is not a list of components"),
    ({"mixture": [{"weight": 1}]}, "is not one distribution with a weight"),
    ({"mixture": [{"weight": -1, "uniform": [0, 1]}]}, "weight -1 is below 0"),
    ({"mixture": [{"weight": 0, "uniform": [0, 1]}]}, "the weights sum to 0"),
    ({"mixture": [{"weight": 1, "uniform": [1, 0]}]}, "low 1 exceeds high 0"),
    ({"mixture": [{"uniform": [0, 1], "wieght": 1}]}, "unknown key in a component"),
    ({"uniform": [0, 1], "truncate": [1, 0]}, "truncate: 1 is not below 0"),
    ({"uniform": [0, 1], "truncate": [2, 3]}, "truncate: the interval has a probability below"),
    ({"normal": [0, 1], "truncate": [7, 9]}, "truncate: the interval has a probability below"),
    ({"pert": [0, {"uniform": [1, 0]}, 2]}, "uniform: low 1 exceeds high 0"),
]


@pytest.mark.parametrize(("raw", "message"), WRONG, ids=[str(raw)[:60] for raw, _ in WRONG])
def test_what_is_no_quantity_says_why(raw: Any, message: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(raw)
    assert message in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


def test_all_problems_of_a_quantity_at_once() -> None:
    with pytest.raises(QuantityError) as caught:
        parse({"uniform": [math.nan, "b"], "sourse": "x", "note": 3})
    assert len(caught.value.problems) == 4
    assert {problem.suffix for problem in caught.value.problems} == {"uniform.1", "uniform.2", "sourse", "note"}


# -------------------------------------------------------------------------------------------------------- properties

ordinary = st.floats(min_value=-1e6, max_value=1e6).map(lambda x: round(x, 6))
positive = st.floats(min_value=1e-3, max_value=1e6)
shapes = st.floats(min_value=1, max_value=50)  # below 1 the upper end is finer than a double near 1


def ordered(count: int) -> st.SearchStrategy[list[float]]:
    return st.lists(ordinary, min_size=count, max_size=count).map(sorted)


def wide(count: int) -> st.SearchStrategy[list[float]]:
    return ordered(count).filter(lambda v: v[-1] - v[0] > 1e-3)


RAW = st.one_of(
    wide(2).map(lambda v: {"uniform": v}),
    wide(3).map(lambda v: {"triangular": v}),
    wide(3).map(lambda v: {"pert": v}),
    st.tuples(ordinary, positive).map(lambda v: {"normal": list(v)}),
    st.tuples(positive, st.floats(1.01, 50)).map(lambda v: {"lognormal": [v[0], v[0] * v[1]]}),
    st.tuples(shapes, shapes).map(lambda v: {"beta": list(v)}),
    ordered(5).map(lambda v: {"quantiles": dict(zip(("low", "0.1", "0.6", "0.9", "high"), v, strict=True))}),
    st.lists(ordinary, min_size=1, max_size=20).map(lambda v: {"samples": v}),
    st.tuples(wide(2), wide(3), st.floats(0.1, 10)).map(
        lambda v: {"mixture": [{"weight": v[2], "uniform": v[0]}, {"pert": v[1]}]}
    ),
)


@settings(deadline=None, max_examples=60)
@given(raw=RAW)
def test_any_quantile_function_rises_within_its_support(raw: Any) -> None:
    quantity = parse(raw)
    assert quantity.distribution is not None
    values = numbers(quantity)
    for draw in (in_python, in_kernel):
        found = draw(raw, P)
        low, high = (float(np.ravel(end)[0]) for end in quantity.distribution.support(values))
        room = 1e-9 * max(1.0, float(np.abs(found).max()))
        assert np.all(np.diff(found) >= -room)
        assert found[0] >= low - room
        assert found[-1] <= high + room
    assert low <= quantity.central() <= high
    assert low - room <= float(np.ravel(quantity.distribution.mean(values))[0]) <= high + room


@settings(deadline=None, max_examples=50)
@given(raw=RAW.filter(lambda raw: "samples" not in raw and "quantiles" not in raw))
def test_distribution_function_inverts_any_quantile_function(raw: Any) -> None:
    quantity = parse(raw)
    assert quantity.distribution is not None
    found = quantity.distribution.quantile(P, numbers(quantity))
    back = FAMILIES[quantity.distribution.family].cdf(quantity.distribution, found, numbers(quantity))
    # near the end of a range far from 0 a quantile is only as fine as its last digit
    grain = np.spacing(np.abs(found).max()) / max(float(np.ptp(found)), 1e-9)
    assert np.all(np.abs(back - P) <= TOLERANCE * np.minimum(P, 1 - P) + 1e3 * math.sqrt(grain) * 1e-3)


@settings(deadline=None, max_examples=50)
@given(data=st.lists(ordinary, min_size=1, max_size=40), p=st.floats(1e-6, 1 - 1e-6))
def test_any_samples(data: list[float], p: float) -> None:
    exact = np.quantile(data, p, method="inverted_cdf")
    near = {sorted(data)[min(max(math.ceil(len(data) * p + off) - 1, 0), len(data) - 1)] for off in (-1e-9, 1e-9)}
    found = float(in_python({"samples": data}, np.array([p]))[0])
    assert found in near
    assert exact in near


@settings(deadline=None, max_examples=50)
@given(mean=st.floats(-3, 3), low=st.floats(-4, 4), width=st.floats(0.01, 4))
def test_any_truncated_normal(mean: float, low: float, width: float) -> None:
    exact = stats.truncnorm(low - mean, low + width - mean, loc=mean)
    if stats.norm(mean).cdf(low + width) - stats.norm(mean).cdf(low) < 2 * LEAST_MASS:
        return
    found = in_python({"normal": [mean, 1], "truncate": [low, low + width]}, P)
    np.testing.assert_allclose(found, exact.ppf(P), atol=1e-3 * width)
