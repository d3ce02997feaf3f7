"""Batches: the worlds that a file means, and the numbers of a world."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from batches import GRID, MODE, PROBABILITY, SMALL, all_worlds, axes, differing, read, written
from small import everything

import engine
from engine import simulation
from engine.batch import layout, reading, tally
from engine.batch import run as running
from engine.batch.design import Batch
from engine.batch.export import _workbook as write_workbook
from engine.batch.export import export
from engine.batch.store import writing
from engine.batch.summary import over_draws
from engine.names import SUMMARIES
from engine.scenario import worlds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


# -------------------------------------------------------------------------------------------------- the worlds it means


def test_a_grid_is_the_product_of_its_axes_the_last_one_fastest(folder: Path) -> None:
    found = all_worlds(read(folder, GRID))
    pairs = list(zip(found.read(PROBABILITY), found.read("plan.target"), strict=True))
    assert pairs == list(product([0.2, 0.5], [1000.0, 1100.0, 1200.0]))
    assert np.all(found.streams == 0)
    assert found.read(MODE) == pytest.approx(0.225)  # all else central


def test_zipped_axes_run_side_by_side(folder: Path) -> None:
    text = axes({PROBABILITY: [0.3, 0.4], "plan.target": [900, 1000]}, zipped=True)
    found = all_worlds(read(folder, text))
    assert list(zip(found.read(PROBABILITY), found.read("plan.target"), strict=True)) == [(0.3, 900.0), (0.4, 1000.0)]


def test_draws_are_those_of_any_run_at_every_point(folder: Path) -> None:
    """Point by point the same draws of what is not set, which are those of `attain run` at the same seed."""
    batch = read(
        folder,
        f'worlds = 8\nseed = 3\ncommon_paths = false\naxes = [{{ knob = "{PROBABILITY}", values = [0.3, 0.4] }}]',
    )
    found, drawn = all_worlds(batch), worlds.draw(batch.scenarios[0], 8, 3)
    assert np.array_equal(found.read(MODE), np.tile(drawn.read(MODE), 2))
    assert np.array_equal(found.read(PROBABILITY), np.repeat([0.3, 0.4], 8))
    assert np.array_equal(found.streams, np.arange(1, 17))
    alone = all_worlds(read(folder, "worlds = 8\nseed = 3"))
    assert np.array_equal(alone.read(PROBABILITY), drawn.read(PROBABILITY))


@pytest.mark.parametrize("kind", ["sobol", "latin_hypercube"])
def test_a_design_fills_distributions_and_ranges_evenly(folder: Path, kind: str) -> None:
    """Of 64 points of either kind each of 64 equal cells holds exactly one, in every knob."""
    text = f'[design]\nkind = "{kind}"\nsamples = 64\nknobs = ["risks.*"]\nranges = {{ "lines.ads.amount" = [10, 30] }}'
    found = all_worlds(read(folder, text))
    places = {
        PROBABILITY: (found.read(PROBABILITY) - 0.2) / 0.4, MODE: (found.read(MODE) - 0.15) / 0.15,
        "lines.ads.amount": (found.read("lines.ads.amount") - 10) / 20,
    }  # fmt: skip
    for place in places.values():
        assert sorted(np.floor(64 * place).astype(int)) == list(range(64))
    other = all_worlds(read(folder, "seed = 2\n" + text))
    assert not np.array_equal(other.read(MODE), found.read(MODE))


def test_a_design_keeps_the_scenario_s_correlation(folder: Path) -> None:
    """Rank correlation 0.8 over 1024 points: an independent design would show at most 5 / sqrt(1023) = 0.16."""
    linked = SMALL + f'\n[correlation]\n"{PROBABILITY} ~ {MODE}" = 0.8\n'
    (folder / "small.toml").write_text(linked)
    found = all_worlds(read(folder, '[design]\nkind = "sobol"\nsamples = 1024\nknobs = ["risks.*"]'))
    ranks = np.argsort(np.argsort([found.read(PROBABILITY), found.read(MODE)], axis=1), axis=1)
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(0.8, abs=0.02)


def test_files_are_points(folder: Path) -> None:
    (folder / "worse.toml").write_text('extends = "small.toml"\nplan.target = 1300.0\n')
    batch = read(folder, 'files = ["small.toml", "worse.toml"]\nworlds = 3', "")
    assert [batch.scenario(world).file for world in range(6)] == ["small.toml"] * 3 + ["worse.toml"] * 3
    assert all(len({batch.scenario(w).file for w in range(c.start, c.stop)}) == 1 for c in batch.chunks())
    found = engine.run_batch(batch, folder / "store")
    assert found["scenario"].values.tolist() == ["small"] * 3 + ["worse"] * 3
    assert np.array_equal(found[MODE].values[:3], found[MODE].values[3:])
    assert (found["p_attain"].values[3:] < found["p_attain"].values[:3]).all()


@pytest.mark.parametrize(
    ("paths", "draws", "files"), [(10, 5, 1), (10, 300, 1), (70_000, 3, 1), (200_000, 2, 1), (50_000, 3, 2)]
)
def test_chunks_hold_every_world_once(folder: Path, paths: int, draws: int, files: int) -> None:
    text = f"paths = {paths}\nworlds = {draws}\nfiles = {json.dumps(['small.toml'] * files)}"
    batch = read(folder, text, "")
    assert [w for c in batch.chunks() for w in range(c.start, c.stop)] == list(range(batch.n_worlds))
    assert max(len(c) for c in batch.chunks()) == min(
        draws, max(1, simulation.CHUNK_PATHS // paths), simulation.PREPARED_WORLDS
    )


# ---------------------------------------------------------------------------------------------------- a world's numbers


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Batch, xr.Dataset]:
    """A batch of the small plan with every mechanism, keeping everything; three worlds with other target and fund."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "rich.toml").write_text("\n".join(everything()))
    text = f"""
base = "rich.toml"
paths = 3000
keep = {json.dumps(reading.outputs())}
{axes({"plan.target": [3000, 3200, 3400], "funds.reserve.amount": [4, 12, 12]}, zipped=True)}
"""
    batch = reading.load(written(folder, text, ""))
    return batch, engine.run_batch(batch, folder / "store")


