"""Knobs: the dotted name of every quantity of a scenario; listing, reading and checking by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from engine.errors import Fault, ScenarioError, did_you_mean
from engine.scenario.distributions import Distribution
from engine.scenario.model import ANY, CURRENCY, Part, Scenario, Spec, spec_of
from engine.scenario.quantity import LARGEST, Quantity

NUMBER, RANDOM, UNCERTAIN = "number", "random", "uncertain"
DEFAULT = "default"
_SHAPE_PARAMETERS = ("beta", "scipy", "mixture")  # their parameters do not all have the field's unit


@dataclass(frozen=True)
class Knob:
    """A quantity with its dotted name.

    Attributes
    ----------
    name : str
    quantity : Quantity
    spec : Spec
        Unit and range of the field; a distribution's parameter has no range of its own.
    kind : str
        "number", "random" (drawn on every path) or "uncertain" (drawn once a world).
    currency : str
    given : bool
        False for a default that no file states.
    parent : Knob, optional
        Of a distribution's parameter: the quantity that it belongs to.
    """

    name: str
    quantity: Quantity
    spec: Spec
    kind: str
    currency: str
    given: bool = True
    parent: Knob | None = None

    @property
    def unit(self) -> str:
        """Unit, the plan's currency put in."""
        return self.spec.unit.replace(CURRENCY, self.currency)

    @property
    def source(self) -> str:
        """Its own source; a distribution's parameter without one has that of the quantity it belongs to."""
        return self._sourced.quantity.source

    @property
    def origin(self) -> str:
        """``plan``, ``assumption`` or ``none`` by its source; ``default`` where no file states the number."""
        return self._sourced.quantity.origin if self.given else DEFAULT

    @property
    def _sourced(self) -> Knob:
        return self if self.quantity.source or self.parent is None else self.parent._sourced


def iter_knobs(scenario: Scenario) -> Iterator[Knob]:
    """Every quantity of a scenario, parents before the parameters of their distributions."""
    for name, quantity, spec, given in fields(scenario, ""):
        yield from _nested(Knob(name, quantity, spec, NUMBER, scenario.plan.currency, given), spec.random)


def fields(
    value: Any, name: str, spec: Spec | None = None, given: bool = True
) -> Iterator[tuple[str, Quantity, Spec, bool]]:
    """Quantities that stand in the fields of a table, with their names and specs, and whether a file states them."""
    if isinstance(value, Quantity):
        yield name, value, spec or ANY, given
    elif isinstance(value, Part):
        for field in type(value).model_fields:
            if field != "schema_":
                yield from fields(
                    getattr(value, field),
                    f"{name}.{field}" if name else field,
                    spec_of(type(value), field),
                    given and field in value.model_fields_set,
                )
    elif isinstance(value, tuple):
        for j, item in enumerate(value, 1):
            yield from fields(item, f"{name}.{j}", spec, given)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from fields(item, f"{name}.{key}", spec, given)


def _nested(knob: Knob, random: bool) -> Iterator[Knob]:
    distribution = knob.quantity.distribution
    if distribution is None:
        yield knob
        return
    knob = replace(knob, kind=RANDOM if random and knob.quantity.per != "world" else UNCERTAIN)
    yield knob
    spec = Spec("1" if distribution.family in _SHAPE_PARAMETERS else knob.spec.unit)
    for suffix, parameter in distribution.params.items():
        yield from _nested(
            replace(knob, name=f"{knob.name}.{suffix}", quantity=parameter, spec=spec, kind=NUMBER, parent=knob), False
        )


@lru_cache(maxsize=32)
def index(scenario: Scenario) -> dict[str, Knob]:
    """Every knob by name."""
    return {knob.name: knob for knob in iter_knobs(scenario)}


@lru_cache(maxsize=32)
def uncertain(scenario: Scenario) -> dict[str, Quantity]:
    """Quantities that are drawn once a world, the parameters of a distribution before the quantity itself."""
    found = [knob for knob in index(scenario).values() if knob.kind == UNCERTAIN]
    return {knob.name: knob.quantity for knob in reversed(found)}


@lru_cache(maxsize=32)
def random(scenario: Scenario) -> tuple[Knob, ...]:
    """Fields that are drawn on every path."""
    return tuple(knob for knob in index(scenario).values() if knob.kind == RANDOM)


def read(scenario: Scenario, name: str) -> Quantity:
    """Quantity of a knob.

    Raises
    ------
    ScenarioError
        If there is no such knob; the nearest name is proposed.
    """
    found = index(scenario).get(name)
    if found is None:
        remedy = did_you_mean(name, index(scenario), "see `attain knobs`")
        raise ScenarioError(faults=[Fault(scenario.file, name, "no such knob", remedy)])
    return found.quantity


