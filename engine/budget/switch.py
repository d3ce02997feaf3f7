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

    An end of the interval that the errors leave open is the last value that was looked at.
    """

    value: float
    lo: float
    hi: float

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
    seen = {end: at_end}
    outer = end
    for inner in (central, other):
        if inner in seen:
            continue
        seen[inner] = ahead(inner)
        if seen[inner].value <= 0.0:
            break
        outer = inner
    else:
        return None
    for _ in range(HALVINGS):
        middle = 0.5 * (outer + inner)
        seen[middle] = ahead(middle)
        outer, inner = (outer, middle) if seen[middle].value <= 0.0 else (middle, inner)
    return _read(seen)


def _read(seen: dict[float, Figure]) -> Switch:
    """Where the straight lines between the values seen cross 0, and where their 95 % limits do."""
    at = np.array(sorted(seen))
    value, se = (np.array([getattr(seen[v], part) for v in at]) for part in ("value", "se"))
    root = _crossing(at, value, None)
    assert root is not None
    first, second = (_crossing(at, value + sign * Z * se, root) for sign in (-1.0, 1.0))
    # the lower limit crosses on the rival's side of the root, the upper one on the other
    rising = value[-1] > value[0]
    below, above = (second, first) if rising else (first, second)
    return Switch(root, float(at[0]) if below is None else below, float(at[-1]) if above is None else above)


def _crossing(at: np.ndarray, value: np.ndarray, near: float | None) -> float | None:
    """The root of a broken line, the one next to `near`; None where it has none."""
    positive = value > 0.0
    turns = np.flatnonzero(positive[1:] != positive[:-1])
    roots = [float(at[k] - value[k] * (at[k + 1] - at[k]) / (value[k + 1] - value[k])) for k in turns]
    return min(roots, key=lambda root: 0.0 if near is None else abs(root - near), default=None)