def test_every_output_is_that_of_a_simulation(rich: tuple[Batch, xr.Dataset]) -> None:
    """Against every path of `engine.simulate`: means to rounding, quantiles exactly."""
    batch, found = rich
    years = engine.simulate(all_worlds(batch), paths=3 * 3000)
    target = found["plan.target"]
    short = np.maximum(target - years["revenue"], 0.0)
    met = years["target_met"]
    paths = {
        "p_attain": met.isel(target=0), "p_all_targets": met.all("target"), "p_target": met,
        "p_fund_exhausted": years["fund_exhausted"].any("fund"), "shortfall": short, "loss": years["loss"].sum("risk"),
        "fund_need": years["fund_need"].sum("fund"), "response_cost": years["response_cost"].sum("risk"),
        "loss_by_risk": years["loss"],
    }  # fmt: skip
    for name in SUMMARIES:
        every = (paths[name] if name in paths else years[name]).astype(float)
        assert found[name].values == pytest.approx(every.mean("path").values, rel=1e-12, abs=1e-9), name
        error = (every.std("path") / np.sqrt(3000)).values
        assert found[f"{name}_se"].values == pytest.approx(error, rel=1e-9, abs=1e-9), name
    for name in ("revenue", "shortfall", "fund_need", "loss"):
        every = np.sort((paths[name] if name in paths else years[name]).values, axis=1)
        at = np.ceil(found["quantile"].values * 3000 - 1e-9).astype(int) - 1
        assert np.array_equal(found[f"{name}_quantiles"].values, every[:, at]), name


