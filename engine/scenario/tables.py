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
_LEVELS = (5, 7, 10)  # cells an octave, as powers of 2, of ever finer tables
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
    """Q(p), a row for each world of `values`."""
    columns = {name: np.asarray(v)[:, None] for name, v in values.items()}
    found = np.asarray(distribution.quantile(p[None, :], columns), float)
    return np.broadcast_to(found, (max((v.size for v in values.values()), default=1), p.size))


def _both(p: np.ndarray) -> np.ndarray:
    """Lower and upper half of a table, end to end."""
    return np.concatenate([p, 1.0 - p])


def _rough(table: np.ndarray, middle: np.ndarray, bits: int) -> np.ndarray:
    """Cells with p >= 1e-6 whose middle is off by more than the accuracy, shape (worlds, 2, cells)."""
    at = table.reshape(table.shape[0], 2, -1)
    step = np.abs(np.diff(at, axis=2))
    off = np.abs(middle.reshape(step.shape) - 0.5 * (at[:, :, 1:] + at[:, :, :-1]))
    used = (nodes(bits)[1:] > 1e-6) & (step > 0)
    error = np.divide(off, step, out=np.zeros_like(off), where=used) * 2.0**-bits
    return np.asarray(error > _ACCURACY)


def _spread(table: np.ndarray, ratio: int) -> np.ndarray:
    """The same piecewise linear function with every cell cut into `ratio`."""
    at = table.reshape(table.shape[0], 2, -1)
    inside = at[:, :, :-1, None] + np.diff(at, axis=2)[..., None] * (np.arange(ratio) / ratio)
    inside = inside.reshape(*at.shape[:2], -1)
    return np.concatenate([inside, at[:, :, -1:]], axis=2).reshape(table.shape[0], -1)


def general_table(distribution: Distribution, values: Mapping[str, np.ndarray], nested: bool) -> tuple[np.ndarray, int]:
    """Quantile table of any distribution, a row for each world, as fine as the model's accuracy asks for.

    Where a coarse cell is good enough its finer ones lie on its line: one jump of Q, as between the parts of a mixture,
    does not make all of a fine table be inverted. Tables that differ by world (`nested`) are all of the finest kind,
    and each is refined where it needs it itself: a world's draws must not depend on the worlds it is drawn with.
    """
    bits, p = _LEVELS[0], nodes(_LEVELS[0])
    table = np.array(_quantiles(distribution, values, _both(p)))
    for finer in _LEVELS[1:]:
        middle = _quantiles(distribution, values, _both(0.5 * (p[1:] + p[:-1])))
        rough = _rough(table, middle, bits)
        if not nested and not rough.any():
            break
        ratio = 2 ** (finer - bits)
        table, bits, p = _spread(table, ratio), finer, nodes(finer)
        last = np.zeros((*rough.shape[:2], 1), bool)
        anew = np.concatenate([np.repeat(rough, ratio, axis=2), last], axis=2).reshape(table.shape)
        some = anew.any(axis=0)
        table[:, some] = np.where(anew[:, some], _quantiles(distribution, values, _both(p)[some]), table[:, some])
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
    return general_table(distribution, {name: np.full(1, value) for name, value in values}, nested=False)


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

    def random(self, distribution: Distribution, values: Mapping[str, np.ndarray], nested: bool) -> int:
        """Add a random field with the parameters `values`, each of length 1 or one a world.

        `nested` says that a parameter may differ by world, also where this list holds one world alone.
        """
        plain = not distribution.truncate
        family = distribution.family
        if family == "samples" and all(v.size == 1 for v in values.values()):
            data = np.asarray(distribution.data, float)[None, :]
            if distribution.truncate:
                # the samples within, drawn as they are: a table would put values between them
                data = data[:, (data[0] >= values["truncate.1"]) & (data[0] <= values["truncate.2"])]
            return self._add(variates.STEPS, np.zeros(1), np.ones(1), table=data, bits=data.size)
        if family in _CLOSED and plain:
            kind, loc, scale, shape = _CLOSED[family]([values[f"{family}.{j}"] for j in range(1, len(values) + 1)])
            if kind != variates.TABLE:
                return self._add(kind, loc, scale, shape)
            table = pert_tables(shape) if nested else pert_table(float(shape[0]))[None, :]
            return self._add(kind, loc, scale, table=table, bits=_FAMILY_BITS)
        if nested:
            table, bits = general_table(distribution, values, nested)
        else:
            table, bits = _cached_table(distribution, tuple((k, float(v[0])) for k, v in values.items()))
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
    return variates.LOGNORMAL, np.log(q[0]), (np.log(q[1]) - np.log(q[0])) / Z95, np.zeros(1)


def _triangular(q: list[np.ndarray]) -> tuple:
    return variates.TRIANGULAR, q[0], q[2] - q[0], _fraction(q[1] - q[0], q[2] - q[0])


def _pert(q: list[np.ndarray]) -> tuple:
    return variates.TABLE, q[0], q[2] - q[0], 1.0 + 4.0 * _fraction(q[1] - q[0], q[2] - q[0])


_CLOSED = {"uniform": _uniform, "normal": _normal, "lognormal": _lognormal, "triangular": _triangular, "pert": _pert}
