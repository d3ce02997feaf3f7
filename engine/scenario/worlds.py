"""Worlds: one scenario with every uncertain quantity drawn, or set by a sweep or a design."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.errors import Fault, ScenarioError
from engine.kernels.philox import WORLD_STREAM, uniforms
from engine.kernels.variates import SMALLEST
from engine.scenario import checks, copula, drivers, knobs
from engine.scenario.model import Scenario
from engine.scenario.quantity import Quantity


@dataclass(frozen=True)
class Worlds:
    """A list of worlds on one scenario.

    Attributes
    ----------
    scenario : Scenario
    values : dict of str to ndarray, shape (n,)
        Knobs that are set world by world; all others are as in the scenario.
    streams : ndarray of uint64, shape (n,)
        Stream of the path-level draws of each world; equal streams give the same paths.
    """

    scenario: Scenario
    values: Mapping[str, np.ndarray]
    streams: np.ndarray

    def __len__(self) -> int:
        return self.streams.size

    def part(self, start: int, stop: int) -> "Worlds":
        """Worlds start..stop-1."""
        return Worlds(self.scenario, {k: v[start:stop] for k, v in self.values.items()}, self.streams[start:stop])

    def read(self, knob: str) -> np.ndarray:
        """Values of a knob, shape (n,)."""
        at = self.values.get(knob)
        return np.full(len(self), knobs.read(self.scenario, knob).value, float) if at is None else np.asarray(at, float)

    def changed(self, values: Mapping[str, np.ndarray | float]) -> "Worlds":
        """The same worlds with other values of some knobs, which are not checked."""
        more = {knob: np.array(np.broadcast_to(np.asarray(v, float), (len(self),))) for knob, v in values.items()}
        return Worlds(self.scenario, {**self.values, **more}, self.streams)


def key(seed: int) -> tuple[np.uint64, np.uint64]:
    """Low and high half of a 64-bit seed."""
    return np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)


def fresh_seed(seed: int) -> int:
    """Seed of the paths on which an answer is judged: far from those of neighbouring seeds."""
    return (seed + 0x9E3779B97F4A7C15) % 2**64


def central(scenario: Scenario, stream: int = 1) -> Worlds:
    """Return the central world: every uncertain quantity at its median, nested parameters at their own."""
    return Worlds(scenario, _values(scenario, _half(scenario), 1), np.full(1, stream, np.uint64))


def _half(scenario: Scenario) -> dict[str, np.ndarray]:
    return dict.fromkeys(knobs.uncertain(scenario), np.full(1, 0.5))


def draw(scenario: Scenario, count: int, seed: int, same_paths: bool = False) -> Worlds:
    """Draw `count` worlds; one world is the central one.

    Parameters
    ----------
    scenario : Scenario
    count : int
        At least 1.
    seed : int
        The first worlds of a longer list are the worlds of a shorter one.
    same_paths : bool, optional
        All worlds on the stream 0, for comparisons; else world w on the stream w + 1.

    Raises
    ------
    ScenarioError
        If the order of a distribution's parameters, or the range of a field, breaks in a world.
    """
    if count == 1:
        return central(scenario, 0 if same_paths else 1)
    streams = np.zeros(count, np.uint64) if same_paths else np.arange(1, count + 1, dtype=np.uint64)
    return Worlds(scenario, _values(scenario, _linked(scenario, places(scenario, count, seed)), count), streams)


def places(scenario: Scenario, count: int, seed: int) -> dict[str, np.ndarray]:
    """Where `count` draws stand in the distributions of what is uncertain, before correlation; one stands at medians.

    Returns
    -------
    dict of str to ndarray, shape (count,)
        A probability of each uncertain knob.
    """
    if count == 1:
        return _half(scenario)
    return {name: _world_uniforms(name, count, seed) for name in knobs.uncertain(scenario)}


def place(
    scenario: Scenario, at: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], streams: np.ndarray
) -> Worlds:
    """Worlds at chosen places of the distributions of what is uncertain, some knobs set outright.

    Parameters
    ----------
    scenario : Scenario
    at : mapping of str to ndarray, shape (n,)
        A probability of each uncertain knob; those that the scenario correlates are linked by its copula.
    given : mapping of str to ndarray, shape (n,)
        Values of any knobs, which stand whatever `at` says of them.
    streams : ndarray of uint64, shape (n,)

    Raises
    ------
    ScenarioError
        If a name is no knob, or a value breaks in a world what holds in every scenario file: a range, an order, the
        budget, or the number of occurrences that are simulated.
    """
    for name, value in given.items():
        knobs.read(scenario, name)
        knobs.check_range(scenario, name, value)
    values = _values(scenario, _linked(scenario, dict(at)), streams.size, given)
    _check_budget(scenario, values, given)
    _check_events(scenario, given)
    return Worlds(scenario, values, streams)


def _check_budget(scenario: Scenario, values: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]) -> None:
    """Refuse amounts that are set above the budget; those that are drawn are judged at their centre, by the loader."""
    amounts = [f"{table}.{name}.amount" for table in ("lines", "funds") for name in getattr(scenario, table)]
    if scenario.plan.budget is None or given.keys().isdisjoint(["plan.budget", *amounts]):
        return
    total, budget = sum(_read(scenario, values, name) for name in amounts), _read(scenario, values, "plan.budget")
    over = total - budget
    wrong = over > checks.TOLERANCE * budget
    message = f"lines and funds sum to {over[wrong][:1].sum():,.0f} {scenario.plan.currency} more than the budget"
    _refuse(scenario, "plan.budget", wrong, message, "lower an amount or raise the budget")


def _check_events(scenario: Scenario, given: Mapping[str, np.ndarray]) -> None:
    """Refuse rates that are set so high that occurrences are lost."""
    for name, risk in scenario.risks.items():
        knob = f"risks.{name}.rate"
        if knob in given and risk.max_events is None:
            lost = checks.lost_events(scenario, risk, given[knob])
            wrong = lost > checks.MOST_LOST
            share = f"{100 * lost[wrong][:1].sum():.1f} %"
            message = f"{share} of paths have more than {checks.DEFAULT_EVENTS} occurrences, which are not simulated"
            _refuse(scenario, knob, wrong, message, "set max_events (at most 12), or lower the rate")


def _read(scenario: Scenario, values: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Values of a knob, one for all worlds where they are alike."""
    at = values.get(name)
    return np.full(1, knobs.read(scenario, name).value, float) if at is None else at