def test_a_world_is_what_a_forecast_says_of_it(folder: Path) -> None:
    """The first world of its own draws its paths from the stream 1, as a forecast of one world does."""
    found = engine.run_batch(written(folder, "common_paths = false\n" + GRID), folder / "store")
    alone = engine.load(folder / "small.toml", set=[f"{PROBABILITY}=0.2", "plan.target=1000"])
    forecast = engine.forecast(alone, paths=500, worlds=1).to_json()
    assert found["p_attain"].values[0] == pytest.approx(forecast["p_attain"]["value"], rel=1e-12)
    for name in ("revenue", "gross_margin"):
        assert found[name].values[0] == pytest.approx(forecast[name]["mean"], rel=1e-12)
        assert found[f"{name}_se"].values[0] == pytest.approx(forecast[name]["se"], rel=1e-9)
    assert found["fund_need"].values[0] == pytest.approx(forecast["fund_need"]["reserve"]["mean"], rel=1e-12)


def test_long_worlds_are_summed_in_parts(folder: Path) -> None:
    keep = 'keep = ["revenue", "p_attain", "revenue_quantiles"]\n'
    head = f'base = "small.toml"\npaths = {simulation.CHUNK_PATHS + 5000}\n{keep}'
    batch = read(folder, "", head)
    found = engine.run_batch(batch, folder / "store")
    years = engine.simulate(all_worlds(batch), paths=batch.paths)["revenue"].values[0]
    assert found["revenue"].values[0] == pytest.approx(years.mean(), rel=1e-12)
    assert found["revenue_se"].values[0] == pytest.approx(years.std() / np.sqrt(batch.paths), rel=1e-9)
    assert found["revenue_quantiles"].values[0, 2] == np.sort(years)[int(np.ceil(0.5 * batch.paths)) - 1]


def test_threads_and_places_of_work_change_no_bit(folder: Path) -> None:
    """Two threads, one, and workers that got the batch by mail and took the chunks from the end."""
    file = written(
        folder, GRID, 'base = "small.toml"\npaths = 60_000\nkeep = ["revenue", "p_attain", "revenue_quantiles"]\n'
    )
    one, two = (engine.run_batch(file, folder / f"threads{n}", threads=n) for n in (1, 2))
    assert differing(one, two) == []
    batch = reading.load(file)
    chunks = list(batch.chunks())
    assert len(chunks) == 3

    def elsewhere() -> Iterator[tally.Result]:
        for chunk in reversed(chunks):
            worker = tally.Worker(pickle.loads(pickle.dumps(batch)), threads=1)
            yield pickle.loads(pickle.dumps(worker.simulate(chunk)))

    with writing(folder / "elsewhere", layout.of(batch)) as writer:
        running.fulfil(writer, elsewhere(), commit_seconds=0.0)
    assert differing(one, engine.open_batch(folder / "elsewhere")) == []
    other = engine.run_batch(
        written(folder, GRID, "seed = 2\n" + file.read_text().partition("[[")[0]), folder / "other"
    )
    assert {"revenue", "revenue_se", "p_attain"} <= set(differing(one, other))


def test_errors_of_a_point_hold_draws_and_common_paths() -> None:
    """1000 points of 16 draws: variance 4 between draws, 1 of the paths that they share; the error is that of the mean.

    The mean of 1000 variances with 15 degrees of freedom is within 5 sqrt(2 / 15 / 1000) = 6 % of the truth.
    """
    rng = np.random.default_rng(1)
    points = rng.normal(0, 2, (1000, 16)) + rng.normal(0, 1, (1000, 1))
    truth = 4 / 16 + 1
    squares = {c: np.mean([f.se**2 for v in points if (f := over_draws(v, np.ones(16), c))]) for c in (True, False)}
    assert points.mean(axis=1).var() == pytest.approx(truth, rel=5 * np.sqrt(2 / 999))
    assert squares[True] == pytest.approx(truth, rel=0.06)
    assert squares[False] < 0.3 * truth  # negative control: what own paths would have
    assert over_draws(points[0, :0], points[0, :0], True) is None


