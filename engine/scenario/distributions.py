"""Distributions: quantile function, distribution function, support and mean of each family.

Parameters arrive in a mapping from their suffix (``pert.2``, ``quantiles.0.05``, ``truncate.1``) to an array that
broadcasts with the probabilities: one number, or one a world. Closed forms use `scipy.special`, which loads fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from engine.scenario.quantity import Quantity

Z95 = 1.6448536269514722  # standard normal quantile of 0.95: a lognormal's p95 over its median is exp(Z95 sigma)
PERT_LAMBDA = 4.0
LEAST_MASS = 1e-6  # F near 1 is known to 1e-16: of less mass than this the tails would not keep their 1e-3
_ATOM = 1e-6  # probability of an end from which on it occurs: that of rounding next to it may reach 1e-8
_MEAN_POINTS = (np.arange(8192) + 0.5) / 8192

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution in the place of a number.

    Attributes
    ----------
    family : str
        One of `FAMILIES`.
    params : dict of str to Quantity
        Parameters by suffix, those of ``truncate`` included; a parameter may itself be uncertain.
    data : tuple of float
        Sorted samples of the family ``samples``.
    name : str
        Distribution of the family ``scipy``.
    parts : tuple of Distribution
        Components of the family ``mixture``; their parameters stand in `params` under ``mixture.j.``.
    """

    family: str
    params: dict[str, Quantity]
    data: tuple[float, ...] = ()
    name: str = ""
    parts: tuple[Distribution, ...] = ()
    truncate: bool = False
    signature: str = field(init=False)

    def __post_init__(self) -> None:
        inner = ";".join(part.signature for part in self.parts)
        text = f"{self.family}|{self.name}|{','.join(self.params)}|{self.data}|{inner}"
        object.__setattr__(self, "signature", text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return False
        return self.signature == other.signature and self.params == other.params

    def __hash__(self) -> int:
        return hash(self.signature)

    def quantile(self, p: Any, values: Values) -> np.ndarray:
        """Smallest x with F(x) >= p, for p in (0, 1)."""
        family = FAMILIES[self.family]
        p = np.asarray(p, float)
        if not self.truncate:
            return family.quantile(self, p, values)
        low, high = values["truncate.1"], values["truncate.2"]
        below, mass = self._interval(values)
        return np.clip(family.quantile(self, np.clip(below + p * mass, 1e-300, 1.0 - 1e-16), values), low, high)

    def mass(self, values: Values) -> np.ndarray:
        """Probability that the interval of ``truncate`` holds; 1 without one."""
        return self._interval(values)[1] if self.truncate else np.ones(1)

    def _interval(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        cdf = FAMILIES[self.family].cdf
        low, high = values["truncate.1"], values["truncate.2"]
        # samples have atoms: what lies at the lower end belongs to the interval
        below = cdf(self, np.nextafter(low, -np.inf), values)
        return below, cdf(self, high, values) - below

    def support(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest value that can occur."""
        low, high = FAMILIES[self.family].support(self, values)
        if self.truncate:
            low, high = np.maximum(low, values["truncate.1"]), np.minimum(high, values["truncate.2"])
        return np.asarray(low, float), np.asarray(high, float)

    def attained(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Whether the least value occurs, and the greatest: a continuous distribution never draws its ends."""
        cdf, (low, high) = FAMILIES[self.family].cdf, self.support(values)
        below, mass = self._interval(values) if self.truncate else (0.0, 1.0)
        at_low = (cdf(self, low, values) - below) / mass
        at_high = 1.0 - (cdf(self, np.nextafter(high, -np.inf), values) - below) / mass
        return (at_low > _ATOM) | (low == high), (at_high > _ATOM) | (low == high)

    def mean(self, values: Values) -> np.ndarray:
        """Mean, one number for each world of `values`."""
        family = FAMILIES[self.family]
        if family.mean is not None and not self.truncate:
            return np.asarray(family.mean(self, values), float)
        columns = {name: np.asarray(v, float).reshape(-1, 1) for name, v in values.items()}
        return np.asarray(self.quantile(_MEAN_POINTS[None, :], columns), float).mean(axis=-1)

    def fault(self, values: Values) -> str | None:
        """What is wrong with the parameters, in any world; None where they make a distribution."""
        wrong = FAMILIES[self.family].fault(self, values)
        if wrong is None and self.truncate:
            low, high = values["truncate.1"], values["truncate.2"]
            if np.any(low >= high):
                return f"truncate: {_first(low, low >= high)} is not below {_first(high, low >= high)}"
            thin = self.mass(values) < LEAST_MASS
            if np.any(thin):
                return f"truncate: the interval has a probability below {LEAST_MASS:g}"
        return wrong


@dataclass(frozen=True)
class Family:
    """What a family of distributions can do; `count` is the number of listed parameters."""

    count: int
    quantile: Callable[[Distribution, np.ndarray, Values], np.ndarray]
    cdf: Callable[[Distribution, np.ndarray, Values], np.ndarray]
    support: Callable[[Distribution, Values], tuple[Any, Any]]
    fault: Callable[[Distribution, Values], str | None]
    mean: Callable[[Distribution, Values], np.ndarray] | None = None


def _first(values: Any, wrong: Any) -> str:
    """The first value that is wrong, for a message."""
    values, wrong = np.broadcast_arrays(values, wrong)
    return f"{float(values[wrong][0]):.12g}"


def _listed(d: Distribution, values: Values) -> list[np.ndarray]:
    return [values[f"{d.family}.{j}"] for j in range(1, FAMILIES[d.family].count + 1)]


def _ordered(*names: str) -> Callable[[Distribution, Values], str | None]:
    """Check that the listed parameters do not fall."""

    def fault(d: Distribution, values: Values) -> str | None:
        listed = _listed(d, values)
        for j in range(len(names) - 1):
            wrong = listed[j] > listed[j + 1]
            if np.any(wrong):
                return (
                    f"{d.family}: {names[j]} {_first(listed[j], wrong)} exceeds {names[j + 1]} "
                    f"{_first(listed[j + 1], wrong)}"
                )
        return None

    return fault


def _limits(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    listed = _listed(d, values)
    return listed[0], listed[-1]


# ------------------------------------------------------------------------------------------------------ closed forms


def _uniform_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    a, b = _listed(d, values)
    return a + (b - a) * p


def _uniform_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    a, b = _listed(d, values)
    return _scaled(x, a, b)


def _scaled(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Position of x in [a, b], clipped to [0, 1]; a step where a = b."""
    wide = b > a
    inside = np.clip((x - a) / np.where(wide, b - a, 1.0), 0.0, 1.0)
    return np.where(wide, inside, np.where(x >= a, 1.0, 0.0))


def _triangular_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    a, mode, b = _listed(d, values)
    c = _scaled(mode, a, b)
    rising = np.sqrt(p * c)
    falling = 1.0 - np.sqrt((1.0 - p) * (1.0 - c))
    return a + (b - a) * np.where(p < c, rising, falling)


def _triangular_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    a, mode, b = _listed(d, values)
    c, y = _scaled(mode, a, b), _scaled(x, a, b)
    rising = np.divide(y**2, c, out=np.zeros(np.broadcast(y, c).shape), where=c > 0)
    falling = 1.0 - np.divide((1.0 - y) ** 2, 1.0 - c, out=np.zeros(np.broadcast(y, c).shape), where=c < 1)
    return np.where(y < c, rising, falling)


def _pert_shape(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Beta parameters of a PERT, lambda = 4; a degenerate one counts as symmetric."""
    a, mode, b = _listed(d, values)
    c = np.where(b > a, _scaled(mode, a, b), 0.5)
    return 1.0 + PERT_LAMBDA * c, 1.0 + PERT_LAMBDA * (1.0 - c)


def _pert_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    a, _, b = _listed(d, values)
    first, second = _pert_shape(d, values)
    return a + (b - a) * special.betaincinv(first, second, p)


def _pert_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    a, _, b = _listed(d, values)
    first, second = _pert_shape(d, values)
    return special.betainc(first, second, _scaled(x, a, b))


def _normal_fault(d: Distribution, values: Values) -> str | None:
    sd = values["normal.2"]
    return f"normal: sd {_first(sd, sd < 0)} is below 0" if np.any(sd < 0) else None


def _normal_support(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    mean, sd = _listed(d, values)
    return np.where(sd > 0, -np.inf, mean), np.where(sd > 0, np.inf, mean)


def _normal_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    mean, sd = _listed(d, values)
    return np.where(sd > 0, special.ndtr((x - mean) / np.where(sd > 0, sd, 1.0)), np.where(x >= mean, 1.0, 0.0))


def _sigma(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    median, high = _listed(d, values)
    return np.log(median), (np.log(high) - np.log(median)) / Z95


def _lognormal_fault(d: Distribution, values: Values) -> str | None:
    median = values["lognormal.1"]
    if np.any(median <= 0):
        return f"lognormal: median {_first(median, median <= 0)} is not above 0"
    return _ordered("median", "p95")(d, values)


def _lognormal_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    mu, sigma = _sigma(d, values)
    return np.exp(np.minimum(mu + sigma * special.ndtri(p), 700.0))


def _lognormal_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    mu, sigma = _sigma(d, values)
    z = np.log(np.maximum(x, 1e-300)) - mu
    return np.where(sigma > 0, special.ndtr(z / np.where(sigma > 0, sigma, 1.0)), np.where(z >= 0, 1.0, 0.0))


def _lognormal_support(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    median, high = _listed(d, values)
    return np.where(high > median, 0.0, median), np.where(high > median, np.inf, median)


def _lognormal_mean(d: Distribution, values: Values) -> np.ndarray:
    mu, sigma = _sigma(d, values)
    return np.exp(np.minimum(mu + 0.5 * sigma**2, 700.0))


def _beta_fault(d: Distribution, values: Values) -> str | None:
    for name, value in zip("ab", _listed(d, values), strict=True):
        if np.any(value <= 0):
            return f"beta: {name} {_first(value, value <= 0)} is not above 0"
    return None


# -------------------------------------------------------------------------------------------- quantiles and samples


def _levels(d: Distribution) -> list[str]:
    inner = sorted((s for s in d.params if s.startswith("quantiles.") and s[10:] not in ("low", "high")), key=_level)
    return ["quantiles.low", *inner, "quantiles.high"]


def _level(suffix: str) -> float:
    key = suffix.removeprefix("quantiles.")
    return {"low": 0.0, "high": 1.0}.get(key) if key in ("low", "high") else float(key)  # type: ignore[return-value]


def _spline(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Knots in p, cubic coefficients (4, cells, worlds) and the parameters' shape, by scipy's PchipInterpolator."""
    from scipy.interpolate import PchipInterpolator

    suffixes = _levels(d)
    columns = np.broadcast_arrays(*(values[s] for s in suffixes))
    table = np.stack([c.ravel() for c in columns])
    p = np.array([_level(s) for s in suffixes])
    return p, PchipInterpolator(p, table).c, columns[0].shape


def _quantiles_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    knots, c, shape = _spline(d, values)
    world = np.arange(c.shape[2]).reshape(shape)
    cell = np.clip(np.searchsorted(knots, p, side="right") - 1, 0, knots.size - 2)
    x = p - knots[cell]
    return ((c[0, cell, world] * x + c[1, cell, world]) * x + c[2, cell, world]) * x + c[3, cell, world]


def _search(d: Distribution, x: np.ndarray, values: Values, steps: int = 60) -> np.ndarray:
    """F(x) by bisection of the quantile function."""
    low = np.zeros(np.broadcast(x, *values.values()).shape)
    high = np.ones_like(low)
    for _ in range(steps):
        middle = 0.5 * (low + high)
        below = FAMILIES[d.family].quantile(d, middle, values) <= x
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    first, last = FAMILIES[d.family].support(d, values)
    return np.where(x >= last, 1.0, np.where(x < first, 0.0, 0.5 * (low + high)))


def _quantiles_support(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    return values["quantiles.low"], values["quantiles.high"]


def _quantiles_fault(d: Distribution, values: Values) -> str | None:
    suffixes = _levels(d)
    for first, second in pairwise(suffixes):
        wrong = values[first] > values[second]
        if np.any(wrong):
            return (
                f"quantiles: {first.removeprefix('quantiles.')} = {_first(values[first], wrong)} exceeds "
                f"{second.removeprefix('quantiles.')} = {_first(values[second], wrong)}"
            )
    return None


def _quantiles_mean(d: Distribution, values: Values) -> np.ndarray:
    knots, c, shape = _spline(d, values)
    width = np.diff(knots)[:, None]
    area = ((c[0] * width / 4 + c[1] / 3) * width + c[2] / 2) * width + c[3]
    return (area * width).sum(axis=0).reshape(shape)


def _samples_quantile(d: Distribution, p: np.ndarray, values: Values) -> np.ndarray:
    data = np.array(d.data)
    return data[np.clip(np.ceil(p * data.size - 1e-12).astype(np.int64) - 1, 0, data.size - 1)]


def _samples_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    return np.searchsorted(np.array(d.data), x, side="right") / len(d.data)


# --------------------------------------------------------------------------------------------- scipy and mixtures


def scipy_shapes(name: str) -> tuple[str, ...] | None:
    """Shape parameters of a continuous distribution of scipy.stats; None where there is no such distribution."""
    from scipy import stats

    found = getattr(stats, name, None)
    if not isinstance(found, stats.rv_continuous):
        return None
    return tuple(s.strip() for s in found.shapes.split(",")) if found.shapes else ()


def _frozen(d: Distribution, values: Values) -> Any:
    from scipy import stats

    keywords = {s.removeprefix("scipy."): v for s, v in values.items() if s.startswith("scipy.")}
    return getattr(stats, d.name)(**keywords)


def _scipy_fault(d: Distribution, values: Values) -> str | None:
    with np.errstate(all="ignore"):
        middle = np.asarray(_frozen(d, values).ppf(0.5))
    if np.all(np.isfinite(middle)):
        return None
    given = ", ".join(f"{s.removeprefix('scipy.')} {_first(v, np.ones_like(v, bool))}" for s, v in values.items())
    return f"scipy: {d.name} is not defined for {given}"


def _of_part(d: Distribution, j: int, values: Values) -> dict[str, np.ndarray]:
    prefix = f"mixture.{j + 1}."
    return {s.removeprefix(prefix): v for s, v in values.items() if s.startswith(prefix) and s != f"{prefix}weight"}


def _weights(d: Distribution, values: Values) -> list[np.ndarray]:
    raw = [values[f"mixture.{j + 1}.weight"] for j in range(len(d.parts))]
    total = np.sum(np.broadcast_arrays(*raw), axis=0)
    return [w / total for w in raw]


def _mixture_cdf(d: Distribution, x: np.ndarray, values: Values) -> np.ndarray:
    return np.sum(
        np.broadcast_arrays(
            *(
                weight * FAMILIES[part.family].cdf(part, x, _of_part(d, j, values))
                for j, (part, weight) in enumerate(zip(d.parts, _weights(d, values), strict=True))
            )
        ),
        axis=0,
    )


def _mixture_quantile(d: Distribution, p: np.ndarray, values: Values, steps: int = 100) -> np.ndarray:
    """Bisection between the least and the greatest of the components' quantiles, which enclose the mixture's."""
    ends = [FAMILIES[part.family].quantile(part, p, _of_part(d, j, values)) for j, part in enumerate(d.parts)]
    shape = np.broadcast(p, *ends, *values.values()).shape
    low = np.broadcast_to(np.minimum.reduce(np.broadcast_arrays(*ends)), shape).copy()
    high = np.broadcast_to(np.maximum.reduce(np.broadcast_arrays(*ends)), shape).copy()
    at_low = _mixture_cdf(d, low, values) >= p
    for _ in range(steps):
        # each element stops by itself: a world's table must not depend on the worlds beside it
        open_still = high - low > 1e-14 * np.maximum(np.abs(low), np.abs(high))
        if not open_still.any():
            break
        middle = 0.5 * (low + high)
        reached = _mixture_cdf(d, middle, values) >= p
        high = np.where(open_still & reached, middle, high)
        low = np.where(open_still & ~reached, middle, low)
    return np.where(at_low, np.minimum.reduce(np.broadcast_arrays(*ends)), high)


def _mixture_support(d: Distribution, values: Values) -> tuple[np.ndarray, np.ndarray]:
    ends = [FAMILIES[part.family].support(part, _of_part(d, j, values)) for j, part in enumerate(d.parts)]
    lows, highs = zip(*ends, strict=True)
    return np.minimum.reduce(np.broadcast_arrays(*lows)), np.maximum.reduce(np.broadcast_arrays(*highs))


def _mixture_fault(d: Distribution, values: Values) -> str | None:
    weights = [values[f"mixture.{j + 1}.weight"] for j in range(len(d.parts))]
    for j, (part, weight) in enumerate(zip(d.parts, weights, strict=True)):
        if np.any(weight < 0):
            return f"mixture: weight {_first(weight, weight < 0)} is below 0"
        wrong = FAMILIES[part.family].fault(part, _of_part(d, j, values))
        if wrong is not None:
            return f"mixture: component {j + 1}: {wrong}"
    if np.any(np.sum(np.broadcast_arrays(*weights), axis=0) <= 0):
        return "mixture: the weights sum to 0"
    return None


def _mixture_mean(d: Distribution, values: Values) -> np.ndarray:
    weights = _weights(d, values)
    means = [weights[j] * part.mean(_of_part(d, j, values)) for j, part in enumerate(d.parts)]
    return np.sum(np.broadcast_arrays(*means), axis=0)


FAMILIES: dict[str, Family] = {
    "uniform": Family(
        2, _uniform_quantile, _uniform_cdf, _limits, _ordered("low", "high"),
        lambda d, v: 0.5 * (v["uniform.1"] + v["uniform.2"]),
    ),
    "triangular": Family(
        3, _triangular_quantile, _triangular_cdf, _limits, _ordered("low", "mode", "high"),
        lambda d, v: (v["triangular.1"] + v["triangular.2"] + v["triangular.3"]) / 3.0,
    ),
    "pert": Family(
        3, _pert_quantile, _pert_cdf, _limits, _ordered("low", "mode", "high"),
        lambda d, v: (v["pert.1"] + PERT_LAMBDA * v["pert.2"] + v["pert.3"]) / (PERT_LAMBDA + 2.0),
    ),
    "normal": Family(
        2, lambda d, p, v: v["normal.1"] + v["normal.2"] * special.ndtri(p), _normal_cdf,
        _normal_support, _normal_fault, lambda d, v: v["normal.1"],
    ),
    "lognormal": Family(
        2, _lognormal_quantile, _lognormal_cdf, _lognormal_support, _lognormal_fault, _lognormal_mean,
    ),
    "beta": Family(
        2, lambda d, p, v: special.betaincinv(v["beta.1"], v["beta.2"], p),
        lambda d, x, v: special.betainc(v["beta.1"], v["beta.2"], np.clip(x, 0.0, 1.0)),
        lambda d, v: (np.zeros(1), np.ones(1)), _beta_fault, lambda d, v: v["beta.1"] / (v["beta.1"] + v["beta.2"]),
    ),
    "quantiles": Family(0, _quantiles_quantile, _search, _quantiles_support, _quantiles_fault, _quantiles_mean),
    "samples": Family(
        0, _samples_quantile, _samples_cdf, lambda d, v: (np.full(1, d.data[0]), np.full(1, d.data[-1])),
        lambda d, v: None, lambda d, v: np.full(1, np.mean(d.data)),
    ),
    "scipy": Family(
        0, lambda d, p, v: _frozen(d, v).ppf(p), lambda d, x, v: _frozen(d, v).cdf(x),
        lambda d, v: _frozen(d, v).support(), _scipy_fault, lambda d, v: _frozen(d, v).mean(),
    ),
    "mixture": Family(0, _mixture_quantile, _mixture_cdf, _mixture_support, _mixture_fault, _mixture_mean),
}  # fmt: skip
