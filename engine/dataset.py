"""Result Datasets: dimensions, coordinates, units, provenance; saving and loading."""

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from engine.errors import StoreError
from engine.names import CURRENCY, VARIABLES
from engine.store import whole_file

_PACKAGES = ("numpy", "scipy", "numba", "xarray")


def versions() -> dict[str, str]:
    """Versions of the engine and of the packages that its numbers depend on."""
    found = {"engine_version": _version("attain-engine"), "python_version": platform.python_version()}
    return found | {f"{name}_version": _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def build(
    arrays: Mapping[str, np.ndarray], coords: Mapping[str, Any], currency: str, attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Assemble a Dataset of the variables that `names.VARIABLES` declares.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Each with the dimensions that its variable declares, in that order.
    coords : mapping
        One coordinate per dimension.
    currency : str
        Unit of money.
    attrs : mapping
        What reproduces the result: scenario hash and text, seed, paths, worlds; versions are added.

    Raises
    ------
    KeyError
        If a variable is not declared.
    """
    variables = {}
    for name, values in arrays.items():
        declared = VARIABLES[name]
        units = currency if declared.units == CURRENCY else declared.units
        variables[name] = (declared.dims, values, {"units": units, "long_name": declared.long_name})
    used = {dim for dims, *_ in variables.values() for dim in dims}
    return xr.Dataset(
        variables, {name: value for name, value in coords.items() if name in used}, dict(attrs) | versions()
    )


def save(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a Dataset to NetCDF, under a temporary name first, so that a file of that name is always whole.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    with whole_file(Path(path), "the result") as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def load(path: str | Path) -> xr.Dataset:
    """Read a result that `save` wrote.

    Raises
    ------
    StoreError
        If the file is missing, no NetCDF file, or no result of this engine.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as stored:
            dataset = stored.load()
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no such file") from error
    except Exception as error:  # h5netcdf raises many kinds for a file that is not what it expects
        raise StoreError(f"{path}: cannot read this as a result file: {error}") from error
    if "scenario_hash" not in dataset.attrs:
        raise StoreError(f"{path}: a NetCDF file, but not a result of this engine")
    return dataset
