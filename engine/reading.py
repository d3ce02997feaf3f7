"""One reader for both kinds of file: a scenario (.toml) and a result (.nc)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    import xarray as xr

    from engine.scenario.model import Scenario

RESULT_SUFFIXES = (".nc", ".nc4", ".h5")


def load(path: str | Path, set: Sequence[str] = ()) -> Scenario | xr.Dataset:
    """Load a scenario file, or a result that ``simulate`` or ``attain run --out`` wrote.

    Parameters
    ----------
    path : str or Path
        A file that ends in .nc, .nc4 or .h5 is a result, any other a scenario.
    set : sequence of str
        Changes to a scenario, each ``"knob=value"``, the value as in TOML.

    Returns
    -------
    Scenario or xarray.Dataset

    Raises
    ------
    ScenarioError
        The scenario has faults; all of them are listed.
    StoreError
        The result cannot be read.
    """
    if Path(path).suffix.lower() not in RESULT_SUFFIXES:
        from engine.scenario.load import load as load_scenario

        return load_scenario(path, set=set)
    if set:
        raise EngineError(f"{path}: a result cannot be changed; --set acts on scenarios")
    from engine.dataset import load as load_result

    return load_result(path)
