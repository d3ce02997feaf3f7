"""Distributions -> what the kernel needs to draw from them: closed forms, or tables of quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.special import betaincinv

from engine.kernels import variates
from engine.kernels.variates import OCTAVES
from engine.scenario.distributions import Z95, Distribution

_FAMILY_BITS = 5
_FAMILY_FIRST, _FAMILY_SPACING, _FAMILY_ROWS = 1.0, 1.0 / 16.0, 65
_ACCURACY = 3e-4  # greatest error in p of a table, relative to min(p, 1 - p)


@lru_cache
def nodes(bits: int) -> np.ndarray:
    """Lower half of a table's nodes in p: 2**bits an octave from 2**-33 to 1/2."""
    octave = 2.0 ** np.arange(-33.0, -1.0)
    inside = 1.0 + np.arange(2**bits) / 2**bits
    return np.append(np.outer(octave, inside).ravel(), 0.5)


def length(bits: int) -> int:
    """Number of entries of a table."""
    return 2 * (OCTAVES * 2**bits + 1)


def _quantiles(distribution: Distribution, values: Mapping[str, np.ndarray], p: np.ndarray) -> np.ndarray:
    """Q(p) and Q(1 - p), end to end, a row for each world of `values`."""
    columns = {name: np.asarray(v)[:, None] for name, v in values.items()}
    both = np.concatenate([p, 1.0 - p])
    found = np.asarray(distribution.quantile(both[None, :], columns), float)
    return np.broadcast_to(found, (max((v.size for v in values.values()), default=1), both.size))


def _error(table: np.ndarray, middle: np.ndarray, bits: int) -> float:
    """Greatest relative error in p at the middle of the cells with p >= 1e-6."""
    half, cells = table.shape[1] // 2, middle.shape[1] // 2
    worst = 0.0
    for side in range(2):
        at = table[:, side * half : (side + 1) * half]
        inside = middle[:, side * cells : (side + 1) * cells]
        step = np.abs(np.diff(at, axis=1))
        off = np.abs(inside - 0.5 * (at[:, 1:] + at[:, :-1]))
        used = (nodes(bits)[1:] > 1e-6) & (step > 0)
        worst = max(worst, float(np.max(np.divide(off, step, out=np.zeros_like(off), where=used)) * 2.0**-bits))
    return worst


