"""Reading the quantities of a list of worlds, and packing arrays end to end for the kernel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.scenario import drivers
from engine.scenario.model import Scenario
from engine.scenario.quantity import Quantity
from engine.scenario.tables import DrawsBuilder, columns
from engine.scenario.worlds import Worlds, parameters_of


@dataclass
class Builder:
    """Reads quantities of one list of worlds, collects the random fields, and packs arrays end to end.

    `number` and `integer` return the offset at which an array will stand in a world's row of numbers, or in the
    integers.
    """

    worlds: Worlds
    draws: DrawsBuilder = field(default_factory=DrawsBuilder)
    number_parts: list[np.ndarray] = field(default_factory=list)
    whole_parts: list[np.ndarray] = field(default_factory=list)
    numbers: int = 0
    integers: int = 0

    @property
    def scenario(self) -> Scenario:
        return self.worlds.scenario

    def read(self, knob: str, quantity: Quantity | None, default: float = 0.0) -> np.ndarray:
        """Value of a quantity that is not random: length 1, or one a world."""
        at = self.worlds.values.get(knob)
        if at is not None:
            return at
        if quantity is None:
            return np.full(1, default)
        assert quantity.value is not None, knob
        return np.full(1, quantity.value)

    def table(
        self, prefix: str, items: Iterable[tuple[str, Quantity | None]], suffix: str, default: float = 0.0
    ) -> np.ndarray:
        """Column per item, shape (1 or W, n); the knob is prefix.item.suffix."""
        return columns([self.read(f"{prefix}.{name}.{suffix}", q, default) for name, q in items])

    def elements(self, knob: str, quantities: Sequence[Quantity]) -> np.ndarray:
        """Elements of an array of quantities, shape (1 or W, n)."""
        return columns([self.read(f"{knob}.{j}", q) for j, q in enumerate(quantities, 1)])

    def field(self, knob: str, quantity: Quantity) -> int:
        """Index of a random field; a constant where it is a number or set world by world."""
        if knob in self.worlds.values or quantity.distribution is None:
            return self.draws.constant(self.read(knob, quantity))
        parameters = parameters_of(knob, quantity, self.worlds.values)
        nested = any(f"{knob}.{suffix}" in self.worlds.values for suffix in parameters)
        return self.draws.random(quantity.distribution, parameters, nested)

    def number(self, values: np.ndarray) -> int:
        """Pack values of shape (1 or W, ...)."""
        flat = values.reshape(values.shape[0], -1)
        self.number_parts.append(flat)
        self.numbers += flat.shape[1]
        return self.numbers - flat.shape[1]

    def integer(self, values: Sequence[int] | np.ndarray) -> int:
        """Pack whole numbers."""
        flat = np.asarray(values, np.int64).ravel()
        self.whole_parts.append(flat)
        self.integers += flat.size
        return self.integers - flat.size

    def packed_numbers(self) -> np.ndarray:
        """All numbers, a row for each world; one row where all worlds agree."""
        rows = max(part.shape[0] for part in self.number_parts)
        parts = [np.broadcast_to(part, (rows, part.shape[1])) for part in self.number_parts]
        return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=float)

    def packed_integers(self) -> np.ndarray:
        """All integers, end to end."""
        return np.concatenate(self.whole_parts)


def flat(lists: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Lists of indices as (pointers, entries)."""
    pointers = [0]
    for inside in lists:
        pointers.append(pointers[-1] + len(inside))
    return pointers, [v for inside in lists for v in inside]


def stacked(parts: Sequence[np.ndarray], months: int) -> np.ndarray:
    """Stack arrays (1 or W, T) to (1 or W, n, T)."""
    if not parts:
        return np.zeros((1, 0, months))
    return np.ascontiguousarray(np.stack(np.broadcast_arrays(*parts), axis=1))


def driver_numbers(names: Iterable[str]) -> list[int]:
    """Numbers of drivers."""
    return [drivers.number(name) for name in names]
