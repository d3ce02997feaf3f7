"""A batch as one file: a table for spreadsheets and data frames, or a Dataset."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from engine.batch.store import EXTRA, Store
from engine.batch.summary import table
from engine.dataset import save
from engine.errors import StoreError
from engine.names import BATCH_FILES
from engine.store import whole_file

if TYPE_CHECKING:
    import xarray as xr
    from xlsxwriter.worksheet import Worksheet

_MOST_CELLS = (1_048_576, 16_384)  # rows and columns of a sheet


def export(store: str | Path, file: str | Path) -> Path:
    """Write the worlds of a store into one file, a row a world.

    Parameters
    ----------
    store : str or Path
        Finished or not: a world that is missing or failed has a row too, without outputs.
    file : str or Path
        Ends in .parquet, .csv or .xlsx: a table, in columns the knobs, `state`, each output with its error (quantiles
        as ``revenue_p5``, months as ``monthly_revenue_2024-01``) and `error`; a workbook has batch and units on its
        second sheet. Ends in .nc: the Dataset of `open_batch`.

    Raises
    ------
    StoreError
        If the store cannot be read, the file cannot be written, its ending is not known, or a package is missing.
    """
    file = Path(file)
    if file.suffix not in BATCH_FILES:
        raise StoreError(f"{file}: does not end in {' or '.join(BATCH_FILES)}")
    write = {".parquet": _parquet, ".csv": _csv, ".xlsx": _workbook, ".nc": _netcdf}[file.suffix]
    write(Store(store).dataset(), file)
    return file


def _require(*packages: str, remedy: str = EXTRA) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise StoreError(f"tables need {' and '.join(missing)}, which is not installed; {remedy}")


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


def _workbook(dataset: xr.Dataset, file: Path) -> None:
    """A sheet of worlds, and one that says what they are; a cell keeps at most 32,767 letters."""
    _require("xlsxwriter", remedy='install it with: pip install "attain-engine[report]"')
    import xlsxwriter

    columns = table(dataset)
    if len(columns) > _MOST_CELLS[1] or dataset.sizes["world"] >= _MOST_CELLS[0]:
        size = f"{dataset.sizes['world']:,} worlds of {len(columns):,} columns"
        raise StoreError(f"{file}: {size} are more than a sheet holds; export to .parquet or .csv")
    content = BytesIO()  # the library's own errors of writing are no OSError
    with xlsxwriter.Workbook(content) as book:
        bold = book.add_format({"bold": True})
        worlds = book.add_worksheet("worlds")
        for j, (name, values) in enumerate(columns.items()):
            worlds.write_string(0, j, name, bold)
            for i, value in enumerate(values.tolist(), start=1):
                _write_cell(worlds, i, j, value)
        worlds.freeze_panes(1, 0)
        worlds.autofilter(0, 0, dataset.sizes["world"], len(columns) - 1)
        worlds.set_column(0, len(columns) - 1, 14)
        about = book.add_worksheet("about")
        for i, row in enumerate(_about(dataset)):
            for j, value in enumerate(row):
                about.write_string(i, j, value, bold if j == 0 else None)
        about.set_column(0, 0, 32)
        about.set_column(1, 2, 60)
    with whole_file(file, "the workbook") as temporary:
        Path(temporary).write_bytes(content.getvalue())


def _write_cell(sheet: Worksheet, row: int, column: int, value: object) -> None:
    """A number or a word; nothing where there is no number."""
    if not isinstance(value, (int, float)):
        sheet.write_string(row, column, str(value))
    elif isfinite(value):
        sheet.write_number(row, column, value)


def _about(dataset: xr.Dataset) -> list[tuple[str, ...]]:
    """What reproduces the batch, then unit and meaning of every variable."""
    facts = [(str(name), str(value)) for name, value in dataset.attrs.items()]
    units = [
        (str(name), str(of.attrs["units"]), str(of.attrs.get("long_name", "")))
        for name, of in dataset.variables.items() if "units" in of.attrs
    ]  # fmt: skip
    return [*facts, (), *units]


def _netcdf(dataset: xr.Dataset, file: Path) -> None:
    """NetCDF knows no lists as attributes: names stand side by side."""
    lists = {name: " ".join(value) for name, value in dataset.attrs.items() if isinstance(value, list)}
    save(dataset.assign_attrs(lists), file)
