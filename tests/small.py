"""Tiny scenarios as TOML text, a function a table, so that each test shows in a few lines what it tests.

Without options: one flat stream that sells 100 a month against a target of 1200, in which nothing happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

import engine

MONTH = 100.0  # revenue of a month of the flat plan
YEAR = 12 * MONTH


def toml(value: Any) -> str:
    """One value as TOML."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(int(value)) if isinstance(value, int | np.integer) else repr(float(value))


def table(header: str, fields: Mapping[str, Any]) -> str:
    """A TOML table; fields that are None are left out."""
    rows = [f"{json.dumps(key)} = {toml(value)}" for key, value in fields.items() if value is not None]
    return "\n".join([header, *rows, ""])


def plan(*, target: Any = YEAR, **fields: Any) -> str:
    return table("[plan]", {"target": target, **fields})


def season(name: str, *, weights: list[float]) -> str:
    return table(f"[seasons.{name}]", {"weights": weights})


def demand(**fields: Any) -> str:
    return table("[demand]", fields)


def stream(name: str = "shop", *, baseline: Any = YEAR, margin: Any = 0.5, **fields: Any) -> str:
    return table(f"[streams.{name}]", {"baseline": baseline, "margin": margin, **fields})


def launch(name: str = "novelty", *, margin: Any = 0.5, fields: Mapping[str, Any] | None = None, **terms: Any) -> str:
    """A launch: its own terms by name, the stream's other fields as a dict."""
    return table(f"[streams.{name}]", {"margin": margin, "launch": terms, **(fields or {})})


def customers(
    name: str = "clients", *, margin: Any = 0.5, fields: Mapping[str, Any] | None = None, **terms: Any
) -> str:
    """A stream of customers: its own terms by name, the stream's other fields as a dict."""
    return table(f"[streams.{name}]", {"margin": margin, "customers": terms, **(fields or {})})


def line(name: str = "ads", *, amount: Any = 0.0, **fields: Any) -> str:
    return table(f"[lines.{name}]", {"amount": amount, **fields})


def fund(name: str = "reserve", *, amount: Any) -> str:
    return table(f"[funds.{name}]", {"amount": amount})


def risk(
    name: str = "strike",
    *,
    probability: Any = 1.0,
    severity: Any = 0.3,
    duration: Any = 2.0,
    rate: Any = None,
    **fields: Any,
) -> str:
    """A risk that strikes for certain, unless a probability or a rate is given."""
    chance = {"probability": probability} if rate is None else {"rate": rate}
    return table(f"[risks.{name}]", {**chance, "severity": severity, "duration": duration, **fields})


def level(*, lag: Any, amount: Any = 0.0, **fields: Any) -> str:
    return table("[[review.levels]]", {"lag": lag, "amount": amount, **fields})


def incentives(*, tiers: list[list[float]], **fields: Any) -> str:
    return table("[incentives]", {"tiers": tiers, **fields})


def correlation(pairs: Mapping[str, float]) -> str:
    return table("[correlation]", pairs)


def target(name: str, *, measure: str, **fields: Any) -> str:
    return table(f"[targets.{name}]", {"measure": measure, **fields})


def scenario(*parts: str) -> engine.Scenario:
    """A scenario of the parts given; plan and stream are the flat ones where no part brings its own."""
    text = list(parts)
    if not any(part.startswith("[plan]") for part in parts):
        text.insert(0, plan())
    if not any(part.startswith("[streams.") for part in parts):
        text.append(stream())
    return engine.parse("\n".join(text))


def run(*parts: str, paths: int = 1, worlds: int = 1, **options: Any) -> xr.Dataset:
    """Simulate the parts given; one path of the central world unless said otherwise."""
    return engine.simulate(scenario(*parts), paths=paths, worlds=worlds, **options)


def monthly(result: xr.Dataset) -> np.ndarray:
    """Revenue by month of the first path."""
    return result["monthly_revenue"].values[0, 0]


def everything() -> list[str]:
    """Tables of a small plan in which every mechanism of the model is at work; its distributions have closed forms."""
    return [f"[{text}" for text in EVERYTHING.split("\n[")[1:]]


