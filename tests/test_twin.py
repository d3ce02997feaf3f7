"""Path by path: the engine against the independent plain-Python twin in oracles.py, all variables of the result.

Both draw from the same addresses, so the luck of a path is the same and what remains are the quantile functions. The
engine's closed forms (constant, uniform, triangular) are exact to rounding; its normal quantile is a rational function
with an error of 4e-7 in p, that is up to 1e-6 in z; its tables (pert, beta, ...) are linear between their nodes. Money
is compared relative to the year's revenue, because a loss or a balance may end near 0.
"""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import oracles
import pytest
import xarray as xr
from small import everything, fund, plan, risk, scenario, stream

import engine
from engine.names import VARIABLES
from engine.scenario import changes
from engine.scenario.worlds import Worlds, central, draw

CLOSED = 1e-9  # constants, uniform and triangular: rounding over some thousand operations a path
NORMAL = 2e-7  # at most 1e-6 in z, times volatilities of 0.05; seen are 1e-9
TABLES = 2e-5  # cells that are linear: a variate is off by some 1e-5 of its range; seen are 2e-6

DETAIL = ("streams", "funds")
# variables that are counts or flags, equal without any tolerance
WHOLE = {"status", "fund_exhausted", "customers", "review_acted", "target_met"}


def fold(parent: engine.Scenario, values: dict[str, np.ndarray], w: int = 0) -> dict[str, Any]:
    """The scenario's table with the numbers of world w in the place of everything uncertain."""
    raw = tomllib.loads(parent.resolved_text())
    for name, drawn in values.items():
        parts = name.split(".")
        if any(".".join(parts[:n]) in values for n in range(1, len(parts))):
            continue  # a parameter of something that is itself drawn once a world
        fault = changes.apply(raw, f"{name}={float(drawn[w])!r}")
        assert fault is None, fault
    return raw


def in_order(value: Any, names: list[str]) -> np.ndarray:
    """The twin's numbers in the order of a dimension; NaN where it has none (streams without customers)."""
    if isinstance(value, dict):
        return np.array([value.get(name, np.nan) for name in names], float)
    return np.asarray(value, float)


def of_twin(twin: dict[str, Any], name: str, result: xr.Dataset, target: float) -> np.ndarray:
    """One variable of the twin's path in the shape of the engine's."""
    dims = VARIABLES[name].dims[2:]
    if name == "attainment":
        return np.asarray(twin["revenue"] / target)
    if name == "revenue_by_stream":
        months = [in_order(month, list(result["stream"].values)) for month in twin["monthly_revenue_by_stream"]]
        return np.sum(months, axis=0)
    if name == "monthly_revenue_by_stream":
        return np.array([in_order(month, list(result["stream"].values)) for month in twin[name]])
    return in_order(twin[name], [str(label) for label in result[dims[-1]].values] if dims else [])


def differences(
    result: xr.Dataset, twin: dict[str, Any], world: int, path: int, target: float, rtol: float
) -> list[str]:
    """Names of the variables in which a path differs by more than rtol, money relative to the year's revenue."""
    wrong = []
    compared = [name for name in result.data_vars if name != "monthly_fund_balance"]
    assert {"revenue", "monthly_revenue", "lag", "loss", "fund_balance", "spend", "target_met", *WHOLE} <= set(compared)
    for name in compared:
        ours = result[name].values[world, path].astype(float)
        theirs = of_twin(twin, name, result, target)
        scale = 0.0 if name in WHOLE else 1.0 if VARIABLES[name].units == "1" else twin["revenue"]
        assert ours.shape == theirs.shape, name
        if not np.allclose(ours, theirs, rtol=0.0, atol=rtol * scale, equal_nan=True):
            wrong.append(f"{name}: {ours} is not {theirs}")
    return wrong


def compare(
    worlds: Worlds, tables: list[dict[str, Any]], seed: int, paths: int, rtol: float, *, middle: dict[str, Any]
) -> None:
    """Hold every path of every world against the twin."""
    result = engine.simulate(worlds, paths=paths * len(worlds), seed=seed, detail=DETAIL)
    for w, table in enumerate(tables):
        assert result["fund_balance"].identical(
            result["monthly_fund_balance"].isel(month=-1).drop_vars("month").assign_attrs(result["fund_balance"].attrs)
            .rename("fund_balance")
        )  # fmt: skip
        for p in range(paths):
            twin = oracles.simulate_path(table, seed, int(worlds.streams[w]), p, central=middle)
            target = oracles.number(table["plan"]["target"])
            assert differences(result, twin, world=w, path=p, target=target, rtol=rtol) == [], f"world {w}, path {p}"