def check_parameters(
    scenario: Scenario, name: str, distribution: Distribution, values: Mapping[str, np.ndarray]
) -> None:
    """Refuse parameters that make no distribution in some world.

    Raises
    ------
    ScenarioError
        Naming the knob and the first such world.
    """
    with np.errstate(all="ignore"):
        if distribution.fault(values) is None:
            return
        count = max(v.size for v in values.values())
        for world in range(count):
            wrong = distribution.fault({s: v[[world]] if v.size > 1 else v for s, v in values.items()})
            if wrong is not None:
                remedy = "narrow the uncertain parameters so that their order holds in every world"
                raise ScenarioError(faults=[Fault(scenario.file, name, f"in world {world}: {wrong}", remedy)])


def check_range(scenario: Scenario, name: str, values: np.ndarray) -> None:
    """Refuse values of an uncertain knob that leave its range.

    Raises
    ------
    ScenarioError
        Naming the knob, the value, the bound and the first such world.
    """
    spec = index(scenario)[name].spec
    least, most = float(values.min()), float(values.max())  # NaN where there is one, which no bound holds
    if -LARGEST <= least and most <= LARGEST and spec.holds(least, least) and spec.holds(most, most):
        return
    for world, value in enumerate(values):
        if not abs(value) <= LARGEST:
            message = f"in world {world}: {value:.6g} is not a number of at most {LARGEST:g}"
            raise ScenarioError(faults=[Fault(scenario.file, name, message, _truncate(spec))])
        if not spec.holds(float(value), float(value)):
            message = f"in world {world}: {value:.6g} is not {spec.bounds}"
            raise ScenarioError(faults=[Fault(scenario.file, name, message, _truncate(spec))])


def check_support(scenario: Scenario, knob: Knob, values: Mapping[str, np.ndarray]) -> None:
    """Refuse a random field whose support leaves its range in some world.

    Raises
    ------
    ScenarioError
        Naming the knob, the bound and the first such world.
    """
    assert knob.quantity.distribution is not None
    found = _unheld(knob.spec, knob.quantity.distribution, values)
    if found is not None:
        world, message, remedy = found
        raise ScenarioError(faults=[Fault(scenario.file, knob.name, f"in world {world}: {message}", remedy)])


def _unheld(spec: Spec, distribution: Distribution, values: Mapping[str, np.ndarray]) -> tuple[int, str, str] | None:
    """The first world in which a distribution leaves the bounds, with message and remedy; None where there is none."""
    low, high = (np.ravel(end) for end in np.broadcast_arrays(*distribution.support(values)))
    if spec.holds(float(low.min()), float(high.max())):
        return None
    at_low, at_high = (np.broadcast_to(np.ravel(at), low.shape) for at in distribution.attained(values))
    inside = spec.holds(float(low.min()), float(high.max()), False, False)
    if inside and not at_low.any() and not at_high.any():
        return None
    for world, ends in enumerate(zip(low.tolist(), high.tolist(), at_low, at_high, strict=True)):
        if not spec.holds(*ends):
            message = f"values from {ends[0]:.6g} to {ends[1]:.6g} are not {spec.bounds}"
            return world, message, _off_the_bound(spec, *ends) if inside else _truncate(spec)
    return None


def _off_the_bound(spec: Spec, low: float, high: float, at_low: bool, at_high: bool) -> str:
    """Remedy for values that lie on a bound which is excluded: cutting them off at it would leave them there."""
    sides = ((low, spec.low, spec.open_low and at_low), (high, spec.high, spec.open_high and at_high))
    ends = [f"{end:.6g}" for end, bound, is_open in sides if is_open and end == bound]
    return f"leave out {' and '.join(ends)}, which would occur"


def _truncate(spec: Spec) -> str:
    low = "a" if spec.low == -np.inf else f"{spec.low:g}"
    high = "b" if spec.high == np.inf else f"{spec.high:g}"
    return f"add truncate = [{low}, {high}]"


def range_fault(knob: Knob) -> tuple[str, str] | None:
    """Message and remedy where a knob's number, or its distribution's support, leaves the field's range."""
    spec, quantity = knob.spec, knob.quantity
    if quantity.value is not None:
        if spec.holds(quantity.value, quantity.value):
            return None
        unit = "" if knob.unit == "1" else f" {knob.unit}"
        return f"{quantity.value:.12g} is not {spec.bounds}{unit}", "give a number in that range"
    if quantity.distribution is None or any(q.distribution is not None for q in quantity.distribution.params.values()):
        return None
    values = {suffix: np.full(1, q.value) for suffix, q in quantity.distribution.params.items()}
    found = _unheld(spec, quantity.distribution, values)
    return None if found is None else found[1:]