EVERYTHING = """
[plan]
target = 3200.0
start = "2024-03"

[seasons.trade]
weights = [0.9, 0.8, 1.0, 1.0, 1.0, 1.1, 0.9, 1.0, 1.1, 1.3, 1.2, 0.7]

[demand]
level = 1.02
volatility = 0.03
persistence = 0.6
noise_correlation = 0.3

[streams.shop]
labels = { channel = "online", product = "mass" }
baseline = 1200.0
growth = 0.05
season = "trade"
volatility = 0.05
margin = 0.4

[streams.store]
labels = { channel = "offline", product = "mass" }
baseline = 900.0
volatility = 0.04
demand_beta = 0.5
margin = 0.3

[streams.novelty]
labels = { channel = "online", product = "new" }
season = "trade"
margin = 0.45
launch = { peak = 40.0, start = 2.0, ramp = 3.0, slip = { triangular = [0, 0.5, 2] } }

[streams.key_a]
labels = { channel = "key", product = "mass" }
growth = 0.03
volatility = 0.02
margin = 0.35
customers = { count = 20, spend = 24.0, churn = 0.2, rescue = 0.25, wins = [0, 1, 2, 1, 0, 1, 1, 0.5, 1, 1, 0, 1] }

[streams.key_b]
labels = { channel = "key", product = "new" }
margin = 0.25
customers = { count = 50, spend = 6.0, churn = 0.3 }

[lines.ads]
amount = 60.0
phasing = "trade"
carryover = 0.3
initial = 4.0
effectiveness = { triangular = [0.6, 1.0, 1.3] }
response = { kind = "exponential", ceiling = 0.15, scale = 5.0 }
reach = { "channel:online" = 1.0, "*" = 0.3 }

[lines.fairs]
amount = 30.0
phasing = [0, 1, 0, 2, 0, 0, 1, 0, 3, 0, 1, 0]
effectiveness = { uniform = [0.8, 1.2] }
response = { kind = "hill", ceiling = 0.2, scale = 3.0, slope = 2.0 }
reach = { "channel:key" = 1.0, "store" = -0.2 }

[lines.pay]
amount = 30.0

[funds.reserve]
amount = 12.0

[funds.price_fund]
amount = 8.0

[risks.price_war]
probability = 0.8
severity = { uniform = [0.05, 0.3] }
duration = { uniform = [1, 5] }
exposure = { "channel:online" = 2.0, "channel:key" = 0.5, "*" = 1.0 }
margin_loss = 0.2
churn_multiplier = 3.0
response.trigger = 0.1
response.lag_days = 5
response.effectiveness = { uniform = [0.3, 1.2] }
response.cost_ratio = 0.3
response.cost_per_month = 0.5
response.fund = "price_fund"

[risks.slump]
probability = 0.5
timing = "hazard"
severity = { triangular = [0.1, 0.2, 0.3] }
duration = { triangular = [2, 4, 8] }
churn_multiplier = 2.0
response = { effectiveness = 0.3, cost_ratio = 0.1, fund = "reserve" }

[risks.delay]
rate = 2.0
max_events = 4
window = [-1, 11]
severity = { uniform = [0.2, 0.6] }
duration = { uniform = [0.5, 2.5] }
exposure = { "product:mass" = 0.8 }
deferred = 0.7
release = 0.5
buffer = { days = 10, share = 0.6 }
response = { lag_days = 3, effectiveness = { uniform = [0.2, 0.8] }, cost_per_month = 1.0, fund = "reserve" }

[risks.outage]
rate = 3.0
max_events = 6
severity = { uniform = [0.1, 0.5] }
duration = 0.6
shape = "decay"
exposure = { "channel:online" = 1.0 }
deferred = 0.5
response = { effectiveness = 0.4, cost_ratio = 0.05 }

[risks.bankruptcy]
probability = 0.3
severity = 0.4
duration = "rest"
exposure = { key_b = 1.0 }
churn_multiplier = 1.0

[[review.levels]]
lag = 0.05
amount = 2.0
line = "ads"
fund = "reserve"

[[review.levels]]
lag = 0.10
amount = 4.0
line = "fairs"
fund = "price_fund"

[[review.levels]]
lag = 0.20
amount = 5.0
line = "ads"

[incentives]
streams = "channel:online"
tiers = [[0.8, 0.01], [1.0, 0.015], [1.2, 0.02]]
line = "pay"

[correlation]
"risks.price_war.occurs ~ risks.slump.occurs" = 0.4
"risks.delay.severity ~ risks.outage.severity" = 0.5
"lines.ads.effectiveness ~ lines.fairs.effectiveness" = 0.3

[targets.online_share]
measure = "revenue"
where = "channel:online"
of = "*"
months = [11, 12]
at_least = 0.5

[targets.margin]
measure = "gross_margin"
at_least = 1100.0

[targets.rate]
measure = "margin_rate"
where = "channel:online"
at_least = 0.4

[targets.clients]
measure = "customers"
where = "channel:key"
months = [6]
at_least = 65

[targets.kept]
measure = "retention"
where = "channel:key"
at_least = 0.75

[targets.left]
measure = "fund_left"
where = "reserve"
at_least = 2.0

[targets.all_left]
measure = "fund_left"
at_least = 5.0

[targets.overrun]
measure = "incentive_overrun"
at_most = 0.0
"""
