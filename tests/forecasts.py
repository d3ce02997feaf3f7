"""A forecast with made-up figures, for everything that only prints or draws one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

MONTHS = 12
WEIGHTS = np.array([0.8, 0.7, 0.9, 0.95, 1.0, 1.05, 0.95, 0.9, 1.0, 1.2, 1.4, 1.25])
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


class MadeUpForecast:
    """Has what the summary and the charts ask of a Forecast."""

    scenario_name = "Consumer electronics 2024"
    currency = "CNY"
    target = 1.5e9
    uncertain = 30

    def __init__(self, worlds: int = 256, risks: int = 20) -> None:
        self.worlds, self.risks = worlds, risks
        self.months = [f"2024-{month:02d}" for month in range(1, MONTHS + 1)]
        self.plan_monthly = list(1.5e9 * WEIGHTS / WEIGHTS.sum())
        self.optimism = {"online_ads": 0.967, "stores": 1.05}
        rng = np.random.default_rng(1)
        factors = np.exp(rng.normal(-0.05, 0.08, (4000, 1)) + rng.normal(0, 0.06, (4000, MONTHS)))
        self._paths = np.asarray(self.plan_monthly) * factors

    @property
    def fan(self) -> xr.Dataset:
        return xr.Dataset(
            {
                "cumulative": (("quantile", "month"), np.quantile(self._paths.cumsum(axis=1), LEVELS, axis=0)),
                "plan": ("month", np.cumsum(self.plan_monthly)),
            },
            coords={"quantile": LEVELS, "month": np.array(self.months, dtype="datetime64[ns]")},
            attrs={"lags": [0.05, 0.1, 0.2], "currency": self.currency},
        )

    @property
    def curve(self) -> xr.Dataset:
        levels = np.linspace(0.005, 0.995, 199)
        attain = float((self._paths.sum(axis=1) >= self.target).mean())
        attrs = {"target": self.target, "p_value": attain, "p_se_sampling": 0.0009, "currency": self.currency}
        many = self.worlds > 1
        attrs |= {"p_lo": max(0.0, attain - 0.2 * many), "p_hi": min(1.0, attain + 0.25 * many)}
        revenue = np.quantile(self._paths.sum(axis=1), levels)
        return xr.Dataset({"revenue": ("quantile", revenue)}, coords={"quantile": levels}, attrs=attrs)

    def to_json(self) -> dict[str, Any]:
        year = self._paths.sum(axis=1)
        many = self.worlds > 1

        def figure(mean: float, share: float = 0.002) -> dict[str, float]:
            return {"mean": mean, "se": abs(mean) * share}

        def quantiles(scale: float) -> dict[str, Any]:
            keys = ["0.05", "0.1", "0.5", "0.9", "0.95"]
            values = dict(zip(keys, np.quantile(year, [float(key) for key in keys]) * scale, strict=True))
            return {"quantiles": values, "quantiles_se": dict.fromkeys(keys, 2e6 * scale)}

        return {
            "scenario": "reference.toml",
            "paths": 1_000_000,
            "worlds": self.worlds,
            "seed": 1,
            "p_attain": {
                "value": 0.31234, "se": 0.0117, "se_sampling": 0.00042,
                "lo": 0.1213 if many else 0.31234, "hi": 0.5512 if many else 0.31234,
            },
            "revenue": {**figure(float(year.mean())), "sd": float(year.std()), **quantiles(1.0)},
            "monthly_revenue": [figure(value) for value in self._paths.mean(axis=0)],
            "revenue_by_stream": {"online_high_end": figure(4e8), "key_a": figure(2.4e8)},
            "revenue_by_channel": {"online": figure(6.4e8), "stores": figure(5.1e8), "key_accounts": figure(2.8e8)},
            "loss_by_risk": {f"risk_number_{k}": figure(3e7 / (1 + k)) for k in range(self.risks)},
            "fund_need": {"contingency": {**figure(1.34e7), **quantiles(0.02)}},
            "p_fund_exhausted": {"contingency": {"value": 0.2871, "se": 0.008}},
            "gross_margin": figure(4.81e8),
            "contribution": figure(2.4e8),
            "incentive_cost": figure(1.9e7),
            "customers_end": {"key_a": {"mean": 31.2, "se": 0.05}},
            "revenue_deferred_out": figure(2.1e6),
            "review_acted": [{"lag": lag, "p": p, "se": 0.004} for lag, p in ((0.05, 0.61), (0.1, 0.38), (0.2, 0.07))],
            "targets": {
                "revenue": {"p": 0.31234, "se": 0.0117},
                "online_share": {"p": 0.8321, "se": 0.004},
                "retention_class_a": {"p": 0.55, "se": 0.01},
            },
            "p_all_targets": {"value": 0.2011, "se": 0.009},
            "timing": {"compile_s": 41.2, "simulate_s": 1.9, "total_s": 44.0},
        }  # fmt: skip