def _refuse(scenario: Scenario, knob: str, wrong: np.ndarray, message: str, remedy: str) -> None:
    if wrong.any():
        world = int(np.flatnonzero(wrong)[0])
        raise ScenarioError(faults=[Fault(scenario.file, knob, f"in world {world}: {message}", remedy)])


def design(
    scenario: Scenario,
    values: Mapping[str, np.ndarray],
    stream: int = 0,
    uniforms: Mapping[str, np.ndarray] | None = None,
) -> Worlds:
    """Worlds that differ in the knobs given, all else central, all on the same paths.

    A knob whose parameter is given, and which is not given itself, takes its median under that parameter.

    Parameters
    ----------
    scenario : Scenario
    values : mapping of str to ndarray, shape (n,)
        Values of knobs.
    stream : int, optional
        Of the path-level draws.
    uniforms : mapping of str to ndarray, shape (n,), optional
        For knobs with a distribution: levels in (0, 1) of its quantile function, under the parameters of each world. A
        random field is then not drawn on the paths of a world but the same on all of them.

    Raises
    ------
    ScenarioError
        If a name is no knob, or a value breaks an order or a range.
    """
    levels = dict(uniforms or {})
    count = max(len(v) for v in (*values.values(), *levels.values()))
    given = {name: np.broadcast_to(np.asarray(v, float), (count,)).copy() for name, v in values.items()}
    for name, value in given.items():
        knobs.read(scenario, name)
        knobs.check_range(scenario, name, value)
    drawn = _values(scenario, _half(scenario) | levels, count, given)
    return Worlds(scenario, drawn, np.full(count, stream, np.uint64))


