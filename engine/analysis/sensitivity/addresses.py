"""What was drawn on a path, found again from the addresses of its draws: the outputs of a run do not keep it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr, ndtri

from engine.kernels.philox import uniforms
from engine.scenario import drivers, knobs
from engine.scenario.worlds import factor, key, pairs, parameters_of
from engine.simulation import Run

DEMAND = "demand"
_SLOTS = {"occurs": 0, "severity": 2, "duration": 3, "response.effectiveness": 4}  # of an occurrence


def path_draws(run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """Drivers that have one value a path, with their values, shape (worlds, paths).

    Effectiveness of the lines that have a response, slip of the launches, and `demand`: the year's mean of exp(d).

    Parameters
    ----------
    run : Run
        Random paths; those of a Sobol' run have no addresses.
    """
    assert run.scrambles == 1
    scenario = run.scenario
    if "demand.volatility" in run.worlds.values or scenario.demand.volatility.value:
        yield DEMAND, _demand(run)
    fields = {f"lines.{n}.effectiveness" for n, v in scenario.lines.items() if v.response is not None}
    fields |= {f"streams.{n}.launch.slip" for n, s in scenario.streams.items() if s.launch is not None}
    for knob in knobs.random(scenario):
        if knob.name in fields:
            yield knob.name, _field(run, knob.name)


def _uniforms(run: Run, driver: str, index: int) -> np.ndarray:
    """Uniforms of the four slots of an address, shape (4, worlds, paths)."""
    n = run.paths_per_world
    found = np.empty((4, len(run.worlds), n))
    block = np.empty((5, n))
    block[4] = np.arange(n)  # the numbers of the paths
    number = drivers.number(driver)
    for world, stream in enumerate(run.worlds.streams):
        uniforms(block, 0, 1, 2, 3, 4, n, int(stream), number, index, *key(run.seed))
        found[:, world] = block[:4]
    return found


def _demand(run: Run) -> np.ndarray:
    """Mean over the months of exp(d_t - Var(d) / 2), d being the AR(1) process of model 3.3."""
    demand, values = run.scenario.demand, run.worlds.values

    def read(name: str, number: float | None) -> np.ndarray:
        return np.asarray(values.get(name, np.full(1, number)), float)[:, None]

    persistence = read("demand.persistence", demand.persistence.value)
    volatility = read("demand.volatility", demand.volatility.value)
    sd = volatility / np.sqrt(1.0 - persistence**2)
    state, total = np.zeros((2, len(run.worlds), run.paths_per_world))
    months = run.scenario.plan.months
    for month in range(months):
        if month % 4 == 0:
            shocks = ndtri(_uniforms(run, DEMAND, month // 4))
        state = sd * shocks[0] if month == 0 else persistence * state + volatility * shocks[month % 4]
        total += np.exp(state - 0.5 * sd**2)
    return np.asarray(total / months)


def _field(run: Run, name: str) -> np.ndarray:
    """Values of a random field that is drawn once a path."""
    quantity = knobs.read(run.scenario, name)
    assert quantity.distribution is not None
    linked = _linked(run, name)
    levels = _uniforms(run, name, 0)[0] if linked is None else linked
    parameters = {p: v[:, None] for p, v in parameters_of(name, quantity, run.worlds.values).items()}
    return np.asarray(quantity.distribution.quantile(levels, parameters), float)


def _linked(run: Run, name: str) -> np.ndarray | None:
    """Uniforms of a driver that is correlated with others, Phi(L z); None where it stands alone."""
    scenario = run.scenario
    together = pairs(scenario, of_paths=True)
    names = sorted({n for first, second, _ in together for n in (first, second)})
    if name not in names:
        return None
    place = {n: i for i, n in enumerate(names)}
    rho = [(place[a], place[b], _strength(run, k)) for a, b, k in together]
    weights = factor(names, rho, scenario.file)[:, place[name]]
    z = np.zeros((len(run.worlds), run.paths_per_world))
    for other in names[: place[name] + 1]:
        weight = weights[:, place[other]]
        if weight.any():
            z += weight[:, None] * ndtri(_own(run, other))
    return np.asarray(ndtr(z))


def _strength(run: Run, knob: str) -> np.ndarray:
    at = run.worlds.values.get(knob)
    return np.full(1, knobs.read(run.scenario, knob).value) if at is None else at


def _own(run: Run, name: str) -> np.ndarray:
    """Uniforms at the own address of a driver, shape (worlds, paths)."""
    head, _, rest = name.partition(".")
    item, _, part = rest.partition(".")
    if head != "risks":
        return _uniforms(run, name, 0)[0]
    slot = _SLOTS[part]
    return _uniforms(run, f"risks.{item}", slot // 4)[slot % 4]