def compare_central(given: engine.Scenario, seed: int, paths: int, rtol: float) -> None:
    worlds = central(given)
    table = fold(given, dict(worlds.values))
    compare(worlds, [table], seed=seed, paths=paths, rtol=rtol, middle=table)


CALM = ["demand.volatility=0", *(f"streams.{i}.volatility=0" for i in ("shop", "store", "key_a"))]


def without_normals() -> engine.Scenario:
    """Every mechanism, drawn from closed forms alone: no demand, no noise, no copula."""
    text = "\n".join(part for part in everything() if not part.startswith("[correlation]"))
    return engine.parse(text, set=CALM)


@pytest.mark.parametrize("seed", [1, 2**40 + 7])
def test_every_mechanism_to_rounding(seed: int) -> None:
    compare_central(without_normals(), seed=seed, paths=60, rtol=CLOSED)


@pytest.mark.parametrize("target", [2500.0, 3300.0, 4500.0])
def test_every_mechanism(target: float) -> None:
    """At a low target no review acts, at a high one the funds run dry."""
    parts = [part.replace("3200.0", repr(target)) for part in everything()]
    compare_central(scenario(*parts), seed=3, paths=40, rtol=NORMAL)


def test_a_fund_that_short_outages_empty() -> None:
    """They decay within days, but what is left of their needs keeps an empty fund from covering the price war."""
    answer = {"fund": "reserve"}
    given = scenario(
        stream("a", baseline=600.0), stream("b", baseline=600.0), fund(amount=0.1),
        risk(
            "outage", rate=4.0, max_events=12, severity={"uniform": [0.1, 0.6]}, duration={"uniform": [0.03, 0.08]},
            shape="decay", exposure={"a": 1.0, "b": -0.5}, response={"effectiveness": 0.5, "cost_ratio": 0.2, **answer},
        ),
        risk(
            "blip", probability=0.5, severity=0.4, duration=0.03, shape="decay",
            response={"effectiveness": 0.5, "cost_ratio": 0.2, **answer},
        ),
        risk(
            "price_war", probability=0.8, severity={"uniform": [0.1, 0.3]}, duration={"uniform": [2, 8]},
            response={"effectiveness": 0.6, "lag_days": 3, **answer},
        ),
    )  # fmt: skip
    compare_central(given, seed=4, paths=300, rtol=CLOSED)


def test_the_comparison_can_fail() -> None:
    """Negative control: each of these small faults, in the twin's copy of the scenario, is noticed."""
    given = without_normals()
    result = engine.simulate(given, paths=12, worlds=1, seed=1, detail=DETAIL)
    table = fold(given, {})
    for change in (
        "plan.target=3200.001",
        "streams.shop.growth=0.0500001",
        "streams.shop.margin=0.4000001",
        "lines.ads.carryover=0.3001",
        "risks.price_war.response.lag_days=5.001",
        "risks.delay.buffer.days=10.001",
        "risks.outage.deferred=0.50001",
        "risks.slump.probability=0.6",
        "funds.reserve.amount=12.001",
        "review.levels.1.amount=2.001",
        "incentives.tiers.1.2=0.01001",
        "streams.key_b.customers.churn=0.35",
    ):
        wrong = fold(given, {})
        assert changes.apply(wrong, change) is None
        assert any(
            differences(result, oracles.simulate_path(wrong, 1, 1, p, central=wrong), 0, p, 3200.0, rtol=CLOSED)
            for p in range(12)
        ), change
    assert differences(result, oracles.simulate_path(table, 1, 1, 0, central=table), 0, 0, 3200.0, rtol=CLOSED) == []


def test_the_reference_scenario() -> None:
    compare_central(engine.load(engine.reference_path()), seed=5, paths=50, rtol=TABLES)


def test_the_regional_scenario() -> None:
    """About 50 streams: the twin takes 0.2 s a path."""
    path = engine.reference_path().with_name("regional.toml")
    compare_central(engine.load(path), seed=6, paths=8, rtol=TABLES)


def compare_drawn(given: engine.Scenario, worlds: int, seed: int, paths: int, rtol: float) -> None:
    drawn = draw(given, worlds, seed)
    assert drawn.streams.tolist() == list(range(1, worlds + 1))
    tables = [fold(given, dict(drawn.values), w) for w in range(worlds)]
    middle = fold(given, dict(central(given).values))
    compare(drawn, tables, seed=seed, paths=paths, rtol=rtol, middle=middle)


def test_drawn_worlds_of_the_reference() -> None:
    """World w runs on the stream w + 1; uncertain numbers and nested parameters are the world's own."""
    compare_drawn(engine.load(engine.reference_path()), worlds=6, seed=7, paths=6, rtol=TABLES)


