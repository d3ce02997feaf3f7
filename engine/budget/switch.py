"""Where one allocation overtakes another as a knob moves: a root of a paired difference, with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from engine.analysis.estimates import Figure

HALVINGS = 5
Z = 1.96  # standard errors, for 95 %


class Switch(NamedTuple):
    """Value of a knob at which two allocations are equally good, with a 95 % interval. [unit of the knob]

    An end of the interval that the errors leave open is that of the knob's range.
    """

    value: float
    lo: float
    hi: float

    @property
    def se(self) -> float:
        """Half of the interval as a standard error."""
        return (self.hi - self.lo) / (2.0 * Z)

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return self._asdict()


def find(ahead: Callable[[float], Figure], end: float, central: float, other: float, at_end: Figure) -> Switch | None:
    """Look for the value at which the rival of one end is no longer ahead.

    Parameters
    ----------
    ahead : callable
        By how much the rival is ahead with the knob at a value; on the same paths for all values.
    end, central, other : float
        The end at which the rival is best, the middle, and the other end.
    at_end : Figure
        `ahead` at the end.

    Returns
    -------
    Switch or None
        None where the rival is ahead at all three.
    """
    seen = {end: at_end} | {value: ahead(value) for value in (central, other) if value != end}
    outward = [value for value in (end, central, other) if seen[value].value <= 0.0]
    if not outward:
        return None
    inner = outward[0]
    outer = central if inner == other and central != other else end
    for _ in range(HALVINGS):
        middle = 0.5 * (outer + inner)
        seen[middle] = ahead(middle)
        outer, inner = (outer, middle) if seen[middle].value <= 0.0 else (middle, inner)
    return _read(seen, 0.5 * (outer + inner), rising=end > other)


def _read(seen: dict[float, Figure], near: float, rising: bool) -> Switch:
    """Where the straight lines between the values seen cross 0, and where their 95 % limits do."""
    at = np.array(sorted(seen))
    value, se = (np.array([getattr(seen[v], part) for v in at]) for part in ("value", "se"))
    root = _crossing(at, value, near)
    assert root is not None
    surely, perhaps = (_crossing(at, value + sign * Z * se, root) for sign in (-1.0, 1.0))
    lo, hi = (perhaps, surely) if rising else (surely, perhaps)
    return Switch(root, float(at[0]) if lo is None else lo, float(at[-1]) if hi is None else hi)


def _crossing(at: np.ndarray, value: np.ndarray, near: float) -> float | None:
    """The root of a broken line that is next to `near`; None where it has none."""
    positive = value > 0.0
    turns = np.flatnonzero(positive[1:] != positive[:-1])
    roots = [float(at[k] - value[k] * (at[k + 1] - at[k]) / (value[k + 1] - value[k])) for k in turns]
    return min(roots, key=lambda root: abs(root - near), default=None)