def general_table(distribution: Distribution, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """Quantile table of any distribution, a row for each world, fine enough for the accuracy that the model asks for."""
    for bits in (5, 7, 10):
        p = nodes(bits)
        table = _quantiles(distribution, values, p)
        middle = _quantiles(distribution, values, 0.5 * (p[1:] + p[:-1]))
        if bits == 10 or _error(table, middle, bits) <= _ACCURACY:
            break
    return table, bits


@lru_cache(maxsize=256)
def pert_table(shape: float) -> np.ndarray:
    """Quantiles on [0, 1] of a PERT with the beta parameters `shape` and 6 - `shape`."""
    p = nodes(_FAMILY_BITS)
    return np.concatenate([betaincinv(shape, 6.0 - shape, p), 1.0 - betaincinv(6.0 - shape, shape, p)])


@lru_cache
def _pert_family() -> np.ndarray:
    """Logs of the lower halves of the PERT tables for the first parameter 1, 1 + 1/16, ..., 5."""
    shape = _FAMILY_FIRST + _FAMILY_SPACING * np.arange(_FAMILY_ROWS)
    return np.log(betaincinv(shape[:, None], 6.0 - shape[:, None], nodes(_FAMILY_BITS)[None, :]))


def pert_tables(shape: np.ndarray) -> np.ndarray:
    """Tables of `pert_table` for many shapes, by interpolation in the family: nothing is inverted anew."""
    half = nodes(_FAMILY_BITS).size
    out = np.empty((shape.size, 2 * half))
    lower = np.empty((shape.size, half))
    variates.family_rows(_pert_family(), _FAMILY_FIRST, _FAMILY_SPACING, shape, lower)
    out[:, :half] = lower
    variates.family_rows(_pert_family(), _FAMILY_FIRST, _FAMILY_SPACING, 6.0 - shape, lower)
    np.subtract(1.0, lower, out=out[:, half:])
    return out


@lru_cache(maxsize=512)
def _cached_table(distribution: Distribution, values: tuple[tuple[str, float], ...]) -> tuple[np.ndarray, int]:
    return general_table(distribution, {name: np.full(1, value) for name, value in values})


@dataclass
class DrawsBuilder:
    """Collects random fields; each gets an index."""

    kind: list[int] = field(default_factory=list)
    loc: list[np.ndarray] = field(default_factory=list)
    scale: list[np.ndarray] = field(default_factory=list)
    shape: list[np.ndarray] = field(default_factory=list)
    tables: list[np.ndarray] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)

    def _add(self, kind: int, loc: np.ndarray, scale: np.ndarray, shape: np.ndarray | None = None,
             table: np.ndarray | None = None, bits: int = 0) -> int:  # fmt: skip
        self.kind.append(kind)
        self.loc.append(loc)
        self.scale.append(scale)
        self.shape.append(np.zeros(1) if shape is None else shape)
        self.tables.append(np.empty((1, 0)) if table is None else table)
        self.bits.append(bits)
        return len(self.kind) - 1

    def constant(self, value: np.ndarray) -> int:
        """Add a field that is not random."""
        return self._add(variates.CONSTANT, value, np.zeros(1))

    def random(self, distribution: Distribution, values: Mapping[str, np.ndarray]) -> int:
        """Add a random field with the parameters `values`, each of length 1 or one a world."""
        plain = not distribution.truncate
        family = distribution.family
        if family == "samples" and plain:
            data = np.asarray(distribution.data, float)[None, :]
            return self._add(variates.STEPS, np.zeros(1), np.ones(1), table=data, bits=data.size)
        if family in _CLOSED and plain:
            kind, loc, scale, shape = _CLOSED[family]([values[f"{family}.{j}"] for j in range(1, len(values) + 1)])
            if kind != variates.TABLE:
                return self._add(kind, loc, scale, shape)
            table = pert_table(float(shape[0]))[None, :] if shape.size == 1 else pert_tables(shape)
            return self._add(kind, loc, scale, table=table, bits=_FAMILY_BITS)
        if all(v.size == 1 for v in values.values()):
            table, bits = _cached_table(distribution, tuple((k, float(v[0])) for k, v in values.items()))
        else:
            table, bits = general_table(distribution, values)
        return self._add(variates.TABLE, np.zeros(1), np.ones(1), table=table, bits=bits)

    def starts(self) -> list[int]:
        """First node of each field's table, all tables being laid end to end."""
        return [int(n) for n in np.cumsum([0, *(t.size for t in self.tables)])[:-1]]

    def strides(self) -> list[int]:
        """Nodes from one world's table to the next; 0 where all worlds share one."""
        return [t.shape[1] if t.shape[0] > 1 else 0 for t in self.tables]

    def nodes(self) -> np.ndarray:
        """All tables, end to end."""
        return np.concatenate([*(t.ravel() for t in self.tables), np.zeros(1)])


def columns(parts: list[np.ndarray]) -> np.ndarray:
    """Stack arrays of length 1 or W to the shape (1 or W, n)."""
    if not parts:
        return np.zeros((1, 0))
    return np.ascontiguousarray(np.stack(np.broadcast_arrays(*parts), axis=1), dtype=float)


def _fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.5)


def _uniform(q: list[np.ndarray]) -> tuple:
    return variates.UNIFORM, q[0], q[1] - q[0], np.zeros(1)


def _normal(q: list[np.ndarray]) -> tuple:
    return variates.NORMAL, q[0], q[1], np.zeros(1)


def _lognormal(q: list[np.ndarray]) -> tuple:
    return variates.LOGNORMAL, np.log(q[0]), np.log(q[1] / q[0]) / Z95, np.zeros(1)


def _triangular(q: list[np.ndarray]) -> tuple:
    return variates.TRIANGULAR, q[0], q[2] - q[0], _fraction(q[1] - q[0], q[2] - q[0])


def _pert(q: list[np.ndarray]) -> tuple:
    return variates.TABLE, q[0], q[2] - q[0], 1.0 + 4.0 * _fraction(q[1] - q[0], q[2] - q[0])


_CLOSED = {"uniform": _uniform, "normal": _normal, "lognormal": _lognormal, "triangular": _triangular, "pert": _pert}