def _world_uniforms(name: str, count: int, seed: int) -> np.ndarray:
    out = np.empty((5, count))
    out[4] = np.arange(count)
    uniforms(out, 0, 1, 2, 3, 4, count, WORLD_STREAM, drivers.number(name), 0, *key(seed))
    return out[0]


def _values(
    scenario: Scenario, uniform: Mapping[str, np.ndarray], count: int, given: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Values of the uncertain quantities that are not given, shape (count,) each, and those given; all checked.

    So are random fields where they have uniforms: their parameters are among the uncertain quantities.
    """
    values = dict(given or {})
    fields = [knob.name for knob in knobs.random(scenario) if knob.name in uniform]
    for name in [*knobs.uncertain(scenario), *fields]:
        if name not in values:
            values[name] = _drawn(scenario, name, uniform[name], count, values)
    check_random(scenario, values)
    check_together(scenario, values)
    return values


def _drawn(
    scenario: Scenario, name: str, uniform: np.ndarray, count: int, values: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Quantiles of one uncertain quantity, whose uncertain parameters are among the values already."""
    quantity = knobs.read(scenario, name)
    assert quantity.distribution is not None
    parameters = parameters_of(name, quantity, values)
    knobs.check_parameters(scenario, name, quantity.distribution, parameters)
    with np.errstate(all="ignore"):
        drawn = np.asarray(quantity.distribution.quantile(uniform, parameters), float)
    knobs.check_range(scenario, name, drawn)
    return np.broadcast_to(drawn, (count,)).copy()


def check_random(scenario: Scenario, values: Mapping[str, np.ndarray]) -> None:
    """Refuse worlds in which the distribution of a random field breaks or leaves its range.

    Raises
    ------
    ScenarioError
        Naming the knob and the first such world.
    """
    for knob in knobs.random(scenario):
        assert knob.quantity.distribution is not None
        suffixes = knob.quantity.distribution.params
        if knob.name in values or not any(f"{knob.name}.{suffix}" in values for suffix in suffixes):
            continue
        parameters = parameters_of(knob.name, knob.quantity, values)
        knobs.check_parameters(scenario, knob.name, knob.quantity.distribution, parameters)
        knobs.check_support(scenario, knob, parameters)


def check_together(scenario: Scenario, values: Mapping[str, np.ndarray]) -> None:
    """Refuse worlds in which numbers that belong together do not fit: an order, a sum of weights, a hazard of 1.

    Raises
    ------
    ScenarioError
        Naming the knob and the first such world.
    """

    def read(name: str) -> np.ndarray:
        return _read(scenario, values, name)

    def refuse(knob: str, wrong: np.ndarray, message: str, remedy: str) -> None:
        _refuse(scenario, knob, wrong, message, remedy)

    for whole, names in checks.in_order(scenario):
        for first, second in pairwise(names):
            if first in values or second in values:
                wrong = read(first) > read(second)
                refuse(
                    whole, wrong, f"{first} exceeds {second}", "narrow them so that their order holds in every world"
                )
    for whole, length in checks.in_sum(scenario):
        names = [f"{whole}.{j + 1}" for j in range(length)]
        if any(name in values for name in names):
            total = np.sum(np.broadcast_arrays(*map(read, names)), axis=0)
            refuse(whole, total <= 0, "the weights sum to 0", "keep one of them above 0 in every world")
    for name, risk in scenario.risks.items():
        knob = f"risks.{name}.probability"
        if risk.timing == "hazard" and knob in values:
            remedy = 'keep the probability below 1, or give timing = "uniform"'
            refuse(knob, values[knob] >= 1.0, "a constant hazard cannot be certain to strike", remedy)
    linked = pairs(scenario, of_paths=True)
    if any(knob in values for *_, knob in linked):
        drivers_of = sorted({name for first, second, _ in linked for name in (first, second)})
        place = {name: j for j, name in enumerate(drivers_of)}
        factor(drivers_of, [(place[a], place[b], np.ravel(read(knob))) for a, b, knob in linked], scenario.file)


def parameters_of(name: str, quantity: Quantity, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters of a knob's distribution: those set world by world as arrays, the others as one number."""
    assert quantity.distribution is not None
    found = {}
    for suffix, parameter in quantity.distribution.params.items():
        at = values.get(f"{name}.{suffix}")
        found[suffix] = np.full(1, parameter.value) if at is None else at
    return found


def pairs(scenario: Scenario, of_paths: bool) -> list[tuple[str, str, str]]:
    """Correlated pairs as (first name, second name, knob), of drivers drawn on paths or of uncertain knobs."""
    found = []
    for text in scenario.correlation:
        pair = copula.split_pair(text)
        assert pair is not None
        drawn = [copula.path_driver(scenario, name) is not None for name in pair]
        both = all(drawn) if of_paths else all(name in knobs.uncertain(scenario) for name in pair)
        if both:
            found.append((*pair, f"correlation.{text}"))
    return found


def factor(names: list[str], rho: list[tuple[int, int, np.ndarray]], file: str) -> np.ndarray:
    """Cholesky factors, shape (1 or worlds, n, n), of the normal scores whose rank correlations are `rho`.

    Pearson 2 sin(pi rho / 6) of the normal scores gives the rank correlation rho.

    Raises
    ------
    ScenarioError
        If a matrix is not positive semi-definite.
    """
    count = max((r.size for _, _, r in rho), default=1)
    matrix = np.tile(np.eye(len(names)), (count, 1, 1))
    for i, j, r in rho:
        matrix[:, i, j] = matrix[:, j, i] = copula.pearson(r)
    lower = np.zeros_like(matrix)
    for i in range(len(names)):
        for j in range(i + 1):
            rest = matrix[:, i, j] - (lower[:, i, :j] * lower[:, j, :j]).sum(axis=1)
            if i == j:
                if (rest < -copula.TOLERANCE).any():
                    raise _not_positive(names, rho, int(np.argmax(rest < -copula.TOLERANCE)), file)
                lower[:, i, i] = np.sqrt(np.maximum(rest, 0.0))
            else:
                pivot = lower[:, j, j]
                usable = pivot > copula.TOLERANCE
                lower[:, i, j] = np.where(usable, rest / np.where(usable, pivot, 1.0), 0.0)
    return lower


def _not_positive(names: list[str], rho: list[tuple[int, int, np.ndarray]], world: int, file: str) -> ScenarioError:
    """The error of a world whose correlations no drivers can have together."""
    group = [(names[i], names[j], float(r[world if r.size > 1 else 0])) for i, j, r in rho]
    found = copula.impossible(group)
    message, remedy = found or (f"the matrix of {', '.join(names)} is not positive semi-definite", "move it towards 0")
    return ScenarioError(faults=[Fault(file, "correlation", f"in world {world}: {message}", remedy)])


def _linked(scenario: Scenario, base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Replace the uniforms of correlated uncertain knobs by those of their Gaussian copula."""
    from scipy.special import ndtr, ndtri

    linked = pairs(scenario, of_paths=False)
    names = sorted({name for first, second, _ in linked for name in (first, second)})
    if not names:
        return base
    place = {name: i for i, name in enumerate(names)}
    strength = _strengths(scenario, [k for *_, k in linked], base)
    rho = [(place[a], place[b], strength[k]) for a, b, k in linked]
    z = np.stack([ndtri(base[name]) for name in names])
    mixed = (factor(names, rho, scenario.file) * z.T[:, None, :]).sum(axis=2).T
    # as far into the tails as a uniform of the generator reaches, so that no quantile is infinite
    return base | {name: np.clip(ndtr(mixed[i]), SMALLEST, 1.0 - SMALLEST) for i, name in enumerate(names)}


def _strengths(scenario: Scenario, names: list[str], base: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rank correlations by knob: numbers, or drawn once a world where they are uncertain themselves."""
    values: dict[str, np.ndarray] = {}
    for inner in knobs.uncertain(scenario):
        if any(inner == name or inner.startswith(f"{name}.") for name in names):
            values[inner] = _drawn(scenario, inner, base[inner], base[inner].size, values)
    return {name: values[name] if name in values else np.full(1, knobs.read(scenario, name).value) for name in names}
