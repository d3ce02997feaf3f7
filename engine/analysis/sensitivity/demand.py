"""The demand of each path, found again from the addresses of its draws: the outputs of a run do not keep it."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from engine.kernels.philox import uniforms
from engine.scenario import drivers
from engine.scenario.worlds import key
from engine.simulation import Run

_DRIVER = "demand"


def mean_demand(run: Run) -> np.ndarray | None:
    """Mean over the months of exp(d_t - Var(d) / 2), d being the AR(1) process of model 3.3, shape (worlds, paths).

    None where demand does not vary.

    Parameters
    ----------
    run : Run
        Random paths; those of a Sobol' run have no addresses.
    """
    assert run.scrambles == 1
    demand, values = run.scenario.demand, run.worlds.values
    if "demand.volatility" not in values and not demand.volatility.value:
        return None

    def read(name: str, number: float | None) -> np.ndarray:
        return np.asarray(values.get(name, np.full(1, number)), float)[:, None]

    persistence = read("demand.persistence", demand.persistence.value)
    volatility = read("demand.volatility", demand.volatility.value)
    sd = volatility / np.sqrt(1.0 - persistence**2)
    state, total = np.zeros((2, len(run.worlds), run.paths_per_world))
    months = run.scenario.plan.months
    for month in range(months):
        if month % 4 == 0:
            shocks = ndtri(_uniforms(run, month // 4))
        state = sd * shocks[0] if month == 0 else persistence * state + volatility * shocks[month % 4]
        total += np.exp(state - 0.5 * sd**2)
    return np.asarray(total / months)


def _uniforms(run: Run, index: int) -> np.ndarray:
    """Uniforms of the four slots of an address, those of four months, shape (4, worlds, paths)."""
    n = run.paths_per_world
    found = np.empty((4, len(run.worlds), n))
    block = np.empty((5, n))
    block[4] = np.arange(n)  # the numbers of the paths
    number = drivers.number(_DRIVER)
    for world, stream in enumerate(run.worlds.streams):
        uniforms(block, 0, 1, 2, 3, 4, n, int(stream), number, index, *key(run.seed))
        found[:, world] = block[:4]
    return found
