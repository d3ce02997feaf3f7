"""A batch as one file: a table for spreadsheets and data frames, or a Dataset."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.batch.store import EXTRA, Store
from engine.batch.summary import table
from engine.dataset import save
from engine.errors import StoreError
from engine.store import whole_file

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".parquet", ".csv", ".nc")


def export(store: str | Path, file: str | Path) -> Path:
    """Write the worlds of a store into one file, a row a world.

    Parameters
    ----------
    store : str or Path
        Finished or not: a world that is missing or failed has a row too, without outputs.
    file : str or Path
        Ends in .parquet or .csv: a table, in columns the knobs, `state`, each output with its error (quantiles as
        ``revenue_p5``, months as ``monthly_revenue_2024-01``) and `error`. Ends in .nc: the Dataset of `open_batch`.

    Raises
    ------
    StoreError
        If the store cannot be read, the file cannot be written, its ending is not known, or a package is missing.
    """
    file = Path(file)
    if file.suffix not in SUFFIXES:
        raise StoreError(f"{file}: does not end in {' or '.join(SUFFIXES)}")
    write = {".parquet": _parquet, ".csv": _csv, ".nc": _netcdf}[file.suffix]
    write(Store(store).dataset(), file)
    return file


def _require(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise StoreError(f"tables need {' and '.join(missing)}, which is not installed; {EXTRA}")


def _parquet(dataset: xr.Dataset, file: Path) -> None:
    _require("pandas", "pyarrow")
    import pandas as pd

    with whole_file(file, "the table") as temporary:
        pd.DataFrame(table(dataset)).to_parquet(temporary, engine="pyarrow", index=False)


def _csv(dataset: xr.Dataset, file: Path) -> None:
    _require("pandas")
    import pandas as pd

    with whole_file(file, "the table") as temporary:
        pd.DataFrame(table(dataset)).to_csv(temporary, index=False)


def _netcdf(dataset: xr.Dataset, file: Path) -> None:
    """NetCDF knows no lists as attributes: names stand side by side."""
    lists = {name: " ".join(value) for name, value in dataset.attrs.items() if isinstance(value, list)}
    save(dataset.assign_attrs(lists), file)