def test_a_store_says_what_it_holds(rich: tuple[Batch, xr.Dataset]) -> None:
    batch, found = rich
    assert set(found.data_vars) == {"state", "error", *(n + e for n in reading.outputs() for e in ("", "_se"))}
    assert all(
        found[name].attrs["units"] and found[name].attrs["long_name"] for name in found.data_vars if name != "error"
    )
    assert found["revenue"].attrs["units"] == "CNY"
    assert found["funds.reserve.amount"].dims == ("world",)
    assert found["month"].values[0] == np.datetime64("2024-03")
    assert found.attrs["scenario_text"] == batch.scenarios[0].resolved_text()
    assert found.attrs["scenario_hash"] == batch.scenarios[0].hash
    assert found.attrs["batch_text"] == batch.text
    assert found.attrs["seed"] == "1"
    assert found.attrs["engine_version"]


def workbook(file: Path) -> dict[str, list[list[str]]]:
    """The words of every cell, by sheet and row; of an absent one nothing."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(file) as parts:
        shared = [item.findtext(f".//{space}t") for item in ElementTree.fromstring(parts.read("xl/sharedStrings.xml"))]
        names = [s.get("name") for s in ElementTree.fromstring(parts.read("xl/workbook.xml")).iter(f"{space}sheet")]
        sheets = {}
        for number, name in enumerate(names, start=1):
            root = ElementTree.fromstring(parts.read(f"xl/worksheets/sheet{number}.xml"))
            sheets[name] = [
                [shared[int(c.findtext(f"{space}v"))] if c.get("t") == "s" else c.findtext(f"{space}v") for c in row]
                for row in root.iter(f"{space}row")
            ]
    return sheets


def test_a_workbook_leaves_cells_without_a_number_empty_and_words_as_they_are(
    rich: tuple[Batch, xr.Dataset], folder: Path
) -> None:
    _, found = rich
    hurt = found.copy(deep=True)
    hurt["revenue"].values[1] = np.nan
    hurt["error"] = ("world", np.array(["", "=1+1", ""], object))
    write_workbook(hurt, folder / "t.xlsx")
    head, *rows = workbook(folder / "t.xlsx")["worlds"]
    assert [len(head) - len(row) for row in rows] == [0, 1, 0]
    assert rows[1][-1] == "=1+1"


def test_exports_hold_a_row_a_world(rich: tuple[Batch, xr.Dataset], folder: Path) -> None:
    batch, found = rich
    engine.run_batch(batch, folder / "store")
    tables = [
        pd.read_csv(export(folder / "store", folder / "t.csv")),
        pd.read_parquet(export(folder / "store", folder / "t.parquet")),
    ]
    for table in tables:
        assert list(table.columns[:5]) == ["world", "point", "draw", "plan.target", "funds.reserve.amount"]
        assert table["state"].tolist() == ["done"] * 3
        assert table["revenue"].to_numpy() == pytest.approx(found["revenue"].values, rel=1e-15)
        assert table["revenue_p5_se"].to_numpy() == pytest.approx(found["revenue_quantiles_se"].values[:, 0], rel=1e-15)
        assert table["monthly_revenue_2024-03"].to_numpy() == pytest.approx(
            found["monthly_revenue"].values[:, 0], rel=1e-15
        )
        assert table["loss_by_risk_slump"].to_numpy() == pytest.approx(found["loss_by_risk"].sel(risk="slump").values)
    sheets = workbook(export(folder / "store", folder / "t.xlsx"))
    assert list(sheets) == ["worlds", "about"]
    head, *rows = sheets["worlds"]
    assert head == list(tables[0].columns)
    assert [float(row[head.index("revenue")]) for row in rows] == pytest.approx(found["revenue"].values, rel=1e-15)
    about = {row[0]: row[1:] for row in sheets["about"] if row}
    assert about["scenario_hash"] == [batch.scenarios[0].hash] and about["revenue"][0] == "CNY"
    read_back = engine.load(export(folder / "store", folder / "t.nc"))
    assert isinstance(read_back, xr.Dataset)
    assert np.array_equal(read_back["p_target"].values, found["p_target"].values)
    assert read_back.attrs["scenario_text"] == batch.scenarios[0].resolved_text()