UNCERTAIN = [
    "plan.target={ uniform = [3000, 3600] }",
    "streams.shop.baseline={ uniform = [1000, { triangular = [1200, 1300, 1500] }] }",
    "streams.novelty.launch.ramp={ uniform = [0, 4] }",
    "streams.key_a.customers.wins.3={ uniform = [0, 4] }",
    "streams.key_b.customers.count={ uniform = [30, 60] }",
    "lines.ads.response.scale={ uniform = [3, 8] }",
    "lines.fairs.effectiveness={ uniform = [0.5, { uniform = [0.8, 1.6] }] }",
    "lines.fairs.phasing.2={ uniform = [0, 3] }",
    "funds.reserve.amount={ uniform = [0, 20] }",
    "risks.price_war.probability={ uniform = [0.4, 1.0] }",
    "risks.price_war.severity={ uniform = [0.05, 0.3], per = 'world' }",
    "risks.price_war.response.trigger={ uniform = [0.05, 0.3] }",
    "risks.slump.severity={ triangular = [0.1, { uniform = [0.15, 0.3] }, 0.4] }",
    "risks.slump.window=[{ uniform = [-2, 3] }, 12]",
    "risks.delay.rate={ uniform = [1, 3] }",
    "risks.delay.exposure.product:mass={ uniform = [0.2, 1.4] }",
    "risks.delay.deferred={ uniform = [0, 1] }",
    "risks.outage.duration={ uniform = [0.1, { uniform = [0.5, 2] }] }",
    "review.levels.1.lag={ uniform = [0.01, 0.09] }",
    "review.levels.2.amount={ uniform = [0, 8] }",
    "incentives.tiers.2.2={ uniform = [0.01, 0.03] }",
    "targets.clients.at_least={ uniform = [50, 80] }",
    "seasons.trade.weights.4={ uniform = [0.5, 1.5] }",
]


def test_drawn_worlds_with_something_uncertain_everywhere() -> None:
    text = "\n".join(part for part in everything() if not part.startswith("[correlation]"))
    compare_drawn(engine.parse(text, set=[*CALM, *UNCERTAIN]), worlds=12, seed=8, paths=5, rtol=CLOSED)


def test_uncertain_demand_and_correlation() -> None:
    changed = [
        "demand.level={ uniform = [0.9, 1.1] }",
        "demand.persistence={ uniform = [0, 0.9] }",
        "demand.volatility={ uniform = [0, 0.1] }",
        "demand.noise_correlation={ uniform = [0, 1] }",
        "streams.store.demand_beta={ uniform = [-1, 2] }",
        "correlation.risks.price_war.occurs ~ risks.slump.occurs={ uniform = [-0.8, 0.8] }",
    ]
    compare_drawn(engine.parse("\n".join(everything()), set=changed), worlds=10, seed=9, paths=5, rtol=NORMAL)


# Closed forms and samples to rounding, the normal families to the error of z, tables to that of linear cells.
FAMILIES = [
    ({"uniform": [0.1, 0.4]}, CLOSED),
    ({"triangular": [0.1, 0.1, 0.4]}, CLOSED),
    ({"triangular": [0.1, 0.2, 0.4]}, CLOSED),
    ({"uniform": [0.1, 0.6], "truncate": [0.2, 0.3]}, CLOSED),
    ({"samples": [0.3, 0.1, 0.2, 0.25, 0.12, 0.4, 0.31]}, CLOSED),
    ({"normal": [0.3, 0.01], "truncate": [0.0, 1.0]}, TABLES),
    ({"lognormal": [0.1, 0.2]}, NORMAL),
    ({"lognormal": [0.1, 0.2], "truncate": [0.05, 0.3]}, TABLES),
    ({"pert": [0.1, 0.15, 0.5]}, TABLES),
    ({"pert": [0.1, 0.1, 0.5]}, TABLES),
    ({"pert": [0.2, 0.2, 0.2]}, CLOSED),
    ({"beta": [2.0, 5.0]}, TABLES),
    ({"quantiles": {"low": 0.0, "high": 0.6, "0.05": 0.1, "0.5": 0.2, "0.95": 0.4}}, TABLES),
]


@pytest.mark.parametrize(
    ("severity", "rtol"), FAMILIES, ids=[" ".join(f) + f" {n}" for n, (f, _) in enumerate(FAMILIES)]
)
def test_every_family(severity: dict[str, Any], rtol: float) -> None:
    """Severity and duration of Poisson events: up to 24 draws a path."""
    events = {"rate": 8.0, "max_events": 12, "exposure": {"*": 0.3}, "duration": {**severity}}
    compare_central(scenario(plan(), stream(), risk(severity=severity, **events)), seed=10, paths=100, rtol=rtol)
