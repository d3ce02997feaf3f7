"""Patient rule induction, by ema-workbench: the only module that imports it, and only when boxes are searched.

The import takes some seconds: ema-workbench brings statsmodels, scikit-learn and seaborn along.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from engine.errors import SimulationError

PEEL = 0.05  # share of a box's years that one step takes away at least (Friedman and Fisher 1999, section 8)


def require() -> None:
    """Make sure that ema-workbench is there, before any work is done.

    Raises
    ------
    SimulationError
        With the command that installs it.
    """
    _load()


def _load() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says which of its optional helpers are missing: none is needed here
            from ema_workbench.analysis import prim
    except ImportError as error:
        missing = "boxes are searched by ema-workbench, which cannot be imported"
        remedy = "install it: pip install 'attain-engine[sensitivity]'"
        raise SimulationError(f"{missing} ({error}); {remedy}") from error
    return prim


def trajectory(values: np.ndarray, interest: np.ndarray, least_mass: float) -> list[np.ndarray]:
    """Peel and paste a box around the cases of interest, step by step.

    Parameters
    ----------
    values : ndarray, shape (factors, n)
        Each factor takes two values at least.
    interest : ndarray of bool, shape (n,)
        Some cases are of interest, some are not.
    least_mass : float
        Share of the n cases that a box holds at least.

    Returns
    -------
    list of ndarray, shape (2, factors) each
        Lower and upper limits of the box after each step, infinite where it has none. The first has none at all.

    References
    ----------
    Friedman, J. H. and Fisher, N. I. (1999): Bump hunting in high-dimensional data. Statistics and Computing 9.
    Bryant, B. P. and Lempert, R. J. (2010): Thinking inside the box. Technological Forecasting and Social Change 77.
    Kwakkel, J. H. (2017): The Exploratory Modeling Workbench. Environmental Modelling & Software 96.
    """
    import pandas as pd

    prim = _load()
    columns = [str(j) for j in range(len(values))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas announces changes that its own caller has to follow
        # any threshold above 0 makes it count the cases of interest, and returns the box whatever its density
        search = prim.Prim(
            pd.DataFrame(values.T, columns=columns), interest.astype(int), threshold=1e-12, peel_alpha=PEEL,
            mass_min=least_mass,
        )  # fmt: skip
        steps = [box[columns].to_numpy(float) for box in search.find_box().box_lims]
    whole = steps[0]
    return [np.where(step == whole, np.array([[-np.inf], [np.inf]]), step) for step in steps]
